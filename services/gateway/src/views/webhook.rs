//! Webhooks and their deliveries.

use crate::reading::list::{ById, list};
use crate::views::Entry;
use crate::words::{DeliveryState, WebhookState};
use chrono::{DateTime, Utc};
use contracts::alerts::{
    DeliveryDeadLettered, DeliveryEvent, DeliveryRetryScheduled, DeliverySucceeded, WebhookDisabled,
    WebhookEvent, WebhookRegistered,
};
use eventstore::{StoreError, Tx};
use kernel::{EventId, WebhookId};
use uuid::Uuid;

/// A webhook as GraphQL shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct WebhookRow {
    pub(crate) webhook_id: Uuid,
    pub(crate) customer_id: Option<Uuid>,
    pub(crate) url: String,
    pub(crate) event_types: Vec<String>,
    pub(crate) state: WebhookState,
    pub(crate) disabled_reason: Option<String>,
    pub(crate) registered_at: DateTime<Utc>,
}

macro_rules! columns {
    () => {
        "t.webhook_id, t.customer_id, t.url, t.event_types, t.state, t.disabled_reason, t.registered_at, t.seq"
    };
}

impl ById for WebhookRow {
    const BY_IDS: &'static str = concat!(
        "select t.webhook_id as key, ",
        columns!(),
        " from views.webhook t where t.webhook_id = any($1)"
    );
}

list! {
    /// A customer's own webhooks.
    WEBHOOKS_OF_CUSTOMER: WebhookRow, columns from "views.webhook t"
    where "t.customer_id = p.parent", oldest first by "t.seq"
}

list! {
    /// A partner's webhooks that get the events of all customers.
    WEBHOOKS_OF_PARTNER: WebhookRow, columns from "views.webhook t"
    where "t.partner_id = p.parent and t.customer_id is null", oldest first by "t.seq"
}

/// A delivery as GraphQL shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct DeliveryRow {
    pub(crate) event_id: Uuid,
    pub(crate) state: DeliveryState,
    pub(crate) attempts: i64,
    pub(crate) http_status: Option<i32>,
    pub(crate) reason: Option<String>,
    pub(crate) next_attempt_at: Option<DateTime<Utc>>,
    pub(crate) updated_at: DateTime<Utc>,
}

macro_rules! delivery_columns {
    () => {
        "t.event_id, t.state, t.attempts, t.http_status, t.reason, t.next_attempt_at, t.updated_at, t.seq"
    };
}

list! {
    /// A webhook's deliveries.
    DELIVERIES_OF_WEBHOOK: DeliveryRow, delivery_columns from "views.delivery t"
    where "t.webhook_id = p.parent", newest first by "t.seq"
}

pub(super) async fn apply(tx: &mut Tx, entry: Entry, fact: WebhookEvent) -> Result<(), StoreError> {
    match fact {
        WebhookEvent::WebhookRegistered(WebhookRegistered { webhook_id, customer_id, url, event_types }) => {
            sqlx::query(
                "insert into webhook (webhook_id, partner_id, customer_id, url, event_types, state,
                                      registered_at, seq)
                 values ($1, $2, $3, $4, $5, 'ACTIVE', $6, $7)",
            )
            .bind(webhook_id.0)
            .bind(entry.partner_id)
            .bind(customer_id.map(|id| id.0))
            .bind(url)
            .bind(event_types)
            .bind(entry.recorded_at)
            .bind(entry.seq)
            .execute(&mut **tx)
            .await?;
        }
        WebhookEvent::WebhookDisabled(WebhookDisabled { webhook_id, reason }) => {
            sqlx::query("update webhook set state = 'DISABLED', disabled_reason = $2 where webhook_id = $1")
                .bind(webhook_id.0)
                .bind(reason)
                .execute(&mut **tx)
                .await?;
        }
    }
    Ok(())
}

/// How one delivery stands.
struct Standing {
    state: DeliveryState,
    attempts: u32,
    status: Option<u16>,
    reason: Option<String>,
    next_attempt_at: Option<DateTime<Utc>>,
}

pub(super) async fn apply_delivery(tx: &mut Tx, entry: Entry, fact: DeliveryEvent) -> Result<(), StoreError> {
    let (webhook_id, event_id, standing) = match fact {
        DeliveryEvent::DeliverySucceeded(DeliverySucceeded { webhook_id, event_id, attempts, status }) => {
            let state = DeliveryState::Delivered;
            let standing =
                Standing { state, attempts, status: Some(status), reason: None, next_attempt_at: None };
            (webhook_id, event_id, standing)
        }
        DeliveryEvent::DeliveryRetryScheduled(DeliveryRetryScheduled {
            webhook_id,
            event_id,
            attempts,
            status,
            reason,
            next_attempt_at,
        }) => {
            let state = DeliveryState::Retrying;
            let (reason, next_attempt_at) = (Some(reason), Some(next_attempt_at));
            (webhook_id, event_id, Standing { state, attempts, status, reason, next_attempt_at })
        }
        DeliveryEvent::DeliveryDeadLettered(DeliveryDeadLettered {
            webhook_id,
            event_id,
            attempts,
            reason,
        }) => {
            let state = DeliveryState::DeadLettered;
            let standing =
                Standing { state, attempts, status: None, reason: Some(reason), next_attempt_at: None };
            (webhook_id, event_id, standing)
        }
    };
    keep(tx, entry, (webhook_id, event_id), standing).await
}

async fn keep(
    tx: &mut Tx,
    entry: Entry,
    (webhook_id, event_id): (WebhookId, EventId),
    standing: Standing,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into delivery (webhook_id, event_id, partner_id, customer_id, state, attempts, http_status,
                               reason, next_attempt_at, updated_at, seq)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         on conflict (webhook_id, event_id) do update
            set state = excluded.state,
                attempts = excluded.attempts,
                http_status = coalesce(excluded.http_status, delivery.http_status),
                reason = excluded.reason,
                next_attempt_at = excluded.next_attempt_at,
                updated_at = excluded.updated_at",
    )
    .bind(webhook_id.0)
    .bind(event_id.0)
    .bind(entry.partner_id)
    .bind(entry.customer_id)
    .bind(standing.state)
    .bind(i64::from(standing.attempts))
    .bind(standing.status.map(i32::from))
    .bind(standing.reason)
    .bind(standing.next_attempt_at)
    .bind(entry.recorded_at)
    .bind(entry.seq)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
