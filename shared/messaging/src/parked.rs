//! Events that a consumer could not handle: kept with the reason until a person has them handled again or drops them.

use crate::{Broker, BrokerError, broker::Publisher, topology};
use chrono::{DateTime, Utc};
use eventstore::{Database, Log, StoreError};
use kernel::{CustomerId, Envelope, EventId, PartnerId, Position, Scope, Tenant};
use lapin::types::FieldTable;
use uuid::Uuid;

/// What is kept of a message that is no event: enough to see what it is.
const UNREADABLE_MAX: usize = 64 * 1024;
/// What is kept of a reason.
const REASON_MAX: usize = 2_000;
/// Rows of one page at the most.
const PAGE_MAX: i64 = 500;

/// An event that was parked.
#[derive(Debug, Clone, PartialEq)]
pub struct Parked {
    /// Whose it is.
    pub consumer: String,
    /// The event; of a message that is no event, an id made from its bytes.
    pub event_id: EventId,
    /// Its position; none of a message that is no event.
    pub seq: Option<Position>,
    /// Its type.
    pub event_type: String,
    /// Whose fact it is.
    pub tenant: Tenant,
    /// Why.
    pub reason: String,
    /// How often it was tried.
    pub attempts: i32,
    /// Since when.
    pub parked_at: DateTime<Utc>,
    /// The message that is no event, or its beginning.
    pub unreadable: Option<Vec<u8>>,
    /// Who decided that it will never be handled.
    pub dropped: Option<Dropped>,
}

/// A decision that a parked event will never be handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Which parked events.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this consumer only.
    pub consumer: Option<String>,
    /// Of this type only.
    pub event_type: Option<String>,
    /// Those that were dropped as well.
    pub dropped: bool,
}

/// Which part of the list.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// What comes after this one.
    pub after: Option<(DateTime<Utc>, EventId)>,
    /// How many; 500 at the most.
    pub limit: i64,
}

/// A parked event was not given back or dropped.
#[derive(Debug, thiserror::Error)]
pub enum ParkedError {
    /// It is not there.
    #[error("{consumer} has no parked event {event_id}")]
    Unknown {
        /// Whose it would be.
        consumer: String,
        /// The event.
        event_id: EventId,
    },
    /// It is no event.
    #[error("parked message {event_id} of {consumer} is no event and cannot be handled; it can be dropped")]
    Unreadable {
        /// Whose it is.
        consumer: String,
        /// The message.
        event_id: EventId,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for ParkedError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(StoreError::Database(error))
    }
}

/// Where an event is that was given back to its consumer.
#[derive(Debug)]
pub enum Retried {
    /// On its way.
    Sent,
    /// Remembered; the consumer takes it by itself within seconds, or at its next start.
    Remembered {
        /// Why it was not sent.
        because: BrokerError,
    },
}

/// Parked events in `scope`, the oldest first.
pub async fn list(
    database: &Database,
    scope: &Scope,
    filter: &Filter,
    page: &Page,
) -> Result<Vec<Parked>, StoreError> {
    let mut tx = database.begin(scope).await?;
    let rows: Vec<Row> = sqlx::query_as(
        "select consumer, event_id, seq, event_type, partner_id, customer_id, reason, attempts, parked_at, unreadable,
                dropped_at, dropped_by, drop_reason
           from es.parked
          where ($1::text is null or consumer = $1)
            and ($2::text is null or event_type = $2)
            and (dropped_at is null or $3)
            and ($4::timestamptz is null or (parked_at, event_id) > ($4, $5))
          order by parked_at, event_id
          limit $6",
    )
    .bind(&filter.consumer)
    .bind(&filter.event_type)
    .bind(filter.dropped)
    .bind(page.after.map(|(at, _)| at))
    .bind(page.after.map(|(_, id)| id.0))
    .bind(page.limit.clamp(1, PAGE_MAX))
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(rows.into_iter().map(Row::open).collect())
}

