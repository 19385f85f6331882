//! Baselines: what devices must have, and where.

use crate::asking::{Asking, reachable, reaches};
use crate::reading::{Page, Seen};
use crate::schema::compliance::{BaselineCompliance, Wanted};
use crate::schema::connection::{ConnectionOf, page_cost};
use crate::schema::global_id::{Kind, global};
use crate::views::baseline::{
    ASSIGNMENTS_OF_BASELINE, AssignmentRow, BaselineRow, BaselineVersionRow, VERSIONS_OF_BASELINE,
};
use crate::views::customer::CustomerRow;
use crate::views::int;
use crate::words::{BaselineLevel, Classification, Severity};
use access::Caller;
use async_graphql::{Context, ID, Object, Result, SimpleObject};
use chrono::{DateTime, NaiveDate, Utc};
use contracts::approvals;
use contracts::permissions::Permission;
use kernel::{CustomerId, Tenant};
use uuid::Uuid;

/// Which patches are asked for. Everything that is given must hold; an empty list asks nothing.
#[derive(SimpleObject)]
pub(crate) struct BaselineRule {
    severities: Vec<Severity>,
    classifications: Vec<Classification>,
    /// Name or operating system version contains one of these texts, ignoring case.
    products: Vec<String>,
    /// Whether one of its vulnerabilities must be known to be exploited.
    kev_only: bool,
    /// Days after its release from which it is asked for, counted in UTC.
    minimum_age_days: i32,
}

impl From<&approvals::BaselineRule> for BaselineRule {
    fn from(rule: &approvals::BaselineRule) -> Self {
        Self {
            severities: rule.severities.iter().copied().map(Into::into).collect(),
            classifications: rule.classifications.iter().copied().map(Into::into).collect(),
            products: rule.products.clone(),
            kev_only: rule.kev_only,
            minimum_age_days: rule.minimum_age_days.into(),
        }
    }
}

fn patches(ids: &[Uuid]) -> Vec<ID> {
    ids.iter().map(|id| global(Kind::Patch, *id)).collect()
}

/// The customers that the caller reaches, as the filter of lists that also hold the partner's own rows.
pub(crate) fn reached_with_partner(caller: &Caller) -> Option<Vec<String>> {
    let mut reached = reachable(caller, Permission::ReadFleet)?;
    reached.extend(caller.scope.partner_id().map(|id| id.to_string()));
    Some(reached)
}

impl Seen<BaselineRow> {
    /// The database shows the whole partner to people with roles at several of its customers.
    pub(crate) fn may_be_read(&self) -> bool {
        let caller = self.view.caller();
        let Some(partner_id) = caller.scope.partner_id() else { return false };
        self.row.customer_id.is_none_or(|id| reaches(caller, Tenant::customer(partner_id, CustomerId(id))))
    }
}

/// What devices must have: a customer's own, or a partner's template for all of its customers.
#[Object(name = "Baseline")]
impl Seen<BaselineRow> {
    pub(crate) async fn id(&self) -> ID {
        global(Kind::Baseline, self.row.baseline_id)
    }

    async fn name(&self) -> &str {
        &self.row.name
    }

    async fn version(&self) -> i32 {
        int(self.row.version)
    }

    /// Whose it is; absent for a partner's template.
    async fn customer(&self) -> Result<Option<Seen<CustomerRow>>> {
        self.view.find_some(self.row.customer_id).await
    }

    /// One of them is enough for a patch to be asked for.
    async fn rules(&self) -> Vec<BaselineRule> {
        self.row.rules.iter().map(Into::into).collect()
    }

    /// Patches that are asked for whatever the rules say.
    async fn included_patch_ids(&self) -> Vec<ID> {
        patches(&self.row.included)
    }

    /// Patches that are not asked for whatever the rules say.
    async fn excluded_patch_ids(&self) -> Vec<ID> {
        patches(&self.row.excluded)
    }

    async fn created_at(&self) -> DateTime<Utc> {
        self.row.created_at
    }

    /// Since when nothing is measured against it any more.
    async fn retired_at(&self) -> Option<DateTime<Utc>> {
        self.row.retired_at
    }

    /// All that it ever asked for, the newest first.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn versions(
        &self,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<BaselineVersionRow>> {
        self.view.page(&VERSIONS_OF_BASELINE, self.row.baseline_id, Page::new(first, after)).await
    }

    /// Where it holds or held.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn assignments(
        &self,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<AssignmentRow>> {
        let page = Page::new(first, after).only(reached_with_partner(self.view.caller()));
        self.view.page(&ASSIGNMENTS_OF_BASELINE, self.row.baseline_id, page).await
    }

    /// How devices stand against it: all that the person reaches, or those of one customer, group or device. `asOf` asks
    /// for the end of a day (UTC); without it, for now.
    async fn compliance(
        &self,
        ctx: &Context<'_>,
        customer_id: Option<ID>,
        group_id: Option<ID>,
        device_id: Option<ID>,
        as_of: Option<NaiveDate>,
    ) -> Result<Option<BaselineCompliance>> {
        let wanted = Wanted { customer_id, group_id, device_id, as_of };
        wanted.of(Asking::of(ctx), self.clone()).await
    }
}

/// What a baseline asked for, for a while.
#[Object(name = "BaselineVersion")]
impl Seen<BaselineVersionRow> {
    async fn version(&self) -> i32 {
        int(self.row.version)
    }

    async fn valid_from(&self) -> DateTime<Utc> {
        self.row.valid_from
    }

    /// Absent while it is what is asked for.
    async fn valid_until(&self) -> Option<DateTime<Utc>> {
        self.row.valid_until
    }

    async fn rules(&self) -> Vec<BaselineRule> {
        self.row.rules.iter().map(Into::into).collect()
    }

    async fn included_patch_ids(&self) -> Vec<ID> {
        patches(&self.row.included)
    }

    async fn excluded_patch_ids(&self) -> Vec<ID> {
        patches(&self.row.excluded)
    }
}

/// Where a baseline holds or held.
#[Object(name = "BaselineAssignment")]
impl Seen<AssignmentRow> {
    async fn level(&self) -> BaselineLevel {
        self.row.level
    }

    /// The customer, group or device; absent for the whole partner.
    async fn target_id(&self) -> Option<ID> {
        let kind = match self.row.level {
            BaselineLevel::Partner => return None,
            BaselineLevel::Customer => Kind::Customer,
            BaselineLevel::Group => Kind::DeviceGroup,
            BaselineLevel::Device => Kind::Device,
        };
        Some(global(kind, self.row.target_id))
    }

    /// Absent for the whole partner.
    async fn customer(&self) -> Result<Option<Seen<CustomerRow>>> {
        self.view.find_some(self.row.customer_id).await
    }

    async fn assigned_at(&self) -> DateTime<Utc> {
        self.row.assigned_at
    }

    async fn unassigned_at(&self) -> Option<DateTime<Utc>> {
        self.row.unassigned_at
    }
}
