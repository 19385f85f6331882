//! Many patches decided in many scopes by one command: set-based reads, one append, and a list of what was refused.

use super::begin;
use super::deciding::{leaves_pending, no_such_patch, no_such_place};
use crate::decisions::{self, Place, decision_stream};
use crate::facts::{self, Patch};
use actix_web::http::StatusCode;
use approvals_domain::approval::{self, Approval, Command};
use contracts::approvals::{
    ApprovalEvent, ApprovalScope, DecidePatches, DecidedPatches, PatchDecision, RefusedDecision,
};
use contracts::permissions::Permission;
use contracts::{Accepted, Written};
use eventstore::{Committed, Part, Standing, Target, Tx};
use foundation::{Foundation, store_failed};
use kernel::{Aggregate, PatchId, Refused, StreamId, Tenant};
use std::collections::{BTreeSet, HashMap};
use web::{ApiError, CommandContext};

/// Patches times scopes of one command at the most: twice as many events are what one append takes.
const DECISIONS_MAX: usize = 5_000;

pub(super) async fn decide_patches(
    foundation: Foundation,
    context: CommandContext,
    command: DecidePatches,
) -> Result<Accepted<DecidedPatches>, ApiError> {
    let DecidePatches { decision, patch_ids, scopes, comment } = command;
    let pairs = pairs(&patch_ids, &scopes)?;
    let wish = Wish { decision, comment, now: foundation.clock.now(), by: context.caller.user_id };
    wish.check().map_err(|refusal| ApiError::refused(&refusal))?;

    let mut tx = begin(&foundation, &context).await?;
    let (mut refused, asked) = look_up(&mut tx, &context, &wish, &pairs).await?;
    let streams: Vec<StreamId> =
        asked.iter().map(|asked| decision_stream(asked.patch_id, asked.scope)).collect();
    let (scope, command_id) = (&context.caller.scope, context.cause.command_id);
    let standing = foundation.store.load_all_in::<Approval>(&mut tx, scope, &streams, command_id).await;
    let standing = standing.map_err(store_failed)?;

    // What the command has written once it does not write again, whatever was decided since.
    if let earlier @ Some(_) = last(standing.iter().filter_map(|standing| standing.earlier)) {
        let decided = standing.iter().filter(|standing| standing.earlier.is_some()).count();
        for (asked, standing) in asked.iter().zip(&standing).filter(|(_, s)| s.earlier.is_none()) {
            if let Err(refusal) = Approval::decide(&standing.state, asked.command.clone()) {
                refused.push(asked.refused(&refusal));
            }
        }
        let unchanged = pairs.len() - decided - refused.len();
        let answer = DecidedPatches { decided: count(decided), unchanged: count(unchanged), refused };
        return Ok(Accepted { answer, written: earlier, repeated: true });
    }

    let decided = decide_all(&asked, &standing, &mut refused);
    let unchanged = pairs.len() - decided.len() - refused.len();
    let committed = append(&foundation, &context, &mut tx, &decided).await?;
    tx.commit().await.map_err(|error| store_failed(error.into()))?;
    let answer = DecidedPatches { decided: count(decided.len()), unchanged: count(unchanged), refused };
    Ok(Accepted { answer, written: last(committed.into_iter()), repeated: false })
}

/// Every patch in every scope, each once.
fn pairs(patch_ids: &[PatchId], scopes: &[ApprovalScope]) -> Result<Vec<(PatchId, ApprovalScope)>, ApiError> {
    let patches: BTreeSet<PatchId> = patch_ids.iter().copied().collect();
    let scopes: BTreeSet<ApprovalScope> = scopes.iter().copied().collect();
    let number = patches.len().saturating_mul(scopes.len());
    if !(1..=DECISIONS_MAX).contains(&number) {
        let message = format!("patches times scopes must be 1 to {DECISIONS_MAX}, and are {number}");
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Err(ApiError::new(status, "approvals.batch_size_invalid", message));
    }
    Ok(patches.iter().flat_map(|patch_id| scopes.iter().map(|scope| (*patch_id, *scope))).collect())
}

/// What is wished for every patch in every scope.
struct Wish {
    decision: PatchDecision,
    comment: Option<String>,
    now: chrono::DateTime<chrono::Utc>,
    by: kernel::UserId,
}

impl Wish {
    /// What would be refused for all of them is refused once.
    fn check(&self) -> Result<(), approval::Refusal> {
        let comment = self.comment.as_deref().unwrap_or_default();
        match self.decision {
            PatchDecision::Reject | PatchDecision::Revoke => approval::check_comment(comment, 1),
            PatchDecision::Approve | PatchDecision::GiveSecondApproval => approval::check_comment(comment, 0),
            PatchDecision::Defer { until } => {
                approval::check_comment(comment, 0)?;
                approval::check_deferral(until, self.now)
            }
        }
    }

    fn command(&self, patch: &Patch, scope: ApprovalScope, place: Place) -> Command {
        let (subject, standing) = (patch.at(scope), patch.standing.clone());
        let (by, comment) = (self.by, self.comment.clone());
        match self.decision {
            PatchDecision::Approve => {
                Command::Approve { subject, standing, by, comment, second_needed: place.second_needed }
            }
            PatchDecision::GiveSecondApproval => Command::GiveSecond { subject, standing, by, comment },
            PatchDecision::Reject => {
                Command::Reject { subject, standing, by, comment: comment.unwrap_or_default() }
            }
            PatchDecision::Defer { until } => {
                Command::Defer { subject, standing, until, now: self.now, by, comment }
            }
            PatchDecision::Revoke => Command::Revoke { subject, by, comment: comment.unwrap_or_default() },
        }
    }
}

