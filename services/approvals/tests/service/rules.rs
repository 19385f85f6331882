//! What rules approve, what they leave pending, and when they look again.

use crate::fixtures::{linux, windows};
use crate::system::{System, caller, contents};
use contracts::approvals::{
    AddToWhitelist, ApprovalLapsed, ApprovalLevel, ApprovalMode, ApprovalOpened, ApprovePatch,
    AutoApprovalRefused, ChangeRule, DisableRule, PatchApproved, RefusalReason, RemoveFromWhitelist,
    RevokeApproval, RuleInputs, RuleTiming, WhitelistPattern,
};
use contracts::feeds::PatchFacts;
use contracts::permissions::Role;
use contracts::{Classification, DevicePlatform, Severity};
use kernel::Actor;
use testkit::id;

fn windows_11() -> WhitelistPattern {
    WhitelistPattern::Product("windows 11".to_owned())
}

async fn approved(system: &System) -> Vec<PatchApproved> {
    system.facts(PatchApproved::TYPE).await
}

async fn refused(system: &System) -> Vec<RefusalReason> {
    let refused: Vec<AutoApprovalRefused> = system.facts(AutoApprovalRefused::TYPE).await;
    refused.into_iter().map(|fact| fact.reason).collect()
}

#[tokio::test]
async fn a_whitelisted_windows_patch_of_a_chosen_severity_is_approved_by_the_rule() {
    let system = System::start().await;
    let acme = system.customer().await;
    let patch = windows();
    system.published(&patch).await;
    system.whitelists(acme, windows_11()).await;
    let rule_id = system.rule(acme, &[Severity::Critical]).await;
    system.missing(acme, patch.patch_id).await;

    let opened: Vec<ApprovalOpened> = system.facts(ApprovalOpened::TYPE).await;
    assert_eq!(opened.len(), 1);
    assert_eq!((opened[0].patch_id, opened[0].platform), (patch.patch_id, DevicePlatform::Windows));
    assert_eq!(opened[0].vendor_patch_id, patch.vendor_patch_id);
    let log = system.log().await;
    let approval = log.iter().find(|event| event.event_type == PatchApproved::TYPE).unwrap();
    assert_eq!((approval.actor.clone(), approval.tenant), (Actor::rule(rule_id), acme));
    let cause = approval.causation_id.unwrap();
    let scan = log.iter().find(|event| event.event_id == cause).unwrap();
    assert_eq!(scan.event_type, "devices.PatchFoundMissing");
    assert_eq!(scan.correlation_id, approval.correlation_id);
    let inputs = RuleInputs {
        whitelist: windows_11(),
        whitelist_level: ApprovalLevel::Customer,
        severity: Severity::Critical,
        classification: Classification::Security,
        kev: Some(false),
        rating: None,
        release_date: Some(patch.release_date),
        timing: RuleTiming::Delay { days: 0 },
    };
    let by = ApprovalMode::Auto { rule_id, rule_version: 1, inputs, next_change_at: None };
    let customer_id = acme.customer_id.unwrap();
    assert_eq!(
        approved(&system).await,
        [PatchApproved { patch_id: patch.patch_id, scope: customer_id.into(), by }]
    );

    // Missing on a second device: everything about it has been decided.
    let events = system.log().await.len();
    system.missing(acme, patch.patch_id).await;
    assert_eq!(system.log().await.len(), events + 1);
    system.stop().await;
}

#[tokio::test]
async fn no_rule_approves_a_linux_patch_and_a_person_still_can() {
    let system = System::start().await;
    let acme = system.customer().await;
    let patch_id = system.published(&linux()).await;
    system.whitelists(acme, WhitelistPattern::Classification(Classification::Security)).await;
    let rule_id = system.rule(acme, &[Severity::Critical]).await;
    system.missing(acme, patch_id).await;

    let facts: Vec<AutoApprovalRefused> = system.facts(AutoApprovalRefused::TYPE).await;
    assert_eq!(facts.len(), 1);
    assert_eq!((facts[0].patch_id, facts[0].rule_id, facts[0].rule_version), (patch_id, rule_id, 1));
    assert_eq!(facts[0].reason, RefusalReason::PlatformNotEligible);
    assert_eq!(approved(&system).await, []);

    let customer_id = acme.customer_id.unwrap();
    let approver = caller(Role::CustomerApprover, acme);
    let comment = Some("tested on web-01".to_owned());
    let by = ApprovalMode::Manual { approved_by: approver.user_id, comment: comment.clone() };
    system.send(&approver, ApprovePatch { patch_id, scope: customer_id.into(), comment }).await.unwrap();
    assert_eq!(approved(&system).await, [PatchApproved { patch_id, scope: customer_id.into(), by }]);
    system.stop().await;
}

