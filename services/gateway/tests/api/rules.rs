//! Rules with their versions, whitelists by level, approvals that are still to come, and wishes about rules.

use crate::system::{Fact, System};
use crate::world::{World, global};
use chrono::{DateTime, NaiveDate, Utc};
use contracts::approvals::{
    ApprovalEvent, ApprovalLevel, ApprovalMode, ApprovalScheduled, AutoApprovalRefused, PatchApproved,
    RefusalReason, RuleConditions, RuleContents, RuleCreated, RuleDisabled, RuleEnabled, RuleEvent,
    RuleInputs, RuleTiming, RuleVersionCreated, WhitelistEntryAdded, WhitelistEntryRemoved, WhitelistEvent,
    WhitelistPattern,
};
use contracts::permissions::Role;
use contracts::{Classification, Severity};
use kernel::{DeviceGroupId, RuleId, Tenant, derived_id};
use serde_json::{Value, json};
use testkit::id;
use uuid::Uuid;

/// What a rule looked at.
pub(crate) fn inputs() -> RuleInputs {
    RuleInputs {
        whitelist: WhitelistPattern::Classification(Classification::Security),
        whitelist_level: ApprovalLevel::Customer,
        severity: Severity::Critical,
        classification: Classification::Security,
        kev: Some(false),
        rating: None,
        release_date: NaiveDate::from_ymd_opt(2026, 1, 13),
        timing: RuleTiming::Delay { days: 7 },
    }
}

async fn start() -> (System, World) {
    let system = System::start().await;
    let world = World::new("acker");
    world.record(&system).await;
    (system, world)
}

async fn rule_says(system: &System, tenant: Tenant, rule_id: RuleId, event: impl Into<RuleEvent>) {
    system.record(tenant, rule_id.0, vec![Fact::of::<RuleEvent>(event)]).await;
}

#[tokio::test]
async fn a_rule_shows_all_that_it_says_and_said() {
    let (system, world) = start().await;
    let group_id: DeviceGroupId = id();
    let changed = RuleVersionCreated {
        rule_id: world.rule,
        rule_version: 2,
        contents: RuleContents {
            groups: vec![group_id],
            conditions: RuleConditions {
                severities: vec![Severity::Critical],
                os_releases: vec!["23H2".to_owned()],
                minimum_rating: Some(3),
                kev_only: true,
                minimum_age_days: Some(2),
                ..RuleConditions::default()
            },
            timing: RuleTiming::CutOff { released_until: NaiveDate::from_ymd_opt(2026, 6, 30).unwrap() },
        },
    };
    rule_says(&system, world.tenant(), world.rule, changed).await;
    let query = "query($id: ID!) { node(id: $id) { ... on Rule { name version enabled customerId severities
        contents { groupIds severities classifications products vendors osReleases minimumRating kevOnly minimumAgeDays
            delayDays releasedUntil }
        versions { nodes { version contents { severities products delayDays releasedUntil } } } } } }";
    let variables = json!({ "id": global("Rule", world.rule) });
    let rule = &system.data(&world.subject(Role::CustomerAuditor), query, variables).await["node"];
    assert_eq!(
        rule["contents"],
        json!({
            "groupIds": [global("DeviceGroup", group_id)], "severities": ["CRITICAL"], "classifications": [],
            "products": [], "vendors": [], "osReleases": ["23H2"], "minimumRating": 3, "kevOnly": true,
            "minimumAgeDays": 2, "delayDays": null, "releasedUntil": "2026-06-30",
        })
    );
    assert_eq!((&rule["version"], &rule["severities"]), (&json!(2), &json!(["CRITICAL"])));
    assert_eq!(rule["customerId"], global("Customer", world.customer));
    assert_eq!(
        rule["versions"]["nodes"],
        json!([
            { "version": 2, "contents": { "severities": ["CRITICAL"], "products": [], "delayDays": null,
                                          "releasedUntil": "2026-06-30" } },
            { "version": 1, "contents": { "severities": ["CRITICAL", "HIGH"], "products": ["acker product"],
                                          "delayDays": 0, "releasedUntil": null } },
        ])
    );
    system.stop().await;
}

