//! How devices stand against baselines: now, on days before, by customer, group and device, and for whom.

use crate::system::{Fact, System, codes};
use crate::world::{World, global};
use chrono::{Days, NaiveDate, Utc};
use contracts::approvals::{
    BaselineContent, BaselineEvent, BaselineRule, BaselineVersionCreated, ComplianceEnded, ComplianceEvent,
    ComplianceState,
};
use contracts::devices::{DeviceEvent, GroupDefined, GroupEvent, GroupMembers, GroupMembershipChanged};
use contracts::permissions::Role;
use kernel::{DeviceGroupId, DeviceId};
use serde_json::{Value, json};
use testkit::id;

const COMPLIANCE: &str = "query($baseline: ID!, $customer: ID, $group: ID, $device: ID, $asOf: NaiveDate) {
    compliance(baselineId: $baseline, customerId: $customer, groupId: $group, deviceId: $device, asOf: $asOf) {
        asOf position version { version }
        counts { devices assessed compliant nonCompliant pendingReboot notAssessed percent missing { total high } }
        device { state } } }";

const DEVICES: &str = "query($baseline: ID!, $customer: ID, $group: ID, $asOf: NaiveDate, $state: ComplianceState,
                             $after: String) {
    compliance(baselineId: $baseline, customerId: $customer, groupId: $group, asOf: $asOf) {
        devices(state: $state, first: 1, after: $after) {
            totalCount pageInfo { endCursor hasNextPage } nodes { device { id } state baselineVersion missing { high } } } } }";

#[expect(clippy::disallowed_methods, reason = "what is backdated is backdated from now")]
fn days_ago(days: u64) -> NaiveDate {
    Utc::now().date_naive() - Days::new(days)
}

/// Another device of the customer.
async fn enrolled(system: &System, world: &World) -> DeviceId {
    let other = World { device: id(), ..world.clone() };
    system.record(world.tenant(), other.device.0, vec![other.enrolled()]).await;
    other.device
}

async fn start() -> (System, World, String) {
    let (system, world) = (System::start().await, World::new("acker"));
    let who = world.subject(Role::PartnerViewer);
    (system, world, who)
}

async fn compliance(system: &System, who: &str, variables: Value) -> Value {
    system.data(who, COMPLIANCE, variables).await["compliance"].clone()
}

/// Devices, compliant, not compliant, missing.
fn counted(answer: &Value) -> [i64; 4] {
    let counts = &answer["counts"];
    let of = |value: &Value| value.as_i64().unwrap();
    [
        of(&counts["devices"]),
        of(&counts["compliant"]),
        of(&counts["nonCompliant"]),
        of(&counts["missing"]["total"]),
    ]
}

