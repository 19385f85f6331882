//! What holds for a patch on a device, out of everything that was decided about it.

use crate::asking::{Asking, reaches};
use crate::commands::ownership;
use crate::reading::{Seen, View};
use crate::schema::global_id::{GlobalId, Kind};
use crate::schema::position::Position;
use crate::views::decision::{DECISIONS_IN_SCOPES, DecisionRow};
use crate::views::device::DeviceRow;
use crate::views::patch::PatchRow;
use crate::words::{ApprovalMode, DecisionState, EffectiveLevel, EffectiveState, PatchState};
use async_graphql::{Context, ID, Object, Result};
use chrono::{DateTime, Utc};
use contracts::approvals::ApprovalScope;
use contracts::approvals::precedence::{
    self, ApprovedBy, CatalogueState, Considered, Decided, Effective, Place, effective,
};
use eventstore::StoreError;
use kernel::{CustomerId, DeviceGroupId, DeviceId, PartnerId, Tenant};
use uuid::Uuid;

/// A patch on a device with everything that was decided about it there.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) device: Seen<DeviceRow>,
    pub(super) patch: Seen<PatchRow>,
    place: Place,
    decisions: Vec<DecisionRow>,
}

impl Case {
    /// None where device or patch do not exist for the caller.
    pub(super) async fn find(
        ctx: &Context<'_>,
        view: &View,
        device_id: &ID,
        patch_id: &ID,
    ) -> Result<Option<Self>> {
        let (Some(device_id), Some(patch_id)) = (GlobalId::read(device_id), GlobalId::read(patch_id)) else {
            return Ok(None);
        };
        if (device_id.kind, patch_id.kind) != (Kind::Device, Kind::Patch) {
            return Ok(None);
        }
        let (device, patch): (Option<Seen<DeviceRow>>, Option<Seen<PatchRow>>) =
            (view.find(device_id.id).await?, view.find(patch_id.id).await?);
        let reached = if let Some(device) = device {
            let partner_id = view.caller().scope.partner_id().unwrap_or(PartnerId(Uuid::nil()));
            let tenant = Tenant::customer(partner_id, CustomerId(device.row.customer_id));
            reaches(view.caller(), tenant).then_some(device)
        } else {
            ownership::note_if_foreign(Asking::of(ctx), device_id, ctx.field().name()).await?;
            None
        };
        let (Some(device), Some(patch)) = (reached, patch) else { return Ok(None) };
        let place = place(view, &device.row).await?;
        let decisions = decisions(view, &place, patch.row.patch_id).await?;
        Ok(Some(Self { device, patch, place, decisions }))
    }

    /// Asks a question about what was decided.
    pub(super) fn consider<T>(&self, ask: impl FnOnce(&Considered<'_>) -> T) -> T {
        let decisions: Vec<Decided> = self.decisions.iter().filter_map(DecisionRow::decided).collect();
        ask(&Considered {
            place: &self.place,
            platform: self.patch.row.platform.into(),
            catalogue: match self.patch.row.state {
                PatchState::Published => CatalogueState::Published,
                PatchState::Superseded => CatalogueState::Superseded,
                PatchState::Withdrawn => CatalogueState::Withdrawn,
            },
            blocked: self.decisions.iter().any(|row| row.state == DecisionState::Blocked),
            decisions: &decisions,
        })
    }

    pub(super) fn effective(&self) -> EffectiveApproval {
        EffectiveApproval { case: self.clone(), effective: self.consider(effective) }
    }

    pub(super) fn awaits_second(&self) -> bool {
        self.decisions.iter().any(|row| row.state == DecisionState::AwaitingSecondApprover)
    }
}

async fn place(view: &View, device: &DeviceRow) -> Result<Place> {
    let mut tx = view.tx().await;
    let (partner_id, groups): (Uuid, Vec<Uuid>) = sqlx::query_as(
        "select d.partner_id,
                array(select m.group_id from views.group_member m where m.device_id = d.device_id)
           from views.device d
          where d.device_id = $1",
    )
    .bind(device.device_id)
    .fetch_one(&mut **tx)
    .await
    .map_err(unread)?;
    Ok(Place {
        partner_id: PartnerId(partner_id),
        customer_id: CustomerId(device.customer_id),
        group_ids: groups.into_iter().map(DeviceGroupId).collect(),
        device_id: DeviceId(device.device_id),
    })
}

async fn decisions(view: &View, place: &Place, patch_id: Uuid) -> Result<Vec<DecisionRow>> {
    let scopes: Vec<Uuid> = place.scopes().map(ApprovalScope::id).collect();
    let mut tx = view.tx().await;
    sqlx::query_as(DECISIONS_IN_SCOPES).bind(patch_id).bind(scopes).fetch_all(&mut **tx).await.map_err(unread)
}

pub(super) fn unread(error: sqlx::Error) -> async_graphql::Error {
    crate::errors::failed(StoreError::Database(error))
}

pub(super) fn word(state: precedence::EffectiveState) -> EffectiveState {
    match state {
        precedence::EffectiveState::NotInstallable => EffectiveState::NotInstallable,
        precedence::EffectiveState::Blocked => EffectiveState::Blocked,
        precedence::EffectiveState::Rejected => EffectiveState::Rejected,
        precedence::EffectiveState::Deferred { .. } => EffectiveState::Deferred,
        precedence::EffectiveState::Approved { .. } => EffectiveState::Approved,
        precedence::EffectiveState::Pending => EffectiveState::Pending,
    }
}

fn until(state: precedence::EffectiveState) -> Option<DateTime<Utc>> {
    match state {
        precedence::EffectiveState::Deferred { until } => Some(until),
        precedence::EffectiveState::NotInstallable
        | precedence::EffectiveState::Blocked
        | precedence::EffectiveState::Rejected
        | precedence::EffectiveState::Approved { .. }
        | precedence::EffectiveState::Pending => None,
    }
}

fn mode(state: precedence::EffectiveState) -> Option<ApprovalMode> {
    match state {
        precedence::EffectiveState::Approved { by: ApprovedBy::Person } => Some(ApprovalMode::Manual),
        precedence::EffectiveState::Approved { by: ApprovedBy::Rule } => Some(ApprovalMode::Auto),
        precedence::EffectiveState::NotInstallable
        | precedence::EffectiveState::Blocked
        | precedence::EffectiveState::Rejected
        | precedence::EffectiveState::Deferred { .. }
        | precedence::EffectiveState::Pending => None,
    }
}

/// Whether a patch may be installed on a device, out of everything that was decided about it.
pub(crate) struct EffectiveApproval {
    case: Case,
    effective: Effective,
}

#[Object]
impl EffectiveApproval {
    async fn state(&self) -> EffectiveState {
        word(self.effective.state)
    }

