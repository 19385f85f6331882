//! What a rule says of a patch: both the whitelist and the conditions must hold, and only for Windows.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use contracts::approvals::{
    ApprovalLevel, RefusalReason, RuleConditions, RuleContents, RuleInputs, RuleTiming, WhitelistPattern,
};
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
    /// Names of who publishes it: its feed, and the feed's publisher.
    pub vendors: Vec<String>,
    /// What it runs on.
    pub platform: DevicePlatform,
    /// On our one scale.
    pub severity: Severity,
    /// Kind of update.
    pub classification: Classification,
    /// Whether it closes a vulnerability that is known to be exploited.
    pub kev: bool,
    /// The customer's rating, or else the partner's.
    pub rating: Option<u8>,
    /// Day of its release.
    pub release_date: NaiveDate,
    /// Whether it is neither superseded nor withdrawn.
    pub installable: bool,
}

/// A whitelist entry that holds for a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// On whose whitelist it stands.
    pub level: ApprovalLevel,
    /// What is let through.
    pub pattern: WhitelistPattern,
}

/// What a rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Approve.
    Approve {
        /// What the rule looked at.
        inputs: RuleInputs,
    },
    /// Approve later, if nothing changes until then.
    Scheduled {
        /// When.
        at: DateTime<Utc>,
        /// What the rule looked at.
        inputs: RuleInputs,
    },
    /// Leave pending.
    Refuse {
        /// Why.
        reason: RefusalReason,
        /// When time alone may change it.
        next_change_at: Option<DateTime<Utc>>,
    },
}

impl Verdict {
    /// When the rule says something else though nothing else changes. An approval does not end by time.
    pub fn next_change_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Approve { .. } => None,
            Self::Scheduled { at, .. } => Some(*at),
            Self::Refuse { next_change_at, .. } => *next_change_at,
        }
    }
}

/// Applies a rule on a day in UTC. The platform comes first: it is the one reason that no setting can change.
pub fn evaluate(
    candidate: &Candidate,
    rule: &RuleContents,
    whitelist: &[Listed],
    today: NaiveDate,
) -> Verdict {
    let refuse = |reason| Verdict::Refuse { reason, next_change_at: None };
    if candidate.platform == DevicePlatform::Linux {
        return refuse(RefusalReason::PlatformNotEligible);
    }
    if !candidate.installable {
        return refuse(RefusalReason::NotInstallable);
    }
    let Some(listed) = whitelist.iter().find(|listed| lets_through(&listed.pattern, candidate)) else {
        return refuse(RefusalReason::NotWhitelisted);
    };
    if let Some(reason) = mismatch(candidate, rule) {
        return refuse(reason);
    }
    if let Some(days) = rule.conditions.minimum_age_days {
        let old_enough = day_after(candidate.release_date, days);
        if today < old_enough {
            let next_change_at = Some(midnight(old_enough));
            return Verdict::Refuse { reason: RefusalReason::TooYoung, next_change_at };
        }
    }
    let inputs = RuleInputs {
        whitelist: listed.pattern.clone(),
        whitelist_level: listed.level,
        severity: candidate.severity,
        classification: candidate.classification,
        kev: Some(candidate.kev),
        rating: candidate.rating,
        release_date: Some(candidate.release_date),
        timing: rule.timing,
    };
    let due = eligible_from(candidate.release_date, rule);
    if today < due {
        return Verdict::Scheduled { at: midnight(due), inputs };
    }
    Verdict::Approve { inputs }
}

/// The first day on which the rule approves a patch of that day, as far as time is concerned.
pub fn eligible_from(release_date: NaiveDate, rule: &RuleContents) -> NaiveDate {
    day_after(release_date, waits(rule))
}

/// Days that the rule lets pass after a release.
pub(crate) fn waits(rule: &RuleContents) -> u16 {
    let delay = match rule.timing {
        RuleTiming::Delay { days } => days,
        RuleTiming::CutOff { .. } => 0,
    };
    delay.max(rule.conditions.minimum_age_days.unwrap_or(0))
}

/// Whether severity and classification are what the conditions ask for. An unknown severity must be asked for by name.
pub(crate) fn is_chosen(
    conditions: &RuleConditions,
    severity: Severity,
    classification: Classification,
) -> bool {
    let by_severity = conditions.severities.contains(&severity);
    by_severity || (severity != Severity::Unknown && conditions.classifications.contains(&classification))
}

/// The beginning of a day in UTC.
pub fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

fn day_after(day: NaiveDate, days: u16) -> NaiveDate {
    day.checked_add_days(Days::new(days.into())).unwrap_or(NaiveDate::MAX)
}

fn mismatch(candidate: &Candidate, rule: &RuleContents) -> Option<RefusalReason> {
    let RuleConditions { products, vendors, os_releases, minimum_rating, kev_only, .. } = &rule.conditions;
    if !is_chosen(&rule.conditions, candidate.severity, candidate.classification) {
        return Some(RefusalReason::SeverityNotChosen);
    }
    let named = std::iter::once(&candidate.name).chain(&candidate.os_versions);
    if !products.is_empty() && !names_one(products, named) {
        return Some(RefusalReason::ProductNotChosen);
    }
    if !vendors.is_empty() && !names_one(vendors, candidate.vendors.iter()) {
        return Some(RefusalReason::VendorNotChosen);
    }
    if !os_releases.is_empty() && !names_one(os_releases, candidate.os_versions.iter()) {
        return Some(RefusalReason::OsReleaseNotChosen);
    }
    if minimum_rating.is_some_and(|least| candidate.rating.is_none_or(|rating| rating < least)) {
        return Some(RefusalReason::RatingTooLow);
    }
    if *kev_only && !candidate.kev {
        return Some(RefusalReason::NotExploited);
    }
    match rule.timing {
        RuleTiming::CutOff { released_until } if candidate.release_date > released_until => {
            Some(RefusalReason::ReleasedTooLate)
        }
        RuleTiming::CutOff { .. } | RuleTiming::Delay { .. } => None,
    }
}

/// Whether one of the names contains one of the texts, ignoring case.
fn names_one<'a>(texts: &[String], names: impl Iterator<Item = &'a String>) -> bool {
    let texts: Vec<String> = texts.iter().map(|text| text.to_lowercase()).collect();
    let mut names = names.map(|name| name.to_lowercase());
    names.any(|name| texts.iter().any(|text| name.contains(text)))
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
mod laws;
#[cfg(test)]
mod tests;