/// One patch in one scope, both of which exist.
struct Asked {
    patch_id: PatchId,
    scope: ApprovalScope,
    tenant: Tenant,
    command: Command,
}

impl Asked {
    fn refused(&self, refusal: &approval::Refusal) -> RefusedDecision {
        let (code, message) = (refusal.code().to_owned(), refusal.to_string());
        RefusedDecision { patch_id: self.patch_id, scope: self.scope, code, message }
    }
}

/// What is refused before anything is read of the decisions, and the rest.
async fn look_up(
    tx: &mut Tx,
    context: &CommandContext,
    wish: &Wish,
    pairs: &[(PatchId, ApprovalScope)],
) -> Result<(Vec<RefusedDecision>, Vec<Asked>), ApiError> {
    let scopes: BTreeSet<ApprovalScope> = pairs.iter().map(|(_, scope)| *scope).collect();
    let scopes: Vec<ApprovalScope> = scopes.into_iter().collect();
    let places = decisions::places(tx, &context.caller.scope, &scopes).await.map_err(store_failed)?;
    let patch_ids: BTreeSet<PatchId> = pairs.iter().map(|(patch_id, _)| *patch_id).collect();
    let patch_ids: Vec<PatchId> = patch_ids.into_iter().collect();
    let patches = facts::patches(tx, &patch_ids).await.map_err(store_failed)?;
    let patches: HashMap<PatchId, Patch> = patches.into_iter().map(|patch| (patch.patch_id, patch)).collect();

    let (mut refused, mut asked) = (Vec::new(), Vec::new());
    for (patch_id, scope) in pairs.iter().copied() {
        match check(context, places.get(&scope), patches.get(&patch_id), scope) {
            Ok((place, patch)) => {
                let command = wish.command(patch, scope, place);
                asked.push(Asked { patch_id, scope, tenant: place.tenant, command });
            }
            Err(error) => refused.push(RefusedDecision {
                patch_id,
                scope,
                code: error.code.into_owned(),
                message: error.message,
            }),
        }
    }
    Ok((refused, asked))
}

fn check<'a>(
    context: &CommandContext,
    place: Option<&Place>,
    patch: Option<&'a Patch>,
    scope: ApprovalScope,
) -> Result<(Place, &'a Patch), ApiError> {
    let place = *place.ok_or_else(|| no_such_place(scope))?;
    context.caller.require(Permission::ApprovePatches, place.tenant.customer_id)?;
    let patch = patch.ok_or_else(no_such_patch)?;
    approval::check_applicable(patch.candidate.platform, place.platform)
        .map_err(|refusal| ApiError::refused(&refusal))?;
    Ok((place, patch))
}

/// A decision that goes into the store.
struct Decided<'a> {
    asked: &'a Asked,
    version: i64,
    events: Vec<ApprovalEvent>,
}

fn decide_all<'a>(
    asked: &'a [Asked],
    standing: &[Standing<approval::State>],
    refused: &mut Vec<RefusedDecision>,
) -> Vec<Decided<'a>> {
    let mut decided = Vec::new();
    for (asked, standing) in asked.iter().zip(standing) {
        match Approval::decide(&standing.state, asked.command.clone()) {
            Ok(events) if events.is_empty() => {}
            Ok(events) => decided.push(Decided { asked, version: standing.version, events }),
            Err(refusal) => refused.push(asked.refused(&refusal)),
        }
    }
    decided
}

async fn append(
    foundation: &Foundation,
    context: &CommandContext,
    tx: &mut Tx,
    decided: &[Decided<'_>],
) -> Result<Vec<Committed>, ApiError> {
    let scope = &context.caller.scope;
    let parts: Vec<Part<'_>> = decided
        .iter()
        .map(|decided| {
            let target = Target {
                scope,
                tenant: decided.asked.tenant,
                stream_id: decision_stream(decided.asked.patch_id, decided.asked.scope),
                cause: &context.cause,
                occurred_at: None,
            };
            Part::of::<Approval>(target, decided.version, &decided.events)
        })
        .collect();
    let committed = foundation.store.append_all_in(tx, scope, &parts).await.map_err(store_failed)?;
    for pending in [false, true] {
        let kept: Vec<(Tenant, PatchId)> = decided
            .iter()
            .map(|decided| decided.asked)
            .filter(|asked| asked.scope.whole_customer().is_some())
            .filter(|asked| leaves_pending(&asked.command) == pending)
            .map(|asked| (asked.tenant, asked.patch_id))
            .collect();
        if !kept.is_empty() {
            decisions::keep_approvals(tx, &kept, pending).await.map_err(store_failed)?;
        }
    }
    Ok(committed)
}

/// Where the last of these stands.
fn last(committed: impl Iterator<Item = Committed>) -> Option<Written> {
    committed.filter_map(|committed| committed.pos).max().map(|pos| Written { pos })
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
