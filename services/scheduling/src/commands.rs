//! The use cases: authorise, look up, decide and append, answer.

use crate::error::{Stop, Unknown};
use crate::{approvals, fleet};
use access::Caller;
use actix_web::web::ServiceConfig;
use chrono::TimeDelta;
use contracts::permissions::Permission;
use contracts::scheduling::{
    DeviceJobQueued, DeviceJobSkipped, PatchNow, RequestScan, ScanReason, StartedDeployment,
};
use contracts::{Accepted, Written};
use eventstore::{Committed, Store, StoreError, Target, Tx};
use foundation::accepted;
use kernel::{
    Aggregate, CommandId, CustomerId, DeploymentId, DeviceId, JobId, PatchId, RunId, StreamId, Tenant,
};
use runtime::Clock;
use scheduling_domain::deployment::{self, Deployment};
use scheduling_domain::device_job::{self, DeviceJob};
use scheduling_domain::planner::{Chosen, DevicePlan, Part, plan};
use scheduling_domain::run::{self, Run};
use scheduling_domain::scan_job::{self, ScanJob};
use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;
use web::{ApiError, CommandContext, Commands};

/// What the use cases work with.
#[derive(Clone)]
pub(crate) struct Services {
    store: Store,
    clock: Arc<dyn Clock>,
    job_valid_for: TimeDelta,
}

impl Services {
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>, job_valid_for: TimeDelta) -> Self {
        Self { store, clock, job_valid_for }
    }
}

/// The routes of the service's commands.
pub(crate) fn routes(commands: &Commands, services: &Services, routes: &mut ServiceConfig) {
    routes.service(commands.route(services, request_scan)).service(commands.route(services, patch_now));
}

/// Asks a device for a scan.
pub(crate) async fn request_scan(
    services: Services,
    context: CommandContext,
    command: RequestScan,
) -> Result<Accepted<JobId>, ApiError> {
    let device_id = command.device_id;
    let mut tx = services.store.database().begin(&context.caller.scope).await.map_err(Stop::from)?;
    let device = fleet::device(&mut tx, device_id).await.map_err(Stop::from)?;
    tx.rollback().await.map_err(Stop::from)?;
    let unknown = Unknown::Device { device_id };
    let Some((tenant, customer_id, online)) = device else { return Err(Stop::from(unknown).into()) };
    authorise(&context.caller, Permission::RequestScans, customer_id, unknown)?;

    let job_id = JobId::derived(context.cause.command_id.0, "scan");
    let request = scan_job::Command::Request { job_id, device_id, reason: ScanReason::OnDemand, online };
    let target = target(&context, tenant, StreamId(job_id.0));
    let committed = services.store.execute::<ScanJob>(target, request).await.map_err(Stop::from)?;
    Ok(accepted(job_id, committed))
}

/// Makes a deployment, its run and one job per device, all or nothing.
pub(crate) async fn patch_now(
    services: Services,
    context: CommandContext,
    command: PatchNow,
) -> Result<Accepted<StartedDeployment>, ApiError> {
    let customer_id = command.customer_id;
    let unknown = Unknown::Customer { customer_id };
    authorise(&context.caller, Permission::Deploy, customer_id, unknown)?;
    let Some(partner_id) = context.caller.scope.partner_id() else {
        return Err(access::Denied { permission: Permission::Deploy }.into());
    };
    let tenant = Tenant::customer(partner_id, customer_id);
    Ok(start(&services, &context, tenant, &command).await?)
}

/// Whoever may not even see the customer learns nothing of it; whoever sees it and may not do this is told so.
fn authorise(
    caller: &Caller,
    permission: Permission,
    customer_id: CustomerId,
    unknown: Unknown,
) -> Result<(), ApiError> {
    let Err(denied) = caller.require(permission, Some(customer_id)) else { return Ok(()) };
    match caller.require(Permission::ReadFleet, Some(customer_id)) {
        Ok(()) => Err(denied.into()),
        Err(_) => Err(ApiError::refused(&unknown)),
    }
}

fn target(context: &CommandContext, tenant: Tenant, stream_id: StreamId) -> Target<'_> {
    Target { scope: &context.caller.scope, tenant, stream_id, cause: &context.cause, occurred_at: None }
}

/// Ids that a repetition of the command meets again.
struct Ids {
    command_id: CommandId,
    started: StartedDeployment,
}

impl Ids {
    fn of(command_id: CommandId) -> Self {
        let deployment_id = DeploymentId::derived(command_id.0, "deployment");
        let run_id = RunId::derived(command_id.0, "run");
        Self { command_id, started: StartedDeployment { deployment_id, run_id } }
    }

