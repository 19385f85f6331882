//! Who wins, who never decides, and what never matches.

use super::{Known, warnings};
use crate::evaluation::{Candidate, Listed, Verdict, evaluate};
use chrono::NaiveDate;
use contracts::approvals::{
    ApprovalLevel, RuleConditions, RuleContents, RuleOwner, RuleTiming, RuleWarningKind, WhitelistPattern,
};
use contracts::{Classification, DevicePlatform, Severity};
use kernel::{CustomerId, DeviceGroupId, PartnerId, RuleId};
use uuid::Uuid;

const ACME: RuleOwner = RuleOwner::Customer { customer_id: CustomerId(Uuid::from_u128(2)) };
const BISTRO: RuleOwner = RuleOwner::Customer { customer_id: CustomerId(Uuid::from_u128(3)) };
const PARTNER: RuleOwner = RuleOwner::Partner { partner_id: PartnerId(Uuid::from_u128(4)) };

fn rule_id(number: u128) -> RuleId {
    RuleId(Uuid::from_u128(number))
}

fn known(number: u128, owner: RuleOwner, change: impl FnOnce(&mut RuleContents)) -> Known {
    let mut contents = RuleContents {
        groups: vec![],
        conditions: RuleConditions { severities: vec![Severity::Critical], ..RuleConditions::default() },
        timing: RuleTiming::Delay { days: 7 },
    };
    change(&mut contents);
    Known { rule_id: rule_id(number), owner, contents }
}

fn windows() -> Vec<Listed> {
    let pattern = WhitelistPattern::Product("windows".into());
    vec![Listed { level: ApprovalLevel::Customer, pattern }]
}

/// What is said of the second of two rules, with the winner.
fn of_newer(older: Known, newer: Known) -> Vec<(RuleWarningKind, Option<RuleId>)> {
    let told = warnings(newer.rule_id, &[older, newer], &windows());
    told.into_iter().map(|warning| (warning.kind, warning.wins)).collect()
}

#[test]
fn of_two_rules_that_say_the_same_the_older_approves() {
    let told = of_newer(known(1, ACME, |_| {}), known(2, ACME, |_| {}));
    assert_eq!(told, [(RuleWarningKind::Duplicate, Some(rule_id(1)))]);
}

#[test]
fn a_narrower_newer_rule_never_decides() {
    let narrower = [
        known(2, ACME, |rule| rule.timing = RuleTiming::Delay { days: 8 }),
        known(2, ACME, |rule| rule.conditions.kev_only = true),
        known(2, ACME, |rule| rule.conditions.minimum_rating = Some(2)),
        known(2, ACME, |rule| rule.conditions.products = vec!["Windows 11".into()]),
        known(2, ACME, |rule| rule.groups = vec![DeviceGroupId(Uuid::from_u128(9))]),
    ];
    for newer in narrower {
        let told = of_newer(known(1, ACME, |_| {}), newer.clone());
        assert_eq!(told, [(RuleWarningKind::NeverDecides, Some(rule_id(1)))], "{newer:?}");
    }
    let of_partner = of_newer(known(1, PARTNER, |_| {}), known(2, ACME, |_| {}));
    assert_eq!(of_partner, [(RuleWarningKind::NeverDecides, Some(rule_id(1)))]);
}

#[test]
fn a_newer_rule_that_waits_for_fewer_days_wins() {
    let sooner = known(2, ACME, |rule| rule.timing = RuleTiming::Delay { days: 3 });
    assert_eq!(of_newer(known(1, ACME, |_| {}), sooner), [(RuleWarningKind::Overlaps, Some(rule_id(2)))]);
    let wider = known(2, ACME, |rule| rule.conditions.severities.push(Severity::High));
    assert_eq!(of_newer(known(1, ACME, |_| {}), wider), [(RuleWarningKind::Overlaps, Some(rule_id(1)))]);
}

#[test]
fn rules_for_different_kinds_groups_or_customers_have_nothing_to_do_with_each_other() {
    let low = known(2, ACME, |rule| rule.conditions.severities = vec![Severity::Low]);
    assert_eq!(of_newer(known(1, ACME, |_| {}), low), []);
    let group = |number: u128| vec![DeviceGroupId(Uuid::from_u128(number))];
    let (one, other) =
        (known(1, ACME, |rule| rule.groups = group(8)), known(2, ACME, |rule| rule.groups = group(9)));
    assert_eq!(of_newer(one, other), []);
    assert_eq!(of_newer(known(1, ACME, |_| {}), known(2, BISTRO, |_| {})), []);
}

