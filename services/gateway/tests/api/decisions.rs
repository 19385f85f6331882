//! Decisions in every scope, what holds on a device, and why.

use crate::system::{Fact, System};
use crate::world::{World, global};
use contracts::DevicePlatform;
use contracts::approvals::{
    ApprovalEvent, ApprovalMode, ApprovalPolicyEvent, ApprovalPolicySet, ApprovalRevoked, ApprovalScope,
    BlockEvent, DeferralEnded, PatchApproved, PatchBlocked, PatchDeferred, PatchRejected, PatchUnblocked,
    SecondApprovalGiven, SecondApprovalRequested,
};
use contracts::devices::{
    DeviceEvent, GroupDefined, GroupEvent, GroupMembers, GroupMembershipChanged, PatchFoundInstalled,
    PatchFoundMissing,
};
use contracts::feeds::{PatchEvent, PatchFacts, PatchPublished, PatchWithdrawn};
use contracts::permissions::Role;
use kernel::{DeviceGroupId, PatchId, Tenant, UserId};
use serde_json::{Value, json};
use testkit::{eventually, id};

async fn start() -> (System, World, String) {
    let system = System::start().await;
    let world = World::new("acker");
    world.record(&system).await;
    let who = world.subject(Role::CustomerApprover);
    (system, world, who)
}

/// Decisions of a world, in its scopes.
impl World {
    /// A decision for a group, and a patch of the partner's own that waits for one.
    pub(crate) async fn record_decisions(&self, system: &System) {
        let group = self.in_group(system).await;
        self.decides(system, group, self.approved(group)).await;
        let missing =
            PatchFoundMissing { device_id: self.device, patch_id: self.own_patch, packages: vec![] };
        system.record(self.tenant(), self.device.0, vec![Fact::of::<DeviceEvent>(missing)]).await;
    }

    fn at_partner(&self) -> ApprovalScope {
        ApprovalScope::Partner { partner_id: self.partner }
    }

    fn at_device(&self) -> ApprovalScope {
        ApprovalScope::Device { customer_id: self.customer, device_id: self.device }
    }

    /// A group with the world's device in it.
    pub(crate) async fn in_group(&self, system: &System) -> ApprovalScope {
        let (group_id, customer_id): (DeviceGroupId, _) = (id(), self.customer);
        let members = GroupMembers::Listed { device_ids: vec![self.device] };
        let name = self.text(&format!("tills {group_id}"));
        let facts = vec![
            Fact::of::<GroupEvent>(GroupDefined { group_id, customer_id, name, members }),
            Fact::of::<GroupEvent>(GroupMembershipChanged {
                group_id,
                customer_id,
                added: vec![self.device],
                removed: vec![],
            }),
        ];
        system.record(self.tenant(), group_id.0, facts).await;
        ApprovalScope::Group { customer_id, group_id }
    }

    pub(crate) async fn decides(
        &self,
        system: &System,
        scope: ApprovalScope,
        fact: impl Into<ApprovalEvent>,
    ) {
        let tenant = Tenant { partner_id: self.partner, customer_id: scope.customer_id() };
        system.record(tenant, id::<PatchId>().0, vec![Fact::of::<ApprovalEvent>(fact.into())]).await;
    }

    pub(crate) fn approved(&self, scope: ApprovalScope) -> ApprovalEvent {
        let approved_by = self.user(Role::CustomerApprover);
        let by = ApprovalMode::Manual { approved_by, comment: Some(self.text("go")) };
        PatchApproved { patch_id: self.patch, scope, by }.into()
    }

    fn rejected(&self, scope: ApprovalScope) -> ApprovalEvent {
        let (rejected_by, comment) = (self.user(Role::PartnerAdmin), self.text("breaks the till"));
        PatchRejected { patch_id: self.patch, scope, rejected_by, comment }.into()
    }

    fn deferred(&self, scope: ApprovalScope) -> ApprovalEvent {
        let (deferred_by, until) = (self.user(Role::CustomerAdmin), "2026-12-07T06:00:00Z".parse().unwrap());
        PatchDeferred { patch_id: self.patch, scope, until, deferred_by, comment: None }.into()
    }

    async fn ask_about(&self, system: &System, who: &str, field: &str, selection: &str) -> Value {
        let query = format!(
            "query($device: ID!, $patch: ID!) {{ {field}(deviceId: $device, patchId: $patch) {{ {selection} }} }}"
        );
        let variables =
            json!({ "device": global("Device", self.device), "patch": global("Patch", self.patch) });
        system.data(who, &query, variables).await[field].clone()
    }

