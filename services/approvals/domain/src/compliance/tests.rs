//! What counts, and what is news.

use super::*;
use proptest::prelude::*;
use scenario::given;
use uuid::Uuid;

const DEVICE: DeviceId = DeviceId(Uuid::from_u128(1));
const BASELINE: BaselineId = BaselineId(Uuid::from_u128(2));

fn noon() -> DateTime<Utc> {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn patch(id: u128, severity: Severity) -> Patch {
    Patch {
        patch_id: PatchId(Uuid::from_u128(id)),
        name: "2026-11 Cumulative Update for Windows 11".to_owned(),
        os_versions: vec!["Windows 11 Version 23H2".to_owned()],
        severity,
        classification: Classification::Security,
        release_date: day("2026-11-10"),
        is_kev: false,
    }
}

fn lens(rule: BaselineRule) -> Lens {
    Lens::of(BaselineContent { rules: vec![rule], ..BaselineContent::default() })
}

fn urgent() -> BaselineRule {
    BaselineRule { severities: vec![Severity::Critical, Severity::High], ..BaselineRule::default() }
}

fn scanned() -> Scanned {
    Scanned { at: Some(noon() - TimeDelta::hours(1)), pending_reboot: false }
}

fn assessed(scanned: Scanned, missing: &[Patch]) -> Assessment {
    assess(&lens(urgent()), scanned, missing, |_| false, noon())
}

#[test]
fn a_patch_counts_when_it_is_missing_and_asked_for() {
    let missing = [patch(1, Severity::Critical), patch(2, Severity::High), patch(3, Severity::Low)];
    let assessment = assessed(scanned(), &missing);
    assert_eq!(assessment.state, ComplianceState::NonCompliant);
    assert_eq!(assessment.missing, SeverityCounts { critical: 1, high: 1, ..SeverityCounts::default() });
    let only_low = assessed(scanned(), &missing[2..]);
    assert_eq!((only_low.state, only_low.missing.total()), (ComplianceState::Compliant, 0));
}

#[test]
fn every_condition_of_a_rule_must_hold() {
    let patch = Patch { is_kev: true, ..patch(1, Severity::High) };
    let today = day("2026-11-21");
    let asks = |change: fn(&mut BaselineRule)| {
        let mut rule = urgent();
        change(&mut rule);
        lens(rule).asks_for(&patch, today)
    };
    assert_eq!(asks(|_| {}), Asked::Now);
    assert_eq!(asks(|rule| rule.classifications = vec![Classification::Security]), Asked::Now);
    assert_eq!(asks(|rule| rule.classifications = vec![Classification::Driver]), Asked::No);
    assert_eq!(asks(|rule| rule.severities = vec![Severity::Low]), Asked::No);
    assert_eq!(asks(|rule| rule.kev_only = true), Asked::Now);
    assert_eq!(asks(|rule| rule.products = vec!["WINDOWS 11".to_owned()]), Asked::Now);
    assert_eq!(asks(|rule| rule.products = vec!["23h2".to_owned()]), Asked::Now);
    assert_eq!(asks(|rule| rule.products = vec!["Debian".to_owned()]), Asked::No);
    assert_eq!(asks(|rule| rule.minimum_age_days = 11), Asked::Now);
    assert_eq!(asks(|rule| rule.minimum_age_days = 12), Asked::From(day("2026-11-22")));
    let unlisted = Patch { is_kev: false, ..patch.clone() };
    let kev_only = lens(BaselineRule { kev_only: true, ..BaselineRule::default() });
    assert_eq!(kev_only.asks_for(&unlisted, today), Asked::No);
}

#[test]
fn of_several_rules_the_one_that_asks_first_decides() {
    let late = BaselineRule { minimum_age_days: 30, ..BaselineRule::default() };
    let soon = BaselineRule { minimum_age_days: 14, ..urgent() };
    let lens = Lens::of(BaselineContent { rules: vec![late, soon], ..BaselineContent::default() });
    let today = day("2026-11-21");
    assert_eq!(lens.asks_for(&patch(1, Severity::High), today), Asked::From(day("2026-11-24")));
    assert_eq!(lens.asks_for(&patch(1, Severity::Low), today), Asked::From(day("2026-12-10")));
}

#[test]
fn named_patches_go_before_rules_and_age() {
    let young = BaselineRule { minimum_age_days: 300, ..urgent() };
    let lens = Lens::of(BaselineContent {
        rules: vec![young],
        included: vec![PatchId(Uuid::from_u128(1))],
        excluded: vec![PatchId(Uuid::from_u128(2))],
    });
    let today = day("2027-11-21");
    assert_eq!(lens.asks_for(&patch(1, Severity::Low), day("2026-11-10")), Asked::Now);
    assert_eq!(lens.asks_for(&patch(2, Severity::Critical), today), Asked::No);
    assert_eq!(lens.asks_for(&patch(3, Severity::Critical), today), Asked::Now);
}

#[test]
fn a_waived_patch_does_not_count_and_is_told() {
    let missing = [patch(1, Severity::Critical), patch(2, Severity::Low)];
    let assessment = assess(&lens(urgent()), scanned(), &missing, |_| true, noon());
    assert_eq!((assessment.state, assessment.waived), (ComplianceState::Compliant, 1));
}

#[test]
fn c5_a_pending_reboot_is_not_compliant() {
    let pending = Scanned { pending_reboot: true, ..scanned() };
    assert_eq!(assessed(pending, &[]).state, ComplianceState::PendingReboot);
    let missing = [patch(1, Severity::Critical)];
    assert_eq!(assessed(pending, &missing).state, ComplianceState::NonCompliant);
}

#[test]
fn c10_nobody_is_compliant_without_a_scan_of_the_last_30_days() {
    let never = assessed(Scanned { at: None, pending_reboot: false }, &[]);
    assert_eq!(never.state, ComplianceState::NotAssessed);
    assert_eq!(never.not_assessed, Some(NotAssessedReason::NeverScanned));
    let old = |at| assessed(Scanned { at: Some(at), pending_reboot: false }, &[]);
    let at_the_end = old(noon() - STALE_AFTER);
    assert_eq!(at_the_end.not_assessed, Some(NotAssessedReason::NoRecentScan));
    assert_eq!((at_the_end.state, at_the_end.look_again_at), (ComplianceState::NotAssessed, None));
    let just_before = old(noon() - STALE_AFTER + TimeDelta::seconds(1));
    assert_eq!(just_before.state, ComplianceState::Compliant);
}

#[test]
fn time_changes_a_result_when_a_patch_comes_of_age_or_the_scan_gets_old() {
    let rule = BaselineRule { minimum_age_days: 14, ..urgent() };
    let young = assess(&lens(rule), scanned(), &[patch(1, Severity::High)], |_| false, noon());
    assert_eq!(young.state, ComplianceState::Compliant);
    assert_eq!(young.look_again_at, Some("2026-11-24T00:00:00Z".parse().unwrap()));
    let nothing_missing = assessed(scanned(), &[]);
    assert_eq!(nothing_missing.look_again_at, scanned().at.map(|at| at + STALE_AFTER));
}

fn of(state: ComplianceState, critical: u32) -> Assessment {
    Assessment {
        state,
        not_assessed: None,
        missing: SeverityCounts { critical, ..SeverityCounts::default() },
        waived: 0,
        scanned_at: scanned().at,
        look_again_at: None,
    }
}

fn recording(assessment: Assessment) -> Command {
    Command::Record { device_id: DEVICE, baseline_id: BASELINE, baseline_version: 1, assessment }
}

fn evaluated(assessment: Assessment) -> ComplianceEvent {
    let Assessment { state, not_assessed, missing, waived, scanned_at, look_again_at: _ } = assessment;
    ComplianceEvaluated {
        device_id: DEVICE,
        baseline_id: BASELINE,
        baseline_version: 1,
        state,
        not_assessed,
        missing,
        waived,
        scanned_at,
    }
    .into()
}

fn became_compliant() -> ComplianceEvent {
    DeviceBecameCompliant { device_id: DEVICE, baseline_id: BASELINE, baseline_version: 1 }.into()
}

fn became_non_compliant(critical: u32) -> ComplianceEvent {
    let missing = SeverityCounts { critical, ..SeverityCounts::default() };
    DeviceBecameNonCompliant { device_id: DEVICE, baseline_id: BASELINE, baseline_version: 1, missing }.into()
}

#[test]
fn the_first_result_is_news() {
    let bad = of(ComplianceState::NonCompliant, 1);
    given::<Compliance>([]).when(recording(bad)).then([evaluated(bad), became_non_compliant(1)]);
}

#[test]
fn point_97_an_evaluation_follows_each_scan_and_the_change_only_a_change() {
    let good = of(ComplianceState::Compliant, 0);
    let next_scan = Assessment { scanned_at: Some(noon()), ..good };
    given::<Compliance>([evaluated(good), became_compliant()])
        .when(recording(next_scan))
        .then([evaluated(next_scan)]);
    given::<Compliance>([evaluated(good)]).when(recording(good)).then_nothing();
}

#[test]
fn what_is_missing_may_change_without_the_device_becoming_anything() {
    let (worse, better) = (of(ComplianceState::NonCompliant, 2), of(ComplianceState::NonCompliant, 1));
    given::<Compliance>([evaluated(worse)]).when(recording(better)).then([evaluated(better)]);
    let (restart, done) = (of(ComplianceState::PendingReboot, 0), of(ComplianceState::Compliant, 0));
    given::<Compliance>([evaluated(worse)]).when(recording(restart)).then([evaluated(restart)]);
    given::<Compliance>([evaluated(worse), evaluated(restart)])
        .when(recording(done))
        .then([evaluated(done), became_compliant()]);
}

#[test]
fn not_knowing_is_neither() {
    let unknown = Assessment {
        not_assessed: Some(NotAssessedReason::NoRecentScan),
        ..of(ComplianceState::NotAssessed, 0)
    };
    let good = of(ComplianceState::Compliant, 0);
    given::<Compliance>([evaluated(good)]).when(recording(unknown)).then([evaluated(unknown)]);
    given::<Compliance>([evaluated(good), evaluated(unknown)])
        .when(recording(good))
        .then([evaluated(good), became_compliant()]);
}

#[test]
fn it_ends_once() {
    let good = of(ComplianceState::Compliant, 0);
    let end = Command::End { device_id: DEVICE, baseline_id: BASELINE };
    let ended = ComplianceEnded { device_id: DEVICE, baseline_id: BASELINE };
    given::<Compliance>([evaluated(good)]).when(end).then([ended.into()]);
    given::<Compliance>([]).when(end).then_nothing();
}

proptest! {
    /// Fewer missing patches, or more waived ones, never make a device worse.
    #[test]
    fn installing_and_waiving_never_make_it_worse(
        severities in prop::collection::vec(0..6_usize, 0..12),
        installed in prop::collection::vec(any::<bool>(), 12),
        waived in prop::collection::vec(any::<bool>(), 12),
    ) {
        let scale = [
            Severity::Unknown, Severity::None, Severity::Low, Severity::Medium, Severity::High, Severity::Critical,
        ];
        let all: Vec<Patch> =
            severities.iter().zip(1_u128..).map(|(severity, id)| patch(id, scale[*severity])).collect();
        let left: Vec<Patch> =
            all.iter().zip(&installed).filter(|(_, installed)| !**installed).map(|(p, _)| p.clone()).collect();
        let is_waived = |patch_id: PatchId| waived[usize::try_from(patch_id.0.as_u128() - 1).unwrap()];
        let before = assess(&lens(urgent()), scanned(), &all, |_| false, noon());
        let after = assess(&lens(urgent()), scanned(), &left, is_waived, noon());
        prop_assert!(after.missing.total() <= before.missing.total());
        prop_assert!(before.state != ComplianceState::Compliant || after.state == ComplianceState::Compliant);
        prop_assert_eq!(after.state == ComplianceState::Compliant, after.missing.total() == 0);
    }
}
