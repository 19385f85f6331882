//! The use cases of people: issuing enrolment tokens, grouping devices, saying where they stand.

mod groups;
mod placing;

use crate::fault::{Fault, retried};
use actix_web::web::ServiceConfig;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use contracts::{
    Accepted,
    devices::{IssueEnrolmentToken, IssuedToken},
    permissions::Permission,
};
use devices_domain::{EnrolmentToken, TokenCommand, report::token_hash};
use eventstore::{Committed, Target, Tx};
use foundation::{Foundation, accepted, store_failed};
use hmac::{Hmac, KeyInit, Mac};
use kernel::{CustomerId, EnrolmentTokenId, PartnerId, StreamId, Tenant};
use runtime::Settings;
use secrecy::ExposeSecret;
use sha2::Sha256;
use uuid::Uuid;
use web::{ApiError, CommandContext};

/// Says what the text is, to people and to tools that look for leaked secrets.
const TOKEN_PREFIX: &str = "pfe_";

/// The routes of the service's commands.
pub(crate) fn routes(foundation: &Foundation, tokens: &TokenKey, routes: &mut ServiceConfig) {
    let commands = foundation.commands();
    routes
        .service(commands.route(&(foundation.clone(), tokens.clone()), issue_enrolment_token))
        .service(commands.route(foundation, groups::define_group))
        .service(commands.route(foundation, groups::change_group))
        .service(commands.route(foundation, groups::remove_group))
        .service(commands.route(foundation, placing::set_device_exposure))
        .service(commands.route(foundation, placing::set_device_region));
}

/// Makes the tokens' secrets. A secret follows from the token's id, so that a repeated command gets the same answer.
#[derive(Clone)]
pub(crate) struct TokenKey(Hmac<Sha256>);

impl TokenKey {
    /// A key of its own below the secret that the services share.
    pub(crate) fn new(settings: &Settings) -> anyhow::Result<Self> {
        let secret = settings.internal.secret.expose_secret();
        let mut key = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
        key.update(b"patchfleet enrolment tokens v1");
        Ok(Self(Hmac::new_from_slice(&key.finalize().into_bytes())?))
    }

    fn secret(&self, token_id: EnrolmentTokenId) -> String {
        let mac = self.0.clone().chain_update(token_id.0.as_bytes()).finalize();
        format!("{TOKEN_PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(mac.into_bytes()))
    }
}

async fn issue_enrolment_token(
    (foundation, tokens): (Foundation, TokenKey),
    context: CommandContext,
    command: IssueEnrolmentToken,
) -> Result<Accepted<IssuedToken>, ApiError> {
    // First whether there is such a customer: another tenant's is not found, rather than forbidden.
    let partner_id = partner_of(&foundation, &context, command.customer_id).await?;
    context.caller.require(Permission::ManageDevices, Some(command.customer_id))?;
    let secret = tokens.secret(token_id(&context));
    let tenant = Tenant::customer(partner_id, command.customer_id);
    let (committed, token_id, expires_at) =
        retried(|| issue(&foundation, &context, tenant, &command, &secret)).await?;
    Ok(accepted(IssuedToken { token_id, token: Some(secret), expires_at }, committed))
}

fn token_id(context: &CommandContext) -> EnrolmentTokenId {
    EnrolmentTokenId::derived(context.cause.command_id.0, "enrolment token")
}

async fn issue(
    foundation: &Foundation,
    context: &CommandContext,
    tenant: Tenant,
    command: &IssueEnrolmentToken,
    secret: &str,
) -> Result<(Committed, EnrolmentTokenId, DateTime<Utc>), Fault> {
    let token_id = token_id(context);
    let at = foundation.clock.now();
    let mut tx = foundation.database.begin(&context.caller.scope).await?;
    let target = Target {
        scope: &context.caller.scope,
        tenant,
        stream_id: StreamId(token_id.0),
        cause: &context.cause,
        occurred_at: None,
    };
    let issue = TokenCommand::Issue {
        token_id,
        customer_id: command.customer_id,
        token_sha256: token_hash(secret),
        valid_for_seconds: command.valid_for_seconds,
        at,
    };
    let committed = foundation.store.execute_in::<EnrolmentToken>(&mut tx, target, issue).await?;
    if !committed.repeated {
        sqlx::query(
            "insert into devices.enrolment_token (token_id, partner_id, customer_id, token_sha256, expires_at)
             values ($1, $2, $3, $4, $5)",
        )
        .bind(token_id.0)
        .bind(tenant.partner_id.0)
        .bind(command.customer_id.0)
        .bind(token_hash(secret))
        .bind(at + chrono::TimeDelta::seconds(command.valid_for_seconds.into()))
        .execute(&mut *tx)
        .await?;
    }
    let expires_at = sqlx::query_scalar("select expires_at from devices.enrolment_token where token_id = $1")
        .bind(token_id.0)
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok((committed, token_id, expires_at))
}

/// The customer's partner, within the caller's scope.
async fn partner_of(
    foundation: &Foundation,
    context: &CommandContext,
    customer_id: CustomerId,
) -> Result<PartnerId, ApiError> {
    let mut tx = foundation.database.begin(&context.caller.scope).await.map_err(store_failed)?;
    let found = known_partner(&mut tx, customer_id).await.map_err(|error| store_failed(error.into()))?;
    found.ok_or_else(|| ApiError::not_found("devices.customer_unknown", "there is no such customer"))
}

async fn known_partner(tx: &mut Tx, customer_id: CustomerId) -> sqlx::Result<Option<PartnerId>> {
    let partner: Option<Uuid> =
        sqlx::query_scalar("select partner_id from devices.customer where customer_id = $1")
            .bind(customer_id.0)
            .fetch_optional(&mut **tx)
            .await?;
    Ok(partner.map(PartnerId))
}
