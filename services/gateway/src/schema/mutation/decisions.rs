//! Decisions on patches, hard blocks, and how customers want decisions to be taken.

use super::payload;
use crate::commands::ids::Ids;
use crate::commands::{UserError, carry_out};
use crate::schema::global_id::{Kind, global};
use crate::words::ApprovalLevel;
use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use contracts::approvals::{self, ApprovalScope, DecidedPatches, PatchDecision};

/// What approvals does about decisions.
#[derive(Default)]
pub(crate) struct DecisionsMutations;

/// Where a decision holds: at a customer, for one of its groups or devices, or at all of the partner's customers.
#[derive(InputObject)]
#[expect(clippy::struct_field_names, reason = "the API's names for ids")]
pub(crate) struct ApprovalScopeInput {
    /// The customer; needed with a group or a device.
    customer_id: Option<ID>,
    /// A group of the customer's devices.
    group_id: Option<ID>,
    /// A device of the customer's.
    device_id: Option<ID>,
    /// All customers of the partner.
    partner_id: Option<ID>,
}

impl ApprovalScopeInput {
    fn read(&self, ids: &mut Ids, within: &str) -> Option<ApprovalScope> {
        let field = |name: &str| format!("{within}{name}");
        let customer = ids.some(&field("customerId"), Kind::Customer, self.customer_id.as_ref());
        let group = ids.some(&field("groupId"), Kind::DeviceGroup, self.group_id.as_ref());
        let device = ids.some(&field("deviceId"), Kind::Device, self.device_id.as_ref());
        let partner = ids.some(&field("partnerId"), Kind::Partner, self.partner_id.as_ref());
        match (customer?, group?, device?, partner?) {
            (None, None, None, Some(partner_id)) => Some(ApprovalScope::Partner { partner_id }),
            (Some(customer_id), None, None, None) => Some(ApprovalScope::Customer { customer_id }),
            (Some(customer_id), Some(group_id), None, None) => {
                Some(ApprovalScope::Group { customer_id, group_id })
            }
            (Some(customer_id), None, Some(device_id), None) => {
                Some(ApprovalScope::Device { customer_id, device_id })
            }
            _ => {
                let message =
                    "a scope is a customer, a customer with one of its groups or devices, or a partner";
                ids.refuse(UserError::new("graphql.input_invalid", message).at(field("customerId")));
                None
            }
        }
    }
}

#[derive(InputObject)]
pub(crate) struct ApprovePatchInput {
    idempotency_key: String,
    patch_id: ID,
    #[graphql(flatten)]
    scope: ApprovalScopeInput,
    /// Why, at most 2,000 characters.
    comment: Option<String>,
}

payload! { ApprovePatchPayload of () {} }

#[derive(InputObject)]
pub(crate) struct GiveSecondApprovalInput {
    idempotency_key: String,
    patch_id: ID,
    #[graphql(flatten)]
    scope: ApprovalScopeInput,
    /// Why, at most 2,000 characters.
    comment: Option<String>,
}

payload! { GiveSecondApprovalPayload of () {} }

#[derive(InputObject)]
pub(crate) struct RejectPatchInput {
    idempotency_key: String,
    patch_id: ID,
    #[graphql(flatten)]
    scope: ApprovalScopeInput,
    /// Why, 1 to 2,000 characters.
    comment: String,
}

payload! { RejectPatchPayload of () {} }

#[derive(InputObject)]
pub(crate) struct DeferPatchInput {
    idempotency_key: String,
    patch_id: ID,
    #[graphql(flatten)]
    scope: ApprovalScopeInput,
    /// Until when, at most a year from now.
    until: DateTime<Utc>,
    /// Why, at most 2,000 characters.
    comment: Option<String>,
}

payload! { DeferPatchPayload of () {} }

#[derive(InputObject)]
pub(crate) struct RevokeApprovalInput {
    idempotency_key: String,
    patch_id: ID,
    #[graphql(flatten)]
    scope: ApprovalScopeInput,
    /// Why, 1 to 2,000 characters.
    comment: String,
}

payload! { RevokeApprovalPayload of () {} }

/// What many patches are decided to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum DecisionKind {
    Approve,
    Reject,
    /// Until a date.
    Defer,
    /// What was decided is taken back.
    Revoke,
    GiveSecondApproval,
}

