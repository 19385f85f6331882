//! Reads feeds by their schedules, each by one process at a time. A timer that fires early, late or twice does no harm.
//!
//! ```text
//! next_at has passed ──claim──▶ due_at, leased ──read──▶ ended: due_at is forgotten, next_at was set at the claim
//!                                    │ ▲
//!                       process died └─┘ after its lease another one goes on, with the same command
//! ```

use crate::sync::Feeds;
use actix_web::http::StatusCode;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use eventstore::StoreError;
use kernel::{Actor, Cause, CommandId, CorrelationId, FeedId, PartnerId, Scope};
use sha2::{Digest, Sha256};
use std::time::Duration;
use tracing::Instrument;
use uuid::Uuid;

/// A process of which nothing was heard for so long is not at work any more.
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// How often a process at work says so.
const RENEWAL: Duration = Duration::from_secs(15);
/// When the machinery failed, the same command goes on after this time.
const AGAIN: TimeDelta = TimeDelta::seconds(60);
/// The most by which a reading is put off, so that feeds with the same interval are not read at the same time.
const JITTER_PERCENT_MAX: i64 = 10;

/// A reading that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Due {
    feed_id: FeedId,
    owner: PartnerId,
    at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct DueRow {
    feed_id: Uuid,
    partner_id: Uuid,
    every_minutes: i32,
    at: DateTime<Utc>,
    now: DateTime<Utc>,
}

/// Looks again and again for feeds that are due, until the process stops.
pub(crate) async fn run(feeds: Feeds, interval: Duration) {
    let lifecycle = feeds.foundation.lifecycle.clone();
    while !lifecycle.stopped_within(interval).await {
        if let Err(error) = read_all(&feeds).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the schedule of feeds stands still");
        }
    }
}

/// Reads what is due, one after the other.
async fn read_all(feeds: &Feeds) -> Result<(), StoreError> {
    while !feeds.foundation.lifecycle.stop.is_cancelled() {
        let Some(due) = claim(feeds).await? else { return Ok(()) };
        let span = tracing::info_span!("scheduled sync", feed.id = %due.feed_id);
        read(feeds, due).instrument(span).await?;
    }
    Ok(())
}

/// Takes the reading that is due for the longest time and that nobody is at.
async fn claim(feeds: &Feeds) -> Result<Option<Due>, StoreError> {
    let mut tx = feeds.foundation.database.begin(&Scope::Platform).await?;
    // A row that is locked is being claimed by another process.
    let row: Option<DueRow> = sqlx::query_as(
        "select feed_id,
                partner_id,
                every_minutes,
                coalesce(due_at, next_at) as at,
                clock_timestamp() as now
           from feeds.feed
          where enabled
            and every_minutes is not null
            and case when due_at is null then next_at <= clock_timestamp() else leased_until < clock_timestamp() end
          order by coalesce(due_at, next_at)
          limit 1
            for update skip locked",
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(DueRow { feed_id, partner_id, every_minutes, at, now }) = row else { return Ok(None) };
    sqlx::query(
        "update feeds.feed
            set next_at = case when due_at is null then $2 else next_at end,
                due_at = $3,
                leased_until = $4
          where feed_id = $1",
    )
    .bind(feed_id)
    .bind(next_reading(FeedId(feed_id), every_minutes, now))
    .bind(at)
    .bind(now + LEASE)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Some(Due { feed_id: FeedId(feed_id), owner: PartnerId(partner_id), at }))
}

/// Reads the feed, and says meanwhile that somebody is at it.
async fn read(feeds: &Feeds, due: Due) -> Result<(), StoreError> {
    let reading = feeds.clone().sync_to_the_end(cause_of(due), due.feed_id, due.owner);
    tokio::pin!(reading);
    let outcome = loop {
        match tokio::time::timeout(RENEWAL, &mut reading).await {
            Ok(outcome) => break outcome,
            // One that is missed does no harm, and the next may work.
            Err(_elapsed) => {
                if let Err(error) = lease(feeds, due, LEASE).await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a lease was not renewed");
                }
            }
        }
    };
    match outcome {
        Ok(_) => end(feeds, due).await,
        Err(error) if error.status == StatusCode::SERVICE_UNAVAILABLE => {
            let stopping = feeds.foundation.lifecycle.stop.is_cancelled();
            // Another process need not wait for one that goes down.
            lease(feeds, due, if stopping { TimeDelta::zero() } else { AGAIN }).await
        }
        // A refused document stands in the feed's history.
        Err(error) if error.status.is_client_error() => end(feeds, due).await,
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a feed could not be read by its schedule"
            );
            end(feeds, due).await
        }
    }
}