    async fn state(&self, system: &System, who: &str) -> (Value, Value, Value) {
        let found = self.ask_about(system, who, "effectiveApproval", "state decidedAt").await;
        let query = "query($id: ID!) { node(id: $id) { ... on Device { patches { nodes { state } } } } }";
        let data = system.data(who, query, json!({ "id": global("Device", self.device) })).await;
        let shown = data["node"]["patches"]["nodes"][0]["state"].clone();
        (found["state"].clone(), found["decidedAt"].clone(), shown)
    }

    async fn pending(&self, system: &System, who: &str) -> (Value, Value) {
        let query = "query($id: ID!) { viewer { customer(id: $id) { pendingApprovals pendingPatches { totalCount } } } }";
        let data = system.data(who, query, json!({ "id": global("Customer", self.customer) })).await;
        let customer = &data["viewer"]["customer"];
        (customer["pendingApprovals"].clone(), customer["pendingPatches"]["totalCount"].clone())
    }
}

fn holds(state: &str, decided_at: &str, shown: &str) -> (Value, Value, Value) {
    let decided_at = if decided_at.is_empty() { Value::Null } else { json!(decided_at) };
    (json!(state), decided_at, json!(shown))
}

#[tokio::test]
async fn what_is_nearer_to_the_device_holds_there() {
    let (system, world, who) = start().await;
    assert_eq!(world.state(&system, &who).await, holds("PENDING", "", "MISSING"));
    world.decides(&system, world.at_partner(), world.approved(world.at_partner())).await;
    assert_eq!(world.state(&system, &who).await, holds("APPROVED", "PARTNER", "APPROVED_WAITING"));
    let customer = ApprovalScope::from(world.customer);
    world.decides(&system, customer, world.rejected(customer)).await;
    assert_eq!(world.state(&system, &who).await, holds("REJECTED", "CUSTOMER", "MISSING"));
    let group = world.in_group(&system).await;
    world.decides(&system, group, world.approved(group)).await;
    assert_eq!(world.state(&system, &who).await, holds("APPROVED", "GROUP", "APPROVED_WAITING"));
    let stricter = world.in_group(&system).await;
    world.decides(&system, stricter, world.rejected(stricter)).await;
    assert_eq!(world.state(&system, &who).await, holds("REJECTED", "GROUP", "MISSING"));
    world.decides(&system, world.at_device(), world.deferred(world.at_device())).await;
    assert_eq!(world.state(&system, &who).await, holds("DEFERRED", "DEVICE", "MISSING"));
    let until = "2026-12-07T06:00:00Z".parse().unwrap();
    let ended = DeferralEnded { patch_id: world.patch, scope: world.at_device(), until };
    world.decides(&system, world.at_device(), ended).await;
    world.decides(&system, world.at_device(), world.approved(world.at_device())).await;
    assert_eq!(world.state(&system, &who).await, holds("APPROVED", "DEVICE", "APPROVED_WAITING"));

    let (patch_id, partner_id, comment) = (world.patch, world.partner, world.text("breaks printing"));
    let by: UserId = world.user(Role::PartnerAdmin);
    let blocked = PatchBlocked { patch_id, partner_id, blocked_by: by, comment: comment.clone() };
    let of_partner = Tenant::partner(partner_id);
    let block = id::<PatchId>().0;
    system.record(of_partner, block, vec![Fact::of::<BlockEvent>(blocked)]).await;
    assert_eq!(world.state(&system, &who).await, holds("BLOCKED", "BLOCK", "MISSING"));
    let unblocked = PatchUnblocked { patch_id, partner_id, unblocked_by: by, comment };
    system.record(of_partner, block, vec![Fact::of::<BlockEvent>(unblocked)]).await;
    assert_eq!(world.state(&system, &who).await, holds("APPROVED", "DEVICE", "APPROVED_WAITING"));
    let withdrawn = PatchWithdrawn { patch_id, reason: "breaks printing".to_owned() };
    system.record(Tenant::PLATFORM, patch_id.0, vec![Fact::of::<PatchEvent>(withdrawn)]).await;
    assert_eq!(world.state(&system, &who).await.0, "NOT_INSTALLABLE");
    system.hold_against_the_log().await;
    system.stop().await;
}

