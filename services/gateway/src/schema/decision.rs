//! Decisions in every scope, what holds for a patch on a device, and why.

use crate::asking::Asking;
use crate::commands::ownership;
use crate::reading::{Seen, View};
use crate::schema::explaining::{self, changes};
use crate::schema::global_id::{GlobalId, Kind};
use crate::schema::position::Position;
use crate::views::customer::CustomerRow;
use crate::views::decision::{DECISIONS_IN_SCOPES, DecisionRow};
use crate::views::device::DeviceRow;
use crate::views::device_group::DeviceGroupRow;
use crate::views::device_patch::{DevicePatchRow, PATCH_ON_DEVICE};
use crate::views::int;
use crate::views::patch::PatchRow;
use crate::views::rule::RuleRow;
use crate::views::user::UserRow;
use crate::words::{
    ApprovalLevel, ApprovalMode, ChangeKind, DecisionState, DevicePatchState, EffectiveLevel, EffectiveState,
    PatchApplicability, PatchState,
};
use async_graphql::{Context, ID, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use contracts::approvals::ApprovalScope;
use contracts::approvals::precedence::{
    self, ApprovedBy, CatalogueState, Considered, Decided, Effective, Place, effective,
};
use eventstore::StoreError;
use kernel::{CustomerId, DeviceGroupId, DeviceId, PartnerId, Tenant};
use uuid::Uuid;

/// What stands for a patch in one scope.
#[Object(name = "Decision")]
impl Seen<DecisionRow> {
    async fn patch(&self) -> Result<Seen<PatchRow>> {
        self.view.existing(self.row.patch_id).await
    }

    async fn level(&self) -> ApprovalLevel {
        self.row.level
    }

    /// The customer within which it holds; absent where it holds at all of the partner's.
    async fn customer(&self) -> Result<Option<Seen<CustomerRow>>> {
        self.view.find_some(self.row.customer_id).await
    }

    /// The group that it is for; absent also where that is gone.
    async fn group(&self) -> Result<Option<Seen<DeviceGroupRow>>> {
        self.view.find_some((self.row.level == ApprovalLevel::Group).then_some(self.row.scope_id)).await
    }

    /// The device that it is for.
    async fn device(&self) -> Result<Option<Seen<DeviceRow>>> {
        self.view.find_some((self.row.level == ApprovalLevel::Device).then_some(self.row.scope_id)).await
    }

    async fn state(&self) -> DecisionState {
        self.row.state
    }

    /// By what it was approved.
    async fn mode(&self) -> Option<ApprovalMode> {
        self.row.mode
    }

    /// Who decided, where a person did; absent also where that person is not this customer's.
    async fn decided_by(&self) -> Result<Option<Seen<UserRow>>> {
        self.view.find_some(self.row.decided_by).await
    }

    /// Who agreed, where a second person was needed.
    async fn second_approver(&self) -> Result<Option<Seen<UserRow>>> {
        self.view.find_some(self.row.second_by).await
    }

    async fn comment(&self) -> Option<&str> {
        self.row.comment.as_deref()
    }

    /// The rule that approved.
    async fn rule(&self) -> Result<Option<Seen<RuleRow>>> {
        self.view.find_some(self.row.rule_id).await
    }

    /// Its version at the time.
    async fn rule_version(&self) -> Option<i32> {
        self.row.rule_version.map(int)
    }

    /// Until when it is put off.
    async fn deferred_until(&self) -> Option<DateTime<Utc>> {
        self.row.ends_at
    }

    async fn since(&self) -> DateTime<Utc> {
        self.row.since
    }
}

/// A patch on a device with everything that was decided about it there.
#[derive(Clone)]
struct Case {
    device: Seen<DeviceRow>,
    patch: Seen<PatchRow>,
    place: Place,
    decisions: Vec<DecisionRow>,
}

impl Case {
    /// None where device or patch do not exist for the caller.
    async fn find(ctx: &Context<'_>, view: &View, device_id: &ID, patch_id: &ID) -> Result<Option<Self>> {
        let (Some(device_id), Some(patch_id)) = (GlobalId::read(device_id), GlobalId::read(patch_id)) else {
            return Ok(None);
        };
        if (device_id.kind, patch_id.kind) != (Kind::Device, Kind::Patch) {
            return Ok(None);
        }
        let (device, patch): (Option<Seen<DeviceRow>>, Option<Seen<PatchRow>>) =
            (view.find(device_id.id).await?, view.find(patch_id.id).await?);
        let reached = match device {
            Some(device) => {
                let partner_id = view.caller().scope.partner_id().unwrap_or(PartnerId(Uuid::nil()));
                let tenant = Tenant::customer(partner_id, CustomerId(device.row.customer_id));
                crate::asking::reaches(view.caller(), tenant).then_some(device)
            }
            None => {
                ownership::note_if_foreign(Asking::of(ctx), device_id, ctx.field().name()).await?;
                None
            }
        };
        let (Some(device), Some(patch)) = (reached, patch) else { return Ok(None) };
        let place = place(view, &device.row).await?;
        let decisions = decisions(view, &place, patch.row.patch_id).await?;
        Ok(Some(Self { device, patch, place, decisions }))
    }

    /// Asks a question about what was decided.
    fn consider<T>(&self, ask: impl FnOnce(&Considered<'_>) -> T) -> T {
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

    fn effective(&self) -> EffectiveApproval {
        EffectiveApproval { case: self.clone(), effective: self.consider(effective) }
    }

    fn awaits_second(&self) -> bool {
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

fn unread(error: sqlx::Error) -> async_graphql::Error {
    crate::errors::failed(StoreError::Database(error))
}

fn word(state: precedence::EffectiveState) -> EffectiveState {
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

/// Something that would change the answer.
#[derive(SimpleObject)]
pub(crate) struct PossibleChange {
    kind: ChangeKind,
    /// The level on which it would happen, where it is one.
    level: Option<EffectiveLevel>,
    /// When it happens by itself.
    at: Option<DateTime<Utc>>,
    /// What would hold then.
    then: EffectiveState,
    /// All of it as a sentence.
    words: String,
}

impl From<explaining::PossibleChange> for PossibleChange {
    fn from(change: explaining::PossibleChange) -> Self {
        let words = change.words();
        let explaining::PossibleChange { kind, level, at, then } = change;
        Self { kind, level: level.map(Into::into), at, then: word(then), words }
    }
}

/// Why a patch may or may not be installed on a device.
pub(crate) struct PatchExplanation {
    case: Case,
    on_device: Option<DevicePatchRow>,
}

impl PatchExplanation {
    fn applicability(&self) -> PatchApplicability {
        match &self.on_device {
            None => PatchApplicability::NotApplicable,
            Some(row) if row.state == DevicePatchState::Installed => PatchApplicability::Installed,
            Some(_) => PatchApplicability::Missing,
        }
    }

    fn changes(&self) -> Vec<explaining::PossibleChange> {
        self.case.consider(|considered| changes(considered, self.case.awaits_second()))
    }
}

#[Object]
impl PatchExplanation {
    async fn device(&self) -> Seen<DeviceRow> {
        self.case.device.clone()
    }

    async fn patch(&self) -> Seen<PatchRow> {
        self.case.patch.clone()
    }

    #[graphql(name = "applicability")]
    async fn is_wanted(&self) -> PatchApplicability {
        self.applicability()
    }

    /// Since when it is missing there.
    async fn missing_since(&self) -> Option<DateTime<Utc>> {
        self.on_device.as_ref().and_then(|row| row.missing_since)
    }

    /// What is known of it on the device.
    async fn on_device(&self) -> Option<Seen<DevicePatchRow>> {
        self.on_device.clone().map(|row| self.case.device.view.seen(row))
    }

    /// What holds, and what every level says.
    async fn approval(&self) -> EffectiveApproval {
        self.case.effective()
    }

    /// When the answer changes by itself at the earliest.
    async fn next_change_at(&self) -> Option<DateTime<Utc>> {
        self.changes().into_iter().filter_map(|change| change.at).min()
    }

    /// What would change the answer.
    #[graphql(name = "changes")]
    async fn possible_changes(&self) -> Vec<PossibleChange> {
        self.changes().into_iter().map(Into::into).collect()
    }

    /// All of it in words.
    async fn summary(&self) -> String {
        let (patch, device) = (&self.case.patch.row, &self.case.device.row);
        let mut words = match self.applicability() {
            PatchApplicability::Missing => {
                let since = self.on_device.as_ref().and_then(|row| row.missing_since);
                let since = since.map(|at| format!(" since {}", at.format("%Y-%m-%d"))).unwrap_or_default();
                format!("{} is missing on {}{since}.", patch.vendor_patch_id, device.name)
            }
            PatchApplicability::Installed => {
                format!("{} is installed on {}.", patch.vendor_patch_id, device.name)
            }
            PatchApplicability::NotApplicable => {
                format!("No scan has found {} wanting on {}.", patch.vendor_patch_id, device.name)
            }
        };
        let found = self.case.consider(effective);
        let place = found.decided_at.map(explaining::place).unwrap_or("on any level");
        let state = match found.state {
            // Its words name the place.
            precedence::EffectiveState::NotInstallable | precedence::EffectiveState::Blocked => {
                explaining::words(found.state)
            }
            precedence::EffectiveState::Approved { by: ApprovedBy::Rule } => format!("approved {place}"),
            precedence::EffectiveState::Rejected
            | precedence::EffectiveState::Deferred { .. }
            | precedence::EffectiveState::Approved { by: ApprovedBy::Person }
            | precedence::EffectiveState::Pending => format!("{} {place}", explaining::words(found.state)),
        };
        words.push_str(&format!(" It is {state}."));
        for change in self.changes() {
            let sentence = change.words();
            let (first, rest) = sentence.split_at(sentence.chars().next().map_or(0, char::len_utf8));
            words.push_str(&format!(" {}{rest}.", first.to_uppercase()));
        }
        words
    }

    /// The log position that this answer reflects.
    async fn position(&self) -> Position {
        self.case.device.view.position().into()
    }
}

/// What can be asked about decisions.
pub(crate) struct ApprovalQueries;

#[Object]
impl ApprovalQueries {
    /// Whether a patch may be installed on a device; absent if there is no such device or patch for this person.
    async fn effective_approval(
        &self,
        ctx: &Context<'_>,
        device_id: ID,
        patch_id: ID,
        wait_for: Option<Position>,
    ) -> Result<Option<EffectiveApproval>> {
        let view = opened(ctx, wait_for).await?;
        Ok(Case::find(ctx, &view, &device_id, &patch_id).await?.map(|case| case.effective()))
    }

    /// Why a patch may or may not be installed on a device, and what would change that; absent if there is no such device
    /// or patch for this person.
    async fn explain_patch(
        &self,
        ctx: &Context<'_>,
        device_id: ID,
        patch_id: ID,
        wait_for: Option<Position>,
    ) -> Result<Option<PatchExplanation>> {
        let view = opened(ctx, wait_for).await?;
        let Some(case) = Case::find(ctx, &view, &device_id, &patch_id).await? else { return Ok(None) };
        let on_device = {
            let mut tx = view.tx().await;
            sqlx::query_as(PATCH_ON_DEVICE)
                .bind(case.device.row.device_id)
                .bind(case.patch.row.patch_id)
                .fetch_optional(&mut **tx)
                .await
                .map_err(unread)?
        };
        Ok(Some(PatchExplanation { case, on_device }))
    }
}

/// The operation's state. The position to wait for has been read from the document before.
async fn opened(ctx: &Context<'_>, _wait_for: Option<Position>) -> Result<View> {
    Asking::of(ctx).view().await
}
