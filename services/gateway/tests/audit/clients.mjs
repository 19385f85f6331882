// Follows operations with other people's clients over both transports; prints one JSON object.
import { buildClientSchema, getIntrospectionQuery } from 'graphql';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createSocketClient } from 'graphql-ws';
import WebSocket from 'ws';

const [url] = process.argv.slice(2);
const authorization = 'Bearer alice';

const socket = () =>
  createSocketClient({
    url: url.replace('http', 'ws'),
    webSocketImpl: WebSocket,
    connectionParams: { authorization },
    retryAttempts: 0,
  });
const sse = () => createSseClient({ url, headers: { authorization }, retryAttempts: 0 });

async function collect(client, query) {
  const results = [];
  for await (const result of client.iterate({ query })) {
    results.push(result.data ?? result.errors.map(({ extensions }) => extensions.code));
  }
  return results;
}

// The socket client throws what the server sends as `error`; the event stream reports it as a result.
async function refused(client, query) {
  try {
    return (await collect(client, query)).flat();
  } catch (errors) {
    return errors.map(({ extensions }) => extensions.code);
  }
}

async function cancelled(client) {
  const iterator = client.iterate({ query: 'subscription { endless }' });
  const first = await iterator.next();
  await iterator.return();
  return first.value.data;
}

// Builds a schema from the widest introspection query there is, as code generators do.
async function introspected() {
  const query = getIntrospectionQuery({
    specifiedByUrl: true,
    directiveIsRepeatable: true,
    schemaDescription: true,
    inputValueDeprecation: true,
    oneOf: true,
  });
  const headers = { authorization, 'content-type': 'application/json' };
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ query }) });
  const { data, errors, extensions } = await response.json();
  if (errors) throw new Error(JSON.stringify(errors));
  const field = buildClientSchema(data).getSubscriptionType().getFields().countTo;
  return { type: field.type.toString(), depth: extensions.cost.depth };
}

const told = { introspected: await introspected() };
for (const [name, connect] of Object.entries({ socket, sse })) {
  const client = connect();
  told[name] = {
    subscription: await collect(client, 'subscription { countTo(last: 3) }'),
    query: await collect(client, '{ caller }'),
    mutation: await collect(client, 'mutation { record(name: "x") }'),
    refused: await refused(client, '{ unknown }'),
    cancelled: await cancelled(client),
  };
  await client.dispose();
}
console.log(JSON.stringify(told));