/// One parked event, dropped or not.
pub async fn show(
    database: &Database,
    scope: &Scope,
    consumer: &str,
    event_id: EventId,
) -> Result<Option<Parked>, StoreError> {
    let mut tx = database.begin(scope).await?;
    let row: Option<Row> = sqlx::query_as(
        "select consumer, event_id, seq, event_type, partner_id, customer_id, reason, attempts, parked_at, unreadable,
                dropped_at, dropped_by, drop_reason
           from es.parked
          where consumer = $1 and event_id = $2",
    )
    .bind(consumer)
    .bind(event_id.0)
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(row.map(Row::open))
}

/// Gives a parked event back to its consumer, with all of its attempts before it.
///
/// One transaction turns it from parked into postponed; whoever comes second finds nothing. Then it is sent to the
/// consumer's queue. A consumer that does not run, or a broker that is away, takes it later.
pub async fn retry(
    database: &Database,
    broker: &Broker,
    scope: &Scope,
    consumer: &str,
    event_id: EventId,
) -> Result<Retried, ParkedError> {
    let unknown = || ParkedError::Unknown { consumer: consumer.to_owned(), event_id };
    let mut tx = database.begin(scope).await?;
    // In the caller's scope: another tenant's is not there.
    let seq: Option<Option<i64>> = sqlx::query_scalar(
        "delete from es.parked where consumer = $1 and event_id = $2 and dropped_at is null returning seq",
    )
    .bind(consumer)
    .bind(event_id.0)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(seq) = seq.ok_or_else(unknown)? else {
        return Err(ParkedError::Unreadable { consumer: consumer.to_owned(), event_id });
    };
    // Only the platform may take rows out of an inbox. The row is what closes the event to all of its copies; from the
    // commit on they are taken in again, and the first of them writes it anew.
    sqlx::query("select es.set_scope('pf_platform', null, null)").execute(&mut *tx).await?;
    sqlx::query("delete from es.inbox where consumer = $1 and event_id = $2")
        .bind(consumer)
        .bind(event_id.0)
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "insert into es.postponed (consumer, event_id, seq) values ($1, $2, $3) on conflict do nothing",
    )
    .bind(consumer)
    .bind(event_id.0)
    .bind(seq)
    .execute(&mut *tx)
    .await?;
    // Before the commit: what the log cannot give any more stays parked.
    let events = Log::new(database.clone()).page(Position(seq - 1), 1).await?;
    let body = topology::body(events.first().ok_or_else(unknown)?)?;
    tx.commit().await?;
    Ok(match send(broker, consumer, &body).await {
        Ok(()) => Retried::Sent,
        Err(because) => Retried::Remembered { because },
    })
}

/// Decides that a parked event will never be handled. The row stays and says who, when and why.
pub async fn drop(
    database: &Database,
    scope: &Scope,
    consumer: &str,
    event_id: EventId,
    by: &str,
    reason: &str,
) -> Result<(), ParkedError> {
    let mut tx = database.begin(scope).await?;
    let dropped = sqlx::query(
        "update es.parked
            set dropped_at = now(), dropped_by = $3, drop_reason = $4
          where consumer = $1 and event_id = $2 and dropped_at is null",
    )
    .bind(consumer)
    .bind(event_id.0)
    .bind(by)
    .bind(cut(reason))
    .execute(&mut *tx)
    .await?
    .rows_affected();
    tx.commit().await?;
    if dropped == 0 {
        return Err(ParkedError::Unknown { consumer: consumer.to_owned(), event_id });
    }
    Ok(())
}

async fn send(broker: &Broker, consumer: &str, body: &[u8]) -> Result<(), BrokerError> {
    let publisher = Publisher::connect(broker).await?;
    let sent = publisher.send(consumer, body, FieldTable::default()).await;
    publisher.close().await;
    sent
}

