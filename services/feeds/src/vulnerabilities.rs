//! Takes in what documents say of vulnerabilities: one vulnerability each, whichever sources speak of it.

use crate::documents::DocumentKey;
use crate::error::SyncError;
use crate::import::{Import, hex};
use crate::syncs::{self, Counts};
use contracts::feeds::{Epss, VulnerabilityEvent};
use eventstore::{Part, StoreError, Target, Tx};
use feeds_documents::contents::VulnerabilityFacts;
use feeds_domain::catalogue::vulnerability::{
    EPSS_STEP, Said, Vulnerability, VulnerabilityCommand, VulnerabilityState, stream_of,
};
use kernel::{Aggregate, Cause, CommandId, Scope, Tenant};
use sha2::{Digest, Sha256};
use sqlx::types::Json;
use std::collections::{HashMap, HashSet};

/// Vulnerabilities of one transaction.
const BATCH: usize = 500;
/// Predictions of one statement: a document has some 300,000, and most of them change a little every day.
const EPSS_BATCH: usize = 10_000;
/// The source of the list of known exploited vulnerabilities.
const KEV_SOURCE: &str = "cisa-kev";
/// The source of predictions.
const EPSS_SOURCE: &str = "first-epss";

/// A vulnerability as the table has it.
struct Stored {
    version: i64,
    state: VulnerabilityState,
}

/// A wish about one vulnerability, named below the command that asked for the synchronisation.
struct Wish {
    cve: String,
    what: String,
    command: VulnerabilityCommand,
}

