//! What a rule says of single patches.

use super::{Candidate, Listed, Verdict, evaluate, midnight};
use chrono::NaiveDate;
use contracts::approvals::{
    ApprovalLevel, RefusalReason, RuleConditions, RuleContents, RuleTiming, WhitelistPattern,
};
use contracts::{Classification, DevicePlatform, Severity};

pub(super) fn day(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2024, 1, day).unwrap()
}

/// Released on the 9th.
pub(super) fn candidate() -> Candidate {
    Candidate {
        vendor_patch_id: "KB5034123".into(),
        name: "2024-01 Cumulative Update".into(),
        os_versions: vec!["Windows 11 Version 23H2 for x64-based Systems".into()],
        vendors: vec!["msrc".into(), "Microsoft".into()],
        platform: DevicePlatform::Windows,
        severity: Severity::Critical,
        classification: Classification::Security,
        kev: false,
        rating: None,
        release_date: day(9),
        installable: true,
    }
}

pub(super) fn rule(conditions: RuleConditions, timing: RuleTiming) -> RuleContents {
    RuleContents { groups: vec![], conditions, timing }
}

fn at_once(conditions: RuleConditions) -> RuleContents {
    rule(conditions, RuleTiming::Delay { days: 0 })
}

pub(super) fn critical() -> RuleConditions {
    RuleConditions { severities: vec![Severity::Critical], ..RuleConditions::default() }
}

pub(super) fn windows_11() -> Listed {
    Listed { level: ApprovalLevel::Customer, pattern: WhitelistPattern::Product("windows 11".into()) }
}

/// The reason why not; none where it approves.
fn refused(candidate: &Candidate, rule: &RuleContents, whitelist: &[Listed]) -> Option<RefusalReason> {
    match evaluate(candidate, rule, whitelist, day(31)) {
        Verdict::Approve { .. } => None,
        Verdict::Refuse { reason, .. } => Some(reason),
        Verdict::Scheduled { at, .. } => panic!("scheduled for {at}"),
    }
}

#[test]
fn point_109_a_whitelisted_patch_of_a_chosen_severity_is_approved_with_what_was_looked_at() {
    let partners = Listed { level: ApprovalLevel::Partner, ..windows_11() };
    let rated = Candidate { rating: Some(4), kev: true, ..candidate() };
    let verdict = evaluate(&rated, &at_once(critical()), &[partners], day(9));
    let Verdict::Approve { inputs } = &verdict else { panic!("{verdict:?}") };
    assert_eq!(inputs.whitelist, windows_11().pattern);
    assert_eq!(inputs.whitelist_level, ApprovalLevel::Partner);
    assert_eq!((inputs.severity, inputs.classification), (Severity::Critical, Classification::Security));
    assert_eq!((inputs.kev, inputs.rating), (Some(true), Some(4)));
    assert_eq!((inputs.release_date, inputs.timing), (Some(day(9)), RuleTiming::Delay { days: 0 }));
    assert_eq!(verdict.next_change_at(), None);
}

#[test]
fn point_109_neither_the_whitelist_nor_the_severity_alone_is_enough() {
    let moderate = Candidate { severity: Severity::Medium, ..candidate() };
    assert_eq!(
        refused(&moderate, &at_once(critical()), &[windows_11()]),
        Some(RefusalReason::SeverityNotChosen)
    );
    assert_eq!(refused(&candidate(), &at_once(critical()), &[]), Some(RefusalReason::NotWhitelisted));
    let by_class =
        RuleConditions { classifications: vec![Classification::Security], ..RuleConditions::default() };
    assert_eq!(refused(&moderate, &at_once(by_class), &[windows_11()]), None);
}

#[test]
fn an_unknown_severity_matches_only_when_asked_for() {
    let unknown = Candidate { severity: Severity::Unknown, ..candidate() };
    let security = RuleConditions { classifications: vec![Classification::Security], ..critical() };
    assert_eq!(
        refused(&unknown, &at_once(security.clone()), &[windows_11()]),
        Some(RefusalReason::SeverityNotChosen)
    );
    let asked = RuleConditions { severities: vec![Severity::Unknown], ..security };
    assert_eq!(refused(&unknown, &at_once(asked), &[windows_11()]), None);
}

#[test]
fn a_superseded_patch_is_not_approved() {
    let old = Candidate { installable: false, ..candidate() };
    assert_eq!(refused(&old, &at_once(critical()), &[windows_11()]), Some(RefusalReason::NotInstallable));
}

