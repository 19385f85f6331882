//! Tells devices what is news of their inventories, many of them in one transaction.

use devices_domain::{DELTAS_MAX, Device, DeviceCommand, Seen, applicability::Finding};
use eventstore::{Store, StoreError, Target, Tx};
use kernel::{
    Actor, Cause, CommandId, CorrelationId, CustomerId, DeviceId, EventId, PartnerId, PatchId, Scope,
    StreamId, Tenant,
};
use sqlx::types::Json;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Inventories looked at in one transaction.
const INVENTORIES_MAX: i64 = 200;
/// Devices told in one transaction: what appends holds up the order of everything until it ends.
const DEVICES_MAX: i64 = 250;
/// Findings told in one transaction, for the same reason.
const FINDINGS_MAX: usize = 5_000;

/// An inventory's news.
#[derive(sqlx::FromRow)]
struct NewsRow {
    change: i64,
    hash: String,
    partner_id: Uuid,
    findings: Json<Vec<(PatchId, Finding)>>,
    told_to: Uuid,
    event_id: Uuid,
    correlation_id: Uuid,
    traceparent: Option<String>,
}

/// A device that has one of the inventories, by the number of the news.
#[derive(sqlx::FromRow)]
struct HolderRow {
    n: i64,
    device_id: Uuid,
}

/// Whose a device is, under its lock.
#[derive(sqlx::FromRow)]
struct DeviceRow {
    device_id: Uuid,
    partner_id: Uuid,
    customer_id: Uuid,
    inventory_hash: Option<String>,
    judged_change: i64,
}

/// What one device is told.
struct Message<'a> {
    tenant: Tenant,
    findings: BTreeMap<PatchId, Finding>,
    news: &'a NewsRow,
}

/// Tells some devices; false if nobody waits.
pub(super) async fn some(store: &Store, tx: &mut Tx) -> Result<bool, StoreError> {
    let news = waiting(tx).await?;
    if news.is_empty() {
        return Ok(false);
    }
    let all = holders(tx, &news).await?;
    let some = few_enough(&news, &all);
    let messages = messages(tx, &news, some).await?;
    tell(store, tx, &messages).await?;
    let is_rest = some.len() == all.len() && i64::try_from(all.len()).is_ok_and(|count| count < DEVICES_MAX);
    strike_off(tx, &news, some.last().filter(|_| !is_rest)).await?;
    Ok(true)
}

async fn waiting(tx: &mut Tx) -> Result<Vec<NewsRow>, StoreError> {
    Ok(sqlx::query_as(
        "select j.change, j.hash, j.partner_id, j.findings, j.told_to, c.event_id, c.correlation_id, c.traceparent
           from devices.judgement j
           join devices.catalogue_change c using (change)
          where j.findings is not null
          order by j.change, j.hash
          limit $1",
    )
    .bind(INVENTORIES_MAX)
    .fetch_all(&mut **tx)
    .await?)
}

/// The next devices, in the order of the news and of their ids. A partner's own patch is for its own devices only.
async fn holders(tx: &mut Tx, news: &[NewsRow]) -> Result<Vec<HolderRow>, StoreError> {
    Ok(sqlx::query_as(
        "select r.n, d.device_id
           from unnest($1::bigint[], $2::text[], $3::uuid[], $4::uuid[])
                  with ordinality as r (change, hash, partner_id, told_to, n)
          cross join lateral (
            select d.device_id
              from devices.device d
             where d.inventory_hash = r.hash
               and d.device_id > r.told_to
               and d.judged_change < r.change
               and (r.partner_id = $6 or d.partner_id = r.partner_id)
             order by d.device_id
             limit $5
          ) d
          order by r.n, d.device_id
          limit $5",
    )
    .bind(news.iter().map(|row| row.change).collect::<Vec<_>>())
    .bind(news.iter().map(|row| row.hash.as_str()).collect::<Vec<_>>())
    .bind(news.iter().map(|row| row.partner_id).collect::<Vec<_>>())
    .bind(news.iter().map(|row| row.told_to).collect::<Vec<_>>())
    .bind(DEVICES_MAX)
    .bind(Uuid::nil())
    .fetch_all(&mut **tx)
    .await?)
}

fn news_of<'a>(news: &'a [NewsRow], holder: &HolderRow) -> Option<&'a NewsRow> {
    usize::try_from(holder.n - 1).ok().and_then(|at| news.get(at))
}

/// As many of the holders as have few enough findings together, and at least one.
fn few_enough<'a>(news: &[NewsRow], holders: &'a [HolderRow]) -> &'a [HolderRow] {
    let mut findings = 0;
    let beyond = |holder: &HolderRow| {
        findings += news_of(news, holder).map_or(0, |row| row.findings.len());
        findings > FINDINGS_MAX
    };
    let end = holders.iter().position(beyond).unwrap_or(holders.len()).max(1);
    holders.get(..end).unwrap_or(holders)
}