#[tokio::test]
async fn a_new_whitelist_entry_lets_pending_patches_through() {
    let system = System::start().await;
    let acme = system.customer().await;
    let patch_id = system.published(&windows()).await;
    system.rule(acme, &[Severity::Critical]).await;
    system.missing(acme, patch_id).await;
    assert_eq!(refused(&system).await, [RefusalReason::NotWhitelisted]);

    system.whitelists(acme, WhitelistPattern::VendorPatchId("KB0000000".to_owned())).await;
    assert_eq!(refused(&system).await, [RefusalReason::NotWhitelisted]);
    assert_eq!(approved(&system).await, []);
    let kb = WhitelistPattern::VendorPatchId("kb5034123".to_owned());
    system.whitelists(acme, kb.clone()).await;
    let approvals = approved(&system).await;
    assert!(
        matches!(&approvals[..], [PatchApproved { by: ApprovalMode::Auto { inputs, .. }, .. }] if inputs.whitelist == kb)
    );
    system.stop().await;
}

#[tokio::test]
async fn a_changed_rule_looks_at_pending_patches_again() {
    let system = System::start().await;
    let acme = system.customer().await;
    let patch_id = system.published(&PatchFacts { severity: Severity::High, ..windows() }).await;
    system.whitelists(acme, windows_11()).await;
    let rule_id = system.rule(acme, &[Severity::Critical]).await;
    system.missing(acme, patch_id).await;
    assert_eq!(refused(&system).await, [RefusalReason::SeverityNotChosen]);

    let admin = caller(Role::PartnerOperator, acme);
    let contents = contents(&[Severity::Critical, Severity::High]);
    system.send(&admin, ChangeRule { rule_id, contents, confirm: false }).await.unwrap();
    let approvals = approved(&system).await;
    assert!(matches!(
        &approvals[..],
        [PatchApproved { by: ApprovalMode::Auto { rule_version: 2, inputs, .. }, .. }]
            if inputs.severity == Severity::High
    ));
    system.stop().await;
}

#[tokio::test]
async fn a_revised_severity_is_looked_at_again_wherever_the_patch_is_pending() {
    let system = System::start().await;
    let acme = system.customer().await;
    let bistro = system.customer().await;
    let patch = PatchFacts { severity: Severity::Low, ..windows() };
    system.published(&patch).await;
    for tenant in [acme, bistro] {
        system.whitelists(tenant, windows_11()).await;
        system.rule(tenant, &[Severity::Critical]).await;
        system.missing(tenant, patch.patch_id).await;
    }
    assert_eq!(refused(&system).await, [RefusalReason::SeverityNotChosen; 2]);
    system.revised(&PatchFacts { severity: Severity::Critical, ..patch }, "severity").await;
    let mut customers: Vec<_> =
        approved(&system).await.iter().filter_map(|fact| fact.scope.whole_customer()).collect();
    customers.sort();
    let mut expected = [acme.customer_id.unwrap(), bistro.customer_id.unwrap()];
    expected.sort();
    assert_eq!(customers, expected);
    system.stop().await;
}

#[tokio::test]
async fn one_customers_rules_say_nothing_of_another_customers_patches() {
    let system = System::start().await;
    let acme = system.customer().await;
    let bistro = system.customer_of(acme.partner_id).await;
    let patch_id = system.published(&windows()).await;
    system.whitelists(acme, windows_11()).await;
    system.rule(acme, &[Severity::Critical]).await;
    system.missing(bistro, patch_id).await;
    let opened: Vec<ApprovalOpened> = system.facts(ApprovalOpened::TYPE).await;
    assert_eq!(opened.iter().map(|fact| Some(fact.customer_id)).collect::<Vec<_>>(), [bistro.customer_id]);
    assert_eq!((approved(&system).await.len(), refused(&system).await.len()), (0, 0));
    system.stop().await;
}

