//! The deliveries in the database: which are due, and what became of them.

use crate::webhook::sender::Attempt;
use alerts_domain::delivery::{Answer, Command, Delivery, RetryTable, State};
use alerts_domain::webhook::{self, Webhook, give_up_on};
use chrono::{DateTime, Utc};
use contracts::alerts::DeliveryEvent;
use eventstore::{Database, ExecuteError, Store, StoreError, Target, Tx};
use kernel::{
    Actor, Aggregate, Cause, CommandId, CorrelationId, CustomerId, EventId, PartnerId, Refused, Scope,
    StreamId, Tenant, WebhookId,
};
use uuid::Uuid;

/// Longer than an attempt and its note take together; after it somebody else makes the attempt.
const LEASE_SECONDS: i32 = 60;

/// A delivery that this worker alone is at.
#[derive(Debug, Clone)]
pub(super) struct Claimed {
    pub(super) webhook_id: WebhookId,
    pub(super) event_id: EventId,
    pub(super) event_type: String,
    pub(super) body: Vec<u8>,
    pub(super) traceparent: Option<String>,
    pub(super) attempts: u32,
    pub(super) url: String,
    pub(super) key_id: String,
    pub(super) is_disabled: bool,
    failing_since: Option<DateTime<Utc>>,
    correlation_id: CorrelationId,
    tenant: Tenant,
}

#[derive(sqlx::FromRow)]
struct ClaimedRow {
    webhook_id: Uuid,
    event_id: Uuid,
    partner_id: Uuid,
    customer_id: Option<Uuid>,
    event_type: String,
    body: Vec<u8>,
    correlation_id: Uuid,
    traceparent: Option<String>,
    attempts: i32,
    url: String,
    key_id: String,
    failing_since: Option<DateTime<Utc>>,
    is_disabled: bool,
}

/// Takes up to `limit` due deliveries, so many of one webhook that no more than `each` are under way to it.
///
/// Two workers that look at the same instant may both fill a webhook's room: the limit is there to be fair.
pub(super) async fn claim(
    database: &Database,
    each: usize,
    limit: usize,
) -> Result<Vec<Claimed>, StoreError> {
    let mut tx = database.begin(&Scope::Platform).await?;
    // Every part reads as many rows as it takes, however many wait: one index entry of each webhook, then its first few.
    let rows: Vec<ClaimedRow> = sqlx::query_as(
        "with due as (
           select w.webhook_id
             from alerts.webhook w
            cross join lateral (
              select d.next_attempt_at
                from alerts.delivery d
               where d.webhook_id = w.webhook_id
                 and d.settled_at is null
                 and d.next_attempt_at <= now()
               order by d.next_attempt_at
               limit 1
            ) first
            order by first.next_attempt_at
         ), picked as (
           select p.webhook_id, p.event_id
             from due
            cross join lateral (
              select d.webhook_id, d.event_id
                from alerts.delivery d
               where d.webhook_id = due.webhook_id
                 and d.settled_at is null
                 and d.next_attempt_at <= now()
                 and (d.leased_until is null or d.leased_until <= now())
               order by d.next_attempt_at, d.position
               limit greatest(0, $1 - (select count(*)
                                         from alerts.delivery b
                                        where b.webhook_id = due.webhook_id
                                          and b.settled_at is null
                                          and b.leased_until > now()))
                 for update skip locked
            ) p
            limit $2
         )
         update alerts.delivery d
            set leased_until = now() + make_interval(secs => $3)
           from picked p
           join alerts.webhook w on w.webhook_id = p.webhook_id
          where d.webhook_id = p.webhook_id and d.event_id = p.event_id
         returning d.webhook_id, d.event_id, d.partner_id, d.customer_id, d.event_type, d.body, d.correlation_id,
                   d.traceparent, d.attempts, w.url, w.key_id, w.failing_since, w.disabled_at is not null as is_disabled",
    )
    .bind(i64::try_from(each).unwrap_or(i64::MAX))
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .bind(f64::from(LEASE_SECONDS))
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    rows.into_iter().map(Claimed::try_from).collect()
}

