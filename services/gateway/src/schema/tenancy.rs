//! Viewer, partners, customers and users.

use crate::asking::{Asking, reachable, reaches, require};
use crate::reading::{Page, Seen};
use crate::schema::connection::{ConnectionOf, page_cost};
use crate::schema::device_group::{DeviceFilter, at_region};
use crate::schema::global_id::{GlobalId, Kind, global};
use crate::schema::package::Site;
use crate::views::alert::{ALERTS_OF_CUSTOMER, ALERTS_OF_PARTNER, AlertRow};
use crate::views::approval::{APPROVALS_OF_CUSTOMER, ApprovalRow};
use crate::views::customer::{CUSTOMERS, CUSTOMERS_OF_PARTNER, ComplianceRow, CustomerRow};
use crate::views::decision::{ApprovalPolicyRow, DECISIONS_OF_CUSTOMER, DecisionRow};
use crate::views::deployment::{DEPLOYMENTS_OF_CUSTOMER, DeploymentRow};
use crate::views::device::{DEVICES_OF_CUSTOMER, DeviceRow};
use crate::views::device_group::{DeviceGroupRow, GROUPS, GROUPS_OF_CUSTOMER};
use crate::views::partner::PartnerRow;
use crate::views::patch::{PENDING_OF_CUSTOMER, PatchRow};
use crate::views::rule::{RULES_INHERITED, RULES_OF_CUSTOMER, RULES_OF_PARTNER, RuleRow};
use crate::views::site::{PackageUpdateRow, UPDATES, UPDATES_OF_CUSTOMER};
use crate::views::user::UserRow;
use crate::views::webhook::{WEBHOOKS_OF_CUSTOMER, WEBHOOKS_OF_PARTNER, WebhookRow};
use crate::views::whitelist::{
    WHITELIST_INHERITED, WHITELIST_OF_CUSTOMER, WHITELIST_OF_PARTNER, WhitelistRow,
};
use crate::words::{AlertState, ApprovalState, DecisionState, Role, name};
use crate::{commands::ownership, reading::View, views::int};
use async_graphql::{Context, ID, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use contracts::permissions::Permission;
use kernel::{CustomerId, Tenant};
use uuid::Uuid;

/// The signed-in person and what they may see.
pub(crate) struct Viewer {
    pub(crate) view: View,
}

#[Object]
impl Viewer {
    async fn user(&self) -> Result<Seen<UserRow>> {
        let caller = self.view.caller();
        let known = self.view.find(caller.user_id.0).await?;
        // Platform operators stand in the configuration, not among the users.
        Ok(known.unwrap_or_else(|| {
            self.view.seen(UserRow {
                user_id: caller.user_id.0,
                customer_id: None,
                subject: Some(caller.subject.clone()),
                display_name: Some(caller.subject.clone()),
                forgotten_at: None,
            })
        }))
    }

    /// Where the person holds which role.
    async fn roles(&self) -> Vec<Grant> {
        let grants = &self.view.caller().grants;
        grants.iter().map(|grant| Grant { role: grant.role.into(), customer_id: grant.customer_id }).collect()
    }

    /// The partner, for people of the partner.
    async fn partner(&self) -> Result<Option<Seen<PartnerRow>>> {
        self.view.find_some(self.view.caller().scope.partner_id().map(|id| id.0)).await
    }

    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn customers(
        &self,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<CustomerRow>> {
        let only = reachable(self.view.caller(), Permission::ReadFleet);
        self.view.page(&CUSTOMERS, Uuid::nil(), Page::new(first, after).only(only)).await
    }

    /// The groups of all customers' devices.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn groups(
        &self,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<DeviceGroupRow>> {
        let only = reachable(self.view.caller(), Permission::ReadFleet);
        self.view.page(&GROUPS, Uuid::nil(), Page::new(first, after).only(only)).await
    }

    /// Packages that were installed at customers or are being installed, the newest first; with a region, at customers
    /// that have devices there.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn update_history(
        &self,
        region: Option<String>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<PackageUpdateRow>> {
        let only = at_region(self.view.caller(), region)?;
        self.view.page(&UPDATES, Uuid::nil(), Page::new(first, after).only(Some(only))).await
    }

    /// A customer by its id; absent if there is none for this person.
    async fn customer(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Seen<CustomerRow>>> {
        let Some(GlobalId { kind: Kind::Customer, id }) = GlobalId::read(&id) else { return Ok(None) };
        let found: Option<Seen<CustomerRow>> = self.view.find(id).await?;
        match found {
            Some(found) if found.may_be_read() => Ok(Some(found)),
            Some(_) | None => {
                let wanted = GlobalId { kind: Kind::Customer, id };
                ownership::note_if_foreign(Asking::of(ctx), wanted, "viewer.customer").await?;
                Ok(None)
            }
        }
    }
}

/// A role and where it holds.
pub(crate) struct Grant {
    role: Role,
    customer_id: Option<CustomerId>,
}

#[Object]
impl Grant {
    async fn role(&self) -> Role {
        self.role
    }

    /// One customer; absent where the role holds in the whole partner (or on the platform).
    async fn customer_id(&self) -> Option<ID> {
        self.customer_id.map(|id| global(Kind::Customer, id.0))
    }
}

/// A person who signs in.
#[Object(name = "User")]
impl Seen<UserRow> {
    pub(crate) async fn id(&self) -> ID {
        global(Kind::User, self.row.user_id)
    }

    /// The name by which the identity provider knows the person. Absent once they are forgotten.
    async fn subject(&self) -> Option<&str> {
        self.row.subject.as_deref()
    }

    /// Absent once the person is forgotten.
    async fn display_name(&self) -> Option<&str> {
        self.row.display_name.as_deref()
    }

    /// When the person was forgotten: since then nobody can say who it was.
    async fn forgotten_at(&self) -> Option<DateTime<Utc>> {
        self.row.forgotten_at
    }
}

/// An organisation that looks after customers.
#[Object(name = "Partner")]
impl Seen<PartnerRow> {
    pub(crate) async fn id(&self) -> ID {
        global(Kind::Partner, self.row.partner_id)
    }

    async fn name(&self) -> &str {
        &self.row.name
    }

    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn customers(
        &self,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<CustomerRow>> {
        let only = reachable(self.view.caller(), Permission::ReadFleet);
        self.view.page(&CUSTOMERS_OF_PARTNER, self.row.partner_id, Page::new(first, after).only(only)).await
    }

    /// Webhooks that get the events of all customers.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn webhooks(&self, first: Option<i32>, after: Option<String>) -> Result<ConnectionOf<WebhookRow>> {
        require(self.view.caller(), Permission::ManageWebhooks, None)?;
        self.view.page(&WEBHOOKS_OF_PARTNER, self.row.partner_id, Page::new(first, after)).await
    }

    /// Alerts that concern no single customer.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn alerts(
        &self,
        state: Option<AlertState>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<AlertRow>> {
        require(self.view.caller(), Permission::ReadFleet, None)?;
        let only = state.map(|state| vec![name(state).to_owned()]);
        self.view.page(&ALERTS_OF_PARTNER, self.row.partner_id, Page::new(first, after).only(only)).await
    }

    /// The partner's own rules, which work for all of its customers.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn rules(&self, first: Option<i32>, after: Option<String>) -> Result<ConnectionOf<RuleRow>> {
        require(self.view.caller(), Permission::ReadFleet, None)?;
        self.view.page(&RULES_OF_PARTNER, self.row.partner_id, Page::new(first, after)).await
    }

    /// The partner's own whitelist, which holds at all of its customers.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn whitelist(
        &self,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<WhitelistRow>> {
        require(self.view.caller(), Permission::ReadFleet, None)?;
        self.view.page(&WHITELIST_OF_PARTNER, self.row.partner_id, Page::new(first, after)).await
    }
}

impl Seen<CustomerRow> {
    /// The database shows the whole partner to people with roles at several of its customers.
    pub(crate) fn may_be_read(&self) -> bool {
        let caller = self.view.caller();
        let Some(partner_id) = caller.scope.partner_id() else { return false };
        reaches(caller, Tenant::customer(partner_id, CustomerId(self.row.customer_id)))
    }
}

/// A tenant whose devices are patched.
#[Object(name = "Customer")]
impl Seen<CustomerRow> {
    pub(crate) async fn id(&self) -> ID {
        global(Kind::Customer, self.row.customer_id)
    }

    async fn name(&self) -> &str {
        &self.row.name
    }

    /// IANA time zone in which its windows are meant.
    async fn time_zone(&self) -> &str {
        &self.row.time_zone
    }

    /// The customer's systems that packages update.
    async fn site(&self) -> Site {
        Site { view: self.view.clone(), customer_id: self.row.customer_id }
    }

    /// Packages that were installed at the customer or are being installed, the newest first.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn update_history(
        &self,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<PackageUpdateRow>> {
        self.view.page(&UPDATES_OF_CUSTOMER, self.row.customer_id, Page::new(first, after)).await
    }

    async fn compliance(&self) -> Result<Compliance> {
        let counts: Option<ComplianceRow> = self.view.row(self.row.customer_id).await?;
        Ok(Compliance::of(&counts.unwrap_or_default()))
    }

    /// Patches that wait for somebody's decision: missing on a device where no decision holds for them.
    async fn pending_approvals(&self) -> Result<i32> {
        self.view.count(PENDING_OF_CUSTOMER.count, self.row.customer_id, None).await
    }

    /// The same patches, the newest first.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn pending_patches(
        &self,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<PatchRow>> {
        self.view.page(&PENDING_OF_CUSTOMER, self.row.customer_id, Page::new(first, after)).await
    }

    /// What was decided for the customer, its groups and devices, and for all customers of its partner; the newest first.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn decisions(
        &self,
        state: Option<DecisionState>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<DecisionRow>> {
        let only = state.map(|state| vec![name(state).to_owned()]);
        self.view.page(&DECISIONS_OF_CUSTOMER, self.row.customer_id, Page::new(first, after).only(only)).await
    }

    /// Whether an approval needs a second person.
    async fn second_approver(&self) -> Result<bool> {
        let policy: Option<ApprovalPolicyRow> = self.view.row(self.row.customer_id).await?;
        Ok(policy.is_some_and(|policy| policy.second_approver))
    }

    /// When a device of the customer was last scanned.
    async fn last_scan_at(&self) -> Result<Option<DateTime<Utc>>> {
        let counts: Option<ComplianceRow> = self.view.row(self.row.customer_id).await?;
        Ok(counts.and_then(|counts| counts.last_scan_at))
    }

    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn devices(
        &self,
        filter: Option<DeviceFilter>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<DeviceRow>> {
        let wanted = filter.map(DeviceFilter::wanted).transpose()?;
        let page = Page::new(first, after).only(wanted);
        self.view.page(&DEVICES_OF_CUSTOMER, self.row.customer_id, page).await
    }

    /// The groups of its devices.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn groups(
        &self,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<DeviceGroupRow>> {
        self.view.page(&GROUPS_OF_CUSTOMER, self.row.customer_id, Page::new(first, after)).await
    }

    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn approvals(
        &self,
        state: Option<ApprovalState>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<ApprovalRow>> {
        let only = state.map(|state| vec![name(state).to_owned()]);
        self.view.page(&APPROVALS_OF_CUSTOMER, self.row.customer_id, Page::new(first, after).only(only)).await
    }

    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn deployments(
        &self,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<DeploymentRow>> {
        self.view.page(&DEPLOYMENTS_OF_CUSTOMER, self.row.customer_id, Page::new(first, after)).await
    }

    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn alerts(
        &self,
        state: Option<AlertState>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<AlertRow>> {
        let only = state.map(|state| vec![name(state).to_owned()]);
        self.view.page(&ALERTS_OF_CUSTOMER, self.row.customer_id, Page::new(first, after).only(only)).await
    }

    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn webhooks(&self, first: Option<i32>, after: Option<String>) -> Result<ConnectionOf<WebhookRow>> {
        require(self.view.caller(), Permission::ManageWebhooks, Some(CustomerId(self.row.customer_id)))?;
        self.view.page(&WEBHOOKS_OF_CUSTOMER, self.row.customer_id, Page::new(first, after)).await
    }

    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn rules(&self, first: Option<i32>, after: Option<String>) -> Result<ConnectionOf<RuleRow>> {
        self.view.page(&RULES_OF_CUSTOMER, self.row.customer_id, Page::new(first, after)).await
    }

    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn whitelist(
        &self,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<WhitelistRow>> {
        self.view.page(&WHITELIST_OF_CUSTOMER, self.row.customer_id, Page::new(first, after)).await
    }

    /// The partner's rules, which work here as well.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn inherited_rules(
        &self,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<RuleRow>> {
        self.view.page(&RULES_INHERITED, self.row.customer_id, Page::new(first, after)).await
    }

    /// The partner's whitelist, which holds here as well.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn inherited_whitelist(
        &self,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<WhitelistRow>> {
        self.view.page(&WHITELIST_INHERITED, self.row.customer_id, Page::new(first, after)).await
    }
}

/// How well a customer's devices are patched.
#[derive(Debug, Clone, PartialEq, SimpleObject)]
pub(crate) struct Compliance {
    devices: i32,
    /// Devices that have been scanned.
    assessed: i32,
    /// Assessed devices without a missing patch.
    compliant: i32,
    non_compliant: i32,
    pending_reboot: i32,
    not_assessed: i32,
    /// Of the assessed devices; absent when nothing was assessed.
    percent: Option<f64>,
}

impl Compliance {
    fn of(row: &ComplianceRow) -> Self {
        let (compliant, assessed) = (int(row.compliant), int(row.assessed));
        Self {
            devices: int(row.devices),
            assessed,
            compliant,
            non_compliant: assessed - compliant,
            pending_reboot: int(row.pending_reboot),
            not_assessed: int(row.devices) - assessed,
            percent: (assessed > 0).then(|| 100.0 * f64::from(compliant) / f64::from(assessed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Compliance;
    use crate::views::customer::ComplianceRow;

    #[test]
    fn a_customer_of_whom_nothing_is_known_is_not_compliant_by_default() {
        let row = ComplianceRow { devices: 3, ..ComplianceRow::default() };
        let compliance = Compliance::of(&row);
        assert_eq!((compliance.percent, compliance.not_assessed), (None, 3));
    }

    #[test]
    fn the_percentage_is_of_the_assessed_devices() {
        let row = ComplianceRow { devices: 10, assessed: 4, compliant: 3, ..ComplianceRow::default() };
        let compliance = Compliance::of(&row);
        assert_eq!(
            (compliance.percent, compliance.non_compliant, compliance.not_assessed),
            (Some(75.0), 1, 6)
        );
    }
}