#[tokio::test]
async fn any_day_is_answered_with_the_baseline_of_that_day() {
    let (system, world, who) = start().await;
    let baseline = world.baseline;
    world.record(&system).await;
    let other = enrolled(&system, &world).await;
    system.backdate(40).await;
    system.sequence().await;

    let content = BaselineContent { rules: vec![BaselineRule::default()], ..BaselineContent::default() };
    let second = BaselineVersionCreated { baseline_id: baseline, baseline_version: 2, content };
    system.record(world.tenant(), baseline.0, vec![Fact::of::<BaselineEvent>(second)]).await;
    world.stands(&system, baseline, world.device, ComplianceState::Compliant, 0).await;
    world.stands(&system, baseline, other, ComplianceState::NonCompliant, 3).await;
    system.backdate(20).await;
    system.sequence().await;

    world.stands(&system, baseline, other, ComplianceState::PendingReboot, 0).await;
    let ended = ComplianceEnded { device_id: world.device, baseline_id: baseline };
    let stream = kernel::derived_id(world.device.0, &baseline.to_string());
    system.record(world.tenant(), stream, vec![Fact::of::<ComplianceEvent>(ended)]).await;

    let baseline = global("Baseline", baseline);
    let on = async |day: Option<NaiveDate>| {
        compliance(&system, &who, json!({ "baseline": baseline, "asOf": day })).await
    };
    let now = on(None).await;
    assert_eq!((counted(&now), &now["version"]["version"]), ([1, 0, 0, 0], &json!(2)));
    assert_eq!((&now["asOf"], &now["counts"]["pendingReboot"]), (&Value::Null, &json!(1)));
    assert_eq!(now["counts"]["percent"], json!(0.0), "a restart that is due is not compliant");
    for (ago, counts, version) in
        [(19, [2, 1, 1, 3], json!(2)), (21, [1, 0, 1, 1], json!(1)), (39, [1, 0, 1, 1], json!(1))]
    {
        let then = on(Some(days_ago(ago))).await;
        assert_eq!((counted(&then), &then["version"]["version"]), (counts, &version), "{ago} days ago");
        assert_eq!(then["asOf"], json!(days_ago(ago)));
    }
    let before = on(Some(days_ago(60))).await;
    assert_eq!((counted(&before), &before["version"]), ([0, 0, 0, 0], &Value::Null));
    assert_eq!(before["counts"]["percent"], Value::Null, "nothing assessed is not 100 percent");

    // Devices one by one, page by page, as they stood.
    let mut states = Vec::new();
    let mut after = Value::Null;
    loop {
        let variables = json!({ "baseline": baseline, "asOf": days_ago(19), "after": after });
        let page = system.data(&who, DEVICES, variables).await["compliance"]["devices"].clone();
        assert_eq!(page["totalCount"], 2);
        states.push(page["nodes"][0]["state"].as_str().unwrap().to_owned());
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
    assert_eq!(states, ["COMPLIANT", "NON_COMPLIANT"]);
    let variables = json!({ "baseline": baseline, "asOf": days_ago(19), "state": "NON_COMPLIANT", "customer": global("Customer", world.customer) });
    let found = system.data(&who, DEVICES, variables).await["compliance"]["devices"].clone();
    assert_eq!(found["nodes"][0]["device"]["id"], global("Device", other));
    assert_eq!((&found["totalCount"], &found["nodes"][0]["missing"]["high"]), (&json!(1), &json!(3)));
    for (day, state) in [(Value::Null, Value::Null), (json!(days_ago(19)), json!("COMPLIANT"))] {
        let variables =
            json!({ "baseline": baseline, "device": global("Device", world.device), "asOf": day });
        let device = compliance(&system, &who, variables).await;
        assert_eq!(device["device"].get("state").cloned().unwrap_or(Value::Null), state);
    }
    system.stop().await;
}

#[tokio::test]
async fn a_result_that_stays_the_same_is_one_period() {
    let (system, world, who) = start().await;
    world.record(&system).await;
    for _ in 0..3 {
        world.stands(&system, world.baseline, world.device, ComplianceState::NonCompliant, 1).await;
    }
    let baseline = global("Baseline", world.baseline);
    assert_eq!(counted(&compliance(&system, &who, json!({ "baseline": baseline })).await), [1, 0, 1, 1]);
    let mut owner = system.database.owner().await;
    let periods: i64 =
        sqlx::query_scalar("select count(*) from views.compliance_period where baseline_id = $1")
            .bind(world.baseline.0)
            .fetch_one(&mut owner)
            .await
            .unwrap();
    assert_eq!(periods, 1);
    system.stop().await;
}

#[tokio::test]
async fn a_group_counts_the_devices_that_are_in_it() {
    let (system, world, who) = start().await;
    world.record(&system).await;
    let (group_id, customer_id) = (id::<DeviceGroupId>(), world.customer);
    let members = GroupMembers::Listed { device_ids: vec![] };
    let defined = GroupDefined { group_id, customer_id, name: world.text("group"), members };
    system.record(world.tenant(), group_id.0, vec![Fact::of::<GroupEvent>(defined)]).await;
    let other = enrolled(&system, &world).await;
    let changed = async |added: Vec<DeviceId>, removed: Vec<DeviceId>| {
        let changed = GroupMembershipChanged { group_id, customer_id, added, removed };
        system.record(world.tenant(), group_id.0, vec![Fact::of::<GroupEvent>(changed)]).await;
    };
    let variables =
        json!({ "baseline": global("Baseline", world.baseline), "group": global("DeviceGroup", group_id) });
    assert_eq!(counted(&compliance(&system, &who, variables.clone()).await), [0, 0, 0, 0]);
    changed(vec![world.device, other], vec![]).await;
    assert_eq!(counted(&compliance(&system, &who, variables.clone()).await), [1, 0, 1, 1]);
    world.stands(&system, world.baseline, other, ComplianceState::Compliant, 0).await;
    assert_eq!(counted(&compliance(&system, &who, variables.clone()).await), [2, 1, 1, 1]);
    let devices = system.data(&who, DEVICES, variables.clone()).await["compliance"]["devices"].clone();
    assert_eq!(devices["totalCount"], 2);
    changed(vec![], vec![world.device]).await;
    assert_eq!(counted(&compliance(&system, &who, variables.clone()).await), [1, 1, 0, 0]);
    // The customer's counts do not ask for groups.
    let customer = json!({ "baseline": global("Baseline", world.baseline), "customer": global("Customer", customer_id) });
    assert_eq!(counted(&compliance(&system, &who, customer).await), [2, 1, 1, 1]);
    system.stop().await;
}

#[tokio::test]
async fn another_tenants_compliance_does_not_exist() {
    let (system, world, who) = start().await;
    let other = World::new("beck");
    world.record(&system).await;
    other.record(&system).await;
    let foreign = [
        json!({ "baseline": global("Baseline", other.baseline) }),
        json!({ "baseline": global("Baseline", other.template) }),
        json!({ "baseline": global("Baseline", world.template), "customer": global("Customer", other.customer) }),
        json!({ "baseline": global("Baseline", world.template), "device": global("Device", other.device) }),
        json!({ "baseline": global("Baseline", world.template), "group": global("DeviceGroup", id::<DeviceGroupId>()) }),
    ];
    for variables in foreign {
        assert_eq!(compliance(&system, &who, variables.clone()).await, Value::Null, "{variables}");
    }
    testkit::eventually("the attempts to be recorded", async || system.noted.lock().unwrap().len() == 4)
        .await;
    // A customer's people see their partner's template, and of its devices their own.
    let customer = World { customer: id(), device: id(), baseline: id(), ..world.clone() };
    system.record(customer.tenant(), customer.device.0, vec![customer.enrolled()]).await;
    customer.stands(&system, world.template, customer.device, ComplianceState::Compliant, 0).await;
    let template = json!({ "baseline": global("Baseline", world.template) });
    let auditor = world.subject(Role::CustomerAuditor);
    assert_eq!(counted(&compliance(&system, &auditor, template.clone()).await), [1, 0, 1, 1]);
    assert_eq!(counted(&compliance(&system, &who, template).await), [2, 1, 1, 1]);
    let both = json!({ "baseline": global("Baseline", world.template), "device": global("Device", world.device),
                       "customer": global("Customer", world.customer) });
    let answer = system.ask(&who, COMPLIANCE, both).await;
    assert_eq!(codes(&answer), ["graphql.input_invalid"]);
    system.stop().await;
}

#[tokio::test]
async fn points_118_to_122_the_widgets_count_devices_and_what_waits() {
    let (system, world, who) = start().await;
    world.record(&system).await;
    let query = "query($customer: ID) {
        pendingApprovals(customerId: $customer) { count position }
        patchStatus(customerId: $customer) { position
            platforms { platform devices installed pendingInstallation noRecentScan } } }";
    let data = system.data(&who, query, Value::Null).await;
    assert_eq!(data["pendingApprovals"]["count"], 1);
    let platforms = |windows: [i32; 4], linux: [i32; 4]| {
        let one = |platform, [devices, installed, pending, stale]: [i32; 4]| {
            json!({ "platform": platform, "devices": devices, "installed": installed,
                    "pendingInstallation": pending, "noRecentScan": stale })
        };
        json!([one("WINDOWS", windows), one("LINUX", linux)])
    };
    // The missing patch is not approved yet.
    assert_eq!(data["patchStatus"]["platforms"], platforms([0; 4], [1, 1, 0, 0]));
    let approved = contracts::approvals::PatchApproved {
        patch_id: world.patch,
        scope: world.customer.into(),
        by: contracts::approvals::ApprovalMode::Manual {
            approved_by: world.user(Role::CustomerAdmin),
            comment: None,
        },
    };
    let approved = Fact::of::<contracts::approvals::ApprovalEvent>(approved);
    system.record(world.tenant(), world.approval, vec![approved]).await;
    let never_scanned = enrolled(&system, &world).await;
    let stale = enrolled(&system, &world).await;
    system.sequence().await;
    let scan = contracts::devices::ScanCompleted {
        device_id: stale,
        job_id: None,
        inventory_hash: "00".repeat(32),
        item_count: 1,
        source: "apt".to_owned(),
        pending_reboot: false,
        catalogue_position: 1,
        missing: 0,
    };
    system.record(world.tenant(), stale.0, vec![Fact::of::<DeviceEvent>(scan)]).await;
    system.backdate(31).await;
    let customer = json!({ "customer": global("Customer", world.customer) });
    let data = system.data(&who, query, customer).await;
    assert_eq!(data["pendingApprovals"]["count"], 0);
    assert_eq!(
        data["patchStatus"]["platforms"],
        platforms([0; 4], [3, 0, 1, 2]),
        "{never_scanned} and {stale}"
    );
    let nowhere = json!({ "customer": global("Customer", id::<DeviceId>()) });
    let data = system.data(&who, query, nowhere).await;
    assert_eq!((&data["pendingApprovals"], &data["patchStatus"]), (&Value::Null, &Value::Null));
    system.stop().await;
}
