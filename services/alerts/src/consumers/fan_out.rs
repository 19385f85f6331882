//! Makes a delivery for every webhook that wants an event, together with the note that the event was handled.

use alerts_domain::subscription::{is_deliverable, wants};
use async_trait::async_trait;
use contracts::alerts::{WebhookEvent, WebhookRegistered};
use eventstore::Tx;
use kernel::Envelope;
use messaging::{Consumer, HandlerError, Outcome};
use serde_json::{Value, json};
use uuid::Uuid;

/// Hands events over to webhooks.
pub(crate) struct FanOut;

#[derive(sqlx::FromRow)]
struct WebhookRow {
    webhook_id: Uuid,
    event_types: Vec<String>,
}

#[async_trait]
impl Consumer for FanOut {
    fn name(&self) -> &'static str {
        "alerts.fan_out"
    }

    fn interests(&self) -> &'static [&'static str] {
        &["tenancy.*", "feeds.*", "devices.*", "approvals.*", "scheduling.*", "alerts.*", "auditing.*"]
    }

    // It hears everything and keeps deliveries only: no command is to wait for that.
    fn informs_commands(&self) -> bool {
        false
    }

    // It hears everything and only keeps rows.
    fn prefetch(&self) -> u16 {
        256
    }

    // A statement or two for each event: some ten milliseconds, for which the order of all events waits.
    fn batch(&self) -> usize {
        32
    }

    async fn handle(&self, tx: &mut Tx, event: &Envelope) -> Result<Outcome, HandlerError> {
        if !is_deliverable(&event.event_type) {
            return Ok(Outcome::Handled);
        }
        let webhooks = webhooks_of(tx, event).await?;
        let wanting: Vec<Uuid> = webhooks
            .into_iter()
            .filter(|webhook| wants(&webhook.event_types, &event.event_type))
            .map(|webhook| webhook.webhook_id)
            .collect();
        if !wanting.is_empty() {
            add_deliveries(tx, event, &wanting).await?;
        }
        // After the look at the webhooks: a new one gets what comes after its registration.
        if event.event_type == WebhookRegistered::TYPE
            && let WebhookEvent::WebhookRegistered(fact) = event.read()?
        {
            activate(tx, fact.webhook_id.0, event.seq.0).await?;
        }
        Ok(Outcome::Handled)
    }
}

/// The webhooks in whose tenant scope the event lies. A customer's webhook gets that customer's events only.
async fn webhooks_of(tx: &mut Tx, event: &Envelope) -> Result<Vec<WebhookRow>, sqlx::Error> {
    sqlx::query_as(
        "select webhook_id, event_types
           from alerts.webhook
          where partner_id = $1
            and (customer_id is null or customer_id = $2)
            and active_from < $3
            and disabled_at is null",
    )
    .bind(event.tenant.partner_id.0)
    .bind(event.tenant.customer_id.map(|id| id.0))
    .bind(event.seq.0)
    .fetch_all(&mut **tx)
    .await
}

async fn add_deliveries(tx: &mut Tx, event: &Envelope, webhooks: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into alerts.delivery (webhook_id, event_id, partner_id, customer_id, event_type, position, body,
                                      correlation_id, traceparent)
         select w.webhook_id, $2, w.partner_id, w.customer_id, $3, $4, $5, $6, $7
           from alerts.webhook w
          where w.webhook_id = any($1)
         on conflict do nothing",
    )
    .bind(webhooks)
    .bind(event.event_id.0)
    .bind(&event.event_type)
    .bind(event.seq.0)
    .bind(body(event).to_string().into_bytes())
    .bind(event.correlation_id.0)
    .bind(&event.traceparent)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn activate(tx: &mut Tx, webhook_id: Uuid, position: i64) -> Result<(), sqlx::Error> {
    sqlx::query("update alerts.webhook set active_from = $2 where webhook_id = $1 and active_from is null")
        .bind(webhook_id)
        .bind(position)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// What receivers get: the attributes of `CloudEvents` 1.0 and, beside them, whose event it is and where in the log.
fn body(event: &Envelope) -> Value {
    let service = event.event_type.split('.').next();
    json!({
        "specversion": "1.0",
        "id": event.event_id,
        "source": format!("patchfleet/{}", service.unwrap_or_default()),
        "type": event.event_type,
        "dataschema": contracts::catalogue::urn(&event.event_type, event.schema_version),
        "time": event.occurred_at,
        "subject": format!("{}/{}", event.stream, event.stream_id),
        "data": event.payload,
        "partnerId": event.tenant.partner_id,
        "customerId": event.tenant.customer_id,
        "position": event.seq,
    })
}
