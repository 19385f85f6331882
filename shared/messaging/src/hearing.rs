//! Whether a consumer has heard of everything that was known when the question was asked.

use eventstore::{Database, StoreError};
use kernel::{PartnerId, Scope};
use std::time::Duration;

const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Waits until `consumer` has handled every event of its `interests` that has a position now; whether it has before
/// `timeout` is over.
///
/// With a partner, of that partner's own events only: nobody waits for another tenant's, nor for a vendor's import. An
/// event that was set aside is waited for only as long as the consumer's place has not passed it, a moment.
///
/// A caller that saw an approval in a view and then sends a command must not hear "not approved" from a service that
/// has not heard of it yet.
pub async fn has_heard_all(
    database: &Database,
    consumer: &str,
    interests: &[&str],
    partner: Option<PartnerId>,
    timeout: Duration,
) -> Result<bool, StoreError> {
    let deadline = tokio::time::Instant::now() + timeout;
    let patterns: Vec<String> = interests.iter().map(|interest| interest.replace('*', "%")).collect();
    let head = eventstore::Log::new(database.clone()).head().await?;
    let mut pause = PAUSE_MIN;
    loop {
        let mut tx = database.begin(&Scope::Platform).await?;
        let unheard: bool = sqlx::query_scalar(
            "select exists (
               select
                 from es.order_log o
                where o.seq > coalesce((select c.seq from es.consumer c where c.name = $1), 0)
                  and o.seq <= $2
                  and o.event_type like any ($3)
                  and ($4::uuid is null or o.partner_id = $4)
                  and not exists (select
                                    from es.event e
                                    join es.inbox i on i.consumer = $1 and i.event_id = e.event_id
                                   where e.xid = o.xid and e.pos = o.pos))",
        )
        // Planned anew each time: a kept plan may be from when the tables were empty.
        .persistent(false)
        .bind(consumer)
        .bind(head.0)
        .bind(&patterns)
        .bind(partner.map(|id| id.0))
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        if !unheard {
            return Ok(true);
        }
        if tokio::time::Instant::now() + pause > deadline {
            return Ok(false);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
