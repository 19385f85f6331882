//! Alerts and webhooks.

use super::payload;
use crate::commands::carry_out;
use crate::schema::global_id::{Kind, global};
use async_graphql::{Context, ID, InputObject, Object, Result};
use contracts::alerts;

/// What alerts does.
#[derive(Default)]
pub(crate) struct AlertsMutations;

#[derive(InputObject)]
pub(crate) struct RegisterWebhookInput {
    idempotency_key: String,
    /// None: the events of all customers of the partner.
    customer_id: Option<ID>,
    /// https, or http where the operator allows the address.
    url: String,
    /// 1 to 50 of `alerts.AlertRaised`, `alerts.*` …
    event_types: Vec<String>,
}

payload! {
    RegisterWebhookPayload of alerts::RegisteredWebhook {
        webhook_id: ID = |registered| Some(global(Kind::Webhook, registered.webhook_id.0)),
        /// `whsec_…` for the `v1` signature. Shown here only, and again when the mutation is repeated with its key.
        secret: String = |registered| registered.secret.clone(),
        /// `whpk_…` of the `v1a` signature.
        public_key: String = |registered| Some(registered.public_key.clone()),
    }
}

#[derive(InputObject)]
pub(crate) struct DisableWebhookInput {
    idempotency_key: String,
    webhook_id: ID,
}

payload! { DisableWebhookPayload of () {} }

#[derive(InputObject)]
pub(crate) struct AcknowledgeAlertInput {
    idempotency_key: String,
    alert_id: ID,
}

payload! { AcknowledgeAlertPayload of () {} }

#[derive(InputObject)]
pub(crate) struct ResolveAlertInput {
    idempotency_key: String,
    alert_id: ID,
}

payload! { ResolveAlertPayload of () {} }

#[Object]
impl AlertsMutations {
    /// Registers a receiver of events.
    async fn register_webhook(
        &self,
        ctx: &Context<'_>,
        input: RegisterWebhookInput,
    ) -> Result<RegisterWebhookPayload> {
        let RegisterWebhookInput { idempotency_key, customer_id, url, event_types } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let customer_id = ids.some("customerId", Kind::Customer, customer_id.as_ref())?;
            Some(alerts::RegisterWebhook { customer_id, url, event_types })
        });
        Ok(outcome.await?.into())
    }

    /// Switches a receiver off.
    async fn disable_webhook(
        &self,
        ctx: &Context<'_>,
        input: DisableWebhookInput,
    ) -> Result<DisableWebhookPayload> {
        let DisableWebhookInput { idempotency_key, webhook_id } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            Some(alerts::DisableWebhook { webhook_id: ids.one("webhookId", Kind::Webhook, &webhook_id)? })
        });
        Ok(outcome.await?.into())
    }

    /// Says that a person has seen an alert.
    async fn acknowledge_alert(
        &self,
        ctx: &Context<'_>,
        input: AcknowledgeAlertInput,
    ) -> Result<AcknowledgeAlertPayload> {
        let AcknowledgeAlertInput { idempotency_key, alert_id } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            Some(alerts::AcknowledgeAlert { alert_id: ids.one("alertId", Kind::Alert, &alert_id)? })
        });
        Ok(outcome.await?.into())
    }

    /// Closes an alert.
    async fn resolve_alert(
        &self,
        ctx: &Context<'_>,
        input: ResolveAlertInput,
    ) -> Result<ResolveAlertPayload> {
        let ResolveAlertInput { idempotency_key, alert_id } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            Some(alerts::ResolveAlert { alert_id: ids.one("alertId", Kind::Alert, &alert_id)? })
        });
        Ok(outcome.await?.into())
    }
}