#[derive(InputObject)]
pub(crate) struct DecidePatchesInput {
    idempotency_key: String,
    decision: DecisionKind,
    /// Until when they are put off; needed to defer, and only then.
    until: Option<DateTime<Utc>>,
    patch_ids: Vec<ID>,
    /// Patches times scopes are at most 5,000.
    scopes: Vec<ApprovalScopeInput>,
    /// Why, at most 2,000 characters; needed to reject and to revoke.
    comment: Option<String>,
}

/// A patch that was not decided in a scope.
#[derive(SimpleObject)]
pub(crate) struct RefusedDecision {
    patch_id: ID,
    level: ApprovalLevel,
    /// The partner, customer, group or device.
    scope_id: ID,
    /// Stable: `approvals.already_decided` …
    code: String,
    message: String,
}

impl From<&approvals::RefusedDecision> for RefusedDecision {
    fn from(refused: &approvals::RefusedDecision) -> Self {
        let kind = match refused.scope {
            ApprovalScope::Partner { .. } => Kind::Partner,
            ApprovalScope::Customer { .. } => Kind::Customer,
            ApprovalScope::Group { .. } => Kind::DeviceGroup,
            ApprovalScope::Device { .. } => Kind::Device,
        };
        Self {
            patch_id: global(Kind::Patch, refused.patch_id.0),
            level: refused.scope.level().into(),
            scope_id: global(kind, refused.scope.id()),
            code: refused.code.clone(),
            message: refused.message.clone(),
        }
    }
}

payload! {
    DecidePatchesPayload of DecidedPatches {
        /// How many patches were decided, each scope counted.
        decided: i32 = |answer| Some(crate::views::int(answer.decided.into())),
        /// How many were so already.
        unchanged: i32 = |answer| Some(crate::views::int(answer.unchanged.into())),
        /// Those that were not decided, with the reason.
        refused: Vec<RefusedDecision> = |answer| Some(answer.refused.iter().map(Into::into).collect()),
    }
}

#[derive(InputObject)]
pub(crate) struct BlockPatchInput {
    idempotency_key: String,
    patch_id: ID,
    /// Why, 1 to 2,000 characters.
    comment: String,
}

payload! { BlockPatchPayload of () {} }

#[derive(InputObject)]
pub(crate) struct UnblockPatchInput {
    idempotency_key: String,
    patch_id: ID,
    /// Why, 1 to 2,000 characters.
    comment: String,
}

payload! { UnblockPatchPayload of () {} }

#[derive(InputObject)]
pub(crate) struct SetApprovalPolicyInput {
    idempotency_key: String,
    customer_id: ID,
    /// Whether an approval needs a second person.
    second_approver: bool,
}

payload! { SetApprovalPolicyPayload of () {} }

