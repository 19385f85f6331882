//! A partner's hard blocks.

use super::{UseCase, begin};
use crate::commands::deciding::no_such_patch;
use crate::facts;
use access::Denied;
use approvals_domain::block::{self, Block};
use contracts::Accepted;
use contracts::approvals as wish;
use contracts::permissions::Permission;
use foundation::{Foundation, store_failed};
use kernel::{PartnerId, PatchId, StreamId, Tenant};
use web::{ApiError, CommandContext};

pub(super) async fn block_patch(
    foundation: Foundation,
    context: CommandContext,
    command: wish::BlockPatch,
) -> Result<Accepted<()>, ApiError> {
    let wish::BlockPatch { patch_id, comment } = command;
    let by = context.caller.user_id;
    at_partner(foundation, context, patch_id, |partner_id| block::Command::Block {
        patch_id,
        partner_id,
        by,
        comment,
    })
    .await
}

pub(super) async fn unblock_patch(
    foundation: Foundation,
    context: CommandContext,
    command: wish::UnblockPatch,
) -> Result<Accepted<()>, ApiError> {
    let wish::UnblockPatch { patch_id, comment } = command;
    let by = context.caller.user_id;
    at_partner(foundation, context, patch_id, |partner_id| block::Command::Unblock {
        patch_id,
        partner_id,
        by,
        comment,
    })
    .await
}

async fn at_partner(
    foundation: Foundation,
    context: CommandContext,
    patch_id: PatchId,
    command: impl FnOnce(PartnerId) -> block::Command,
) -> Result<Accepted<()>, ApiError> {
    let permission = Permission::BlockPatches;
    let partner_id = context.caller.scope.partner_id().ok_or(Denied { permission })?;
    let tx = begin(&foundation, &context).await?;
    let mut case = UseCase::of(&foundation, &context, permission, Tenant::partner(partner_id), tx)?;
    facts::patch(&mut case.tx, patch_id).await.map_err(store_failed)?.ok_or_else(no_such_patch)?;
    let stream_id = StreamId::derived(patch_id.0, &format!("block/{partner_id}"));
    let committed = case.execute::<Block>(stream_id, command(partner_id)).await?;
    case.done((), committed).await
}
