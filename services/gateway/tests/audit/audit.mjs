// Runs the GraphQL over HTTP audits against a server; prints one JSON object.
import { auditServer } from 'graphql-http';

const results = await auditServer({ url: process.argv[2], fetchFn: fetch });
const failed = [];
for (const result of results.filter(({ status }) => status !== 'ok')) {
  failed.push(`${result.status} ${result.id} ${result.name}: ${result.reason}`);
}
console.log(JSON.stringify({ ok: results.length - failed.length, failed }));
