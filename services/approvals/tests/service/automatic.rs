//! What rules wait for, what they look at, and for whom they work.

use crate::fixtures::windows;
use crate::system::{System, caller, contents, contents_with};
use chrono::{DateTime, NaiveDate, Utc};
use contracts::Severity;
use contracts::approvals::{
    AddToWhitelist, ApprovalLevel, ApprovalMode, ApprovalScheduled, ApprovalScope, AutoApprovalRefused,
    ChangeRule, DisableRule, EnableRule, PatchApproved, RefusalReason, RemoveFromWhitelist, RuleTiming,
    WhitelistPattern,
};
use contracts::devices::{GroupDefined, GroupEvent, GroupMembers, GroupRemoved};
use contracts::feeds::{
    FeedEvent, FeedFormat, FeedKind, FeedRegistered, KevEntry, PatchFacts, PatchRated, PatchRatingCleared,
    Publisher, RatingEvent, VulnerabilityAddedToKev, VulnerabilityEvent,
};
use contracts::permissions::Role;
use kernel::{Actor, DeviceGroupId, Tenant};
use testkit::id;

fn windows_11() -> WhitelistPattern {
    WhitelistPattern::Product("windows 11".to_owned())
}

/// Of a year that no test runs in, so that the service's own clock is far from it.
fn in_2090(month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2090, month, day).unwrap()
}

fn at(day: NaiveDate, hour: u32, minute: u32) -> DateTime<Utc> {
    day.and_hms_opt(hour, minute, 0).unwrap().and_utc()
}

async fn approved(system: &System) -> Vec<PatchApproved> {
    system.facts(PatchApproved::TYPE).await
}

async fn refused(system: &System) -> Vec<RefusalReason> {
    let refused: Vec<AutoApprovalRefused> = system.facts(AutoApprovalRefused::TYPE).await;
    refused.into_iter().map(|fact| fact.reason).collect()
}

/// A patch of the 8th of January, missing at a customer whose rule waits for seven days.
async fn waiting(system: &System) -> (Tenant, PatchFacts) {
    let acme = system.customer().await;
    let patch = PatchFacts { release_date: in_2090(1, 8), ..windows() };
    system.published(&patch).await;
    system.whitelists(acme, windows_11()).await;
    let contents = contents_with(&[Severity::Critical], |rule| rule.timing = RuleTiming::Delay { days: 7 });
    system.saves(acme, contents).await;
    system.missing(acme, patch.patch_id).await;
    (acme, patch)
}

#[tokio::test]
async fn a_delay_is_told_when_it_begins_and_ends_in_an_approval() {
    let system = System::start().await;
    let (acme, patch) = waiting(&system).await;
    let scheduled: Vec<ApprovalScheduled> = system.facts(ApprovalScheduled::TYPE).await;
    let ends = at(in_2090(1, 15), 0, 0);
    assert_eq!(scheduled.len(), 1);
    assert_eq!((scheduled[0].approves_at, scheduled[0].rule_version), (ends, 1));
    assert_eq!(scheduled[0].inputs.release_date, Some(patch.release_date));

    system.rules_look_at(at(in_2090(1, 14), 23, 59)).await;
    assert_eq!(approved(&system).await, []);
    system.rules_look_at(ends).await;
    let log = system.log().await;
    let approval = log.iter().find(|event| event.event_type == PatchApproved::TYPE).unwrap();
    assert_eq!((approval.actor.clone(), approval.tenant), (Actor::rule(scheduled[0].rule_id), acme));
    let fact = &approved(&system).await[0];
    assert!(
        matches!(&fact.by, ApprovalMode::Auto { inputs, .. } if *inputs == scheduled[0].inputs),
        "{fact:?}"
    );

    // A timer that fires again, or later, finds nothing to do.
    system.rules_look_at(ends).await;
    system.rules_look_at(at(in_2090(6, 1), 0, 0)).await;
    assert_eq!(system.log().await.len(), log.len());
    system.stop().await;
}

