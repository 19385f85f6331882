//! Decisions.

use super::payload;
use crate::commands::carry_out;
use crate::schema::global_id::Kind;
use async_graphql::{Context, ID, InputObject, Object, Result};
use contracts::approvals;

/// What approvals does.
#[derive(Default)]
pub(crate) struct ApprovalsMutations;

#[derive(InputObject)]
pub(crate) struct ApprovePatchInput {
    idempotency_key: String,
    patch_id: ID,
    customer_id: ID,
    /// Why, at most 2,000 characters.
    comment: Option<String>,
}

payload! { ApprovePatchPayload of () {} }

#[derive(InputObject)]
pub(crate) struct RejectPatchInput {
    idempotency_key: String,
    patch_id: ID,
    customer_id: ID,
    /// Why, 1 to 2,000 characters.
    comment: String,
}

payload! { RejectPatchPayload of () {} }

#[derive(InputObject)]
pub(crate) struct RevokeApprovalInput {
    idempotency_key: String,
    patch_id: ID,
    customer_id: ID,
    /// Why, 1 to 2,000 characters.
    comment: String,
}

payload! { RevokeApprovalPayload of () {} }

#[Object]
impl ApprovalsMutations {
    /// Approves a patch at a customer.
    async fn approve_patch(
        &self,
        ctx: &Context<'_>,
        input: ApprovePatchInput,
    ) -> Result<ApprovePatchPayload> {
        let ApprovePatchInput { idempotency_key, patch_id, customer_id, comment } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let patch_id = ids.one("patchId", Kind::Patch, &patch_id);
            let customer_id = ids.one("customerId", Kind::Customer, &customer_id);
            Some(approvals::ApprovePatch { patch_id: patch_id?, customer_id: customer_id?, comment })
        });
        Ok(outcome.await?.into())
    }

    /// Rejects a patch at a customer.
    async fn reject_patch(&self, ctx: &Context<'_>, input: RejectPatchInput) -> Result<RejectPatchPayload> {
        let RejectPatchInput { idempotency_key, patch_id, customer_id, comment } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let patch_id = ids.one("patchId", Kind::Patch, &patch_id);
            let customer_id = ids.one("customerId", Kind::Customer, &customer_id);
            Some(approvals::RejectPatch { patch_id: patch_id?, customer_id: customer_id?, comment })
        });
        Ok(outcome.await?.into())
    }

    /// Takes an approval back; the patch waits again.
    async fn revoke_approval(
        &self,
        ctx: &Context<'_>,
        input: RevokeApprovalInput,
    ) -> Result<RevokeApprovalPayload> {
        let RevokeApprovalInput { idempotency_key, patch_id, customer_id, comment } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let patch_id = ids.one("patchId", Kind::Patch, &patch_id);
            let customer_id = ids.one("customerId", Kind::Customer, &customer_id);
            Some(approvals::RevokeApproval { patch_id: patch_id?, customer_id: customer_id?, comment })
        });
        Ok(outcome.await?.into())
    }
}