#[tokio::test]
async fn every_level_is_told_also_those_that_lost() {
    let (system, world, who) = start().await;
    let group = world.in_group(&system).await;
    world.decides(&system, world.at_partner(), world.rejected(world.at_partner())).await;
    world.decides(&system, group, world.approved(group)).await;
    let selection = "state mode decidedAt levels { level outcome decisions { level state comment
        group { name } customer { name } decidedBy { displayName } } }";
    let found = world.ask_about(&system, &who, "effectiveApproval", selection).await;
    assert_eq!(
        (&found["state"], &found["mode"], &found["decidedAt"]),
        (&json!("APPROVED"), &json!("MANUAL"), &json!("GROUP"))
    );
    let levels: Vec<(&str, &str, usize)> = found["levels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|level| {
            let text = |name: &str| level[name].as_str().unwrap();
            (text("level"), text("outcome"), level["decisions"].as_array().unwrap().len())
        })
        .collect();
    assert_eq!(
        levels,
        [
            ("CATALOGUE", "PENDING", 0),
            ("BLOCK", "PENDING", 0),
            ("DEVICE", "PENDING", 0),
            ("GROUP", "APPROVED", 1),
            ("CUSTOMER", "PENDING", 0),
            ("PARTNER", "REJECTED", 1),
            ("RULE", "PENDING", 0),
        ]
    );
    let of_group = &found["levels"][3]["decisions"][0];
    assert!(of_group["group"]["name"].as_str().unwrap().starts_with(&world.text("tills")), "{of_group}");
    assert_eq!(of_group["decidedBy"]["displayName"], world.text("user"));
    // A customer's person sees what the partner decided, and not who did.
    let of_partner = &found["levels"][5]["decisions"][0];
    assert_eq!(of_partner["comment"], world.text("breaks the till"));
    assert_eq!((&of_partner["customer"], &of_partner["decidedBy"]), (&Value::Null, &Value::Null));
    system.stop().await;
}

#[tokio::test]
async fn an_explanation_says_what_holds_and_what_would_change_it() {
    let (system, world, who) = start().await;
    let customer = ApprovalScope::from(world.customer);
    world.decides(&system, customer, world.approved(customer)).await;
    world.decides(&system, world.at_device(), world.deferred(world.at_device())).await;
    let selection = "applicability missingSince nextChangeAt position summary
        approval { state deferredUntil decidedAt } onDevice { state }
        patch { vendorPatchId } device { name } changes { kind level at then words }
        customerApproval { state mode }";
    let told = world.ask_about(&system, &who, "explainPatch", selection).await;
    assert_eq!((&told["applicability"], &told["onDevice"]["state"]), (&json!("MISSING"), &json!("MISSING")));
    assert!(told["missingSince"].is_string() && told["position"].is_number(), "{told}");
    assert_eq!(told["nextChangeAt"], "2026-12-07T06:00:00+00:00");
    assert_eq!(told["customerApproval"], json!({ "state": "APPROVED", "mode": "MANUAL" }));
    let approval =
        json!({ "state": "DEFERRED", "deferredUntil": "2026-12-07T06:00:00+00:00", "decidedAt": "DEVICE" });
    assert_eq!(told["approval"], approval);
    let at_the_end = "at 2026-12-07 06:00 UTC, when it is put off no longer for this device, it is approved";
    assert_eq!(
        told["changes"],
        json!([
            { "kind": "DEFERRAL_ENDS", "level": "DEVICE", "at": "2026-12-07T06:00:00+00:00", "then": "APPROVED",
              "words": at_the_end },
            { "kind": "REVOKE", "level": "DEVICE", "at": null, "then": "APPROVED",
              "words": "if what was decided for this device is taken back, it is approved" },
        ])
    );
    let summary = told["summary"].as_str().unwrap();
    let begins = format!("DSA-5380-1 is missing on {} since 20", world.text("device"));
    assert!(summary.starts_with(&begins), "{summary}");
    assert!(
        summary.ends_with(
            "It is put off until 2026-12-07 06:00 UTC for this device. At 2026-12-07 06:00 UTC, when it is put off no \
             longer for this device, it is approved. If what was decided for this device is taken back, it is approved."
        ),
        "{summary}"
    );
    system.stop().await;
}

