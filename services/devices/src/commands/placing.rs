//! The use cases of a device's place: where it stands, and whether it can be reached from the internet.

use crate::{
    fault::{Fault, retried},
    groups,
};
use contracts::{
    Accepted,
    devices::{SetDeviceExposure, SetDeviceRegion},
    permissions::Permission,
};
use devices_domain::{Device, DeviceCommand};
use eventstore::{Committed, StoreError, Target, Tx};
use foundation::{Foundation, accepted};
use kernel::{CustomerId, DeviceId, PartnerId, StreamId, Tenant};
use uuid::Uuid;
use web::{ApiError, CommandContext};

pub(super) async fn set_device_exposure(
    foundation: Foundation,
    context: CommandContext,
    command: SetDeviceExposure,
) -> Result<Accepted<()>, ApiError> {
    let place = Place::Exposure(command.exposed);
    let committed = retried(|| put(&foundation, &context, command.device_id, &place)).await?;
    Ok(accepted((), committed))
}

pub(super) async fn set_device_region(
    foundation: Foundation,
    context: CommandContext,
    command: SetDeviceRegion,
) -> Result<Accepted<()>, ApiError> {
    let place = Place::Region(command.region);
    let committed = retried(|| put(&foundation, &context, command.device_id, &place)).await?;
    Ok(accepted((), committed))
}

/// What is said of a device's place.
enum Place {
    Exposure(bool),
    Region(Option<String>),
}

impl Place {
    fn command(&self) -> DeviceCommand {
        match self {
            Self::Exposure(exposed) => DeviceCommand::SetExposure { exposed: *exposed },
            Self::Region(region) => DeviceCommand::SetRegion { region: region.clone() },
        }
    }

    async fn keep(&self, tx: &mut Tx, device_id: DeviceId) -> Result<(), StoreError> {
        let update = match self {
            Self::Exposure(exposed) => {
                sqlx::query("update devices.device set exposed = $1 where device_id = $2").bind(*exposed)
            }
            Self::Region(region) => {
                sqlx::query("update devices.device set region = $1 where device_id = $2").bind(region)
            }
        };
        update.bind(device_id.0).execute(&mut **tx).await?;
        Ok(())
    }
}

/// The device's fact, and what follows from it for its groups, in one transaction.
async fn put(
    foundation: &Foundation,
    context: &CommandContext,
    device_id: DeviceId,
    place: &Place,
) -> Result<Committed, Fault> {
    let scope = &context.caller.scope;
    let mut tx = foundation.database.begin(scope).await?;
    // First whether there is such a device: another tenant's is not found, rather than forbidden.
    let row: Option<(Uuid, Uuid)> =
        sqlx::query_as("select partner_id, customer_id from devices.device where device_id = $1 for update")
            .bind(device_id.0)
            .fetch_optional(&mut *tx)
            .await?;
    let (partner_id, customer_id) = row
        .map(|(partner, customer)| (PartnerId(partner), CustomerId(customer)))
        .ok_or_else(|| ApiError::not_found("devices.device_not_found", "there is no such device"))?;
    context.caller.require(Permission::ManageDevices, Some(customer_id)).map_err(ApiError::from)?;
    let tenant = Tenant::customer(partner_id, customer_id);
    let stream_id = StreamId(device_id.0);
    let target = Target { scope, tenant, stream_id, cause: &context.cause, occurred_at: None };
    let committed = foundation.store.execute_in::<Device>(&mut tx, target, place.command()).await?;
    if committed.repeated || committed.pos.is_none() {
        return Ok(committed);
    }
    place.keep(&mut tx, device_id).await?;
    let moved =
        groups::device_changed(&mut tx, &foundation.store, scope, tenant, device_id, &context.cause).await?;
    tx.commit().await?;
    Ok(moved.unwrap_or(committed))
}