#[test]
fn every_condition_that_is_given_must_hold() {
    let texts = |text: &str| vec!["something else".to_owned(), text.to_owned()];
    let cases = [
        (RuleConditions { products: texts("CUMULATIVE"), ..critical() }, None),
        (RuleConditions { products: texts("office"), ..critical() }, Some(RefusalReason::ProductNotChosen)),
        (RuleConditions { vendors: texts("microsoft"), ..critical() }, None),
        (RuleConditions { vendors: texts("adobe"), ..critical() }, Some(RefusalReason::VendorNotChosen)),
        (RuleConditions { os_releases: texts("23h2"), ..critical() }, None),
        (
            RuleConditions { os_releases: texts("Cumulative"), ..critical() },
            Some(RefusalReason::OsReleaseNotChosen),
        ),
        (RuleConditions { minimum_rating: Some(1), ..critical() }, Some(RefusalReason::RatingTooLow)),
        (RuleConditions { kev_only: true, ..critical() }, Some(RefusalReason::NotExploited)),
    ];
    for (conditions, expected) in cases {
        assert_eq!(
            refused(&candidate(), &at_once(conditions.clone()), &[windows_11()]),
            expected,
            "{conditions:?}"
        );
    }
}

#[test]
fn point_98_the_rating_is_a_condition() {
    let rule = at_once(RuleConditions { minimum_rating: Some(3), ..critical() });
    let rated = |rating| Candidate { rating: Some(rating), ..candidate() };
    assert_eq!(refused(&rated(2), &rule, &[windows_11()]), Some(RefusalReason::RatingTooLow));
    assert_eq!(refused(&rated(3), &rule, &[windows_11()]), None);
}

#[test]
fn an_exploited_vulnerability_is_a_condition() {
    let rule = at_once(RuleConditions { kev_only: true, ..critical() });
    assert_eq!(refused(&Candidate { kev: true, ..candidate() }, &rule, &[windows_11()]), None);
}

#[test]
fn a_delay_ends_at_midnight_in_utc_so_many_days_after_the_release() {
    let rule = rule(critical(), RuleTiming::Delay { days: 7 });
    let on = |today| evaluate(&candidate(), &rule, &[windows_11()], today);
    let waiting = on(day(15));
    let Verdict::Scheduled { at, inputs } = &waiting else { panic!("{waiting:?}") };
    assert_eq!((*at, inputs.timing), (midnight(day(16)), RuleTiming::Delay { days: 7 }));
    assert_eq!(waiting.next_change_at(), Some(midnight(day(16))));
    assert!(matches!(on(day(16)), Verdict::Approve { .. }));
}

#[test]
fn a_cut_off_approves_at_once_what_was_released_until_then() {
    let until = |last| rule(critical(), RuleTiming::CutOff { released_until: day(last) });
    assert_eq!(refused(&candidate(), &until(9), &[windows_11()]), None);
    assert_eq!(refused(&candidate(), &until(8), &[windows_11()]), Some(RefusalReason::ReleasedTooLate));
}

#[test]
fn a_patch_that_is_too_young_says_when_it_will_be_old_enough() {
    let conditions = RuleConditions { minimum_age_days: Some(3), ..critical() };
    let rule = rule(conditions, RuleTiming::CutOff { released_until: day(31) });
    let on = |today| evaluate(&candidate(), &rule, &[windows_11()], today);
    let young = Verdict::Refuse { reason: RefusalReason::TooYoung, next_change_at: Some(midnight(day(12))) };
    assert_eq!(on(day(11)), young);
    assert!(matches!(on(day(12)), Verdict::Approve { .. }));
}

#[test]
fn a_patch_of_tomorrow_waits_for_its_release() {
    let verdict = evaluate(&candidate(), &at_once(critical()), &[windows_11()], day(8));
    assert!(matches!(verdict, Verdict::Scheduled { at, .. } if at == midnight(day(9))), "{verdict:?}");
}

#[test]
fn the_nearest_whitelist_entry_is_the_one_that_is_named() {
    let entries = [windows_11(), Listed { level: ApprovalLevel::Partner, ..windows_11() }];
    let verdict = evaluate(&candidate(), &at_once(critical()), &entries, day(31));
    assert!(
        matches!(&verdict, Verdict::Approve { inputs } if inputs.whitelist_level == ApprovalLevel::Customer)
    );
}
