//! Laws that hold for every rule, every whitelist and every patch.

use super::tests::{candidate, day};
use super::{Candidate, Listed, Verdict, evaluate};
use chrono::Days;
use contracts::approvals::{
    ApprovalLevel, RefusalReason, RuleConditions, RuleContents, RuleTiming, WhitelistPattern,
};
use contracts::{Classification, DevicePlatform, Severity};
use proptest::prelude::*;

fn severity() -> impl Strategy<Value = Severity> {
    prop_oneof![Just(Severity::Unknown), Just(Severity::Low), Just(Severity::High), Just(Severity::Critical)]
}

fn classification() -> impl Strategy<Value = Classification> {
    prop_oneof![Just(Classification::Security), Just(Classification::Driver)]
}

/// Some of them are contained in the candidates' names.
fn texts() -> impl Strategy<Value = Vec<String>> {
    let text = prop_oneof![Just("windows"), Just("cumulative"), Just("23H2"), Just("microsoft"), Just("x")];
    prop::collection::vec(text.prop_map(str::to_owned), 0..3)
}

fn timing() -> impl Strategy<Value = RuleTiming> {
    prop_oneof![
        (0_u16..=30).prop_map(|days| RuleTiming::Delay { days }),
        (1_u32..=31).prop_map(|last| RuleTiming::CutOff { released_until: day(last) }),
    ]
}

fn conditions() -> impl Strategy<Value = RuleConditions> {
    let severities = prop::collection::vec(severity(), 0..4);
    let classifications = prop::collection::vec(classification(), 0..3);
    let rest = (prop::option::of(1_u8..=5), any::<bool>(), prop::option::of(0_u16..=20));
    (severities, classifications, texts(), texts(), texts(), rest).prop_map(
        |(severities, classifications, products, vendors, os_releases, rest)| {
            let (minimum_rating, kev_only, minimum_age_days) = rest;
            RuleConditions {
                severities,
                classifications,
                products,
                vendors,
                os_releases,
                minimum_rating,
                kev_only,
                minimum_age_days,
            }
        },
    )
}

fn rules() -> impl Strategy<Value = RuleContents> {
    (conditions(), timing()).prop_map(|(conditions, timing)| RuleContents {
        groups: vec![],
        conditions,
        timing,
    })
}

fn listed() -> impl Strategy<Value = Listed> {
    let pattern = prop_oneof![
        Just(WhitelistPattern::VendorPatchId("kb5034123".to_owned())),
        prop_oneof![Just("windows"), Just("office")]
            .prop_map(|text| WhitelistPattern::Product(text.to_owned())),
        classification().prop_map(WhitelistPattern::Classification),
    ];
    let level = prop_oneof![Just(ApprovalLevel::Customer), Just(ApprovalLevel::Partner)];
    (level, pattern).prop_map(|(level, pattern)| Listed { level, pattern })
}

fn whitelists() -> impl Strategy<Value = Vec<Listed>> {
    prop::collection::vec(listed(), 0..4)
}

fn candidates() -> impl Strategy<Value = Candidate> {
    (severity(), classification(), any::<bool>(), prop::option::of(1_u8..=5), 1_u32..=31).prop_map(
        |(severity, classification, kev, rating, released)| Candidate {
            severity,
            classification,
            kev,
            rating,
            release_date: day(released),
            ..candidate()
        },
    )
}

proptest! {
    #[test]
    fn point_87_no_rule_and_no_whitelist_approves_a_linux_patch(
        patch in candidates(), rule in rules(), whitelist in whitelists(), today in 1_u32..=31,
    ) {
        let linux = Candidate { platform: DevicePlatform::Linux, ..patch };
        let refused =
            Verdict::Refuse { reason: RefusalReason::PlatformNotEligible, next_change_at: None };
        prop_assert_eq!(evaluate(&linux, &rule, &whitelist, day(today)), refused);
    }

    #[test]
    fn a_further_whitelist_entry_takes_no_approval_away(
        patch in candidates(), rule in rules(), whitelist in whitelists(), more in listed(),
        at in any::<prop::sample::Index>(), today in 1_u32..=31,
    ) {
        let before = evaluate(&patch, &rule, &whitelist, day(today));
        let mut longer = whitelist;
        longer.insert(at.index(longer.len() + 1), more);
        let after = evaluate(&patch, &rule, &longer, day(today));
        match before {
            Verdict::Approve { .. } => prop_assert!(matches!(after, Verdict::Approve { .. }), "{after:?}"),
            Verdict::Scheduled { at, .. } => prop_assert_eq!(after.next_change_at(), Some(at)),
            Verdict::Refuse { .. } => {}
        }
    }

    #[test]
    fn time_only_ever_brings_an_approval_nearer(
        patch in candidates(), rule in rules(), whitelist in whitelists(), today in 1_u32..=31, later in 0_u64..60,
    ) {
        let today = day(today);
        let then = today.checked_add_days(Days::new(later)).unwrap();
        let (before, after) =
            (evaluate(&patch, &rule, &whitelist, today), evaluate(&patch, &rule, &whitelist, then));
        match (&before, before.next_change_at()) {
            (Verdict::Approve { .. }, _) => prop_assert!(matches!(after, Verdict::Approve { .. }), "{after:?}"),
            // Nothing changes by itself before the time that was told.
            (_, Some(at)) if then < at.date_naive() => prop_assert_eq!(before, after),
            (Verdict::Scheduled { .. }, Some(_)) => {
                prop_assert!(matches!(after, Verdict::Approve { .. }), "{after:?}");
            }
            (_, Some(_)) => prop_assert_ne!(before, after),
            (_, None) => prop_assert_eq!(before, after),
        }
    }

    #[test]
    fn what_is_not_on_the_whitelist_is_never_approved(
        patch in candidates(), rule in rules(), today in 1_u32..=31,
    ) {
        let refused = Verdict::Refuse { reason: RefusalReason::NotWhitelisted, next_change_at: None };
        prop_assert_eq!(evaluate(&patch, &rule, &[], day(today)), refused);
    }

    #[test]
    fn an_unknown_severity_is_approved_only_by_a_rule_that_names_it(
        patch in candidates(), rule in rules(), whitelist in whitelists(),
    ) {
        let unknown = Candidate { severity: Severity::Unknown, ..patch };
        let verdict = evaluate(&unknown, &rule, &whitelist, day(31));
        prop_assume!(!rule.conditions.severities.contains(&Severity::Unknown));
        let is_refused = matches!(verdict, Verdict::Refuse { .. });
        prop_assert!(is_refused);
    }
}
