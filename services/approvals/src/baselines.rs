//! The use cases of baselines: authorise, look up, decide and append, answer.

mod kept;

use access::Denied;
use actix_web::web::ServiceConfig;
use approvals_domain::assignment::{self, Assignment};
use approvals_domain::baseline::{self, Baseline};
use contracts::approvals::{self as wish, ApprovalScope, BaselineContent};
use contracts::{Accepted, permissions::Permission};
use eventstore::{Committed, Target, Tx};
use foundation::{Foundation, accepted, failed, store_failed};
use kept::Kept;
use kernel::{Aggregate, BaselineId, CustomerId, Scope, StreamId, Tenant};
use web::{ApiError, CommandContext};

/// The routes of the commands about baselines.
pub(crate) fn routes(commands: &web::Commands, foundation: &Foundation, routes: &mut ServiceConfig) {
    routes
        .service(commands.route(foundation, create_baseline))
        .service(commands.route(foundation, change_baseline))
        .service(commands.route(foundation, retire_baseline))
        .service(commands.route(foundation, assign_baseline))
        .service(commands.route(foundation, unassign_baseline));
}

/// One command's transaction.
struct UseCase<'a> {
    foundation: &'a Foundation,
    context: &'a CommandContext,
    tenant: Tenant,
    tx: Tx,
}

impl<'a> UseCase<'a> {
    /// Authorises at the customer, or for the caller's whole partner where there is none.
    async fn at(
        foundation: &'a Foundation,
        context: &'a CommandContext,
        customer_id: Option<CustomerId>,
    ) -> Result<Self, ApiError> {
        let mut tx = begin(foundation, context).await?;
        let tenant = match customer_id {
            Some(customer_id) => {
                kept::tenant_of_customer(&mut tx, customer_id).await.map_err(store_failed)?
            }
            None => partner_of(context),
        };
        let unknown = || ApiError::not_found("approvals.customer_unknown", "there is no such customer");
        Self::of(foundation, context, tenant.ok_or_else(unknown)?, tx)
    }

    /// Authorises where the baseline's owner is; another tenant's does not exist.
    async fn at_baseline(
        foundation: &'a Foundation,
        context: &'a CommandContext,
        baseline_id: BaselineId,
    ) -> Result<Self, ApiError> {
        let mut tx = begin(foundation, context).await?;
        let kept = baseline_in(&mut tx, baseline_id).await?;
        Self::of(foundation, context, kept.owner, tx)
    }

    /// Authorises where a scope lies, and sees to it that there is one.
    async fn at_scope(
        foundation: &'a Foundation,
        context: &'a CommandContext,
        scope: ApprovalScope,
    ) -> Result<Self, ApiError> {
        let mut tx = begin(foundation, context).await?;
        let found = kept::tenant_of_scope(&mut tx, scope).await.map_err(store_failed)?;
        let tenant = found.filter(|tenant| context.caller.scope.covers(*tenant));
        let tenant = tenant.ok_or_else(|| match scope {
            ApprovalScope::Partner { .. } => {
                ApiError::not_found("approvals.partner_unknown", "there is no such partner")
            }
            ApprovalScope::Customer { .. } => {
                ApiError::not_found("approvals.customer_unknown", "there is no such customer")
            }
            ApprovalScope::Group { .. } => ApiError::not_found(
                "approvals.group_unknown",
                "there is no such device group at the customer",
            ),
            ApprovalScope::Device { .. } => {
                ApiError::not_found("approvals.device_unknown", "there is no such device at the customer")
            }
        })?;
        Self::of(foundation, context, tenant, tx)
    }

    fn of(
        foundation: &'a Foundation,
        context: &'a CommandContext,
        tenant: Tenant,
        tx: Tx,
    ) -> Result<Self, ApiError> {
        context
            .caller
            .require(Permission::ManageBaselines, tenant.customer_id)
            .map_err(|denied: Denied| ApiError::from(denied))?;
        Ok(Self { foundation, context, tenant, tx })
    }

    async fn execute<A: Aggregate>(
        &mut self,
        stream_id: StreamId,
        command: A::Command,
    ) -> Result<Committed, ApiError> {
        let target = Target {
            scope: &self.context.caller.scope,
            tenant: self.tenant,
            stream_id,
            cause: &self.context.cause,
            occurred_at: None,
        };
        self.foundation.store.execute_in::<A>(&mut self.tx, target, command).await.map_err(failed)
    }

    /// The state that the stream tells: a repeated command must not bring an older one back.
    async fn state<A: Aggregate>(&mut self, stream_id: StreamId) -> Result<A::State, ApiError> {
        let scope = &self.context.caller.scope;
        self.foundation.store.load_in::<A>(&mut self.tx, scope, stream_id).await.map_err(store_failed)
    }

    async fn done<T>(self, answer: T, committed: Committed) -> Result<Accepted<T>, ApiError> {
        self.tx.commit().await.map_err(|error| store_failed(error.into()))?;
        Ok(accepted(answer, committed))
    }
}

async fn begin(foundation: &Foundation, context: &CommandContext) -> Result<Tx, ApiError> {
    foundation.database.begin(&context.caller.scope).await.map_err(store_failed)
}

