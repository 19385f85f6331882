//! How a customer wants decisions to be taken.

use super::UseCase;
use crate::decisions;
use approvals_domain::policy::{ApprovalPolicy, Set};
use contracts::Accepted;
use contracts::approvals as wish;
use contracts::permissions::Permission;
use foundation::{Foundation, store_failed};
use kernel::StreamId;
use web::{ApiError, CommandContext};

pub(super) async fn set_approval_policy(
    foundation: Foundation,
    context: CommandContext,
    command: wish::SetApprovalPolicy,
) -> Result<Accepted<()>, ApiError> {
    let wish::SetApprovalPolicy { customer_id, second_approver } = command;
    let permission = Permission::SetApprovalPolicies;
    let mut case = UseCase::at_customer(&foundation, &context, permission, customer_id).await?;
    let stream_id = StreamId::derived(customer_id.0, "approval policy");
    let set = Set { customer_id, second_approver, by: context.caller.user_id };
    let committed = case.execute::<ApprovalPolicy>(stream_id, set).await?;
    // As the stream tells it: a repeated command must not undo what was set since.
    let policy = foundation
        .store
        .load_in::<ApprovalPolicy>(&mut case.tx, &context.caller.scope, stream_id)
        .await
        .map_err(store_failed)?;
    decisions::keep_policy(&mut case.tx, case.tenant, policy.second_approver).await.map_err(store_failed)?;
    case.done((), committed).await
}