impl Import<'_> {
    /// Takes in all that the document says of vulnerabilities.
    pub(crate) async fn describe_all(
        &self,
        document: DocumentKey<'_>,
        facts: Vec<VulnerabilityFacts>,
        is_whole_kev: bool,
    ) -> Result<(), SyncError> {
        let listed: Option<Vec<String>> = is_whole_kev.then(|| {
            facts.iter().filter(|facts| facts.kev.is_some()).map(|facts| facts.cve.clone()).collect()
        });
        let (predictions, facts): (Vec<_>, Vec<_>) =
            facts.into_iter().partition(|facts| facts.epss.is_some());
        for batch in predictions.chunks(EPSS_BATCH) {
            self.keep_predictions(batch).await?;
        }
        for (at, batch) in facts.chunks(BATCH).enumerate() {
            self.describe(document, batch).await?;
            self.tell_watcher(at * BATCH + batch.len(), facts.len());
        }
        if let Some(listed) = listed {
            self.unlist(&listed).await?;
        }
        Ok(())
    }

    async fn describe(
        &self,
        document: DocumentKey<'_>,
        batch: &[VulnerabilityFacts],
    ) -> Result<(), SyncError> {
        let mut tx = self.begin().await?;
        let said: HashMap<&str, Vec<u8>> = said_by_cve(batch);
        let known = recorded(&mut tx, document, &said).await?;
        let is_news = |cve: &str| known.get(cve) != said.get(cve);
        let wishes: Vec<Wish> = batch
            .iter()
            .filter(|facts| is_news(&facts.cve))
            .map(|facts| Wish {
                cve: facts.cve.clone(),
                what: format!(
                    "describe/{}/{}/{}/{}",
                    document.name,
                    facts.cve,
                    facts.source,
                    said.get(facts.cve.as_str()).map(|hash| hex(hash)).unwrap_or_default()
                ),
                command: VulnerabilityCommand::Describe {
                    cve: facts.cve.clone(),
                    source: facts.source.clone(),
                    said: Box::new(Said {
                        // CISA's own list says it whole; others repeat parts of it.
                        kev: facts.kev.clone().filter(|_| facts.source == KEV_SOURCE),
                        epss: None,
                        cvss: facts.cvss.clone(),
                        ssvc: facts.ssvc.clone(),
                        rejected: facts.rejected.clone(),
                    }),
                },
            })
            .collect();
        if wishes.is_empty() {
            return Ok(());
        }
        self.tell(&mut tx, wishes).await?;
        let news: HashMap<&str, Vec<u8>> =
            said.iter().filter(|(cve, _)| is_news(cve)).map(|(cve, hash)| (*cve, hash.clone())).collect();
        record(&mut tx, document, &news).await?;
        Ok(tx.commit().await?)
    }

    /// Takes those out of the list of exploited vulnerabilities that it does not name any more.
    async fn unlist(&self, listed: &[String]) -> Result<(), SyncError> {
        let mut tx = self.begin().await?;
        let gone: Vec<String> = sqlx::query_scalar(
            "select cve from feeds.vulnerability where is_kev and cve <> all($1) order by cve",
        )
        .bind(listed)
        .fetch_all(&mut *tx)
        .await?;
        for batch in gone.chunks(BATCH) {
            let wishes = batch
                .iter()
                .map(|cve| Wish {
                    cve: cve.clone(),
                    what: format!("unlist/{cve}"),
                    command: VulnerabilityCommand::RemoveFromKev { cve: cve.clone() },
                })
                .collect();
            self.tell(&mut tx, wishes).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Keeps predictions for all vulnerabilities. An older prediction does not replace a newer one.
    async fn keep_predictions(&self, batch: &[VulnerabilityFacts]) -> Result<(), SyncError> {
        let mut latest: HashMap<&str, Epss> = HashMap::with_capacity(batch.len());
        for facts in batch {
            if let Some(epss) = facts.epss {
                latest.insert(&facts.cve, epss);
            }
        }
        let part = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let cves: Vec<&str> = latest.keys().copied().collect();
        let scores: Vec<i32> = latest.values().map(|epss| part(epss.score)).collect();
        let percentiles: Vec<Option<i32>> = latest.values().map(|epss| epss.percentile.map(part)).collect();
        let dates: Vec<_> = latest.values().map(|epss| epss.date).collect();
        let mut tx = self.begin().await?;
        sqlx::query(
            "insert into feeds.epss as e (cve, score, percentile, score_date)
             select * from unnest($1::text[], $2::int[], $3::int[], $4::date[])
             on conflict (cve) do update
                set score = excluded.score, percentile = excluded.percentile, score_date = excluded.score_date
              where coalesce(excluded.score_date, '-infinity') >= coalesce(e.score_date, '-infinity')
                and (e.score, e.percentile, e.score_date)
                    is distinct from (excluded.score, excluded.percentile, excluded.score_date)",
        )
        .bind(cves)
        .bind(scores)
        .bind(percentiles)
        .bind(dates)
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// Tells predictions of vulnerabilities that matter here (a patch closes them, or another source speaks of them),
    /// where they moved.
    pub(crate) async fn apply_predictions(&self) -> Result<(), SyncError> {
        let mut after = String::new();
        loop {
            let mut tx = self.begin().await?;
            let moved: Vec<(String, i32, Option<i32>, Option<chrono::NaiveDate>)> = sqlx::query_as(
                "select e.cve, e.score, e.percentile, e.score_date
                   from feeds.epss e
                   left join feeds.vulnerability v on v.cve = e.cve
                  where e.cve > $1
                    and (v.epss is null or abs(v.epss - e.score) >= $2)
                    and (v.cve is not null or exists (select from feeds.patch_cve c where c.cve = e.cve))
                  order by e.cve
                  limit $3",
            )
            .bind(&after)
            .bind(i32::try_from(EPSS_STEP).unwrap_or(i32::MAX))
            .bind(i64::try_from(BATCH).unwrap_or(i64::MAX))
            .fetch_all(&mut *tx)
            .await?;
            let Some((last, ..)) = moved.last() else { return Ok(()) };
            after.clone_from(last);
            let wishes = moved
                .into_iter()
                .map(|(cve, score, percentile, date)| {
                    let epss = Epss {
                        score: score.cast_unsigned(),
                        percentile: percentile.map(i32::cast_unsigned),
                        date,
                    };
                    Wish {
                        what: format!("predict/{cve}/{score}"),
                        command: VulnerabilityCommand::Describe {
                            cve: cve.clone(),
                            source: EPSS_SOURCE.to_owned(),
                            said: Box::new(Said { epss: Some(epss), ..Said::default() }),
                        },
                        cve,
                    }
                })
                .collect();
            self.tell(&mut tx, wishes).await?;
            tx.commit().await?;
        }
    }

    /// Carries out all wishes, those about the same vulnerability one after the other, and appends all events at once.
    async fn tell(&self, tx: &mut Tx, wishes: Vec<Wish>) -> Result<(), SyncError> {
        let cves: HashSet<&str> = wishes.iter().map(|wish| wish.cve.as_str()).collect();
        let mut known = load(tx, &cves).await?;
        let mut news: HashMap<String, (i64, Cause, Vec<VulnerabilityEvent>)> = HashMap::new();
        for Wish { cve, what, command } in wishes {
            let stored = known
                .entry(cve.clone())
                .or_insert_with(|| Stored { version: 0, state: VulnerabilityState::default() });
            let events = match Vulnerability::decide(&stored.state, command) {
                Ok(events) => events,
                Err(refusal) => return Err(SyncError::Failed(web::ApiError::internal(refusal))),
            };
            if events.is_empty() {
                continue;
            }
            stored.state = events.iter().fold(std::mem::take(&mut stored.state), Vulnerability::evolve);
            let command_id = CommandId::derived(self.cause.command_id.0, &what);
            let (_, _, all) = news
                .entry(cve)
                .or_insert_with(|| (stored.version, Cause { command_id, ..self.cause.clone() }, Vec::new()));
            all.extend(events);
        }
        if news.is_empty() {
            return Ok(());
        }
        let parts: Vec<Part<'_>> = news
            .iter()
            .map(|(cve, (expected, cause, events))| {
                let target = Target {
                    scope: &Scope::Platform,
                    tenant: Tenant::PLATFORM,
                    stream_id: stream_of(cve),
                    cause,
                    occurred_at: None,
                };
                Part::of::<Vulnerability>(target, *expected, events)
            })
            .collect();
        self.store.append_all_in(tx, &Scope::Platform, &parts).await?;
        let vulnerabilities = i32::try_from(news.len()).unwrap_or(i32::MAX);
        let kept: Vec<(&str, i64, &VulnerabilityState)> = news
            .iter()
            .filter_map(|(cve, (expected, _, events))| {
                let version = expected + i64::try_from(events.len()).unwrap_or(i64::MAX);
                known.get(cve).map(|stored| (cve.as_str(), version, &stored.state))
            })
            .collect();
        keep(tx, &kept).await?;
        Ok(syncs::count(tx, self.sync, Counts { vulnerabilities, ..Counts::default() }).await?)
    }
}

/// SHA-256 of all that a document says of each vulnerability.
fn said_by_cve(batch: &[VulnerabilityFacts]) -> HashMap<&str, Vec<u8>> {
    let mut hashes: HashMap<&str, Sha256> = HashMap::new();
    for facts in batch {
        // The debug form names every field; a change of it makes all documents say something new once, which is no event.
        hashes.entry(&facts.cve).or_default().update(format!("{facts:?}"));
    }
    hashes.into_iter().map(|(cve, hash)| (cve, hash.finalize().to_vec())).collect()
}

async fn recorded(
    tx: &mut Tx,
    document: DocumentKey<'_>,
    said: &HashMap<&str, Vec<u8>>,
) -> Result<HashMap<String, Vec<u8>>, StoreError> {
    let cves: Vec<&str> = said.keys().copied().collect();
    let rows: Vec<(String, Vec<u8>)> = sqlx::query_as(
        "select cve, content_hash
           from feeds.vulnerability_record
          where feed_id = $1 and document = $2 and cve = any($3)",
    )
    .bind(document.feed_id.0)
    .bind(document.name)
    .bind(cves)
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().collect())
}

async fn record(
    tx: &mut Tx,
    document: DocumentKey<'_>,
    said: &HashMap<&str, Vec<u8>>,
) -> Result<(), StoreError> {
    let (cves, hashes): (Vec<&str>, Vec<&[u8]>) =
        said.iter().map(|(cve, hash)| (*cve, hash.as_slice())).unzip();
    sqlx::query(
        "insert into feeds.vulnerability_record (feed_id, document, cve, content_hash)
         select $1, $2, said.cve, said.content_hash
           from unnest($3::text[], $4::bytea[]) as said (cve, content_hash)
         on conflict (feed_id, document, cve) do update set content_hash = excluded.content_hash",
    )
    .bind(document.feed_id.0)
    .bind(document.name)
    .bind(cves)
    .bind(hashes)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn load(tx: &mut Tx, cves: &HashSet<&str>) -> Result<HashMap<String, Stored>, StoreError> {
    let cves: Vec<&str> = cves.iter().copied().collect();
    let rows: Vec<(String, i64, Json<VulnerabilityState>)> =
        sqlx::query_as("select cve, version, state from feeds.vulnerability where cve = any($1)")
            .bind(cves)
            .fetch_all(&mut **tx)
            .await?;
    Ok(rows.into_iter().map(|(cve, version, Json(state))| (cve, Stored { version, state })).collect())
}

async fn keep(tx: &mut Tx, all: &[(&str, i64, &VulnerabilityState)]) -> Result<(), StoreError> {
    let cves: Vec<&str> = all.iter().map(|(cve, ..)| *cve).collect();
    let versions: Vec<i64> = all.iter().map(|(_, version, _)| *version).collect();
    let kev: Vec<bool> = all.iter().map(|(.., state)| state.kev.is_some()).collect();
    let epss: Vec<Option<i32>> = all
        .iter()
        .map(|(.., state)| state.epss.map(|epss| i32::try_from(epss.score).unwrap_or(i32::MAX)))
        .collect();
    let states: Vec<Json<&VulnerabilityState>> = all.iter().map(|(.., state)| Json(*state)).collect();
    sqlx::query(
        "insert into feeds.vulnerability (cve, version, is_kev, epss, state)
         select * from unnest($1::text[], $2::bigint[], $3::boolean[], $4::int[], $5::jsonb[])
         on conflict (cve) do update
            set version = excluded.version,
                is_kev = excluded.is_kev,
                epss = excluded.epss,
                state = excluded.state",
    )
    .bind(cves)
    .bind(versions)
    .bind(kev)
    .bind(epss)
    .bind(states)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
