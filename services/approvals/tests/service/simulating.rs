//! What a rule would have approved.

use crate::fixtures::{linux, windows};
use crate::system::{System, caller, contents, contents_with};
use chrono::TimeDelta;
use contracts::Severity;
use contracts::approvals::{
    AddToWhitelist, RefusalReason, RefusedCount, RuleContents, RuleSimulation, RuleSimulationRequested,
    RuleTiming, SimulateRule, SimulatedKey, WhitelistPattern,
};
use contracts::devices::{GroupDefined, GroupEvent, GroupMembers, GroupMembershipChanged};
use contracts::feeds::PatchFacts;
use contracts::permissions::Role;
use kernel::{DeviceGroupId, DeviceId, PatchId, Tenant};
use runtime::{Clock, SystemClock};
use std::collections::BTreeSet;
use testkit::id;
use web::CommandFailure;

async fn asks(
    system: &System,
    owner: Tenant,
    contents: RuleContents,
    months: u8,
    after: Option<SimulatedKey>,
) -> Result<RuleSimulation, CommandFailure> {
    let role = if owner.customer_id.is_some() { Role::CustomerAdmin } else { Role::PartnerAdmin };
    let simulate = SimulateRule { customer_id: owner.customer_id, contents, months, after };
    Ok(system.send(&caller(role, owner), simulate).await?.answer)
}

async fn whitelists(system: &System, partner: Tenant) {
    let pattern = WhitelistPattern::Product("windows".to_owned());
    let add = AddToWhitelist { customer_id: None, pattern };
    system.send(&caller(Role::PartnerAdmin, partner), add).await.unwrap();
    system.has_read_all().await;
}

#[tokio::test]
async fn a_simulation_says_what_would_have_been_approved_where_and_records_the_request_only() {
    let system = System::start().await;
    let acme = system.customer().await;
    let bistro = system.customer_of(acme.partner_id).await;
    let stranger = system.customer().await;
    let partner = Tenant::partner(acme.partner_id);
    whitelists(&system, partner).await;
    let (kb, advisory, low) = (windows(), linux(), PatchFacts { severity: Severity::Low, ..windows() });
    for patch in [&kb, &advisory, &low] {
        system.published(patch).await;
    }
    let devices: [DeviceId; 3] = [id(), id(), id()];
    system.missing_on(acme, devices[0], kb.patch_id).await;
    system.missing_on(acme, devices[1], kb.patch_id).await;
    system.installed_on(acme, devices[1], kb.patch_id).await;
    system.missing_on(acme, devices[0], advisory.patch_id).await;
    system.missing_on(acme, devices[0], low.patch_id).await;
    system.missing_on(bistro, devices[2], kb.patch_id).await;
    system.missing(stranger, kb.patch_id).await;
    system.has_read_all().await;

    let before = system.log().await.len();
    let draft = contents(&[Severity::Critical]);
    let answer = asks(&system, partner, draft.clone(), 6, None).await.unwrap();
    assert_eq!((answer.looked_at, answer.patches, answer.approvals), (4, 1, 2));
    assert_eq!((answer.devices, answer.installs), (3, 3));
    let count = |reason| RefusedCount { reason, count: 1 };
    assert_eq!(
        answer.refused,
        [count(RefusalReason::PlatformNotEligible), count(RefusalReason::SeverityNotChosen)]
    );
    let customers: BTreeSet<_> = answer.items.iter().map(|item| item.customer_id).collect();
    assert_eq!(customers, [acme, bistro].map(|tenant| tenant.customer_id.unwrap()).into());
    let at_acme = answer.items.iter().find(|item| Some(item.customer_id) == acme.customer_id).unwrap();
    assert_eq!((at_acme.patch_id, at_acme.vendor_patch_id.as_str()), (kb.patch_id, "KB5034123"));
    assert_eq!(at_acme.device_ids.iter().collect::<BTreeSet<_>>(), devices[..2].iter().collect());
    assert!(at_acme.approves_at > answer.from && at_acme.approves_at <= answer.until, "{at_acme:?}");

    let requested: Vec<RuleSimulationRequested> = system.facts(RuleSimulationRequested::TYPE).await;
    assert_eq!(
        requested,
        [RuleSimulationRequested { owner: partner.into(), contents: draft.clone(), months: 6 }]
    );
    assert_eq!(system.log().await.len(), before + 1);

    let own = asks(&system, acme, draft, 6, None).await.unwrap();
    assert_eq!((own.looked_at, own.approvals, own.devices), (3, 1, 2));
    system.stop().await;
}