#[tokio::test]
async fn another_tenants_device_has_no_answer_and_the_attempt_is_recorded() {
    let (system, world, _) = start().await;
    let other = World::new("beck");
    other.record(&system).await;
    let who = other.subject(Role::PartnerAdmin);
    for (asked, field) in ["effectiveApproval", "explainPatch"].into_iter().enumerate() {
        assert_eq!(world.ask_about(&system, &who, field, "position").await, Value::Null);
        eventually("the attempt is recorded", || async { system.noted.lock().unwrap().len() > asked }).await;
        let (_, attempt) = system.noted.lock().unwrap()[asked].clone();
        assert_eq!((attempt.object_kind.as_str(), attempt.operation.as_str()), ("Device", field));
    }
    system.stop().await;
}

#[tokio::test]
async fn point_120_a_patch_waits_while_no_decision_holds_for_it_on_some_device() {
    let (system, world, who) = start().await;
    assert_eq!(world.pending(&system, &who).await, (json!(1), json!(1)));
    // A device of its own has the decision, and it is the only one that misses the patch.
    world.decides(&system, world.at_device(), world.rejected(world.at_device())).await;
    assert_eq!(world.pending(&system, &who).await, (json!(0), json!(0)));
    let revoked = ApprovalRevoked {
        patch_id: world.patch,
        scope: world.at_device(),
        revoked_by: id(),
        comment: "after all".to_owned(),
    };
    world.decides(&system, world.at_device(), revoked).await;
    assert_eq!(world.pending(&system, &who).await.0, 1);
    let group = world.in_group(&system).await;
    world.decides(&system, group, world.deferred(group)).await;
    assert_eq!(world.pending(&system, &who).await.0, 0, "it is put off, not pending");
    // A second device that is in no group.
    let second = World { device: id(), ..world.clone() };
    system.record(world.tenant(), second.device.0, vec![second.enrolled(), second.missing()]).await;
    assert_eq!(world.pending(&system, &who).await.0, 1);
    let customer = ApprovalScope::from(world.customer);
    let requested = SecondApprovalRequested {
        patch_id: world.patch,
        scope: customer,
        requested_by: world.user(Role::CustomerApprover),
        comment: None,
    };
    world.decides(&system, customer, requested).await;
    assert_eq!(world.pending(&system, &who).await.0, 1, "a second person has not agreed yet");
    world.decides(&system, world.at_partner(), world.approved(world.at_partner())).await;
    assert_eq!(world.pending(&system, &who).await.0, 0);
    system.stop().await;
}

#[tokio::test]
async fn a_second_approver_is_asked_for_shown_and_remembered() {
    let (system, world, who) = start().await;
    let customer_id = world.customer;
    let set = ApprovalPolicySet { customer_id, second_approver: true, set_by: id() };
    system.record(world.tenant(), customer_id.0, vec![Fact::of::<ApprovalPolicyEvent>(set)]).await;
    let scope = ApprovalScope::from(customer_id);
    let (patch_id, requested_by) = (world.patch, world.user(Role::CustomerApprover));
    let requested = SecondApprovalRequested { patch_id, scope, requested_by, comment: Some("tested".into()) };
    world.decides(&system, scope, requested).await;
    let query = "query($id: ID!) { viewer { customer(id: $id) { secondApprover
        approvals { nodes { state comment } }
        decisions { nodes { state comment decidedBy { id } secondApprover { id } } } } } }";
    let ask = || async {
        let data = system.data(&who, query, json!({ "id": global("Customer", customer_id) })).await;
        data["viewer"]["customer"].clone()
    };
    let shown = ask().await;
    assert_eq!(shown["secondApprover"], true);
    let waiting = json!([{ "state": "AWAITING_SECOND_APPROVER", "comment": "tested" }]);
    assert_eq!(shown["approvals"]["nodes"], waiting);
    assert_eq!(shown["decisions"]["nodes"][0]["state"], "AWAITING_SECOND_APPROVER");
    let told = world.ask_about(&system, &who, "explainPatch", "changes { kind } approval { state }").await;
    assert_eq!(told["changes"][0]["kind"], "GIVE_SECOND_APPROVAL");
    assert_eq!(told["approval"]["state"], "PENDING");

    let given_by = world.user(Role::CustomerAdmin);
    let given = SecondApprovalGiven { patch_id, scope, given_by, requested_by, comment: None };
    world.decides(&system, scope, given).await;
    world.decides(&system, scope, world.approved(scope)).await;
    let shown = ask().await;
    let decision = &shown["decisions"]["nodes"][0];
    assert_eq!(decision["state"], "APPROVED");
    assert_eq!(decision["decidedBy"]["id"], global("User", requested_by));
    assert_eq!(decision["secondApprover"]["id"], global("User", given_by));
    assert_eq!(shown["approvals"]["nodes"][0]["state"], "APPROVED");
    system.hold_against_the_log().await;
    system.stop().await;
}

