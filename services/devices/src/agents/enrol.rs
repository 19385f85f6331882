//! Letting an agent in by a single-use token.

use super::{Agents, cause, contact::Contact, read};
use crate::{
    fault::{Fault, retried},
    groups::{device_changed, platform_text},
};
use actix_web::{HttpResponse, http::StatusCode, web::Data};
use contracts::{
    agent::{EnrolAnswer, EnrolRequest},
    devices::AgentEnrolled,
};
use devices_domain::{DeviceCommand, EnrolmentToken, TokenCommand, TokenRefusal, report};
use eventstore::{ExecuteError, Target};
use foundation::store_failed;
use kernel::{
    CommandId, CustomerId, DeviceId, EnrolmentTokenId, PartnerId, Refused, Scope, StreamId, Tenant,
};
use uuid::Uuid;
use web::{ApiError, Body};

/// A token as it was issued.
struct Token {
    id: EnrolmentTokenId,
    partner_id: PartnerId,
    customer_id: CustomerId,
}

/// `POST /agent/v1/enrol`
pub(super) async fn enrol(agents: Data<Agents>, Body(body): Body) -> Result<HttpResponse, ApiError> {
    let request: EnrolRequest = read(&body)?;
    report::check_enrolment(&request).map_err(|invalid| ApiError::refused(&invalid))?;
    signing::public_key(&request.public_key)
        .map_err(|invalid| ApiError::bad_request(invalid.code(), invalid.to_string()))?;
    let token = agents.token(&request.token).await?;
    // The same agent that asks again, because an answer was lost, is the same device.
    let device_id = DeviceId::derived(token.id.0, &format!("device {}", request.public_key));
    retried(|| agents.let_in(&token, device_id, &request)).await?;
    Ok(HttpResponse::Created().json(EnrolAnswer {
        device_id,
        customer_id: token.customer_id,
        job_public_key: signing::public_key_text(&agents.job_key.verifying_key()),
    }))
}

impl Agents {
    /// The token with this secret. Whose it is, only the token itself says.
    async fn token(&self, secret: &str) -> Result<Token, ApiError> {
        let mut tx = self.foundation.database.begin(&Scope::Platform).await.map_err(store_failed)?;
        let row: Option<(Uuid, Uuid, Uuid)> = sqlx::query_as(
            "select token_id, partner_id, customer_id from devices.enrolment_token where token_sha256 = $1",
        )
        .bind(report::token_hash(secret))
        .fetch_optional(&mut *tx)
        .await
        .map_err(|error| store_failed(error.into()))?;
        tx.commit().await.map_err(|error| store_failed(error.into()))?;
        row.map(|(token, partner, customer)| Token {
            id: EnrolmentTokenId(token),
            partner_id: PartnerId(partner),
            customer_id: CustomerId(customer),
        })
        .ok_or_else(|| not_let_in(&TokenRefusal::Unknown))
    }

    async fn let_in(&self, token: &Token, device_id: DeviceId, request: &EnrolRequest) -> Result<(), Fault> {
        let tenant = Tenant::customer(token.partner_id, token.customer_id);
        let contact = Contact { device_id, tenant, platform: request.platform };
        let cause = cause(&contact, None, CommandId::derived(device_id.0, "enrol"));
        let now = self.foundation.clock.now();
        let mut tx = self.foundation.database.begin(&contact.scope()).await?;
        let target = Target {
            scope: &contact.scope(),
            tenant,
            stream_id: StreamId(token.id.0),
            cause: &cause,
            occurred_at: None,
        };
        let used = self
            .foundation
            .store
            .execute_in::<EnrolmentToken>(&mut tx, target, TokenCommand::Use { device_id, at: now })
            .await;
        match used {
            Ok(_) => {}
            Err(ExecuteError::Refused(refusal)) => return Err(not_let_in(&refusal).into()),
            Err(ExecuteError::Store(error)) => return Err(error.into()),
        }
        sqlx::query(
            "insert into devices.device
               (device_id, partner_id, customer_id, platform, public_key, online, last_contact_at, name, os_id,
                os_version)
             values ($1, $2, $3, $4, $5, true, $6, $7, $8, $9)
             on conflict do nothing",
        )
        .bind(device_id.0)
        .bind(token.partner_id.0)
        .bind(token.customer_id.0)
        .bind(platform_text(request.platform))
        .bind(&request.public_key)
        .bind(now)
        .bind(&request.name)
        .bind(&request.os.id)
        .bind(&request.os.version)
        .execute(&mut *tx)
        .await?;
        let agent = AgentEnrolled {
            device_id,
            customer_id: token.customer_id,
            name: request.name.clone(),
            platform: request.platform,
            os: request.os.clone(),
            os_name: request.os_name.clone(),
            public_key: request.public_key.clone(),
            mode: request.mode,
            agent_version: request.agent_version.clone(),
        };
        let enrol = DeviceCommand::Enrol(Box::new(agent));
        if !self.execute(&mut tx, &contact, &cause, None, enrol).await?.repeated {
            let store = &self.foundation.store;
            device_changed(&mut tx, store, &contact.scope(), tenant, device_id, &cause).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// A token is what an agent has for credentials: without a good one it is not authenticated.
fn not_let_in(refusal: &TokenRefusal) -> ApiError {
    match refusal {
        TokenRefusal::Unknown | TokenRefusal::Expired { .. } => {
            ApiError::new(StatusCode::UNAUTHORIZED, refusal.code(), refusal.to_string())
        }
        TokenRefusal::Used | TokenRefusal::Validity { .. } => ApiError::refused(refusal),
    }
}
