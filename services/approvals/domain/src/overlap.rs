//! How a rule gets on with the other rules and the whitelist: who wins, who never decides, what can never match.

use crate::evaluation::{Listed, is_chosen, waits};
use contracts::approvals::{
    RuleConditions, RuleContents, RuleOwner, RuleTiming, RuleWarning, RuleWarningKind, WhitelistPattern,
};
use contracts::{Classification, Severity};
use kernel::RuleId;

/// Warnings of one answer at the most: whoever has that many looks at the list of rules.
const WARNINGS_MAX: usize = 50;

const SEVERITIES: [Severity; 6] =
    [Severity::Unknown, Severity::None, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];

const CLASSIFICATIONS: [Classification; 11] = [
    Classification::Security,
    Classification::Critical,
    Classification::Feature,
    Classification::Driver,
    Classification::Firmware,
    Classification::Definition,
    Classification::ServicePack,
    Classification::Configuration,
    Classification::Content,
    Classification::System,
    Classification::Other,
];

/// A rule that is switched on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The rule.
    pub rule_id: RuleId,
    /// Whose it is.
    pub owner: RuleOwner,
    /// What it says.
    pub contents: RuleContents,
}

/// What to say about `subject`, one of `rules`, which are in the order of their age and meet at some customer.
pub fn warnings(subject: RuleId, rules: &[Known], whitelist: &[Listed]) -> Vec<RuleWarning> {
    let Some(place) = rules.iter().position(|rule| rule.rule_id == subject) else { return vec![] };
    let mut warnings = Vec::new();
    let rule = &rules[place];
    if let Some(message) = never_matches(&rule.contents.conditions, whitelist) {
        warnings.push(RuleWarning {
            kind: RuleWarningKind::NeverMatches,
            other: None,
            wins: None,
            message: message.to_owned(),
        });
    }
    for (at, other) in rules.iter().enumerate().filter(|(at, _)| *at != place) {
        let (older, newer) = if at < place { (other, rule) } else { (rule, other) };
        warnings.extend(between(older, newer).map(|(kind, wins, message)| RuleWarning {
            kind,
            other: Some(other.rule_id),
            wins: Some(wins),
            message: message.to_owned(),
        }));
    }
    warnings.truncate(WARNINGS_MAX);
    warnings
}

/// What there is to say about two rules, and which of them approves where both match.
fn between(older: &Known, newer: &Known) -> Option<(RuleWarningKind, RuleId, &'static str)> {
    let (a, b) = (&older.contents, &newer.contents);
    if !meet(older, newer) {
        return None;
    }
    if older.owner == newer.owner && a == b {
        return Some((
            RuleWarningKind::Duplicate,
            older.rule_id,
            "the rules say the same; the older approves",
        ));
    }
    if is_wider(older, newer) && covers(a, b) {
        let message =
            "the older rule approves everything that the newer would, and not later: the newer never decides";
        return Some((RuleWarningKind::NeverDecides, older.rule_id, message));
    }
    if !can_meet(&a.conditions, &b.conditions) {
        return None;
    }
    Some(if waits(b) < waits(a) {
        let message =
            "some patches match both rules; the newer approves them, because it waits for fewer days";
        (RuleWarningKind::Overlaps, newer.rule_id, message)
    } else {
        let message =
            "some patches match both rules; the older approves them, where its other conditions hold";
        (RuleWarningKind::Overlaps, older.rule_id, message)
    })
}

/// Why nothing can match.
fn never_matches(conditions: &RuleConditions, whitelist: &[Listed]) -> Option<&'static str> {
    if whitelist.is_empty() {
        return Some("nothing is on the whitelist, so that the rule approves nothing");
    }
    let can_match = |listed: &Listed| match &listed.pattern {
        WhitelistPattern::VendorPatchId(_) | WhitelistPattern::Product(_) => true,
        WhitelistPattern::Classification(class) => {
            SEVERITIES.iter().any(|severity| is_chosen(conditions, *severity, *class))
        }
    };
    (!whitelist.iter().any(can_match))
        .then_some("the whitelist has other classifications only, so that the rule approves nothing")
}

/// Whether both work for some device.
fn meet(a: &Known, b: &Known) -> bool {
    let owners = match (a.owner.customer_id(), b.owner.customer_id()) {
        (Some(one), Some(other)) => one == other,
        (None, _) | (_, None) => true,
    };
    let (a, b) = (&a.contents.groups, &b.contents.groups);
    // Groups may share devices; which ones do is not the rules' business.
    owners && (a.is_empty() || b.is_empty() || a.iter().any(|group| b.contains(group)))
}

/// Whether `a` works for every device for which `b` does.
fn is_wider(a: &Known, b: &Known) -> bool {
    let owners = a.owner.customer_id().is_none() || a.owner == b.owner;
    let (a, b) = (&a.contents.groups, &b.contents.groups);
    owners && (a.is_empty() || (!b.is_empty() && b.iter().all(|group| a.contains(group))))
}

/// Whether `a` approves everything that `b` does, and not later.
fn covers(a: &RuleContents, b: &RuleContents) -> bool {
    let (one, other) = (&a.conditions, &b.conditions);
    let in_time = match (a.timing, b.timing) {
        (RuleTiming::Delay { .. }, _) => true,
        (RuleTiming::CutOff { released_until: a }, RuleTiming::CutOff { released_until: b }) => a >= b,
        (RuleTiming::CutOff { .. }, RuleTiming::Delay { .. }) => false,
    };
    in_time
        && waits(a) <= waits(b)
        && every_kind(|severity, class| !is_chosen(other, severity, class) || is_chosen(one, severity, class))
        && names_all(&one.products, &other.products)
        && names_all(&one.vendors, &other.vendors)
        && names_all(&one.os_releases, &other.os_releases)
        && one.minimum_rating.is_none_or(|least| other.minimum_rating.is_some_and(|other| other >= least))
        && (!one.kev_only || other.kev_only)
}

/// Whether a patch can be of a kind that both ask for. Texts, ratings and exploits can always come together.
fn can_meet(a: &RuleConditions, b: &RuleConditions) -> bool {
    !every_kind(|severity, class| !(is_chosen(a, severity, class) && is_chosen(b, severity, class)))
}

fn every_kind(holds: impl Fn(Severity, Classification) -> bool) -> bool {
    SEVERITIES.iter().all(|severity| CLASSIFICATIONS.iter().all(|class| holds(*severity, *class)))
}

/// Whether everything that contains one of `narrow` contains one of `wide`.
fn names_all(wide: &[String], narrow: &[String]) -> bool {
    let contained = |text: &String| {
        let text = text.to_lowercase();
        wide.iter().any(|wide| text.contains(&wide.to_lowercase()))
    };
    wide.is_empty() || (!narrow.is_empty() && narrow.iter().all(contained))
}

#[cfg(test)]
mod tests;