#[test]
fn a_changed_older_rule_is_told_whom_it_silences() {
    let rules = [known(1, ACME, |_| {}), known(2, ACME, |rule| rule.conditions.kev_only = true)];
    let told = warnings(rule_id(1), &rules, &windows());
    assert_eq!(
        (told[0].kind, told[0].other, told[0].wins),
        (RuleWarningKind::NeverDecides, Some(rule_id(2)), Some(rule_id(1)))
    );
}

#[test]
fn a_rule_without_a_fitting_whitelist_never_matches() {
    let alone = [known(1, ACME, |rule| {
        rule.conditions.severities.clear();
        rule.conditions.classifications = vec![Classification::Security];
    })];
    let listed = |pattern| vec![Listed { level: ApprovalLevel::Customer, pattern }];
    let kinds = |whitelist: &[Listed]| -> Vec<_> {
        warnings(rule_id(1), &alone, whitelist).into_iter().map(|warning| warning.kind).collect()
    };
    assert_eq!(kinds(&[]), [RuleWarningKind::NeverMatches]);
    let drivers = listed(WhitelistPattern::Classification(Classification::Driver));
    assert_eq!(kinds(&drivers), [RuleWarningKind::NeverMatches]);
    assert_eq!(kinds(&listed(WhitelistPattern::Classification(Classification::Security))), []);
    assert_eq!(kinds(&windows()), []);
}

/// Against the evaluation itself: whatever a rule approves that "never decides", the winner approves as well.
#[test]
fn whoever_never_decides_is_approved_for_by_the_winner() {
    let mut rules = Vec::new();
    for severities in [vec![Severity::Critical], vec![Severity::Critical, Severity::Low], vec![]] {
        for classifications in [vec![], vec![Classification::Security]] {
            for (kev_only, products) in [(false, vec![]), (true, vec!["Windows 11".to_owned()])] {
                for timing in [
                    RuleTiming::Delay { days: 2 },
                    RuleTiming::CutOff { released_until: NaiveDate::from_ymd_opt(2024, 1, 5).unwrap() },
                ] {
                    let number = u128::try_from(rules.len()).unwrap() + 1;
                    rules.push(known(number, ACME, |rule| {
                        rule.conditions.severities.clone_from(&severities);
                        rule.conditions.classifications.clone_from(&classifications);
                        rule.conditions.products.clone_from(&products);
                        rule.conditions.kev_only = kev_only;
                        rule.timing = timing;
                    }));
                }
            }
        }
    }
    let patches = patches();
    let mut silenced = 0;
    for newer in &rules {
        for older in rules.iter().filter(|older| older.rule_id != newer.rule_id) {
            let told = of_newer(older.clone(), newer.clone());
            if told != [(RuleWarningKind::NeverDecides, Some(older.rule_id))] {
                continue;
            }
            silenced += 1;
            for patch in &patches {
                for day in 1..=9 {
                    let today = NaiveDate::from_ymd_opt(2024, 1, day).unwrap();
                    let approves = |rule: &Known| {
                        matches!(evaluate(patch, &rule.contents, &windows(), today), Verdict::Approve { .. })
                    };
                    assert!(!approves(newer) || approves(older), "{newer:?} {older:?} {patch:?}");
                }
            }
        }
    }
    assert!(silenced > 20, "{silenced}");
}

fn patches() -> Vec<Candidate> {
    let mut patches = Vec::new();
    for severity in super::SEVERITIES {
        for classification in [Classification::Security, Classification::Driver] {
            for (kev, name) in [(true, "Windows 11 update"), (false, "Windows 10 update")] {
                for released in [4, 6] {
                    patches.push(Candidate {
                        vendor_patch_id: "KB1".into(),
                        name: name.into(),
                        os_versions: vec![],
                        vendors: vec![],
                        platform: DevicePlatform::Windows,
                        severity,
                        classification,
                        kev,
                        rating: None,
                        release_date: NaiveDate::from_ymd_opt(2024, 1, released).unwrap(),
                        installable: true,
                    });
                }
            }
        }
    }
    patches
}
