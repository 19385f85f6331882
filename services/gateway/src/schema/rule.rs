//! Rules with their versions, whitelists, and what a rule would have approved.

use crate::reading::{Page, Seen};
use crate::schema::connection::{ConnectionOf, page_cost};
use crate::schema::global_id::{Kind, global};
use crate::views::int;
use crate::views::rule::{RuleRow, RuleVersionRow, VERSIONS_OF_RULE};
use crate::views::whitelist::WhitelistRow;
use crate::words::{Classification, RefusalReason, RuleWarningKind, Severity, WhitelistKind};
use async_graphql::{ID, Object, Result, SimpleObject};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, NaiveDate, Utc};
use contracts::approvals::{self, RuleTiming, SimulatedKey};
use kernel::{CustomerId, PatchId};
use uuid::Uuid;

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

    /// The customer that it works for; absent where it is the partner's and works for all of its customers.
    async fn customer_id(&self) -> Option<ID> {
        self.row.customer_id.map(|id| global(Kind::Customer, id))
    }

    /// Severities that match.
    async fn severities(&self) -> &[Severity] {
        &self.row.severities
    }

    /// Classifications that match, whatever the known severity.
    async fn classifications(&self) -> &[Classification] {
        &self.row.classifications
    }

    /// All that it says now.
    async fn contents(&self) -> RuleContents {
        (&self.row.contents.0).into()
    }

    /// What it said before and says now, the newest first.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn versions(
        &self,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<RuleVersionRow>> {
        self.view.page(&VERSIONS_OF_RULE, self.row.rule_id, Page::new(first, after)).await
    }
}

/// What a rule said at some time.
#[Object(name = "RuleVersion")]
impl Seen<RuleVersionRow> {
    async fn version(&self) -> i32 {
        int(self.row.version)
    }

    async fn created_at(&self) -> DateTime<Utc> {
        self.row.created_at
    }

    async fn contents(&self) -> RuleContents {
        (&self.row.contents.0).into()
    }
}

/// All that a version of a rule says. Everything that is given must hold, and the whitelist as well.
#[derive(SimpleObject)]
pub(crate) struct RuleContents {
    /// Groups for whose devices it approves; for the whole customer where there are none.
    group_ids: Vec<ID>,
    /// Severities that match. An unknown one must be named.
    severities: Vec<Severity>,
    /// Classifications that match, whatever the known severity.
    classifications: Vec<Classification>,
    /// Texts of which the patch's name or one of its OS versions contains one.
    products: Vec<String>,
    /// Texts of which the name of the patch's feed or of its publisher contains one.
    vendors: Vec<String>,
    /// Texts of which one of the patch's OS versions contains one.
    os_releases: Vec<String>,
    /// The least rating that the customer or its partner must have given.
    minimum_rating: Option<i32>,
    /// Whether it must close a vulnerability that is known to be exploited.
    kev_only: bool,
    /// Days since the release before which the rule does not look at it.
    minimum_age_days: Option<i32>,
    /// Days after the release, at midnight in UTC, on which it approves; absent where it has a last day.
    delay_days: Option<i32>,
    /// The last day of release that counts; absent where it has a delay.
    released_until: Option<NaiveDate>,
}