impl TryFrom<ClaimedRow> for Claimed {
    type Error = StoreError;

    fn try_from(row: ClaimedRow) -> Result<Self, StoreError> {
        let attempts = u32::try_from(row.attempts).map_err(|_negative| StoreError::Corrupt {
            what: format!(
                "alerts.delivery {} {} has {} attempts",
                row.webhook_id, row.event_id, row.attempts
            ),
        })?;
        Ok(Self {
            webhook_id: WebhookId(row.webhook_id),
            event_id: EventId(row.event_id),
            event_type: row.event_type,
            body: row.body,
            traceparent: row.traceparent,
            attempts,
            url: row.url,
            key_id: row.key_id,
            is_disabled: row.is_disabled,
            failing_since: row.failing_since,
            correlation_id: CorrelationId(row.correlation_id),
            tenant: Tenant {
                partner_id: PartnerId(row.partner_id),
                customer_id: row.customer_id.map(CustomerId),
            },
        })
    }
}

impl Claimed {
    fn state(&self) -> State {
        if self.attempts == 0 { State::Pending } else { State::Retrying { attempts: self.attempts } }
    }

    /// What follows from the attempt, named so that noting it down twice has one effect.
    fn cause(&self, what: &str) -> Cause {
        Cause {
            command_id: CommandId::derived(self.event_id.0, &format!("alerts/{what}/{}", self.webhook_id)),
            correlation_id: self.correlation_id,
            causation_id: Some(self.event_id),
            actor: Actor::system("alerts"),
            traceparent: self.traceparent.clone(),
        }
    }
}