    /// By what it was approved.
    async fn mode(&self) -> Option<ApprovalMode> {
        mode(self.effective.state)
    }

    /// Until when it is put off.
    async fn deferred_until(&self) -> Option<DateTime<Utc>> {
        until(self.effective.state)
    }

    /// The level that decided; absent while it is pending.
    async fn decided_at(&self) -> Option<EffectiveLevel> {
        self.effective.decided_at.map(EffectiveLevel::from)
    }

    /// Every level in the order of precedence, also those that did not come to decide.
    async fn levels(&self) -> Vec<EvaluatedLevel> {
        self.effective.levels.iter().map(|level| EvaluatedLevel::of(&self.case, level)).collect()
    }

    /// Approvals that wait for a second person.
    async fn awaiting_second_approver(&self) -> Vec<Seen<DecisionRow>> {
        let rows = self.case.decisions.iter();
        let waiting = rows.filter(|row| row.state == DecisionState::AwaitingSecondApprover);
        waiting.map(|row| self.case.device.view.seen(row.clone())).collect()
    }

    /// The log position that this answer reflects.
    async fn position(&self) -> Position {
        self.case.device.view.position().into()
    }
}

/// What one level says.
pub(crate) struct EvaluatedLevel {
    level: EffectiveLevel,
    outcome: EffectiveState,
    deferred_until: Option<DateTime<Utc>>,
    decisions: Vec<Seen<DecisionRow>>,
}

impl EvaluatedLevel {
    fn of(case: &Case, evaluated: &precedence::Evaluated) -> Self {
        let blocks = (evaluated.outcome == precedence::EffectiveState::Blocked)
            .then(|| case.decisions.iter().filter(|row| row.state == DecisionState::Blocked));
        let decided = evaluated
            .decisions
            .iter()
            .filter_map(|decided| case.decisions.iter().find(|row| row.decided().as_ref() == Some(decided)));
        let rows = blocks.into_iter().flatten().chain(decided);
        Self {
            level: evaluated.level.into(),
            outcome: word(evaluated.outcome),
            deferred_until: until(evaluated.outcome),
            decisions: rows.map(|row| case.device.view.seen(row.clone())).collect(),
        }
    }
}

#[Object]
impl EvaluatedLevel {
    async fn level(&self) -> EffectiveLevel {
        self.level
    }

    /// What it says, whether or not it decides; pending where it says nothing.
    async fn outcome(&self) -> EffectiveState {
        self.outcome
    }

    /// Until when it is put off on this level.
    async fn deferred_until(&self) -> Option<DateTime<Utc>> {
        self.deferred_until
    }

    /// The decisions that it comes from, the strictest first.
    async fn decisions(&self) -> &[Seen<DecisionRow>] {
        &self.decisions
    }
}
