//! Approvals.

use crate::reading::Seen;
use crate::schema::global_id::{Kind, global};
use crate::views::approval::ApprovalRow;
use crate::views::customer::CustomerRow;
use crate::views::int;
use crate::views::patch::PatchRow;
use crate::views::rule::RuleRow;
use crate::views::user::UserRow;
use crate::words::{ApprovalMode, ApprovalState, RefusalReason};
use async_graphql::{ComplexObject, ID, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};

/// What was decided about a patch for a whole customer. What holds on a device may be something else.
#[Object(name = "Approval")]
impl Seen<ApprovalRow> {
    pub(crate) async fn id(&self) -> ID {
        global(Kind::Approval, self.row.approval_id)
    }

    async fn patch(&self) -> Result<Seen<PatchRow>> {
        self.view.existing(self.row.patch_id).await
    }

    async fn customer(&self) -> Result<Seen<CustomerRow>> {
        self.view.existing(self.row.customer_id).await
    }

    async fn state(&self) -> ApprovalState {
        self.row.state
    }

    /// By what it was approved.
    async fn mode(&self) -> Option<ApprovalMode> {
        self.row.mode
    }

    /// Since when it is in this state.
    async fn since(&self) -> DateTime<Utc> {
        self.row.since
    }

    /// Who decided, where a person did; absent also where that person is not this customer's.
    async fn decided_by(&self) -> Result<Option<Seen<UserRow>>> {
        self.view.find_some(self.row.decided_by).await
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

    /// Why a rule left it pending.
    async fn refusal(&self) -> Option<RuleRefusal> {
        Some(RuleRefusal {
            rule_version: self.row.refused_rule_version.map(int)?,
            reason: self.row.refused_reason?,
            seen: self.clone(),
        })
    }

    /// Which rule will approve it when, if nothing changes until then.
    async fn scheduled(&self) -> Result<Option<ScheduledApproval>> {
        let (Some(rule_version), Some(approves_at)) =
            (self.row.scheduled_rule_version.map(int), self.row.scheduled_at)
        else {
            return Ok(None);
        };
        // One that was switched off meanwhile approves nothing.
        let rule: Option<Seen<RuleRow>> = self.view.find_some(self.row.scheduled_rule_id).await?;
        let active = rule.filter(|rule| rule.row.enabled);
        Ok(active.map(|rule| ScheduledApproval { rule, rule_version, approves_at }))
    }

    /// Until when it is put off.
    async fn deferred_until(&self) -> Option<DateTime<Utc>> {
        self.row.ends_at
    }

    /// The newer patch, where that is why it lapsed.
    async fn superseded_by(&self) -> Result<Option<Seen<PatchRow>>> {
        self.view.find_some(self.row.superseded_by).await
    }
}

/// An approval that is still to come.
#[derive(SimpleObject)]
pub(crate) struct ScheduledApproval {
    rule: Seen<RuleRow>,
    /// The rule's version at the time.
    rule_version: i32,
    approves_at: DateTime<Utc>,
}

/// Why a rule left a patch pending.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct RuleRefusal {
    /// The rule's version at the time.
    rule_version: i32,
    reason: RefusalReason,
    #[graphql(skip)]
    seen: Seen<ApprovalRow>,
}

#[ComplexObject]
impl RuleRefusal {
    async fn rule(&self) -> Result<Option<Seen<RuleRow>>> {
        self.seen.view.find_some(self.seen.row.refused_rule_id).await
    }
}
