//! The use cases: authorise, look up, decide and append, answer.

use crate::{facts, streams::approval_stream};
use access::Denied;
use actix_web::web::ServiceConfig;
use approvals_domain::{approval, approval::Approval};
use contracts::approvals as wish;
use contracts::{Accepted, permissions::Permission};
use eventstore::{Committed, Target, Tx};
use foundation::{Foundation, accepted, failed, store_failed};
use kernel::{Aggregate, CustomerId, PatchId, StreamId, Tenant};
use web::{ApiError, CommandContext};

/// The routes of the service's commands.
pub(crate) fn routes(commands: &web::Commands, foundation: &Foundation, routes: &mut ServiceConfig) {
    routes
        .service(commands.route(foundation, approve_patch))
        .service(commands.route(foundation, reject_patch))
        .service(commands.route(foundation, revoke_approval));
}

/// One command's transaction.
struct UseCase<'a> {
    foundation: &'a Foundation,
    context: &'a CommandContext,
    tenant: Tenant,
    tx: Tx,
}

impl<'a> UseCase<'a> {
    /// Authorises at the customer and begins; a customer of another tenant does not exist.
    async fn at_customer(
        foundation: &'a Foundation,
        context: &'a CommandContext,
        permission: Permission,
        customer_id: CustomerId,
    ) -> Result<Self, ApiError> {
        let mut tx = begin(foundation, context).await?;
        let tenant = facts::tenant_of_customer(&mut tx, customer_id)
            .await
            .map_err(store_failed)?
            .ok_or_else(|| ApiError::not_found("approvals.customer_unknown", "there is no such customer"))?;
        Self::of(foundation, context, permission, tenant, tx)
    }

    /// Goes on in the transaction of the look-up: a second one would take a second connection.
    fn of(
        foundation: &'a Foundation,
        context: &'a CommandContext,
        permission: Permission,
        tenant: Tenant,
        tx: Tx,
    ) -> Result<Self, ApiError> {
        context
            .caller
            .require(permission, tenant.customer_id)
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

    async fn done<T>(self, answer: T, committed: Committed) -> Result<Accepted<T>, ApiError> {
        self.tx.commit().await.map_err(|error| store_failed(error.into()))?;
        Ok(accepted(answer, committed))
    }
}

async fn begin(foundation: &Foundation, context: &CommandContext) -> Result<Tx, ApiError> {
    foundation.database.begin(&context.caller.scope).await.map_err(store_failed)
}

async fn approve_patch(
    foundation: Foundation,
    context: CommandContext,
    command: wish::ApprovePatch,
) -> Result<Accepted<()>, ApiError> {
    let wish::ApprovePatch { patch_id, customer_id, comment } = command;
    decide(foundation, context, patch_id, customer_id, false, |patch, by| approval::Command::Approve {
        subject: patch.at(customer_id),
        standing: patch.standing.clone(),
        by,
        comment,
    })
    .await
}

async fn reject_patch(
    foundation: Foundation,
    context: CommandContext,
    command: wish::RejectPatch,
) -> Result<Accepted<()>, ApiError> {
    let wish::RejectPatch { patch_id, customer_id, comment } = command;
    decide(foundation, context, patch_id, customer_id, false, |patch, by| approval::Command::Reject {
        subject: patch.at(customer_id),
        by,
        comment,
    })
    .await
}

async fn revoke_approval(
    foundation: Foundation,
    context: CommandContext,
    command: wish::RevokeApproval,
) -> Result<Accepted<()>, ApiError> {
    let wish::RevokeApproval { patch_id, customer_id, comment } = command;
    decide(foundation, context, patch_id, customer_id, true, |patch, by| approval::Command::Revoke {
        subject: patch.at(customer_id),
        by,
        comment,
    })
    .await
}

async fn decide(
    foundation: Foundation,
    context: CommandContext,
    patch_id: PatchId,
    customer_id: CustomerId,
    pending_afterwards: bool,
    command: impl FnOnce(&facts::Patch, kernel::UserId) -> approval::Command,
) -> Result<Accepted<()>, ApiError> {
    let mut case =
        UseCase::at_customer(&foundation, &context, Permission::ApprovePatches, customer_id).await?;
    let patch = facts::patch(&mut case.tx, patch_id).await.map_err(store_failed)?.ok_or_else(|| {
        ApiError::not_found("approvals.patch_unknown", "there is no such patch in the catalogue")
    })?;
    let stream_id = approval_stream(patch_id, customer_id.into());
    let command = command(&patch, context.caller.user_id);
    let committed = case.execute::<Approval>(stream_id, command).await?;
    if !committed.repeated {
        facts::keep_approval(&mut case.tx, case.tenant, patch_id, pending_afterwards)
            .await
            .map_err(store_failed)?;
    }
    case.done((), committed).await
}