/// Whose a template would be: a customer's people make none.
fn partner_of(context: &CommandContext) -> Option<Tenant> {
    match context.caller.scope {
        Scope::Partner { partner_id } => Some(Tenant::partner(partner_id)),
        Scope::Platform | Scope::Customer { .. } => None,
    }
}

/// The baseline, if there is one for the caller: their own, or their partner's template.
async fn baseline_in(tx: &mut Tx, baseline_id: BaselineId) -> Result<Kept, ApiError> {
    kept::baseline(tx, baseline_id)
        .await
        .map_err(store_failed)?
        .ok_or_else(|| ApiError::refused(&baseline::Refusal::Unknown))
}

async fn create_baseline(
    foundation: Foundation,
    context: CommandContext,
    command: wish::CreateBaseline,
) -> Result<Accepted<BaselineId>, ApiError> {
    let wish::CreateBaseline { customer_id, name, content } = command;
    let mut case = UseCase::at(&foundation, &context, customer_id).await?;
    let baseline_id = BaselineId::derived(context.cause.command_id.0, "baseline");
    known_patches(&mut case, &content).await?;
    let create = baseline::Command::Create { baseline_id, customer_id, name, content };
    let committed = case.execute::<Baseline>(StreamId(baseline_id.0), create).await?;
    keep_baseline(&mut case, baseline_id).await?;
    case.done(baseline_id, committed).await
}

async fn change_baseline(
    foundation: Foundation,
    context: CommandContext,
    command: wish::ChangeBaseline,
) -> Result<Accepted<()>, ApiError> {
    let wish::ChangeBaseline { baseline_id, content } = command;
    let mut case = UseCase::at_baseline(&foundation, &context, baseline_id).await?;
    known_patches(&mut case, &content).await?;
    let change = baseline::Command::Change { baseline_id, content };
    let committed = case.execute::<Baseline>(StreamId(baseline_id.0), change).await?;
    keep_baseline(&mut case, baseline_id).await?;
    case.done((), committed).await
}

async fn retire_baseline(
    foundation: Foundation,
    context: CommandContext,
    command: wish::RetireBaseline,
) -> Result<Accepted<()>, ApiError> {
    let baseline_id = command.baseline_id;
    let mut case = UseCase::at_baseline(&foundation, &context, baseline_id).await?;
    let retire = baseline::Command::Retire { baseline_id };
    let committed = case.execute::<Baseline>(StreamId(baseline_id.0), retire).await?;
    keep_baseline(&mut case, baseline_id).await?;
    case.done((), committed).await
}

async fn assign_baseline(
    foundation: Foundation,
    context: CommandContext,
    command: wish::AssignBaseline,
) -> Result<Accepted<()>, ApiError> {
    let wish::AssignBaseline { baseline_id, scope } = command;
    let mut case = UseCase::at_scope(&foundation, &context, scope).await?;
    let kept = baseline_in(&mut case.tx, baseline_id).await?;
    let baseline =
        assignment::Candidate { baseline_id, owner: kept.owner.customer_id, retired: kept.retired };
    carry_out_assignment(case, baseline_id, scope, assignment::Command::Assign { baseline, scope }).await
}

async fn unassign_baseline(
    foundation: Foundation,
    context: CommandContext,
    command: wish::UnassignBaseline,
) -> Result<Accepted<()>, ApiError> {
    let wish::UnassignBaseline { baseline_id, scope } = command;
    let mut case = UseCase::at_scope(&foundation, &context, scope).await?;
    baseline_in(&mut case.tx, baseline_id).await?;
    let unassign = assignment::Command::Unassign { baseline_id, scope };
    carry_out_assignment(case, baseline_id, scope, unassign).await
}

async fn carry_out_assignment(
    mut case: UseCase<'_>,
    baseline_id: BaselineId,
    scope: ApprovalScope,
    command: assignment::Command,
) -> Result<Accepted<()>, ApiError> {
    let target_id = kept::target_of(scope);
    let stream_id = StreamId::derived(baseline_id.0, &format!("assignment/{target_id}"));
    let committed = case.execute::<Assignment>(stream_id, command).await?;
    let assigned = case.state::<Assignment>(stream_id).await? == assignment::State::Assigned;
    kept::keep_assignment(&mut case.tx, case.tenant, baseline_id, scope, assigned)
        .await
        .map_err(store_failed)?;
    case.done((), committed).await
}

/// Patches that are named one by one must be in the catalogue: a mistyped one would be silently compliant.
async fn known_patches(case: &mut UseCase<'_>, content: &BaselineContent) -> Result<(), ApiError> {
    let named: Vec<_> =
        content.included.iter().chain(&content.excluded).take(2 * baseline::NAMED_PATCHES_MAX).collect();
    let unknown = kept::unknown_patch(&mut case.tx, &named).await.map_err(store_failed)?;
    match unknown {
        None => Ok(()),
        Some(_) => {
            Err(ApiError::not_found("approvals.patch_unknown", "there is no such patch in the catalogue"))
        }
    }
}

async fn keep_baseline(case: &mut UseCase<'_>, baseline_id: BaselineId) -> Result<(), ApiError> {
    let state = case.state::<Baseline>(StreamId(baseline_id.0)).await?;
    kept::keep_baseline(&mut case.tx, case.tenant, baseline_id, &state).await.map_err(store_failed)
}