/// What each device is told, unless it has been scanned since, with its row locked: everyone locks it before the stream.
async fn messages<'a>(
    tx: &mut Tx,
    news: &'a [NewsRow],
    holders: &[HolderRow],
) -> Result<BTreeMap<DeviceId, Message<'a>>, StoreError> {
    let ids: Vec<Uuid> = holders.iter().map(|holder| holder.device_id).collect();
    let rows: Vec<DeviceRow> = sqlx::query_as(
        "select device_id, partner_id, customer_id, inventory_hash, judged_change
           from devices.device
          where device_id = any($1)
          order by device_id
            for update",
    )
    .bind(&ids)
    .fetch_all(&mut **tx)
    .await?;
    let rows: BTreeMap<Uuid, DeviceRow> = rows.into_iter().map(|row| (row.device_id, row)).collect();
    let mut messages: BTreeMap<DeviceId, Message<'a>> = BTreeMap::new();
    for holder in holders {
        let (Some(news), Some(row)) = (news_of(news, holder), rows.get(&holder.device_id)) else { continue };
        if row.inventory_hash.as_ref() != Some(&news.hash) || row.judged_change >= news.change {
            continue;
        }
        let tenant = Tenant::customer(PartnerId(row.partner_id), CustomerId(row.customer_id));
        // With news of several changes the last one counts; it is also what the device is told by.
        let message = messages.entry(DeviceId(holder.device_id)).or_insert_with(|| Message {
            tenant,
            findings: BTreeMap::new(),
            news,
        });
        message.findings.extend(news.findings.iter().cloned());
        message.news = news;
    }
    Ok(messages)
}

async fn tell(
    store: &Store,
    tx: &mut Tx,
    messages: &BTreeMap<DeviceId, Message<'_>>,
) -> Result<(), StoreError> {
    let missing = messages.values().map(Message::missing).collect::<Vec<_>>();
    sqlx::query(
        "update devices.device d
            set missing_bound = missing_bound + more.missing
           from unnest($1::uuid[], $2::int[]) as more (device_id, missing)
          where d.device_id = more.device_id and more.missing > 0",
    )
    .bind(messages.keys().map(|id| id.0).collect::<Vec<_>>())
    .bind(missing)
    .execute(&mut **tx)
    .await?;
    let parts = messages.values().map(|message| message.findings.len() / DELTAS_MAX).max().unwrap_or(0);
    for part in 0..=parts {
        let told: Vec<(DeviceId, &Message<'_>, Cause)> = messages
            .iter()
            .filter(|(_, message)| message.findings.len() / DELTAS_MAX >= part)
            .map(|(device_id, message)| (*device_id, message, message.cause(*device_id, part)))
            .collect();
        let commands = told.iter().map(|(device_id, message, cause)| {
            let target = Target {
                scope: &Scope::Platform,
                tenant: message.tenant,
                stream_id: StreamId(device_id.0),
                cause,
                occurred_at: None,
            };
            let findings = message.findings.clone();
            (target, DeviceCommand::Compare { findings, seen: Seen::InCatalogue })
        });
        let outcomes = store.execute_all_in::<Device>(tx, &Scope::Platform, commands.collect()).await?;
        for ((device_id, ..), outcome) in told.iter().zip(outcomes) {
            if let Err(refusal) = outcome {
                tracing::warn!(device.id = %device_id, %refusal, "a row without its device");
            }
        }
    }
    Ok(())
}

impl Message<'_> {
    fn missing(&self) -> i32 {
        let missing = self.findings.values().filter(|finding| matches!(finding, Finding::Missing(_))).count();
        i32::try_from(missing).unwrap_or(i32::MAX)
    }

    /// The event that changed the catalogue, as for any reaction to it.
    fn cause(&self, device_id: DeviceId, part: usize) -> Cause {
        let what = format!("devices/compare {device_id} {part}");
        Cause {
            command_id: CommandId::derived(self.news.event_id, &what),
            correlation_id: CorrelationId(self.news.correlation_id),
            causation_id: Some(EventId(self.news.event_id)),
            actor: Actor::system("devices"),
            traceparent: self.news.traceparent.clone(),
        }
    }
}

/// Takes off the list what is done: all of it, or up to the last device that was told.
async fn strike_off(tx: &mut Tx, news: &[NewsRow], last: Option<&HolderRow>) -> Result<(), StoreError> {
    let done = match last {
        None => news,
        Some(last) => {
            let at = usize::try_from(last.n - 1).unwrap_or(0);
            if let Some(row) = news.get(at) {
                sqlx::query("update devices.judgement set told_to = $3 where change = $1 and hash = $2")
                    .bind(row.change)
                    .bind(&row.hash)
                    .bind(last.device_id)
                    .execute(&mut **tx)
                    .await?;
            }
            news.get(..at).unwrap_or(news)
        }
    };
    sqlx::query(
        "delete from devices.judgement j
          using unnest($1::bigint[], $2::text[]) as done (change, hash)
          where j.change = done.change and j.hash = done.hash",
    )
    .bind(done.iter().map(|row| row.change).collect::<Vec<_>>())
    .bind(done.iter().map(|row| row.hash.as_str()).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    // Changes that nobody waits for any more; those of a later number may still get rows.
    sqlx::query(
        "delete from devices.catalogue_change c
          where c.change < (select min(change) from devices.judgement)
             or not exists (select from devices.judgement)",
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
