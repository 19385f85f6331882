//! One patch decided in one scope.

use super::{UseCase, begin};
use crate::decisions::{self, Place};
use crate::facts;
use crate::streams::approval_stream;
use approvals_domain::approval::{self, Approval, Subject};
use contracts::Accepted;
use contracts::approvals::{self as wish, ApprovalScope};
use contracts::permissions::Permission;
use eventstore::Committed;
use foundation::{Foundation, store_failed};
use kernel::PatchId;
use web::{ApiError, CommandContext};

/// A patch and a place, looked up for one command.
#[expect(clippy::struct_field_names, reason = "the use case that it stands in")]
struct Case<'a> {
    case: UseCase<'a>,
    place: Place,
    patch: facts::Patch,
    scope: ApprovalScope,
}

impl<'a> Case<'a> {
    async fn of(
        foundation: &'a Foundation,
        context: &'a CommandContext,
        patch_id: PatchId,
        scope: ApprovalScope,
    ) -> Result<Self, ApiError> {
        let mut tx = begin(foundation, context).await?;
        let place = decisions::place(&mut tx, &context.caller.scope, scope)
            .await
            .map_err(store_failed)?
            .ok_or_else(|| no_such_place(scope))?;
        let mut case = UseCase::of(foundation, context, Permission::ApprovePatches, place.tenant, tx)?;
        let patch =
            facts::patch(&mut case.tx, patch_id).await.map_err(store_failed)?.ok_or_else(no_such_patch)?;
        approval::check_applicable(patch.candidate.platform, place.platform)
            .map_err(|refusal| ApiError::refused(&refusal))?;
        Ok(Self { case, place, patch, scope })
    }

    fn subject(&self) -> Subject {
        self.patch.at(self.scope)
    }

    async fn decide(mut self, command: approval::Command) -> Result<Accepted<()>, ApiError> {
        let pending = leaves_pending(&command);
        let stream_id = approval_stream(self.patch.patch_id, self.scope);
        let committed: Committed = self.case.execute::<Approval>(stream_id, command).await?;
        if !committed.repeated && self.scope.whole_customer().is_some() {
            facts::keep_approval(&mut self.case.tx, self.place.tenant, self.patch.patch_id, pending)
                .await
                .map_err(store_failed)?;
        }
        self.case.done((), committed).await
    }
}

/// Whether rules may still decide afterwards.
pub(super) fn leaves_pending(command: &approval::Command) -> bool {
    match command {
        approval::Command::Revoke { .. }
        | approval::Command::Open(_)
        | approval::Command::NoteRefusal { .. }
        | approval::Command::Schedule { .. }
        | approval::Command::EndDeferral { .. } => true,
        approval::Command::Approve { .. }
        | approval::Command::GiveSecond { .. }
        | approval::Command::AutoApprove { .. }
        | approval::Command::Reject { .. }
        | approval::Command::Defer { .. }
        | approval::Command::Lapse { .. } => false,
    }
}

pub(super) fn no_such_patch() -> ApiError {
    ApiError::not_found("approvals.patch_unknown", "there is no such patch in the catalogue")
}

pub(super) fn no_such_place(scope: ApprovalScope) -> ApiError {
    let (code, message) = match scope {
        ApprovalScope::Partner { .. } => ("approvals.partner_unknown", "there is no such partner"),
        ApprovalScope::Customer { .. } => ("approvals.customer_unknown", "there is no such customer"),
        ApprovalScope::Group { .. } => ("approvals.group_unknown", "the customer has no such device group"),
        ApprovalScope::Device { .. } => ("approvals.device_unknown", "the customer has no such device"),
    };
    ApiError::not_found(code, message)
}

pub(super) async fn approve_patch(
    foundation: Foundation,
    context: CommandContext,
    command: wish::ApprovePatch,
) -> Result<Accepted<()>, ApiError> {
    let wish::ApprovePatch { patch_id, scope, comment } = command;
    let case = Case::of(&foundation, &context, patch_id, scope).await?;
    let approve = approval::Command::Approve {
        subject: case.subject(),
        standing: case.patch.standing.clone(),
        by: context.caller.user_id,
        comment,
        second_needed: case.place.second_needed,
    };
    case.decide(approve).await
}

pub(super) async fn give_second_approval(
    foundation: Foundation,
    context: CommandContext,
    command: wish::GiveSecondApproval,
) -> Result<Accepted<()>, ApiError> {
    let wish::GiveSecondApproval { patch_id, scope, comment } = command;
    let case = Case::of(&foundation, &context, patch_id, scope).await?;
    let (subject, standing) = (case.subject(), case.patch.standing.clone());
    let by = context.caller.user_id;
    case.decide(approval::Command::GiveSecond { subject, standing, by, comment }).await
}

pub(super) async fn reject_patch(
    foundation: Foundation,
    context: CommandContext,
    command: wish::RejectPatch,
) -> Result<Accepted<()>, ApiError> {
    let wish::RejectPatch { patch_id, scope, comment } = command;
    let case = Case::of(&foundation, &context, patch_id, scope).await?;
    let (subject, standing) = (case.subject(), case.patch.standing.clone());
    let by = context.caller.user_id;
    case.decide(approval::Command::Reject { subject, standing, by, comment }).await
}

pub(super) async fn defer_patch(
    foundation: Foundation,
    context: CommandContext,
    command: wish::DeferPatch,
) -> Result<Accepted<()>, ApiError> {
    let wish::DeferPatch { patch_id, scope, until, comment } = command;
    let case = Case::of(&foundation, &context, patch_id, scope).await?;
    let defer = approval::Command::Defer {
        subject: case.subject(),
        standing: case.patch.standing.clone(),
        until,
        now: foundation.clock.now(),
        by: context.caller.user_id,
        comment,
    };
    case.decide(defer).await
}

pub(super) async fn revoke_approval(
    foundation: Foundation,
    context: CommandContext,
    command: wish::RevokeApproval,
) -> Result<Accepted<()>, ApiError> {
    let wish::RevokeApproval { patch_id, scope, comment } = command;
    let case = Case::of(&foundation, &context, patch_id, scope).await?;
    let (subject, by) = (case.subject(), context.caller.user_id);
    case.decide(approval::Command::Revoke { subject, by, comment }).await
}