#[tokio::test]
async fn a_patch_that_comes_back_is_missing_since_then() {
    let (system, world, who) = start().await;
    let since = async || world.ask_about(&system, &who, "explainPatch", "missingSince applicability").await;
    let first = since().await;
    let (device_id, patch_id) = (world.device, world.patch);
    let installed = PatchFoundInstalled { device_id, patch_id, job_id: None };
    system.record(world.tenant(), device_id.0, vec![Fact::of::<DeviceEvent>(installed.clone())]).await;
    assert_eq!(since().await, json!({ "missingSince": null, "applicability": "INSTALLED" }));
    system.record(world.tenant(), device_id.0, vec![world.missing()]).await;
    let second = since().await;
    assert!(second["missingSince"].as_str() > first["missingSince"].as_str(), "{first} {second}");
    // In one page of the log as well.
    let facts = vec![Fact::of::<DeviceEvent>(installed), world.missing()];
    system.record(world.tenant(), device_id.0, facts).await;
    assert!(since().await["missingSince"].as_str() > second["missingSince"].as_str());
    system.stop().await;
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

// What lists show is worked out in SQL, what is explained by the rule itself: they must never differ.
#[tokio::test]
async fn lists_and_explanations_say_the_same_of_any_decisions() {
    let (system, world, who) = start().await;
    let (first, second) = (world.in_group(&system).await, world.in_group(&system).await);
    let elsewhere = ApprovalScope::Group { customer_id: world.customer, group_id: id() };
    let scopes = [world.at_partner(), world.customer.into(), first, second, elsewhere, world.at_device()];
    let mut dice = Dice(42);
    let mut patches: Vec<World> = Vec::new();
    for _ in 0..40 {
        let one = World { patch: id(), ..world.clone() };
        let facts = PatchFacts { platform: DevicePlatform::Windows, ..one.patch_facts() };
        let published = Fact::of::<PatchEvent>(PatchPublished { patch: facts });
        system.record(Tenant::PLATFORM, one.patch.0, vec![published]).await;
        let missing = PatchFoundMissing { device_id: one.device, patch_id: one.patch, packages: vec![] };
        system.record(one.tenant(), one.device.0, vec![Fact::of::<DeviceEvent>(missing)]).await;
        for scope in scopes {
            let fact = match dice.below(11) {
                0 => one.approved(scope),
                1 => one.rejected(scope),
                2 => one.deferred(scope),
                3 => by_rule(&one, scope),
                _ => continue,
            };
            one.decides(&system, scope, fact).await;
        }
        if dice.below(8) == 0 {
            let (patch_id, partner_id) = (one.patch, one.partner);
            let blocked = PatchBlocked { patch_id, partner_id, blocked_by: id(), comment: "no".to_owned() };
            let block = vec![Fact::of::<BlockEvent>(blocked)];
            system.record(Tenant::partner(partner_id), id::<PatchId>().0, block).await;
        }
        patches.push(one);
    }
    let query = "query($id: ID!) { node(id: $id) { ... on Device { patches(first: 100) {
        nodes { state patch { id } } } } } }";
    let data = system.data(&who, query, json!({ "id": global("Device", world.device) })).await;
    let (mut approved, mut pending) = (0, 1);
    for one in &patches {
        let found = one.ask_about(&system, &who, "effectiveApproval", "state").await;
        let nodes = data["node"]["patches"]["nodes"].as_array().unwrap();
        let shown = nodes.iter().find(|node| node["patch"]["id"] == global("Patch", one.patch)).unwrap();
        let expected = if found["state"] == "APPROVED" { "APPROVED_WAITING" } else { "MISSING" };
        assert_eq!(shown["state"], expected, "{found}");
        approved += usize::from(found["state"] == "APPROVED");
        pending += usize::from(found["state"] == "PENDING");
    }
    assert!(approved >= 5 && pending >= 3, "the dice are loaded: {approved} {pending}");
    assert_eq!(world.pending(&system, &who).await.0, pending);
    system.hold_against_the_log().await;
    system.stop().await;
}

fn by_rule(world: &World, scope: ApprovalScope) -> ApprovalEvent {
    let by = ApprovalMode::Auto {
        rule_id: world.rule,
        rule_version: 1,
        inputs: crate::rules::inputs(),
        next_change_at: None,
    };
    PatchApproved { patch_id: world.patch, scope, by }.into()
}