    fn job(&self, device_id: DeviceId) -> JobId {
        JobId::derived(self.command_id.0, &format!("job {device_id}"))
    }
}

async fn start(
    services: &Services,
    context: &CommandContext,
    tenant: Tenant,
    command: &PatchNow,
) -> Result<Accepted<StartedDeployment>, Stop> {
    let ids = Ids::of(context.cause.command_id);
    let mut tx = services.store.database().begin(&context.caller.scope).await?;
    let planned = write::<Deployment>(
        services,
        &mut tx,
        target(context, tenant, StreamId(ids.started.deployment_id.0)),
        deployment::Command::Plan {
            deployment_id: ids.started.deployment_id,
            customer_id: command.customer_id,
            name: command.name.clone(),
            device_ids: command.device_ids.clone(),
            patch_ids: command.patch_ids.clone(),
            reboot_policy: command.reboot_policy,
        },
    )
    .await?;
    if planned.repeated {
        let written = last_written(&mut tx, &ids, command).await?;
        return Ok(Accepted { answer: ids.started, written, repeated: true });
    }
    let plans = make_plans(&mut tx, tenant, command).await?;
    let start = run::Command::Start {
        run_id: ids.started.run_id,
        deployment_id: ids.started.deployment_id,
        job_ids: plans.iter().map(|plan| ids.job(plan.device_id)).collect(),
    };
    let run_stream = StreamId(ids.started.run_id.0);
    let mut last = write::<Run>(services, &mut tx, target(context, tenant, run_stream), start).await?;
    for plan in plans {
        let stream_id = StreamId(ids.job(plan.device_id).0);
        let job = job_command(services, &ids, command, plan);
        last = write::<DeviceJob>(services, &mut tx, target(context, tenant, stream_id), job).await?;
    }
    tx.commit().await?;
    Ok(accepted(ids.started, last))
}

async fn write<A: Aggregate>(
    services: &Services,
    tx: &mut Tx,
    target: Target<'_>,
    command: A::Command,
) -> Result<Committed, Stop> {
    Ok(services.store.execute_in::<A>(tx, target, command).await?)
}

/// Looks up what the command names and gives every device its part.
async fn make_plans(tx: &mut Tx, tenant: Tenant, command: &PatchNow) -> Result<Vec<DevicePlan>, Stop> {
    let devices = fleet::devices(tx, command.customer_id, &command.device_ids, &command.patch_ids).await?;
    let known: BTreeSet<DeviceId> = devices.iter().map(|device| device.device_id).collect();
    if let Some(device_id) = command.device_ids.iter().copied().find(|id| !known.contains(id)) {
        return Err(Unknown::Device { device_id }.into());
    }
    let known: BTreeSet<PatchId> = fleet::known_patches(tx, &command.patch_ids).await?;
    if let Some(patch_id) = command.patch_ids.iter().copied().find(|id| !known.contains(id)) {
        return Err(Unknown::Patch { patch_id }.into());
    }
    let approved = approvals::approved(tx, tenant, command.customer_id, &devices).await?;
    Ok(plan(&devices, &approved, &Chosen::of(&command.patch_ids)))
}

fn job_command(
    services: &Services,
    ids: &Ids,
    command: &PatchNow,
    DevicePlan { device_id, part }: DevicePlan,
) -> device_job::Command {
    let job_id = ids.job(device_id);
    let StartedDeployment { deployment_id, run_id } = ids.started;
    match part {
        Part::Skip { reason } => {
            device_job::Command::Skip(DeviceJobSkipped { job_id, run_id, deployment_id, device_id, reason })
        }
        Part::Queue { patches, held_back: _ } => device_job::Command::Queue(DeviceJobQueued {
            job_id,
            run_id,
            deployment_id,
            device_id,
            patches,
            reboot_policy: command.reboot_policy,
            expires_at: services.clock.now() + services.job_valid_for,
        }),
    }
}

/// Where the command's last event stands, for its repetition.
async fn last_written(tx: &mut Tx, ids: &Ids, command: &PatchNow) -> Result<Option<Written>, StoreError> {
    let jobs = command.device_ids.iter().map(|device_id| ids.job(*device_id).0);
    let streams: Vec<Uuid> =
        [ids.started.deployment_id.0, ids.started.run_id.0].into_iter().chain(jobs).collect();
    let pos: Option<i64> =
        sqlx::query_scalar("select max(pos) from es.event where stream_id = any($1) and command_id = $2")
            .bind(streams)
            .bind(ids.command_id.0)
            .fetch_one(&mut **tx)
            .await?;
    Ok(pos.map(|pos| Written { pos }))
}