#[tokio::test]
async fn a_delay_does_not_end_in_an_approval_once_the_whitelist_lets_the_patch_through_no_more() {
    let system = System::start().await;
    let (acme, _) = waiting(&system).await;
    let remove = RemoveFromWhitelist { customer_id: acme.customer_id, pattern: windows_11() };
    system.send(&caller(Role::CustomerAdmin, acme), remove).await.unwrap();
    assert_eq!(refused(&system).await, [RefusalReason::NotWhitelisted]);
    system.rules_look_at(at(in_2090(2, 1), 0, 0)).await;
    assert_eq!(approved(&system).await, []);
    system.stop().await;
}

#[tokio::test]
async fn a_delay_ends_without_an_approval_when_the_rule_was_switched_off_or_a_newer_patch_came() {
    let system = System::start().await;
    let (acme, _) = waiting(&system).await;
    let scheduled: Vec<ApprovalScheduled> = system.facts(ApprovalScheduled::TYPE).await;
    let disable = DisableRule { rule_id: scheduled[0].rule_id };
    system.send(&caller(Role::CustomerAdmin, acme), disable).await.unwrap();
    let (_, patch) = waiting(&system).await;
    let newer = windows();
    system.published(&newer).await;
    system.superseded(patch.patch_id, &newer).await;
    system.has_read_all().await;
    system.rules_look_at(at(in_2090(2, 1), 0, 0)).await;
    assert_eq!(approved(&system).await, []);
    system.stop().await;
}

#[tokio::test]
async fn a_shorter_delay_moves_the_approval_and_a_rule_that_is_switched_on_again_looks_at_once() {
    let system = System::start().await;
    let (acme, _) = waiting(&system).await;
    let scheduled: Vec<ApprovalScheduled> = system.facts(ApprovalScheduled::TYPE).await;
    let rule_id = scheduled[0].rule_id;
    let admin = caller(Role::CustomerAdmin, acme);
    let contents = contents_with(&[Severity::Critical], |rule| rule.timing = RuleTiming::Delay { days: 2 });
    system.send(&admin, ChangeRule { rule_id, contents, confirm: false }).await.unwrap();
    let scheduled: Vec<ApprovalScheduled> = system.facts(ApprovalScheduled::TYPE).await;
    assert_eq!(
        scheduled.iter().map(|fact| (fact.rule_version, fact.approves_at)).collect::<Vec<_>>(),
        [(1, at(in_2090(1, 15), 0, 0)), (2, at(in_2090(1, 10), 0, 0))]
    );

    system.send(&admin, DisableRule { rule_id }).await.unwrap();
    let contents = contents_with(&[Severity::Critical], |rule| {
        rule.timing = RuleTiming::CutOff { released_until: in_2090(1, 31) };
    });
    system.send(&admin, ChangeRule { rule_id, contents, confirm: false }).await.unwrap();
    assert_eq!(approved(&system).await, []);
    let scheduled = async || system.facts::<ApprovalScheduled>(ApprovalScheduled::TYPE).await.len();
    assert_eq!(scheduled().await, 2);
    system.send(&admin, EnableRule { rule_id, confirm: false }).await.unwrap();
    assert_eq!(scheduled().await, 3);
    system.rules_look_at(at(in_2090(1, 8), 0, 0)).await;
    let approvals = approved(&system).await;
    assert!(matches!(approvals[..], [PatchApproved { by: ApprovalMode::Auto { rule_version: 3, .. }, .. }]));
    system.stop().await;
}

#[tokio::test]
async fn a_cut_off_leaves_later_releases_pending() {
    let system = System::start().await;
    let acme = system.customer().await;
    let patch_id = system.published(&windows()).await;
    system.whitelists(acme, windows_11()).await;
    let until = |day| {
        let released_until = NaiveDate::from_ymd_opt(2024, 1, day).unwrap();
        contents_with(&[Severity::Critical], |rule| rule.timing = RuleTiming::CutOff { released_until })
    };
    let rule_id = system.saves(acme, until(8)).await.rule_id;
    system.missing(acme, patch_id).await;
    assert_eq!(refused(&system).await, [RefusalReason::ReleasedTooLate]);
    let change = ChangeRule { rule_id, contents: until(9), confirm: false };
    system.send(&caller(Role::CustomerAdmin, acme), change).await.unwrap();
    assert_eq!(approved(&system).await.len(), 1);
    system.stop().await;
}