#[tokio::test]
async fn a_rule_that_is_switched_off_approves_nothing() {
    let system = System::start().await;
    let acme = system.customer().await;
    let patch_id = system.published(&windows()).await;
    let rule_id = system.rule(acme, &[Severity::Critical]).await;
    system.send(&caller(Role::CustomerAdmin, acme), DisableRule { rule_id }).await.unwrap();
    system.whitelists(acme, windows_11()).await;
    system.missing(acme, patch_id).await;
    assert_eq!((approved(&system).await.len(), refused(&system).await.len()), (0, 0));
    system.stop().await;
}

#[tokio::test]
async fn a_revoked_approval_waits_for_the_next_change_of_the_rules() {
    let system = System::start().await;
    let acme = system.customer().await;
    let customer_id = acme.customer_id.unwrap();
    let patch_id = system.published(&windows()).await;
    system.whitelists(acme, windows_11()).await;
    system.rule(acme, &[Severity::Critical]).await;
    system.missing(acme, patch_id).await;
    assert_eq!(approved(&system).await.len(), 1);
    let approver = caller(Role::CustomerApprover, acme);
    let comment = "breaks printing".to_owned();
    system.send(&approver, RevokeApproval { patch_id, scope: customer_id.into(), comment }).await.unwrap();
    system.missing(acme, patch_id).await;
    assert_eq!(approved(&system).await.len(), 1);
    system.stop().await;
}

#[tokio::test]
async fn a_scan_that_is_faster_than_the_catalogue_waits_for_it() {
    let system = System::start().await;
    let acme = system.customer().await;
    let patch = windows();
    system.missing(acme, patch.patch_id).await;
    system.published(&patch).await;
    let opened: Vec<ApprovalOpened> = system.facts(ApprovalOpened::TYPE).await;
    assert_eq!(opened.len(), 1);
    system.stop().await;
}

#[tokio::test]
async fn a_superseded_patch_lapses_and_names_the_newer_one() {
    let system = System::start().await;
    let acme = system.customer().await;
    let bistro = system.customer().await;
    let customer_id = acme.customer_id.unwrap();
    let (old, newer) = (windows(), PatchFacts { vendor_patch_id: "KB5035000".to_owned(), ..windows() });
    system.published(&old).await;
    system.missing(acme, old.patch_id).await;
    system.published(&newer).await;
    system.superseded(old.patch_id, &newer).await;

    let lapsed: Vec<ApprovalLapsed> = system.facts(ApprovalLapsed::TYPE).await;
    let expected = ApprovalLapsed {
        patch_id: old.patch_id,
        scope: customer_id.into(),
        superseded_by: Some(newer.patch_id),
        superseded_by_vendor_id: Some(newer.vendor_patch_id.clone()),
    };
    assert_eq!(lapsed, [expected]);

    for tenant in [acme, bistro] {
        let customer_id = tenant.customer_id.unwrap();
        let approve = ApprovePatch { patch_id: old.patch_id, scope: customer_id.into(), comment: None };
        let refused = system.send(&caller(Role::CustomerApprover, tenant), approve).await.unwrap_err();
        assert_eq!((refused.status, refused.code.as_str()), (422, "approvals.patch_superseded"));
        assert!(refused.message.contains("KB5035000"), "{}", refused.message);
    }
    system.stop().await;
}

#[tokio::test]
async fn a_withdrawn_patch_lapses_even_where_it_was_approved() {
    let system = System::start().await;
    let acme = system.customer().await;
    let customer_id = acme.customer_id.unwrap();
    let patch_id = system.published(&linux()).await;
    system.has_read_all().await;
    let approver = caller(Role::CustomerApprover, acme);
    system
        .send(&approver, ApprovePatch { patch_id, scope: customer_id.into(), comment: None })
        .await
        .unwrap();
    system.withdrawn(patch_id).await;
    let lapsed: Vec<ApprovalLapsed> = system.facts(ApprovalLapsed::TYPE).await;
    assert!(matches!(lapsed[..], [ApprovalLapsed { superseded_by: None, .. }]));
    let refused = system
        .send(&approver, ApprovePatch { patch_id, scope: customer_id.into(), comment: None })
        .await
        .unwrap_err();
    assert_eq!((refused.status, refused.code.as_str()), (422, "approvals.patch_withdrawn"));
    system.stop().await;
}