#[tokio::test]
async fn a_long_delay_lets_patches_end_before_they_are_approved() {
    let system = System::start().await;
    let acme = system.customer().await;
    whitelists(&system, Tenant::partner(acme.partner_id)).await;
    let today = SystemClock.now().date_naive();
    let fresh = || PatchFacts { release_date: today, ..windows() };
    let (ended, current) = (fresh(), fresh());
    for patch in [&ended, &current] {
        system.published(patch).await;
        system.missing(acme, patch.patch_id).await;
    }
    system.superseded(ended.patch_id, &current).await;
    system.has_read_all().await;
    let delayed = contents_with(&[Severity::Critical], |rule| rule.timing = RuleTiming::Delay { days: 30 });
    let answer = asks(&system, acme, delayed, 1, None).await.unwrap();
    assert_eq!((answer.ended_before, answer.scheduled, answer.approvals), (1, 1, 0));
    let cut = contents_with(&[Severity::Critical], |rule| {
        rule.timing = RuleTiming::CutOff { released_until: today - TimeDelta::days(1) };
    });
    let answer = asks(&system, acme, cut, 1, None).await.unwrap();
    assert_eq!(answer.refused, [RefusedCount { reason: RefusalReason::ReleasedTooLate, count: 2 }]);
    system.stop().await;
}

#[tokio::test]
async fn a_rule_for_a_group_counts_the_groups_devices() {
    let system = System::start().await;
    let acme = system.customer().await;
    let customer_id = acme.customer_id.unwrap();
    whitelists(&system, Tenant::partner(acme.partner_id)).await;
    let (group_id, member): (DeviceGroupId, DeviceId) = (id(), id());
    let members = GroupMembers::Listed { device_ids: vec![member] };
    let defined = GroupDefined { group_id, customer_id, name: "pilot".to_owned(), members };
    system.happens::<GroupEvent>(acme, defined).await;
    let joined = GroupMembershipChanged { group_id, customer_id, added: vec![member], removed: vec![] };
    system.happens::<GroupEvent>(acme, joined).await;
    let patch_id = system.published(&windows()).await;
    system.missing(acme, patch_id).await;
    system.missing_on(acme, member, patch_id).await;
    system.has_read_all().await;
    let pilot = contents_with(&[Severity::Critical], |rule| rule.groups = vec![group_id]);
    let answer = asks(&system, acme, pilot, 1, None).await.unwrap();
    assert_eq!((answer.approvals, answer.devices), (1, 1));
    assert_eq!(answer.items[0].device_ids, [member]);
    system.stop().await;
}

#[tokio::test]
async fn a_long_list_comes_in_pages_without_gap_or_repetition() {
    let system = System::start().await;
    let acme = system.customer().await;
    whitelists(&system, Tenant::partner(acme.partner_id)).await;
    let device_id = id();
    let mut expected: BTreeSet<PatchId> = BTreeSet::new();
    for _ in 0..101 {
        let patch = windows();
        system.published(&patch).await;
        system.missing_on(acme, device_id, patch.patch_id).await;
        expected.insert(patch.patch_id);
    }
    system.has_read_all().await;
    let draft = contents(&[Severity::Critical]);
    let first = asks(&system, acme, draft.clone(), 1, None).await.unwrap();
    let second = asks(&system, acme, draft, 1, first.next).await.unwrap();
    assert_eq!((first.items.len(), second.items.len(), second.next), (100, 1, None));
    let listed: Vec<PatchId> = first.items.iter().chain(&second.items).map(|item| item.patch_id).collect();
    assert_eq!(listed.iter().copied().collect::<BTreeSet<_>>(), expected);
    assert_eq!(first.approvals, 101);
    system.stop().await;
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_and_not_recorded() {
    let system = System::start().await;
    let acme = system.customer().await;
    for (contents, months, code) in [
        (contents(&[Severity::Critical]), 0, "approvals.simulation_months_invalid"),
        (contents(&[Severity::Critical]), 25, "approvals.simulation_months_invalid"),
        (contents(&[]), 6, "approvals.rule_without_condition"),
    ] {
        let refused = asks(&system, acme, contents, months, None).await.unwrap_err();
        assert_eq!((refused.status, refused.code.as_str()), (422, code));
    }
    let nowhere = SimulateRule {
        customer_id: Some(id()),
        contents: contents(&[Severity::Critical]),
        months: 6,
        after: None,
    };
    let refused = system.send(&caller(Role::PartnerAdmin, acme), nowhere).await.unwrap_err();
    assert_eq!((refused.status, refused.code.as_str()), (404, "approvals.customer_unknown"));
    assert_eq!(system.facts::<RuleSimulationRequested>(RuleSimulationRequested::TYPE).await, []);
    system.stop().await;
}