#[Object]
impl DecisionsMutations {
    /// Approves a patch; where the customer's policy asks for a second person, it waits for one.
    async fn approve_patch(
        &self,
        ctx: &Context<'_>,
        input: ApprovePatchInput,
    ) -> Result<ApprovePatchPayload> {
        let ApprovePatchInput { idempotency_key, patch_id, scope, comment } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let patch_id = ids.one("patchId", Kind::Patch, &patch_id);
            let scope = scope.read(ids, "");
            Some(approvals::ApprovePatch { patch_id: patch_id?, scope: scope?, comment })
        });
        Ok(outcome.await?.into())
    }

    /// Agrees to an approval that somebody else asked for.
    async fn give_second_approval(
        &self,
        ctx: &Context<'_>,
        input: GiveSecondApprovalInput,
    ) -> Result<GiveSecondApprovalPayload> {
        let GiveSecondApprovalInput { idempotency_key, patch_id, scope, comment } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let patch_id = ids.one("patchId", Kind::Patch, &patch_id);
            let scope = scope.read(ids, "");
            Some(approvals::GiveSecondApproval { patch_id: patch_id?, scope: scope?, comment })
        });
        Ok(outcome.await?.into())
    }

    /// Rejects a patch.
    async fn reject_patch(&self, ctx: &Context<'_>, input: RejectPatchInput) -> Result<RejectPatchPayload> {
        let RejectPatchInput { idempotency_key, patch_id, scope, comment } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let patch_id = ids.one("patchId", Kind::Patch, &patch_id);
            let scope = scope.read(ids, "");
            Some(approvals::RejectPatch { patch_id: patch_id?, scope: scope?, comment })
        });
        Ok(outcome.await?.into())
    }

    /// Puts a patch off until a date; then it waits for a decision again.
    async fn defer_patch(&self, ctx: &Context<'_>, input: DeferPatchInput) -> Result<DeferPatchPayload> {
        let DeferPatchInput { idempotency_key, patch_id, scope, until, comment } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let patch_id = ids.one("patchId", Kind::Patch, &patch_id);
            let scope = scope.read(ids, "");
            Some(approvals::DeferPatch { patch_id: patch_id?, scope: scope?, until, comment })
        });
        Ok(outcome.await?.into())
    }

    /// Takes a decision back; the patch waits again.
    async fn revoke_approval(
        &self,
        ctx: &Context<'_>,
        input: RevokeApprovalInput,
    ) -> Result<RevokeApprovalPayload> {
        let RevokeApprovalInput { idempotency_key, patch_id, scope, comment } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let patch_id = ids.one("patchId", Kind::Patch, &patch_id);
            let scope = scope.read(ids, "");
            Some(approvals::RevokeApproval { patch_id: patch_id?, scope: scope?, comment })
        });
        Ok(outcome.await?.into())
    }

    /// Decides on every one of the patches in every one of the scopes: all that can be decided is, the rest is listed.
    async fn decide_patches(
        &self,
        ctx: &Context<'_>,
        input: DecidePatchesInput,
    ) -> Result<DecidePatchesPayload> {
        let DecidePatchesInput { idempotency_key, decision, until, patch_ids, scopes, comment } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let decision = kind(ids, decision, until);
            let patch_ids = ids.all("patchIds", Kind::Patch, &patch_ids);
            // Every one is read, so that every wrong one is told.
            let scopes: Vec<Option<ApprovalScope>> = scopes
                .iter()
                .enumerate()
                .map(|(index, scope)| scope.read(ids, &format!("scopes.{index}.")))
                .collect();
            let scopes: Option<Vec<ApprovalScope>> = scopes.into_iter().collect();
            Some(approvals::DecidePatches {
                decision: decision?,
                patch_ids: patch_ids?,
                scopes: scopes?,
                comment,
            })
        });
        Ok(outcome.await?.into())
    }

    /// Keeps a patch from all customers of the own partner, whatever they decide.
    async fn block_patch(&self, ctx: &Context<'_>, input: BlockPatchInput) -> Result<BlockPatchPayload> {
        let BlockPatchInput { idempotency_key, patch_id, comment } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            Some(approvals::BlockPatch { patch_id: ids.one("patchId", Kind::Patch, &patch_id)?, comment })
        });
        Ok(outcome.await?.into())
    }

    /// Ends the own partner's block of a patch.
    async fn unblock_patch(
        &self,
        ctx: &Context<'_>,
        input: UnblockPatchInput,
    ) -> Result<UnblockPatchPayload> {
        let UnblockPatchInput { idempotency_key, patch_id, comment } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            Some(approvals::UnblockPatch { patch_id: ids.one("patchId", Kind::Patch, &patch_id)?, comment })
        });
        Ok(outcome.await?.into())
    }

    /// Says whether approvals at a customer need a second person.
    async fn set_approval_policy(
        &self,
        ctx: &Context<'_>,
        input: SetApprovalPolicyInput,
    ) -> Result<SetApprovalPolicyPayload> {
        let SetApprovalPolicyInput { idempotency_key, customer_id, second_approver } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let customer_id = ids.one("customerId", Kind::Customer, &customer_id)?;
            Some(approvals::SetApprovalPolicy { customer_id, second_approver })
        });
        Ok(outcome.await?.into())
    }
}

fn kind(ids: &mut Ids, kind: DecisionKind, until: Option<DateTime<Utc>>) -> Option<PatchDecision> {
    match (kind, until) {
        (DecisionKind::Defer, Some(until)) => Some(PatchDecision::Defer { until }),
        (DecisionKind::Approve, None) => Some(PatchDecision::Approve),
        (DecisionKind::Reject, None) => Some(PatchDecision::Reject),
        (DecisionKind::Revoke, None) => Some(PatchDecision::Revoke),
        (DecisionKind::GiveSecondApproval, None) => Some(PatchDecision::GiveSecondApproval),
        _ => {
            let message = "an end is needed to defer, and only then";
            ids.refuse(UserError::new("graphql.input_invalid", message).at("until"));
            None
        }
    }
}
