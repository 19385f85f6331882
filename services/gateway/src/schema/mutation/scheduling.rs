//! Scans on request and deployments.

use super::payload;
use crate::commands::carry_out;
use crate::schema::global_id::{Kind, global};
use crate::words::RebootPolicy;
use async_graphql::{Context, ID, InputObject, Object, Result};
use contracts::scheduling;
use kernel::JobId;

/// What scheduling does.
#[derive(Default)]
pub(crate) struct SchedulingMutations;

#[derive(InputObject)]
pub(crate) struct RequestScanInput {
    idempotency_key: String,
    device_id: ID,
}

payload! {
    RequestScanPayload of JobId {
        scan_job_id: ID = |id| Some(global(Kind::ScanJob, id.0)),
    }
}

#[derive(InputObject)]
pub(crate) struct PatchNowInput {
    idempotency_key: String,
    customer_id: ID,
    name: String,
    /// 1 to 1,000.
    device_ids: Vec<ID>,
    /// None: all that are approved.
    #[graphql(default)]
    patch_ids: Vec<ID>,
    #[graphql(default_with = "RebootPolicy::Never")]
    reboot_policy: RebootPolicy,
}

payload! {
    PatchNowPayload of scheduling::StartedDeployment {
        deployment_id: ID = |started| Some(global(Kind::Deployment, started.deployment_id.0)),
    }
}

#[Object]
impl SchedulingMutations {
    /// Asks a device for a scan.
    async fn request_scan(&self, ctx: &Context<'_>, input: RequestScanInput) -> Result<RequestScanPayload> {
        let RequestScanInput { idempotency_key, device_id } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            Some(scheduling::RequestScan { device_id: ids.one("deviceId", Kind::Device, &device_id)? })
        });
        Ok(outcome.await?.into())
    }

    /// Makes a deployment and starts its one run at once. Approval is still needed.
    async fn patch_now(&self, ctx: &Context<'_>, input: PatchNowInput) -> Result<PatchNowPayload> {
        let PatchNowInput { idempotency_key, customer_id, name, device_ids, patch_ids, reboot_policy } =
            input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let customer_id = ids.one("customerId", Kind::Customer, &customer_id);
            let device_ids = ids.all("deviceIds", Kind::Device, &device_ids);
            let patch_ids = ids.all("patchIds", Kind::Patch, &patch_ids);
            Some(scheduling::PatchNow {
                customer_id: customer_id?,
                name,
                device_ids: device_ids?,
                patch_ids: patch_ids?,
                reboot_policy: reboot_policy.into(),
            })
        });
        Ok(outcome.await?.into())
    }
}