#[tokio::test]
async fn a_patch_is_looked_at_again_when_what_it_closes_becomes_known_to_be_exploited() {
    let system = System::start().await;
    let acme = system.customer().await;
    let patch = windows();
    system.published(&patch).await;
    system.whitelists(acme, windows_11()).await;
    let contents = contents_with(&[Severity::Critical], |rule| rule.conditions.kev_only = true);
    system.saves(acme, contents).await;
    system.missing(acme, patch.patch_id).await;
    assert_eq!(refused(&system).await, [RefusalReason::NotExploited]);
    for cve in ["CVE-2024-99999", &patch.cves[0]] {
        assert_eq!(approved(&system).await, []);
        let entry = KevEntry {
            date_added: in_2090(1, 8),
            due_date: None,
            ransomware: None,
            vendor: "Microsoft".to_owned(),
            product: "Windows".to_owned(),
            name: "of the kernel".to_owned(),
        };
        let listed = VulnerabilityAddedToKev { cve: cve.to_owned(), entry };
        system.happens::<VulnerabilityEvent>(Tenant::PLATFORM, listed).await;
    }
    let approvals = approved(&system).await;
    assert!(
        matches!(&approvals[..], [PatchApproved { by: ApprovalMode::Auto { inputs, .. }, .. }]
            if inputs.kev == Some(true)),
        "{approvals:?}"
    );
    assert_eq!(refused(&system).await, [RefusalReason::NotExploited]);
    system.stop().await;
}

#[tokio::test]
async fn point_98_the_customers_rating_counts_and_else_the_partners() {
    let system = System::start().await;
    let acme = system.customer().await;
    let partner = Tenant::partner(acme.partner_id);
    let patch_id = system.published(&windows()).await;
    system.whitelists(acme, windows_11()).await;
    let contents = contents_with(&[Severity::Critical], |rule| rule.conditions.minimum_rating = Some(4));
    system.saves(acme, contents).await;
    system.missing(acme, patch_id).await;
    let rates = async |tenant, rating| {
        let rated = PatchRated { patch_id, rating, comment: None };
        system.happens::<RatingEvent>(tenant, rated).await;
        system.has_read_all().await;
    };
    rates(acme, 3).await;
    rates(partner, 5).await;
    assert_eq!(refused(&system).await, [RefusalReason::RatingTooLow]);
    assert_eq!(approved(&system).await, []);
    system.happens::<RatingEvent>(acme, PatchRatingCleared { patch_id }).await;
    let approvals = approved(&system).await;
    assert!(
        matches!(&approvals[..], [PatchApproved { by: ApprovalMode::Auto { inputs, .. }, .. }]
            if inputs.rating == Some(5)),
        "{approvals:?}"
    );
    system.stop().await;
}

#[tokio::test]
async fn a_vendor_is_who_publishes_the_feed() {
    let system = System::start().await;
    let acme = system.customer().await;
    let patch = windows();
    let registered = FeedRegistered {
        feed_id: patch.feed_id,
        name: "msrc".to_owned(),
        kind: FeedKind::OsVendor,
        format: FeedFormat::MsrcCvrf,
        source: "msrc/index.json".to_owned(),
        schedule: None,
        publisher: Some(Publisher { name: "Microsoft".to_owned(), contact_url: None }),
        keyring: None,
    };
    system.happens::<FeedEvent>(Tenant::PLATFORM, registered).await;
    system.published(&patch).await;
    let other = windows();
    system.published(&other).await;
    system.whitelists(acme, windows_11()).await;
    let vendors = vec!["microsoft".to_owned()];
    let contents = contents_with(&[Severity::Critical], |rule| rule.conditions.vendors = vendors);
    system.saves(acme, contents).await;
    for patch_id in [other.patch_id, patch.patch_id] {
        system.missing(acme, patch_id).await;
    }
    assert_eq!(refused(&system).await, [RefusalReason::VendorNotChosen]);
    assert_eq!(approved(&system).await[0].patch_id, patch.patch_id);
    system.stop().await;
}

