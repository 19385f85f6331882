//! Stored is published and handled by everybody who wants it.

use super::Stored;
use crate::{consumers::Consumers, sightings::Sightings};
use anyhow::Result;
use journeys::chaos::Check;
use sqlx::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// Examples of one consumer at the most.
const EXAMPLES: i64 = 5;

/// Every consumer has handled every event of its interests, and nothing waits or lies aside.
pub(super) async fn consumers(database: &mut PgConnection, consumers: &Consumers) -> Result<Vec<Check>> {
    let mut handled = Check::new("every consumer has handled every event of its interests");
    for (name, interests) in consumers {
        if interests.is_empty() {
            handled.violate(format!("{name} is bound to nothing"));
        }
        let wanted: i64 = sqlx::query_scalar("select count(*) from es.event where event_type like any ($1)")
            .bind(interests)
            .fetch_one(&mut *database)
            .await?;
        handled.looked_at += u64::try_from(wanted)?;
        let missing: Vec<(i64, Uuid, String)> = sqlx::query_as(
            "select o.seq, e.event_id, e.event_type
               from es.event e join es.order_log o on o.pos = e.pos
              where e.event_type like any ($2)
                and not exists (select from es.inbox i where i.consumer = $1 and i.event_id = e.event_id)
                -- Below the consumer's place rows are pruned after an hour.
                and (e.recorded_at > now() - interval '55 minutes'
                     or o.seq > (select c.seq from es.consumer c where c.name = $1))
              order by o.seq limit $3",
        )
        .bind(name)
        .bind(interests)
        .bind(EXAMPLES)
        .fetch_all(&mut *database)
        .await?;
        for (seq, event_id, event_type) in missing {
            handled.violate(format!("{name} has not handled {event_type} {event_id} (position {seq})"));
        }
    }
    let mut strangers = Check::new("no consumer has handled what is not stored");
    let unknown: Vec<(String, Uuid)> = sqlx::query_as(
        "select i.consumer, i.event_id from es.inbox i
          where not exists (select from es.event e where e.event_id = i.event_id) limit $1",
    )
    .bind(EXAMPLES)
    .fetch_all(&mut *database)
    .await?;
    let handled_count: i64 =
        sqlx::query_scalar("select count(*) from es.inbox").fetch_one(&mut *database).await?;
    strangers.looked_at = u64::try_from(handled_count)?;
    for (consumer, event_id) in unknown {
        strangers.violate(format!("{consumer} has handled {event_id}, which is not stored"));
    }
    let mut aside = Check::new("nothing is parked, nothing waits for another attempt");
    let (parked, postponed): (i64, i64) =
        sqlx::query_as("select (select count(*) from es.parked), (select count(*) from es.postponed)")
            .fetch_one(&mut *database)
            .await?;
    aside.looked_at = handled.looked_at;
    if parked + postponed > 0 {
        aside.violate(format!("{parked} events are parked, {postponed} wait for another attempt"));
    }
    let reasons: Vec<(String, String, String)> =
        sqlx::query_as("select consumer, event_type, reason from es.parked order by parked_at limit $1")
            .bind(EXAMPLES)
            .fetch_all(database)
            .await?;
    for (consumer, event_type, reason) in reasons {
        aside.violate(format!("{consumer} has parked {event_type}: {reason}"));
    }
    Ok(vec![handled, strangers, aside])
}

/// Every event was published at least once, as it is stored.
pub(super) fn published(seen: &Sightings, events: &[Stored]) -> Vec<Check> {
    let mut published = Check::new("every event was published, and nothing else");
    for event in events {
        let violation = match seen.events.get(&event.event_id) {
            None => Some(format!("{} {} was not published", event.event_type, event.event_id)),
            Some(sighting)
                if Some(sighting.seq) != event.seq
                    || sighting.stream_id != event.stream_id
                    || sighting.version != event.version =>
            {
                Some(format!("{} was published as {sighting:?} and is {event:?}", event.event_id))
            }
            Some(_) => None,
        };
        published.look(violation);
    }
    if seen.events.len() > events.len() {
        published.violate(format!(
            "{} events were published, {} are stored",
            seen.events.len(),
            events.len()
        ));
    }
    let mut holes =
        Check::new("every message names the event of its type before it, so that a hole would be seen");
    let mut last: HashMap<&str, i64> = HashMap::new();
    for event in events {
        let Some(seq) = event.seq else { continue };
        let before = last.insert(&event.event_type, seq);
        let Some(sighting) = seen.events.get(&event.event_id) else { continue };
        let wrong = sighting.previous != before;
        holes.look(wrong.then(|| {
            format!(
                "{} at {seq} names {:?} as the one before it, which is {before:?}",
                event.event_type, sighting.previous
            )
        }));
    }
    vec![published, holes, seen.same_bytes.clone(), seen.in_order.clone()]
}
