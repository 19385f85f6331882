//! Approvals, rules and whitelists.

use crate::reading::Seen;
use crate::schema::global_id::{Kind, global};
use crate::views::approval::ApprovalRow;
use crate::views::customer::CustomerRow;
use crate::views::int;
use crate::views::patch::PatchRow;
use crate::views::rule::RuleRow;
use crate::views::user::UserRow;
use crate::views::whitelist::WhitelistRow;
use crate::words::{ApprovalMode, ApprovalState, Classification, RefusalReason, Severity, WhitelistKind};
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

    /// Until when it is put off.
    async fn deferred_until(&self) -> Option<DateTime<Utc>> {
        self.row.ends_at
    }

    /// The newer patch, where that is why it lapsed.
    async fn superseded_by(&self) -> Result<Option<Seen<PatchRow>>> {
        self.view.find_some(self.row.superseded_by).await
    }
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

/// Approves patches by itself, Windows only.
#[Object(name = "Rule")]
impl Seen<RuleRow> {
    pub(crate) async fn id(&self) -> ID {
        global(Kind::Rule, self.row.rule_id)
    }

    async fn name(&self) -> &str {
        &self.row.name
    }

    async fn version(&self) -> i32 {
        int(self.row.version)
    }

    async fn enabled(&self) -> bool {
        self.row.enabled
    }

    /// Severities that match.
    async fn severities(&self) -> &[Severity] {
        &self.row.severities
    }

    /// Classifications that match, whatever the severity.
    async fn classifications(&self) -> &[Classification] {
        &self.row.classifications
    }
}

/// What may be approved by rules.
#[Object(name = "WhitelistEntry")]
impl Seen<WhitelistRow> {
    async fn kind(&self) -> WhitelistKind {
        self.row.kind
    }

    async fn value(&self) -> &str {
        &self.row.value
    }

    async fn added_at(&self) -> DateTime<Utc> {
        self.row.added_at
    }
}
