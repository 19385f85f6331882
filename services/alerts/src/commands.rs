//! The commands that people send through the gateway.

use crate::webhook::keys::KeyRing;
use crate::webhook::sender::Sender;
use actix_web::web::ServiceConfig;
use alerts_domain::{alert, alert::Alert, webhook, webhook::Webhook};
use contracts::Accepted;
use contracts::alerts::{AcknowledgeAlert, DisableWebhook, RegisterWebhook, RegisteredWebhook, ResolveAlert};
use contracts::permissions::Permission;
use eventstore::{Committed, Target, Tx};
use foundation::{Foundation, accepted, failed, store_failed};
use kernel::{AlertId, CustomerId, PartnerId, StreamId, Tenant, WebhookId};
use std::sync::Arc;
use uuid::Uuid;
use web::{ApiError, CommandContext};

/// What the use cases work with.
#[derive(Clone)]
pub(crate) struct Services {
    pub(crate) foundation: Foundation,
    pub(crate) sender: Arc<Sender>,
    pub(crate) keys: KeyRing,
}

/// Every command of the service.
pub(crate) fn routes(services: &Services, routes: &mut ServiceConfig) {
    let commands = services.foundation.commands();
    routes
        .service(commands.route(services, register_webhook))
        .service(commands.route(services, disable_webhook))
        .service(commands.route(services, acknowledge_alert))
        .service(commands.route(services, resolve_alert));
}

/// Registers a receiver and shows its secret; the same command again shows the same one.
async fn register_webhook(
    services: Services,
    context: CommandContext,
    command: RegisterWebhook,
) -> Result<Accepted<RegisteredWebhook>, ApiError> {
    let CommandContext { caller, cause } = &context;
    caller.require(Permission::ManageWebhooks, command.customer_id)?;
    let tenant = tenant_for(&services, &context, command.customer_id).await?;
    let webhook_id = WebhookId::derived(cause.command_id.0, "webhook");
    let stream_id = StreamId(webhook_id.0);

    let store = &services.foundation.store;
    let (state, _) = store.load::<Webhook>(&caller.scope, stream_id).await.map_err(store_failed)?;
    let url = match state {
        webhook::State::NotRegistered => {
            let target = services.sender.check(&command.url).await.map_err(|e| ApiError::refused(&e))?;
            String::from(target.url)
        }
        webhook::State::Active | webhook::State::Disabled => command.url,
    };

    let target = Target { scope: &caller.scope, tenant, stream_id, cause, occurred_at: None };
    let register = webhook::Command::Register {
        webhook_id,
        customer_id: command.customer_id,
        url: url.clone(),
        event_types: command.event_types.clone(),
    };
    let committed = write(&services, target, register, async |tx| {
        sqlx::query(
            "insert into alerts.webhook (webhook_id, partner_id, customer_id, url, event_types, key_id)
             values ($1, $2, $3, $4, $5, $6)
             on conflict do nothing",
        )
        .bind(webhook_id.0)
        .bind(tenant.partner_id.0)
        .bind(tenant.customer_id.map(|id| id.0))
        .bind(&url)
        .bind(&command.event_types)
        .bind(services.keys.key_id())
        .execute(&mut **tx)
        .await
        .map(drop)
    })
    .await?;

    let keys = services.keys.keys(webhook_id);
    let answer = RegisteredWebhook {
        webhook_id,
        // Derived from the id: the same command gets the same answer, so that a lost one can be asked for again.
        secret: Some(keys.secret_text()),
        public_key: keys.public_key_text(),
    };
    Ok(accepted(answer, committed))
}

/// Switches a receiver off.
async fn disable_webhook(
    services: Services,
    context: CommandContext,
    command: DisableWebhook,
) -> Result<Accepted<()>, ApiError> {
    let webhook_id = command.webhook_id;
    let tenant = tenant_of(&services, &context, WEBHOOK_TENANT, webhook_id.0).await?;
    let tenant = tenant.ok_or_else(|| ApiError::refused(&webhook::Refusal::NotFound { webhook_id }))?;
    context.caller.require(Permission::ManageWebhooks, tenant.customer_id)?;
    let target = target(&context, tenant, webhook_id.0);
    let disable = webhook::Command::Disable { webhook_id, reason: "switched off by a user".to_owned() };
    let committed = write(&services, target, disable, async |tx| {
        sqlx::query(
            "update alerts.webhook set disabled_at = now() where webhook_id = $1 and disabled_at is null",
        )
        .bind(webhook_id.0)
        .execute(&mut **tx)
        .await
        .map(drop)
    })
    .await?;
    Ok(accepted((), committed))
}