impl From<&approvals::RuleContents> for RuleContents {
    fn from(contents: &approvals::RuleContents) -> Self {
        let conditions = &contents.conditions;
        let (delay_days, released_until) = match contents.timing {
            RuleTiming::Delay { days } => (Some(days.into()), None),
            RuleTiming::CutOff { released_until } => (None, Some(released_until)),
        };
        Self {
            group_ids: contents.groups.iter().map(|id| global(Kind::DeviceGroup, id.0)).collect(),
            severities: conditions.severities.iter().copied().map(Into::into).collect(),
            classifications: conditions.classifications.iter().copied().map(Into::into).collect(),
            products: conditions.products.clone(),
            vendors: conditions.vendors.clone(),
            os_releases: conditions.os_releases.clone(),
            minimum_rating: conditions.minimum_rating.map(Into::into),
            kev_only: conditions.kev_only,
            minimum_age_days: conditions.minimum_age_days.map(Into::into),
            delay_days,
            released_until,
        }
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

/// Something about a rule that its author may not have meant.
#[derive(SimpleObject)]
pub(crate) struct RuleWarning {
    kind: RuleWarningKind,
    /// The other rule.
    other_rule_id: Option<ID>,
    /// Which of both approves where both match.
    winning_rule_id: Option<ID>,
    message: String,
}

impl From<&approvals::RuleWarning> for RuleWarning {
    fn from(warning: &approvals::RuleWarning) -> Self {
        Self {
            kind: warning.kind.into(),
            other_rule_id: warning.other.map(|id| global(Kind::Rule, id.0)),
            winning_rule_id: warning.wins.map(|id| global(Kind::Rule, id.0)),
            message: warning.message.clone(),
        }
    }
}

/// What a rule would have approved, from what is known now of patches and whitelists.
#[derive(SimpleObject)]
pub(crate) struct RuleSimulation {
    /// From when on patches that were missing were looked at.
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    /// Patches at customers that were looked at.
    looked_at: i32,
    /// Patches that would have been approved somewhere.
    patches: i32,
    /// Each patch counts once for each customer.
    approvals: i32,
    /// Devices that would have been allowed to install one of them.
    devices: i32,
    /// Each patch counts once for each device.
    installs: i32,
    /// Approvals that would still have to come.
    scheduled: i32,
    /// Patches at customers that were superseded or withdrawn before the rule would have approved them.
    ended_before: i32,
    /// Why the others would not have been approved.
    refused: Vec<RefusedCount>,
    /// A page of the approvals.
    items: Vec<SimulatedApproval>,
    /// What to give as `after` for the next page; absent on the last one.
    end_cursor: Option<String>,
}

/// How often a rule would have refused for a reason.
#[derive(SimpleObject)]
pub(crate) struct RefusedCount {
    reason: RefusalReason,
    count: i32,
}

/// An approval that there would have been.
#[derive(SimpleObject)]
pub(crate) struct SimulatedApproval {
    patch_id: ID,
    vendor_patch_id: String,
    customer_id: ID,
    approves_at: DateTime<Utc>,
    /// Devices that were still without it then, or found to be later.
    devices: i32,
    /// The first of them.
    device_ids: Vec<ID>,
}

impl From<&approvals::RuleSimulation> for RuleSimulation {
    fn from(simulation: &approvals::RuleSimulation) -> Self {
        let refused = simulation.refused.iter();
        Self {
            from: simulation.from,
            until: simulation.until,
            looked_at: number(simulation.looked_at),
            patches: number(simulation.patches),
            approvals: number(simulation.approvals),
            devices: number(simulation.devices),
            installs: number(simulation.installs),
            scheduled: number(simulation.scheduled),
            ended_before: number(simulation.ended_before),
            refused: refused
                .map(|refused| RefusedCount { reason: refused.reason.into(), count: number(refused.count) })
                .collect(),
            items: simulation.items.iter().map(Into::into).collect(),
            end_cursor: simulation.next.map(cursor),
        }
    }
}

impl From<&approvals::SimulatedApproval> for SimulatedApproval {
    fn from(item: &approvals::SimulatedApproval) -> Self {
        Self {
            patch_id: global(Kind::Patch, item.patch_id.0),
            vendor_patch_id: item.vendor_patch_id.clone(),
            customer_id: global(Kind::Customer, item.customer_id.0),
            approves_at: item.approves_at,
            devices: number(item.devices),
            device_ids: item.device_ids.iter().map(|id| global(Kind::Device, id.0)).collect(),
        }
    }
}

fn number(count: u64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Where a page of a simulation ends, opaque to clients.
fn cursor(key: SimulatedKey) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}/{}", key.patch_id.0, key.customer_id.0))
}

/// Where the page before ended.
pub(crate) fn read_cursor(text: &str) -> Option<SimulatedKey> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (patch_id, customer_id) = std::str::from_utf8(&bytes).ok()?.split_once('/')?;
    let patch_id = PatchId(Uuid::try_parse(patch_id).ok()?);
    Some(SimulatedKey { patch_id, customer_id: CustomerId(Uuid::try_parse(customer_id).ok()?) })
}

#[cfg(test)]
mod tests {
    use super::{cursor, read_cursor};
    use contracts::approvals::SimulatedKey;
    use kernel::{CustomerId, PatchId};
    use uuid::Uuid;

    #[test]
    fn a_cursor_leads_back_to_its_place() {
        let key = SimulatedKey {
            patch_id: PatchId(Uuid::from_u128(1)),
            customer_id: CustomerId(Uuid::from_u128(2)),
        };
        assert_eq!(read_cursor(&cursor(key)), Some(key));
        for text in ["", "x", "MS8y"] {
            assert_eq!(read_cursor(text), None, "{text}");
        }
    }
}
