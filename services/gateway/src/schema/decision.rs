//! A decision in one scope, as GraphQL shows it.

use crate::reading::Seen;
use crate::views::customer::CustomerRow;
use crate::views::decision::DecisionRow;
use crate::views::device::DeviceRow;
use crate::views::device_group::DeviceGroupRow;
use crate::views::int;
use crate::views::patch::PatchRow;
use crate::views::rule::RuleRow;
use crate::views::user::UserRow;
use crate::words::{ApprovalLevel, ApprovalMode, DecisionState};
use async_graphql::{Object, Result};
use chrono::{DateTime, Utc};

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