/// Says that a person has seen an alert.
async fn acknowledge_alert(
    services: Services,
    context: CommandContext,
    command: AcknowledgeAlert,
) -> Result<Accepted<()>, ApiError> {
    let by = context.caller.user_id;
    let acknowledge = alert::Command::Acknowledge { alert_id: command.alert_id, by };
    change_alert(&services, &context, command.alert_id, acknowledge).await
}

/// Closes an alert.
async fn resolve_alert(
    services: Services,
    context: CommandContext,
    command: ResolveAlert,
) -> Result<Accepted<()>, ApiError> {
    let by = Some(context.caller.user_id);
    let resolve = alert::Command::Resolve { alert_id: command.alert_id, by };
    change_alert(&services, &context, command.alert_id, resolve).await
}

async fn change_alert(
    services: &Services,
    context: &CommandContext,
    alert_id: AlertId,
    command: alert::Command,
) -> Result<Accepted<()>, ApiError> {
    let tenant = tenant_of(services, context, ALERT_TENANT, alert_id.0).await?;
    let tenant = tenant.ok_or_else(|| ApiError::refused(&alert::Refusal::NotFound { alert_id }))?;
    context.caller.require(Permission::ManageAlerts, tenant.customer_id)?;
    let target = target(context, tenant, alert_id.0);
    let committed = services.foundation.store.execute::<Alert>(target, command).await.map_err(failed)?;
    Ok(accepted((), committed))
}

/// Whose a new webhook will be. Another partner's customer does not exist.
async fn tenant_for(
    services: &Services,
    context: &CommandContext,
    customer_id: Option<CustomerId>,
) -> Result<Tenant, ApiError> {
    match customer_id {
        Some(customer_id) => tenant_of(services, context, CUSTOMER_TENANT, customer_id.0)
            .await?
            .ok_or_else(|| ApiError::not_found("alerts.customer_unknown", "there is no such customer")),
        None => match context.caller.scope.partner_id() {
            Some(partner_id) => Ok(Tenant::partner(partner_id)),
            None => Err(access::Denied { permission: Permission::ManageWebhooks }.into()),
        },
    }
}

const CUSTOMER_TENANT: &str = "select partner_id, customer_id from alerts.customer where customer_id = $1";
const WEBHOOK_TENANT: &str = "select partner_id, customer_id from alerts.webhook where webhook_id = $1";
const ALERT_TENANT: &str = "select partner_id, customer_id from alerts.alert where alert_id = $1";

/// Whose it is, if the caller may know of it.
async fn tenant_of(
    services: &Services,
    context: &CommandContext,
    question: &'static str,
    id: Uuid,
) -> Result<Option<Tenant>, ApiError> {
    let database = |error: sqlx::Error| store_failed(error.into());
    let mut tx = services.foundation.database.begin(&context.caller.scope).await.map_err(store_failed)?;
    let row: Option<(Uuid, Option<Uuid>)> =
        sqlx::query_as(question).bind(id).fetch_optional(&mut *tx).await.map_err(database)?;
    tx.commit().await.map_err(database)?;
    Ok(row.map(|(partner_id, customer_id)| Tenant {
        partner_id: PartnerId(partner_id),
        customer_id: customer_id.map(CustomerId),
    }))
}

fn target(context: &CommandContext, tenant: Tenant, id: Uuid) -> Target<'_> {
    Target {
        scope: &context.caller.scope,
        tenant,
        stream_id: StreamId(id),
        cause: &context.cause,
        occurred_at: None,
    }
}

/// Appends a webhook's fact and brings its row to what the fact says, both or neither.
async fn write(
    services: &Services,
    target: Target<'_>,
    command: webhook::Command,
    keep: impl AsyncFnOnce(&mut Tx) -> Result<(), sqlx::Error>,
) -> Result<Committed, ApiError> {
    let store = &services.foundation.store;
    let database = |error: sqlx::Error| store_failed(error.into());
    let mut tx = store.database().begin(target.scope).await.map_err(store_failed)?;
    let committed = store.execute_in::<Webhook>(&mut tx, target, command).await.map_err(failed)?;
    keep(&mut tx).await.map_err(database)?;
    tx.commit().await.map_err(database)?;
    Ok(committed)
}