/// Notes down what became of an attempt; switches the webhook off if it is gone or has failed for too long.
pub(super) async fn record(
    store: &Store,
    claimed: &Claimed,
    attempt: &Attempt,
    now: DateTime<Utc>,
    table: &RetryTable,
    jitter_permille: i32,
) -> Result<(), StoreError> {
    let number = claimed.attempts + 1;
    let command = Command::RecordAttempt {
        webhook_id: claimed.webhook_id,
        event_id: claimed.event_id,
        attempt: number,
        answer: attempt.answer.clone(),
        at: now,
        table: table.clone(),
        jitter_permille,
    };
    let scope = Scope::partner_of(claimed.tenant);
    let mut tx = store.database().begin(&scope).await?;
    decide(store, &mut tx, claimed, &format!("attempt {number}"), command, attempt, now).await?;
    if let Some(reason) = judge(&mut tx, claimed, attempt, now).await? {
        switch_off(store, &mut tx, claimed, reason).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Ends a delivery whose webhook gets nothing any more.
pub(super) async fn give_up(store: &Store, claimed: &Claimed, now: DateTime<Utc>) -> Result<(), StoreError> {
    let reason = "the webhook is switched off".to_owned();
    let command = Command::GiveUp {
        webhook_id: claimed.webhook_id,
        event_id: claimed.event_id,
        reason: reason.clone(),
    };
    let nothing = Attempt { answer: Answer::None { reason }, excerpt: String::new() };
    let mut tx = store.database().begin(&Scope::partner_of(claimed.tenant)).await?;
    decide(store, &mut tx, claimed, "give up", command, &nothing, now).await?;
    tx.commit().await?;
    Ok(())
}

/// Appends the fact and brings the row to what it says.
async fn decide(
    store: &Store,
    tx: &mut Tx,
    claimed: &Claimed,
    what: &str,
    command: Command,
    attempt: &Attempt,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    // Row and stream change in one transaction, so that the row's state is the stream's.
    let events =
        Delivery::decide(&claimed.state(), command.clone()).map_err(|refusal| contradiction(&refusal))?;
    let (scope, cause) = (Scope::partner_of(claimed.tenant), claimed.cause(what));
    let target = Target {
        scope: &scope,
        tenant: claimed.tenant,
        stream_id: Delivery::stream_id(claimed.webhook_id, claimed.event_id),
        cause: &cause,
        occurred_at: Some(now),
    };
    let committed = store.execute_in::<Delivery>(tx, target, command).await.map_err(machinery)?;
    // Another worker, after our lease, may have noted the same attempt down with another outcome.
    if !committed.repeated {
        for event in &events {
            update_row(tx, claimed, event, attempt, now).await?;
        }
    }
    Ok(())
}

async fn update_row(
    tx: &mut Tx,
    claimed: &Claimed,
    event: &DeliveryEvent,
    attempt: &Attempt,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let (state, attempts, reason, next_attempt_at) = match event {
        DeliveryEvent::DeliverySucceeded(fact) => ("DELIVERED", fact.attempts, None, None),
        DeliveryEvent::DeliveryRetryScheduled(fact) => {
            ("RETRYING", fact.attempts, Some(&fact.reason), Some(fact.next_attempt_at))
        }
        DeliveryEvent::DeliveryDeadLettered(fact) => {
            ("DEAD_LETTERED", fact.attempts, Some(&fact.reason), None)
        }
    };
    let status = match attempt.answer {
        Answer::Status { status, .. } => Some(i32::from(status)),
        Answer::None { .. } => None,
    };
    sqlx::query(
        "update alerts.delivery
            set state = $3,
                attempts = $4,
                reason = $5,
                next_attempt_at = coalesce($6, next_attempt_at),
                status = $7,
                answer = $8,
                settled_at = case when $6 is null then $9 end,
                leased_until = null
          where webhook_id = $1 and event_id = $2",
    )
    .bind(claimed.webhook_id.0)
    .bind(claimed.event_id.0)
    .bind(state)
    .bind(i32::try_from(attempts).unwrap_or(i32::MAX))
    .bind(reason)
    .bind(next_attempt_at)
    .bind(status)
    .bind(&attempt.excerpt)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Keeps since when the receiver has taken nothing; says why it is to be switched off, if it is.
async fn judge(
    tx: &mut Tx,
    claimed: &Claimed,
    attempt: &Attempt,
    now: DateTime<Utc>,
) -> Result<Option<String>, StoreError> {
    match attempt.answer {
        Answer::Status { status: 200..=299, .. } => {
            if claimed.failing_since.is_some() {
                set_failing_since(tx, claimed.webhook_id, None).await?;
            }
            Ok(None)
        }
        Answer::Status { status: 410, .. } => Ok(Some("the receiver is gone: it answered 410".to_owned())),
        Answer::Status { .. } | Answer::None { .. } => {
            if let Some(failing_since) = claimed.failing_since {
                return Ok(give_up_on(failing_since, now));
            }
            set_failing_since(tx, claimed.webhook_id, Some(now)).await?;
            Ok(None)
        }
    }
}

async fn set_failing_since(
    tx: &mut Tx,
    webhook_id: WebhookId,
    failing_since: Option<DateTime<Utc>>,
) -> Result<(), sqlx::Error> {
    sqlx::query("update alerts.webhook set failing_since = $2 where webhook_id = $1")
        .bind(webhook_id.0)
        .bind(failing_since)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn switch_off(store: &Store, tx: &mut Tx, claimed: &Claimed, reason: String) -> Result<(), StoreError> {
    let (scope, cause) = (Scope::partner_of(claimed.tenant), claimed.cause("switch off"));
    let target = Target {
        scope: &scope,
        tenant: claimed.tenant,
        stream_id: StreamId(claimed.webhook_id.0),
        cause: &cause,
        occurred_at: None,
    };
    let command = webhook::Command::Disable { webhook_id: claimed.webhook_id, reason };
    store.execute_in::<Webhook>(tx, target, command).await.map_err(machinery)?;
    sqlx::query(
        "update alerts.webhook set disabled_at = now() where webhook_id = $1 and disabled_at is null",
    )
    .bind(claimed.webhook_id.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Only a row that says something else than its stream makes the rules say no here.
fn machinery<R: Refused>(error: ExecuteError<R>) -> StoreError {
    match error {
        ExecuteError::Store(error) => error,
        ExecuteError::Refused(refusal) => contradiction(&refusal),
    }
}

fn contradiction(refusal: &dyn Refused) -> StoreError {
    StoreError::Corrupt { what: format!("a delivery's row contradicts its facts: {refusal}") }
}