#[tokio::test]
async fn a_partners_rule_and_whitelist_hold_at_all_of_its_customers_and_nowhere_else() {
    let system = System::start().await;
    let acme = system.customer().await;
    let bistro = system.customer_of(acme.partner_id).await;
    let stranger = system.customer().await;
    let partner = Tenant::partner(acme.partner_id);
    let patch_id = system.published(&windows()).await;
    for tenant in [acme, bistro, stranger] {
        system.missing(tenant, patch_id).await;
    }
    let add = AddToWhitelist { customer_id: None, pattern: windows_11() };
    system.send(&caller(Role::PartnerOperator, partner), add).await.unwrap();
    let rule_id = system.saves(partner, contents(&[Severity::Critical])).await.rule_id;
    let approvals = approved(&system).await;
    let mut customers: Vec<_> = approvals.iter().filter_map(|fact| fact.scope.whole_customer()).collect();
    customers.sort();
    let mut expected = [acme, bistro].map(|tenant| tenant.customer_id.unwrap());
    expected.sort();
    assert_eq!(customers, expected);
    for fact in &approvals {
        assert!(
            matches!(&fact.by, ApprovalMode::Auto { rule_id: by, inputs, .. }
                if *by == rule_id && inputs.whitelist_level == ApprovalLevel::Partner),
            "{fact:?}"
        );
    }
    assert_eq!(refused(&system).await, []);

    // It is the partner's alone.
    let customer_admin = caller(Role::CustomerAdmin, acme);
    let refused = system.send(&customer_admin, DisableRule { rule_id }).await.unwrap_err();
    assert_eq!((refused.status, refused.code.as_str()), (404, "approvals.rule_unknown"));
    let add = AddToWhitelist { customer_id: None, pattern: windows_11() };
    let refused = system.send(&customer_admin, add).await.unwrap_err();
    assert_eq!((refused.status, refused.code.as_str()), (403, "access.forbidden"));
    system.send(&caller(Role::PartnerAdmin, partner), DisableRule { rule_id }).await.unwrap();
    let other = system.published(&windows()).await;
    system.missing(bistro, other).await;
    assert_eq!(approved(&system).await.len(), 2);
    system.stop().await;
}

#[tokio::test]
async fn a_rule_for_groups_approves_there_and_the_customer_still_decides() {
    let system = System::start().await;
    let acme = system.customer().await;
    let customer_id = acme.customer_id.unwrap();
    let groups: [DeviceGroupId; 2] = [id(), id()];
    for group_id in groups {
        let name = format!("group {group_id}");
        let members = GroupMembers::Listed { device_ids: vec![] };
        let defined = GroupDefined { group_id, customer_id, name, members };
        system.happens::<GroupEvent>(acme, defined).await;
    }
    let patch_id = system.published(&windows()).await;
    system.whitelists(acme, windows_11()).await;
    let contents = contents_with(&[Severity::Critical], |rule| rule.groups = groups.to_vec());
    system.saves(acme, contents).await;
    let removed = GroupRemoved { group_id: groups[1], customer_id };
    system.happens::<GroupEvent>(acme, removed).await;
    system.has_read_all().await;
    system.missing(acme, patch_id).await;
    let scopes: Vec<ApprovalScope> = approved(&system).await.iter().map(|fact| fact.scope).collect();
    assert_eq!(scopes, [ApprovalScope::Group { customer_id, group_id: groups[0] }]);

    // A rule for everybody still finds it pending.
    system.rule(acme, &[Severity::Critical]).await;
    let scopes: Vec<ApprovalScope> = approved(&system).await.iter().map(|fact| fact.scope).collect();
    assert_eq!(scopes[1..], [ApprovalScope::Customer { customer_id }]);
    system.stop().await;
}

#[tokio::test]
async fn nothing_is_recorded_when_nothing_changes() {
    let system = System::start().await;
    let (acme, patch) = waiting(&system).await;
    let before = system.log().await.len();
    system.revised(&patch, "url").await;
    system.revised(&patch, "url").await;
    system.whitelists(acme, WhitelistPattern::VendorPatchId("KB0000000".to_owned())).await;
    assert_eq!(system.log().await.len(), before + 3);
    system.stop().await;
}