#[tokio::test]
async fn a_patch_that_is_found_missing_after_its_end_is_not_up_for_a_decision() {
    let system = System::start().await;
    let acme = system.customer().await;
    let (old, recalled, newer) = (windows(), windows(), windows());
    for patch in [&old, &recalled, &newer] {
        system.published(patch).await;
    }
    system.superseded(old.patch_id, &newer).await;
    system.withdrawn(recalled.patch_id).await;
    // Scans that were under way when the catalogue changed.
    system.missing(acme, old.patch_id).await;
    system.missing(acme, recalled.patch_id).await;
    system.missing(acme, newer.patch_id).await;
    let opened: Vec<ApprovalOpened> = system.facts(ApprovalOpened::TYPE).await;
    assert_eq!(opened.iter().map(|fact| fact.patch_id).collect::<Vec<_>>(), [newer.patch_id]);
    system.stop().await;
}

#[tokio::test]
async fn redelivery_adds_nothing() {
    let system = System::start().await;
    let acme = system.customer().await;
    let (kb, advisory, newer) = (windows(), linux(), windows());
    for patch in [&kb, &advisory, &newer] {
        system.published(patch).await;
    }
    system.whitelists(acme, windows_11()).await;
    system.rule(acme, &[Severity::Critical]).await;
    for patch in [&kb, &advisory] {
        system.missing(acme, patch.patch_id).await;
    }
    system.superseded(kb.patch_id, &newer).await;
    let before = system.log().await;
    assert!(before.iter().any(|event| event.event_type == PatchApproved::TYPE));
    assert!(before.iter().any(|event| event.event_type == ApprovalLapsed::TYPE));
    system.redelivers_everything().await;
    assert_eq!(system.log().await, before);
    system.stop().await;
}

#[tokio::test]
async fn a_repeated_command_does_not_bring_a_whitelist_entry_back() {
    let system = System::start().await;
    let acme = system.customer().await;
    let customer_id = acme.customer_id;
    let admin = caller(Role::CustomerAdmin, acme);
    let (add_id, remove_id) = (id(), id());
    let add = || AddToWhitelist { customer_id, pattern: windows_11() };
    let remove = || RemoveFromWhitelist { customer_id, pattern: windows_11() };
    system.send_as(&admin, add(), add_id).await.unwrap();
    system.send_as(&admin, remove(), remove_id).await.unwrap();
    assert!(system.send_as(&admin, add(), add_id).await.unwrap().repeated);

    let patch_id = system.published(&windows()).await;
    system.rule(acme, &[Severity::Critical]).await;
    system.missing(acme, patch_id).await;
    assert_eq!(approved(&system).await, []);

    system.send(&admin, add()).await.unwrap();
    assert!(system.send_as(&admin, remove(), remove_id).await.unwrap().repeated);
    assert_eq!(approved(&system).await.len(), 1);
    let patch_id = system.published(&windows()).await;
    system.missing(acme, patch_id).await;
    assert_eq!(approved(&system).await.len(), 2);
    system.stop().await;
}

#[tokio::test]
async fn the_oldest_rule_looks_first_also_after_it_was_changed() {
    let system = System::start().await;
    let acme = system.customer().await;
    let patch_id = system.published(&windows()).await;
    let mut rules = Vec::new();
    for _ in 0..5 {
        rules.push(system.rule(acme, &[Severity::Low]).await);
    }
    let contents = contents(&[Severity::Medium]);
    let change = ChangeRule { rule_id: rules[0], contents, confirm: false };
    system.send(&caller(Role::CustomerAdmin, acme), change).await.unwrap();
    system.missing(acme, patch_id).await;
    let refused: Vec<AutoApprovalRefused> = system.facts(AutoApprovalRefused::TYPE).await;
    assert_eq!(refused.iter().map(|fact| fact.rule_id).collect::<Vec<_>>(), rules);
    system.stop().await;
}
