//! What is said when a rule is saved: who wins, what never matches, what is too broad.

use crate::fixtures::windows;
use crate::system::{System, caller, contents, contents_with};
use contracts::Severity;
use contracts::approvals::{
    AddToWhitelist, ChangeRule, CreateRule, DisableRule, EnableRule, PatchApproved, RuleContents,
    RuleCreated, RuleWarningKind, SavedRule, WhitelistPattern,
};
use contracts::permissions::Role;
use kernel::{RuleId, Tenant};
use testkit::id;
use web::CommandFailure;

fn windows_11() -> WhitelistPattern {
    WhitelistPattern::Product("windows 11".to_owned())
}

fn told(saved: &SavedRule) -> Vec<(RuleWarningKind, Option<RuleId>)> {
    saved.warnings.iter().map(|warning| (warning.kind, warning.wins)).collect()
}

#[tokio::test]
async fn rules_that_overlap_are_reported_with_the_winner() {
    let system = System::start().await;
    let acme = system.customer().await;
    let partner = Tenant::partner(acme.partner_id);
    let add = AddToWhitelist { customer_id: None, pattern: windows_11() };
    let first = system.saves(acme, contents(&[Severity::Critical])).await;
    assert_eq!(told(&first), [(RuleWarningKind::NeverMatches, None)]);
    system.send(&caller(Role::PartnerAdmin, partner), add).await.unwrap();

    let wins = Some(first.rule_id);
    let same = system.saves(acme, contents(&[Severity::Critical])).await;
    assert_eq!(told(&same), [(RuleWarningKind::Duplicate, wins)]);
    system.send(&caller(Role::CustomerAdmin, acme), DisableRule { rule_id: same.rule_id }).await.unwrap();
    let exploited = contents_with(&[Severity::Critical], |rule| rule.conditions.kev_only = true);
    assert_eq!(told(&system.saves(acme, exploited).await), [(RuleWarningKind::NeverDecides, wins)]);
    let low = system.saves(acme, contents(&[Severity::Low])).await;
    assert_eq!(told(&low), []);
    let of_partner = system.saves(partner, contents(&[Severity::Low, Severity::Medium])).await;
    assert_eq!(told(&of_partner), [(RuleWarningKind::Overlaps, Some(low.rule_id))]);
    system.stop().await;
}

/// Sends a rule of the customer's admin.
async fn creates(
    system: &System,
    tenant: Tenant,
    contents: RuleContents,
    confirm: bool,
) -> Result<SavedRule, CommandFailure> {
    let name = "broad".to_owned();
    let create = CreateRule { customer_id: tenant.customer_id, name, contents, confirm };
    Ok(system.send(&caller(Role::CustomerAdmin, tenant), create).await?.answer)
}

#[tokio::test]
async fn a_rule_that_would_approve_more_than_the_set_share_asks_for_confirmation() {
    let system = System::start_with([("BROAD_RULE_PERCENT", "60"), ("BROAD_RULE_INSTALLS", "3")]).await;
    let acme = system.customer().await;
    let (critical, low) = (windows(), contracts::feeds::PatchFacts { severity: Severity::Low, ..windows() });
    for (patch, devices) in [(&critical, 4), (&low, 1)] {
        system.published(patch).await;
        for _ in 0..devices {
            system.missing(acme, patch.patch_id).await;
        }
    }
    system.whitelists(acme, windows_11()).await;
    let broad = contents(&[Severity::Critical]);
    let refused = creates(&system, acme, broad.clone(), false).await.unwrap_err();
    assert_eq!((refused.status, refused.code.as_str()), (422, "approvals.rule_too_broad"));
    assert!(refused.message.contains("4 of 5"), "{}", refused.message);
    assert_eq!(system.facts::<RuleCreated>(RuleCreated::TYPE).await, []);

    // A narrow one may be made, and is asked for confirmation when it is made broad.
    let narrow = creates(&system, acme, contents(&[Severity::High]), false).await.unwrap();
    let admin = caller(Role::CustomerAdmin, acme);
    let change = |confirm| ChangeRule { rule_id: narrow.rule_id, contents: broad.clone(), confirm };
    let refused = system.send(&admin, change(false)).await.unwrap_err();
    assert_eq!(refused.code, "approvals.rule_too_broad");
    // One that is switched off is asked when it is switched on.
    let rule_id = narrow.rule_id;
    system.send(&admin, DisableRule { rule_id }).await.unwrap();
    system.send(&admin, change(false)).await.unwrap();
    let refused = system.send(&admin, EnableRule { rule_id, confirm: false }).await.unwrap_err();
    assert_eq!(refused.code, "approvals.rule_too_broad");
    assert_eq!(system.facts::<PatchApproved>(PatchApproved::TYPE).await, []);
    system.send(&admin, EnableRule { rule_id, confirm: true }).await.unwrap();
    assert_eq!(system.facts::<PatchApproved>(PatchApproved::TYPE).await.len(), 1);
    system.stop().await;
}

#[tokio::test]
async fn a_group_that_the_customer_does_not_have_is_refused() {
    let system = System::start().await;
    let acme = system.customer().await;
    let contents = contents_with(&[Severity::Critical], |rule| rule.groups = vec![id()]);
    let refused = creates(&system, acme, contents.clone(), false).await.unwrap_err();
    assert_eq!((refused.status, refused.code.as_str()), (422, "approvals.rule_group_unknown"));
    let create = CreateRule { customer_id: None, name: "all".to_owned(), contents, confirm: false };
    let refused = system.send(&caller(Role::PartnerAdmin, acme), create).await.unwrap_err();
    assert_eq!((refused.status, refused.code.as_str()), (422, "approvals.rule_groups_of_partner"));
    system.stop().await;
}
