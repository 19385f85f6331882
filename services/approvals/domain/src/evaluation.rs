//! What a rule says of a patch: both the whitelist and the conditions must hold, and only for Windows.

use contracts::approvals::{RefusalReason, RuleConditions, WhitelistPattern};
use contracts::{Classification, DevicePlatform, Severity};

/// What a rule looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The vendor's id.
    pub vendor_patch_id: String,
    /// Title.
    pub name: String,
    /// Operating system versions it is for.
    pub os_versions: Vec<String>,
    /// What it runs on.
    pub platform: DevicePlatform,
    /// On our one scale.
    pub severity: Severity,
    /// Kind of update.
    pub classification: Classification,
    /// Whether it is neither superseded nor withdrawn.
    pub installable: bool,
}

/// What a rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Approve; let through by this pattern.
    Approve(WhitelistPattern),
    /// Leave pending.
    Refuse(RefusalReason),
}

/// Applies a rule. The platform comes first: it is the one reason that no other setting can change.
pub fn evaluate(
    candidate: &Candidate,
    conditions: &RuleConditions,
    whitelist: &[WhitelistPattern],
) -> Verdict {
    if candidate.platform == DevicePlatform::Linux {
        return Verdict::Refuse(RefusalReason::PlatformNotEligible);
    }
    if !candidate.installable {
        return Verdict::Refuse(RefusalReason::NotInstallable);
    }
    let Some(pattern) = whitelist.iter().find(|pattern| lets_through(pattern, candidate)) else {
        return Verdict::Refuse(RefusalReason::NotWhitelisted);
    };
    let chosen = conditions.severities.contains(&candidate.severity)
        || conditions.classifications.contains(&candidate.classification);
    if chosen { Verdict::Approve(pattern.clone()) } else { Verdict::Refuse(RefusalReason::SeverityNotChosen) }
}

fn lets_through(pattern: &WhitelistPattern, candidate: &Candidate) -> bool {
    match pattern {
        WhitelistPattern::VendorPatchId(id) => id.eq_ignore_ascii_case(&candidate.vendor_patch_id),
        WhitelistPattern::Product(text) => {
            let text = text.to_lowercase();
            std::iter::once(&candidate.name)
                .chain(&candidate.os_versions)
                .any(|name| name.to_lowercase().contains(&text))
        }
        WhitelistPattern::Classification(classification) => *classification == candidate.classification,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidate() -> Candidate {
        Candidate {
            vendor_patch_id: "KB5034123".into(),
            name: "2024-01 Cumulative Update".into(),
            os_versions: vec!["Windows 11 Version 23H2 for x64-based Systems".into()],
            platform: DevicePlatform::Windows,
            severity: Severity::Critical,
            classification: Classification::Security,
            installable: true,
        }
    }

    fn critical() -> RuleConditions {
        RuleConditions { severities: vec![Severity::Critical], classifications: vec![] }
    }

    fn windows_11() -> WhitelistPattern {
        WhitelistPattern::Product("windows 11".into())
    }

    #[test]
    fn point_109_a_whitelisted_patch_of_a_chosen_severity_is_approved() {
        assert_eq!(evaluate(&candidate(), &critical(), &[windows_11()]), Verdict::Approve(windows_11()));
    }

    #[test]
    fn point_109_the_whitelist_alone_is_not_enough() {
        let moderate = Candidate { severity: Severity::Medium, ..candidate() };
        assert_eq!(
            evaluate(&moderate, &critical(), &[windows_11()]),
            Verdict::Refuse(RefusalReason::SeverityNotChosen)
        );
    }

    #[test]
    fn point_109_the_severity_alone_is_not_enough() {
        assert_eq!(evaluate(&candidate(), &critical(), &[]), Verdict::Refuse(RefusalReason::NotWhitelisted));
    }

    #[test]
    fn an_unknown_severity_matches_only_when_asked_for() {
        let unknown = Candidate { severity: Severity::Unknown, ..candidate() };
        assert_eq!(
            evaluate(&unknown, &critical(), &[windows_11()]),
            Verdict::Refuse(RefusalReason::SeverityNotChosen)
        );
        let asked = RuleConditions { severities: vec![Severity::Unknown], classifications: vec![] };
        assert_eq!(evaluate(&unknown, &asked, &[windows_11()]), Verdict::Approve(windows_11()));
    }

    #[test]
    fn a_superseded_patch_is_not_approved() {
        let old = Candidate { installable: false, ..candidate() };
        assert_eq!(
            evaluate(&old, &critical(), &[windows_11()]),
            Verdict::Refuse(RefusalReason::NotInstallable)
        );
    }

    proptest! {
        #[test]
        fn point_87_no_rule_and_no_whitelist_approves_a_linux_patch(
            severities in proptest::collection::vec(prop_oneof![Just(Severity::Critical), Just(Severity::Unknown)], 0..3),
            all in any::<bool>(),
        ) {
            let linux = Candidate { platform: DevicePlatform::Linux, ..candidate() };
            let conditions = RuleConditions { severities, classifications: vec![Classification::Security] };
            let whitelist = if all { vec![windows_11(), WhitelistPattern::Classification(Classification::Security)] } else { vec![] };
            prop_assert_eq!(
                evaluate(&linux, &conditions, &whitelist),
                Verdict::Refuse(RefusalReason::PlatformNotEligible)
            );
        }
    }
}
