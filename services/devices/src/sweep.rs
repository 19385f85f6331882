//! What nobody asks for: devices fall silent, nonces and inventories grow old.

use crate::{config::DevicesSettings, fault::Fault};
use chrono::{DateTime, TimeDelta, Utc};
use contracts::agent::SIGNATURE_WINDOW_SECONDS;
use devices_domain::{Device, DeviceCommand};
use eventstore::{ExecuteError, StoreError, Target};
use foundation::Foundation;
use kernel::{Actor, Cause, CommandId, CorrelationId, CustomerId, PartnerId, Scope, StreamId, Tenant};
use std::time::Duration;
use uuid::Uuid;

/// Bounds of the pause between two rounds.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));
/// Devices of one round; the next one follows at once if there are more.
const SILENT_MAX: i64 = 500;
/// A signature is believed on both sides of now; after that its nonce is of no use.
const NONCE_AGE: TimeDelta = TimeDelta::seconds(2 * SIGNATURE_WINDOW_SECONDS + 60);
/// An inventory that no device has any more may be on its way back (a snapshot restored, an image rolled out anew).
const INVENTORY_AGE: TimeDelta = TimeDelta::days(7);

/// Sweeps until the process stops.
pub(crate) async fn run(foundation: Foundation, config: DevicesSettings) {
    let pause = (config.offline_after() / 4).clamp(PAUSE.0, PAUSE.1);
    // Nobody could be heard of while this process was not there: agents get their full time first.
    if foundation.lifecycle.stopped_within(config.offline_after()).await {
        return;
    }
    loop {
        let limit = TimeDelta::seconds(config.offline_after_seconds.into());
        match sweep(&foundation, foundation.clock.now(), limit).await {
            Ok(true) if !foundation.lifecycle.stop.is_cancelled() => continue,
            Ok(_) => {}
            Err(Fault::Store(error)) => tracing::warn!(error.message = %error, "a sweep did not work"),
            Err(Fault::Answer(error)) => tracing::warn!(error.code = %error.code, "a sweep was refused"),
        }
        if foundation.lifecycle.stopped_within(pause).await {
            return;
        }
    }
}

/// One round; true if there is more to do at once.
async fn sweep(foundation: &Foundation, now: DateTime<Utc>, limit: TimeDelta) -> Result<bool, Fault> {
    let mut tx = foundation.database.begin(&Scope::Platform).await?;
    let silent: Vec<(Uuid, Uuid, Uuid)> = sqlx::query_as(
        "select device_id, partner_id, customer_id
           from devices.device
          where online and last_contact_at < $1
          order by last_contact_at
          limit $2",
    )
    .bind(now - limit)
    .bind(SILENT_MAX)
    .fetch_all(&mut *tx)
    .await?;
    sqlx::query("delete from devices.nonce where seen_at < $1")
        .bind(now - NONCE_AGE)
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "delete from devices.inventory i
          where i.created_at < $1
            and not exists (select from devices.device d where d.inventory_hash = i.hash)",
    )
    .bind(now - INVENTORY_AGE)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    let mut worked = true;
    for (device, partner, customer) in &silent {
        let tenant = Tenant::customer(PartnerId(*partner), CustomerId(*customer));
        match miss(foundation, *device, tenant, now - limit).await {
            Ok(()) => {}
            // The device has just written something: it is there after all, or comes up in the next round.
            Err(Fault::Store(StoreError::Conflict { .. })) => worked = false,
            Err(fault) => return Err(fault),
        }
    }
    Ok(worked && i64::try_from(silent.len()) == Ok(SILENT_MAX))
}

/// Notes that a device fell silent, unless it has been heard of meanwhile.
async fn miss(
    foundation: &Foundation,
    device: Uuid,
    tenant: Tenant,
    before: DateTime<Utc>,
) -> Result<(), Fault> {
    let partner_id = tenant.partner_id;
    let scope = tenant
        .customer_id
        .map_or(Scope::Partner { partner_id }, |customer_id| Scope::Customer { partner_id, customer_id });
    let mut tx = foundation.database.begin(&scope).await?;
    let last_contact_at: Option<DateTime<Utc>> = sqlx::query_scalar(
        "update devices.device set online = false
          where device_id = $1 and online and last_contact_at < $2
      returning last_contact_at",
    )
    .bind(device)
    .bind(before)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(last_contact_at) = last_contact_at else { return Ok(()) };
    let id = foundation.ids.uuid();
    let cause = Cause {
        command_id: CommandId(id),
        correlation_id: CorrelationId(id),
        causation_id: None,
        actor: Actor::system("devices"),
        traceparent: None,
    };
    let target =
        Target { scope: &scope, tenant, stream_id: StreamId(device), cause: &cause, occurred_at: None };
    let command = DeviceCommand::Miss { last_contact_at };
    match foundation.store.execute_in::<Device>(&mut tx, target, command).await {
        Ok(_) => {}
        Err(ExecuteError::Refused(refusal)) => {
            tracing::warn!(device.id = %device, %refusal, "a row without its device");
        }
        Err(ExecuteError::Store(error)) => return Err(error.into()),
    }
    tx.commit().await?;
    Ok(())
}
