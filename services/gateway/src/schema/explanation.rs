//! Why a patch may or may not be installed on a device, and what would change that.

use super::effective::{Case, EffectiveApproval, unread, word};
use crate::asking::Asking;
use crate::reading::{Seen, View};
use crate::schema::explaining::{self, changes};
use crate::schema::position::Position;
use crate::views::approval::ApprovalRow;
use crate::views::device::DeviceRow;
use crate::views::device_patch::{DevicePatchRow, PATCH_ON_DEVICE};
use crate::views::patch::PatchRow;
use crate::words::{ChangeKind, DevicePatchState, EffectiveLevel, EffectiveState, PatchApplicability};
use async_graphql::{Context, ID, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use contracts::approvals::precedence::{self, ApprovedBy, effective};
use std::fmt::Write as _;
use uuid::Uuid;

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

    /// The approval of the whole customer, which also says why a rule left the patch pending.
    async fn customer_approval(&self) -> Result<Option<Seen<ApprovalRow>>> {
        let (device, patch) = (&self.case.device, &self.case.patch);
        let approval_id: Option<Uuid> = {
            let mut tx = device.view.tx().await;
            sqlx::query_scalar(
                "select approval_id from views.approval where customer_id = $1 and patch_id = $2",
            )
            .bind(device.row.customer_id)
            .bind(patch.row.patch_id)
            .fetch_optional(&mut **tx)
            .await
            .map_err(unread)?
        };
        device.view.find_some(approval_id).await
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
        let place = found.decided_at.map_or("on any level", explaining::place);
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
        _ = write!(words, " It is {state}.");
        for change in self.changes() {
            let sentence = change.words();
            let (first, rest) = sentence.split_at(sentence.chars().next().map_or(0, char::len_utf8));
            _ = write!(words, " {}{rest}.", first.to_uppercase());
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
