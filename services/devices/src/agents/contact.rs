//! Who is asking: the device's signature, its nonce, its rate; and that it was heard of.

use super::{Agents, cause, later, read};
use crate::{
    fault::{Fault, retried},
    inventory,
};
use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Data};
use contracts::{
    DevicePlatform,
    agent::{CheckIn, CheckInAnswer, SIGNATURE_WINDOW_SECONDS},
};
use devices_domain::{DeviceCommand, report};
use eventstore::Tx;
use foundation::store_failed;
use kernel::{CommandId, CustomerId, DeviceId, PartnerId, Scope, Tenant};
use signing::{Claim, RequestParts, SignatureError};
use std::time::Instant;
use uuid::Uuid;
use web::{ApiError, Body};

/// When a device that asked too often should ask again.
const RATE_PAUSE_SECONDS: u64 = 5;

/// A device whose signature was good.
#[derive(Debug, Clone)]
pub(super) struct Contact {
    /// The device.
    pub(super) device_id: DeviceId,
    /// Whose it is.
    pub(super) tenant: Tenant,
    /// What it runs on.
    pub(super) platform: DevicePlatform,
}

impl Contact {
    /// All that the device's requests may touch.
    pub(super) fn scope(&self) -> Scope {
        let partner_id = self.tenant.partner_id;
        self.tenant
            .customer_id
            .map_or(Scope::Partner { partner_id }, |customer_id| Scope::Customer { partner_id, customer_id })
    }
}

/// An answer that is ready before the request's own work has begun.
pub(super) enum Turned {
    /// An error in the usual form.
    Away(ApiError),
    /// The device asks too often.
    Later(HttpResponse),
}

impl From<ApiError> for Turned {
    fn from(error: ApiError) -> Self {
        Self::Away(error)
    }
}

impl Turned {
    /// As an answer.
    pub(super) fn answer(self) -> Result<HttpResponse, ApiError> {
        match self {
            Self::Away(error) => Err(error),
            Self::Later(response) => Ok(response),
        }
    }
}

impl Agents {
    /// Finds out who is asking and notes that the device was heard of.
    pub(super) async fn meet(&self, request: &HttpRequest, body: &[u8]) -> Result<Contact, Turned> {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        let claim = Claim::read(
            header(signing::HEADER_CONTENT_DIGEST),
            header(signing::HEADER_SIGNATURE_INPUT),
            header(signing::HEADER_SIGNATURE),
        )
        .map_err(|error| unsigned(&error))?;
        let (contact, public_key) = self.claimed(claim.keyid()).await?;
        // Checked when the device enrolled.
        let key = signing::public_key(&public_key).map_err(ApiError::internal)?;
        let parts = RequestParts {
            method: request.method().as_str(),
            path: request.uri().path(),
            query: request.uri().query().unwrap_or_default(),
            body,
        };
        let now = self.foundation.clock.now().timestamp();
        claim.verify(&key, parts, now, SIGNATURE_WINDOW_SECONDS).map_err(|error| unsigned(&error))?;
        if !self.rate.admits(contact.device_id, Instant::now()) {
            let error = ApiError::new(
                StatusCode::TOO_MANY_REQUESTS,
                "devices.too_many_requests",
                "the device asks too often",
            );
            return Err(Turned::Later(later(&error, RATE_PAUSE_SECONDS)));
        }
        retried(|| self.hear(&contact, claim.nonce())).await?;
        Ok(contact)
    }

    /// The device that a key id names. The only look at devices that is not limited to one customer.
    async fn claimed(&self, keyid: &str) -> Result<(Contact, String), ApiError> {
        let unknown =
            || ApiError::new(StatusCode::UNAUTHORIZED, "devices.device_unknown", "there is no such device");
        let device_id: DeviceId = keyid.parse().map_err(|_not_an_id: kernel::InvalidId| unknown())?;
        let mut tx = self.foundation.database.begin(&Scope::Platform).await.map_err(store_failed)?;
        let row: Option<(Uuid, Uuid, String, String)> = sqlx::query_as(
            "select partner_id, customer_id, platform, public_key from devices.device where device_id = $1",
        )
        .bind(device_id.0)
        .fetch_optional(&mut *tx)
        .await
        .map_err(|error| store_failed(error.into()))?;
        tx.commit().await.map_err(|error| store_failed(error.into()))?;
        let (partner, customer, platform, public_key) = row.ok_or_else(unknown)?;
        let contact = Contact {
            device_id,
            tenant: Tenant::customer(PartnerId(partner), CustomerId(customer)),
            platform: serde_json::from_value(platform.into()).map_err(ApiError::internal)?,
        };
        Ok((contact, public_key))
    }

    /// Takes the nonce, so that the same request cannot come again, and notes the contact.
    async fn hear(&self, contact: &Contact, nonce: &str) -> Result<(), Fault> {
        let mut tx = self.foundation.database.begin(&contact.scope()).await?;
        let new = sqlx::query(
            "insert into devices.nonce (device_id, nonce, partner_id, customer_id, seen_at)
             select device_id, $2, partner_id, customer_id, $3
               from devices.device
              where device_id = $1
             on conflict do nothing",
        )
        .bind(contact.device_id.0)
        .bind(nonce)
        .bind(self.foundation.clock.now())
        .execute(&mut *tx)
        .await?
        .rows_affected();
        if new == 0 {
            let message = "the request was made before";
            return Err(ApiError::new(StatusCode::UNAUTHORIZED, "devices.nonce_replayed", message).into());
        }
        self.touch(&mut tx, contact).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Notes the contact; a fact only if the device was offline.
    pub(super) async fn touch(&self, tx: &mut Tx, contact: &Contact) -> Result<(), Fault> {
        let was_online: bool = sqlx::query_scalar(
            "update devices.device
                set last_contact_at = greatest(last_contact_at, $2)
              where device_id = $1
          returning online",
        )
        .bind(contact.device_id.0)
        .bind(self.foundation.clock.now())
        .fetch_one(&mut **tx)
        .await?;
        if !was_online {
            let cause = cause(contact, None, CommandId(self.foundation.ids.uuid()));
            self.execute(tx, contact, &cause, None, DeviceCommand::Hear).await?;
            sqlx::query("update devices.device set online = true where device_id = $1")
                .bind(contact.device_id.0)
                .execute(&mut **tx)
                .await?;
        }
        Ok(())
    }
}

fn unsigned(error: &SignatureError) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, error.code(), error.to_string())
}

/// `POST /agent/v1/checkin`
pub(super) async fn check_in(
    agents: Data<Agents>,
    request: HttpRequest,
    Body(body): Body,
) -> Result<HttpResponse, ApiError> {
    let contact = match agents.meet(&request, &body).await {
        Ok(contact) => contact,
        Err(turned) => return turned.answer(),
    };
    let check_in: CheckIn = read(&body)?;
    let hash = check_in.inventory_hash.as_deref();
    report::check_in(hash, &check_in.agent_version).map_err(|invalid| ApiError::refused(&invalid))?;
    let inventory_wanted = match hash {
        None => false,
        Some(hash) => {
            let mut tx = agents.foundation.database.begin(&contact.scope()).await.map_err(store_failed)?;
            let known = inventory::item_count(&mut tx, hash).await.map_err(store_failed)?;
            tx.commit().await.map_err(|error| store_failed(error.into()))?;
            known.is_none()
        }
    };
    let check_in_after_seconds = agents.config.check_in_seconds;
    Ok(HttpResponse::Ok().json(CheckInAnswer { inventory_wanted, check_in_after_seconds }))
}