async fn lease(feeds: &Feeds, due: Due, time: TimeDelta) -> Result<(), StoreError> {
    let mut tx = feeds.foundation.database.begin(&Scope::Platform).await?;
    sqlx::query(
        "update feeds.feed
            set leased_until = clock_timestamp() + make_interval(secs => $3)
          where feed_id = $1 and due_at = $2",
    )
    .bind(due.feed_id.0)
    .bind(due.at)
    .bind(time.as_seconds_f64())
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

async fn end(feeds: &Feeds, due: Due) -> Result<(), StoreError> {
    let mut tx = feeds.foundation.database.begin(&Scope::Platform).await?;
    sqlx::query(
        "update feeds.feed set due_at = null, leased_until = null where feed_id = $1 and due_at = $2",
    )
    .bind(due.feed_id.0)
    .bind(due.at)
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

/// The same for the same reading, whoever does it and however often it is begun.
fn cause_of(due: Due) -> Cause {
    let at = due.at.to_rfc3339_opts(SecondsFormat::Micros, true);
    let command_id = CommandId::derived(due.feed_id.0, &format!("feeds/scheduled/{at}"));
    Cause {
        command_id,
        correlation_id: CorrelationId::derived(command_id.0, "correlation"),
        causation_id: None,
        actor: Actor::system("feeds"),
        traceparent: None,
    }
}

/// When a feed is read next: after its interval and up to a tenth of it more, by feed and time.
fn next_reading(feed_id: FeedId, every_minutes: i32, now: DateTime<Utc>) -> DateTime<Utc> {
    let every = TimeDelta::minutes(every_minutes.max(1).into());
    let digest = Sha256::new()
        .chain_update(feed_id.0.as_bytes())
        .chain_update(now.timestamp_micros().to_be_bytes())
        .finalize();
    let drawn = digest.iter().take(4).fold(0_i64, |drawn, byte| drawn << 8 | i64::from(*byte));
    let most = every.num_seconds() * JITTER_PERCENT_MAX / 100;
    now + every + TimeDelta::seconds(drawn % (most + 1))
}

#[cfg(test)]
mod tests {
    use super::{Due, cause_of, next_reading};
    use chrono::{DateTime, TimeDelta, Utc};
    use kernel::{FeedId, PartnerId};
    use std::collections::HashSet;
    use uuid::Uuid;

    fn noon() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    #[test]
    fn a_reading_is_put_off_by_up_to_a_tenth_and_each_feeds_by_another_time() {
        let mut delays = HashSet::new();
        for number in 0..100 {
            let next = next_reading(FeedId(Uuid::from_u128(number)), 60, noon());
            let delay = next - noon() - TimeDelta::minutes(60);
            assert!((TimeDelta::zero()..=TimeDelta::minutes(6)).contains(&delay), "{delay}");
            delays.insert(delay);
        }
        assert!(delays.len() > 50, "{} different delays", delays.len());
    }

    #[test]
    fn a_feeds_delay_is_another_one_each_time() {
        let feed_id = FeedId(Uuid::from_u128(1));
        let delays: HashSet<_> = (0..10)
            .map(|hour| noon() + TimeDelta::hours(hour))
            .map(|now| next_reading(feed_id, 600, now) - now)
            .collect();
        assert!(delays.len() > 5, "{delays:?}");
    }

    #[test]
    fn a_reading_that_is_begun_again_is_the_same_command() {
        let due = Due { feed_id: FeedId(Uuid::from_u128(1)), owner: PartnerId(Uuid::nil()), at: noon() };
        assert_eq!(cause_of(due), cause_of(due));
        let later = Due { at: noon() + TimeDelta::microseconds(1), ..due };
        assert_ne!(cause_of(due).command_id, cause_of(later).command_id);
    }
}