#[tokio::test]
async fn a_partners_rules_and_whitelist_are_shown_to_it_and_to_its_customers() {
    let (system, world) = start().await;
    let query = "query($id: ID!) { viewer {
        partner { rules { nodes { name customerId } } whitelist { nodes { value } } }
        customer(id: $id) { rules { nodes { name } } inheritedRules { totalCount nodes { name customerId
                contents { delayDays } } }
            whitelist { nodes { value } } inheritedWhitelist { nodes { value } } } } }";
    let variables = json!({ "id": global("Customer", world.customer) });
    let for_all = json!([{ "name": "acker rule for all", "customerId": null }]);
    let data = system.data(&world.subject(Role::PartnerViewer), query, variables.clone()).await;
    let (partner, customer) = (&data["viewer"]["partner"], &data["viewer"]["customer"]);
    assert_eq!(partner["rules"]["nodes"], for_all);
    assert_eq!(partner["whitelist"]["nodes"], json!([{ "value": "acker product for all" }]));
    assert_eq!(customer["rules"]["nodes"], json!([{ "name": "acker rule" }]));

    let own =
        query.replace("partner { rules { nodes { name customerId } } whitelist { nodes { value } } }", "");
    let data = system.data(&world.subject(Role::CustomerAdmin), &own, variables.clone()).await;
    let customer = &data["viewer"]["customer"];
    let inherited =
        json!({ "name": "acker rule for all", "customerId": null, "contents": { "delayDays": 7 } });
    assert_eq!(customer["inheritedRules"], json!({ "totalCount": 1, "nodes": [inherited] }));
    assert_eq!(customer["whitelist"]["nodes"], json!([{ "value": "acker product" }]));
    assert_eq!(customer["inheritedWhitelist"]["nodes"], json!([{ "value": "acker product for all" }]));

    // The partner's entry goes, the customer's with another text stays.
    let pattern = WhitelistPattern::Product("acker product for all".to_owned());
    let partner = Tenant::partner(world.partner);
    let removed = Fact::of::<WhitelistEvent>(WhitelistEntryRemoved { owner: partner.into(), pattern });
    system.record(partner, derived_id(world.partner.0, "whitelist"), vec![removed]).await;
    let data = system.data(&world.subject(Role::CustomerAdmin), &own, variables).await;
    let customer = &data["viewer"]["customer"];
    assert_eq!(customer["inheritedWhitelist"]["nodes"], json!([]));
    assert_eq!(customer["whitelist"]["nodes"], json!([{ "value": "acker product" }]));
    system.stop().await;
}

impl World {
    /// What the partner says for all of its customers.
    pub(crate) async fn record_partners_rules(&self, system: &System) {
        let (partner, rule_id) = (Tenant::partner(self.partner), self.partners_rule());
        let rule = Fact::of::<RuleEvent>(RuleCreated {
            rule_id,
            owner: partner.into(),
            name: self.text("rule for all"),
            contents: RuleContents {
                groups: vec![],
                conditions: RuleConditions {
                    severities: vec![Severity::Critical],
                    vendors: vec![self.text("vendor")],
                    ..RuleConditions::default()
                },
                timing: RuleTiming::Delay { days: 7 },
            },
        });
        system.record(partner, rule_id.0, vec![rule]).await;
        let entry = Fact::of::<WhitelistEvent>(WhitelistEntryAdded {
            owner: partner.into(),
            pattern: WhitelistPattern::Product(self.text("product for all")),
        });
        system.record(partner, derived_id(self.partner.0, "whitelist"), vec![entry]).await;
    }

    /// The rule that works for all customers.
    pub(crate) fn partners_rule(&self) -> RuleId {
        RuleId(derived_id(self.partner.0, "rule"))
    }

    async fn schedules(&self, system: &System, rule_id: RuleId, day: u32) {
        let approves_at = at(day);
        let (patch_id, scope) = (self.patch, self.customer.into());
        let fact =
            ApprovalScheduled { patch_id, scope, rule_id, rule_version: 1, approves_at, inputs: inputs() };
        self.says(system, fact).await;
    }

    async fn says(&self, system: &System, fact: impl Into<ApprovalEvent>) {
        system.record(self.tenant(), self.approval, vec![Fact::of::<ApprovalEvent>(fact)]).await;
    }
}

fn at(day: u32) -> DateTime<Utc> {
    NaiveDate::from_ymd_opt(2026, 1, day).unwrap().and_hms_opt(0, 0, 0).unwrap().and_utc()
}

/// The rule's name and the time, where an approval is still to come.
async fn to_come(system: &System, world: &World) -> Value {
    let query = "query($id: ID!) { node(id: $id) { ... on Approval { scheduled { rule { name } ruleVersion approvesAt } } } }";
    let variables = json!({ "id": global("Approval", world.approval) });
    let data = system.data(&world.subject(Role::CustomerApprover), query, variables).await;
    let scheduled = &data["node"]["scheduled"];
    if scheduled.is_null() {
        Value::Null
    } else {
        json!([scheduled["rule"]["name"], scheduled["approvesAt"]])
    }
}