/// Keeps an event that its consumer cannot handle, together with the note that it is dealt with: no other copy of it is
/// taken in. False when a copy was handled meanwhile.
pub(crate) async fn park(
    database: &Database,
    consumer: &str,
    event: &Envelope,
    attempts: i32,
    reason: &str,
) -> Result<bool, StoreError> {
    let mut tx = database.begin(&Scope::partner_of(event.tenant)).await?;
    let closed = sqlx::query(
        "insert into es.inbox (consumer, event_id, seq) values ($1, $2, $3) on conflict do nothing",
    )
    .bind(consumer)
    .bind(event.event_id.0)
    .bind(event.seq.0)
    .execute(&mut *tx)
    .await?
    .rows_affected();
    if closed == 0 {
        return Ok(false);
    }
    sqlx::query("delete from es.postponed where consumer = $1 and event_id = $2")
        .bind(consumer)
        .bind(event.event_id.0)
        .execute(&mut *tx)
        .await?;
    keep(&mut tx, consumer, event, attempts, reason).await?;
    tx.commit().await?;
    Ok(true)
}

/// Keeps an event that was parked at the broker by a program of before, which closed it already.
pub(crate) async fn adopt(
    database: &Database,
    consumer: &str,
    event: &Envelope,
    attempts: i32,
    reason: &str,
) -> Result<(), StoreError> {
    let mut tx = database.begin(&Scope::partner_of(event.tenant)).await?;
    keep(&mut tx, consumer, event, attempts, reason).await?;
    tx.commit().await?;
    Ok(())
}

async fn keep(
    tx: &mut eventstore::Tx,
    consumer: &str,
    event: &Envelope,
    attempts: i32,
    reason: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into es.parked (consumer, event_id, seq, event_type, partner_id, customer_id, reason, attempts)
         values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict do nothing",
    )
    .bind(consumer)
    .bind(event.event_id.0)
    .bind(event.seq.0)
    .bind(&event.event_type)
    .bind(event.tenant.partner_id.0)
    .bind(event.tenant.customer_id.map(|id| id.0))
    .bind(cut(reason))
    .bind(attempts)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Keeps a message that is no event. It belongs to nobody but the platform.
pub(crate) async fn park_unreadable(
    database: &Database,
    consumer: &str,
    message: &[u8],
    reason: &str,
) -> Result<(), StoreError> {
    let mut tx = database.begin(&Scope::Platform).await?;
    sqlx::query(
        "insert into es.parked (consumer, event_id, event_type, partner_id, reason, attempts, unreadable)
         values ($1, $2, 'unreadable', $3, $4, 1, $5)
         on conflict do nothing",
    )
    .bind(consumer)
    // The same message has the same id, so that a copy of it is not kept twice.
    .bind(Uuid::new_v5(&Uuid::NAMESPACE_OID, message))
    .bind(Tenant::PLATFORM.partner_id.0)
    .bind(cut(reason))
    .bind(&message[..message.len().min(UNREADABLE_MAX)])
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// The beginning of a reason, without the byte that the database cannot keep.
fn cut(reason: &str) -> String {
    reason.chars().filter(|character| *character != '\0').take(REASON_MAX).collect()
}

#[derive(sqlx::FromRow)]
struct Row {
    consumer: String,
    event_id: Uuid,
    seq: Option<i64>,
    event_type: String,
    partner_id: Uuid,
    customer_id: Option<Uuid>,
    reason: String,
    attempts: i32,
    parked_at: DateTime<Utc>,
    unreadable: Option<Vec<u8>>,
    dropped_at: Option<DateTime<Utc>>,
    dropped_by: Option<String>,
    drop_reason: Option<String>,
}

impl Row {
    fn open(self) -> Parked {
        let dropped = self.dropped_at.zip(self.dropped_by).zip(self.drop_reason);
        Parked {
            consumer: self.consumer,
            event_id: EventId(self.event_id),
            seq: self.seq.map(Position),
            event_type: self.event_type,
            tenant: Tenant {
                partner_id: PartnerId(self.partner_id),
                customer_id: self.customer_id.map(CustomerId),
            },
            reason: self.reason,
            attempts: self.attempts,
            parked_at: self.parked_at,
            unreadable: self.unreadable,
            dropped: dropped.map(|((at, by), reason)| Dropped { at, by, reason }),
        }
    }
}
