//! Compares what was acknowledged with what is stored, ordered, published, handled and recorded.

mod audit;
mod delivery;
mod store;
#[cfg(test)]
mod tests;

use crate::{
    consumers::{self, Consumers},
    load::Ledger,
    probe::Probe,
    send::lock,
    sightings::Sightings,
};
use anyhow::{Context, Result};
use journeys::chaos::{Check, World};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

/// An event as the store keeps it.
#[derive(Debug, Clone, sqlx::FromRow)]
struct Stored {
    pos: i64,
    xid: i64,
    /// None without a position.
    seq: Option<i64>,
    stream_id: Uuid,
    version: i64,
    event_id: Uuid,
    event_type: String,
    command_id: Uuid,
    actor_kind: Option<String>,
}

/// Looks at everything; answers with the number of events and the checks.
pub(crate) async fn verify(
    world: &World,
    http: &reqwest::Client,
    ledger: &Ledger,
    probe: &Probe,
) -> Result<(i64, Vec<Check>)> {
    let mut database = PgConnection::connect(&world.database_url).await.context("asking the database")?;
    let consumers = consumers::find(&mut database, http, &world.amqp_admin_url).await?;
    let sightings = lock(&probe.seen).clone();
    judge(&mut database, &consumers, ledger, &sightings).await
}

async fn judge(
    database: &mut PgConnection,
    consumers: &Consumers,
    ledger: &Ledger,
    sightings: &Sightings,
) -> Result<(i64, Vec<Check>)> {
    let events: Vec<Stored> = sqlx::query_as(
        "select e.pos, e.xid::text::bigint as xid, o.seq, e.stream_id, e.version, e.event_id, e.event_type,
                e.command_id, convert_from(e.meta, 'UTF8')::jsonb #>> '{actor,kind}' as actor_kind
           from es.event e
           left join es.order_log o on o.pos = e.pos
          order by o.seq nulls last, e.pos",
    )
    .fetch_all(&mut *database)
    .await
    .context("reading all events")?;
    let mut checks = store::acknowledged(ledger, &events);
    checks.push(store::nothing_twice(&events));
    checks.extend(store::order(database, &events).await?);
    checks.extend(delivery::consumers(database, consumers).await?);
    checks.extend(delivery::published(sightings, &events));
    checks.extend(audit::trail(database).await?);
    Ok((i64::try_from(events.len())?, checks))
}