#[tokio::test]
async fn an_approval_that_is_still_to_come_names_the_rule_and_the_time() {
    let (system, world) = start().await;
    assert_eq!(to_come(&system, &world).await, Value::Null);
    world.schedules(&system, world.rule, 20).await;
    let own = json!(["acker rule", "2026-01-20T00:00:00+00:00"]);
    assert_eq!(to_come(&system, &world).await, own);
    // Of two rules the first to come is shown.
    world.schedules(&system, world.partners_rule(), 25).await;
    assert_eq!(to_come(&system, &world).await, own);
    world.schedules(&system, world.partners_rule(), 18).await;
    assert_eq!(to_come(&system, &world).await, json!(["acker rule for all", "2026-01-18T00:00:00+00:00"]));

    // A rule that says no takes back what it foresaw.
    let refused = AutoApprovalRefused {
        patch_id: world.patch,
        customer_id: world.customer,
        rule_id: world.partners_rule(),
        rule_version: 1,
        reason: RefusalReason::NotWhitelisted,
        next_change_at: None,
    };
    world.says(&system, refused).await;
    assert_eq!(to_come(&system, &world).await, Value::Null);

    // One that is switched off approves nothing.
    world.schedules(&system, world.rule, 22).await;
    rule_says(&system, world.tenant(), world.rule, RuleDisabled { rule_id: world.rule }).await;
    assert_eq!(to_come(&system, &world).await, Value::Null);
    rule_says(&system, world.tenant(), world.rule, RuleEnabled { rule_id: world.rule }).await;
    assert_eq!(to_come(&system, &world).await, json!(["acker rule", "2026-01-22T00:00:00+00:00"]));

    let by =
        ApprovalMode::Auto { rule_id: world.rule, rule_version: 1, inputs: inputs(), next_change_at: None };
    world.says(&system, PatchApproved { patch_id: world.patch, scope: world.customer.into(), by }).await;
    assert_eq!(to_come(&system, &world).await, Value::Null);
    system.stop().await;
}

const CREATE: &str =
    "mutation($input: CreateRuleInput!) { createRule(input: $input) { ruleId warnings { kind }
    userErrors { code field } } }";
const SIMULATE: &str = "mutation($input: SimulateRuleInput!) { simulateRule(input: $input) {
    simulation { approvals } userErrors { code field } } }";

fn rule(customer: Option<Uuid>, mut more: Value) -> Value {
    let mut input = json!({ "idempotencyKey": "1", "name": "urgent ones", "severities": ["CRITICAL"] });
    if let Some(customer) = customer {
        input["customerId"] = json!(global("Customer", customer));
    }
    input.as_object_mut().unwrap().append(more.as_object_mut().unwrap());
    json!({ "input": input })
}

#[tokio::test]
async fn a_rule_needs_a_delay_or_a_last_day_and_groups_that_are_groups() {
    let (system, world) = start().await;
    let who = world.subject(Role::CustomerAdmin);
    let here = Some(world.customer.0);
    let no_timing = json!({ "code": "approvals.rule_timing_invalid", "field": "delayDays" });
    let no_group = json!({ "code": "graphql.id_invalid", "field": "groupIds.0" });
    for (more, expected) in [
        (json!({}), &no_timing),
        (json!({ "delayDays": 1, "releasedUntil": "2026-01-31" }), &no_timing),
        (json!({ "delayDays": 1, "groupIds": [global("Device", world.device)] }), &no_group),
    ] {
        let data = system.data(&who, CREATE, rule(here, more)).await;
        assert_eq!(data["createRule"]["userErrors"], json!([expected]));
    }
    system.stop().await;
}

#[tokio::test]
async fn rules_of_others_and_for_others_are_out_of_reach() {
    let (system, world) = start().await;
    let other = World::new("beck");
    other.record(&system).await;
    let delayed = || json!({ "delayDays": 7 });
    let foreign = rule(Some(other.customer.0), delayed());
    let data = system.data(&world.subject(Role::CustomerAdmin), CREATE, foreign).await;
    assert_eq!(data["createRule"]["userErrors"][0]["code"], "tenancy.customer_not_found");
    let data = system.data(&world.subject(Role::PartnerViewer), CREATE, rule(None, delayed())).await;
    assert_eq!(data["createRule"]["userErrors"][0]["code"], "access.forbidden");

    // The partner's rule is there to be read by a customer's people, and not to be changed.
    let enable = "mutation($input: EnableRuleInput!) { enableRule(input: $input) { userErrors { code } } }";
    let variables =
        json!({ "input": { "idempotencyKey": "1", "ruleId": global("Rule", world.partners_rule().0) } });
    let data = system.data(&world.subject(Role::CustomerAdmin), enable, variables).await;
    assert_eq!(data["enableRule"]["userErrors"][0]["code"], "approvals.rule_not_found");

    let mut simulate = rule(Some(other.customer.0), delayed());
    simulate["input"].as_object_mut().unwrap().remove("name");
    simulate["input"]["months"] = json!(6);
    let data = system.data(&world.subject(Role::PartnerAdmin), SIMULATE, simulate.clone()).await;
    assert_eq!(data["simulateRule"]["userErrors"][0]["code"], "tenancy.customer_not_found");
    simulate["input"]["customerId"] = json!(global("Customer", world.customer));
    simulate["input"]["after"] = json!("nonsense");
    let data = system.data(&world.subject(Role::PartnerAdmin), SIMULATE, simulate).await;
    assert_eq!(
        data["simulateRule"]["userErrors"],
        json!([{ "code": "graphql.cursor_invalid", "field": "after" }])
    );
    system.stop().await;
}
