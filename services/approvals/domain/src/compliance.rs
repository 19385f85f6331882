//! How a device stands against a baseline: what counts, what the result is, and what of it is news.
//!
//! ```text
//! missing on the device ∩ asked for by the baseline − waived
//!        nothing of it ──▶ COMPLIANT, or PENDING_REBOOT until the restart
//!        some of it    ──▶ NON_COMPLIANT
//! no scan, or one older than 30 days ──▶ NOT_ASSESSED, whatever is known
//! ```

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use contracts::approvals::{
    BaselineContent, BaselineRule, ComplianceEnded, ComplianceEvaluated, ComplianceEvent, ComplianceState,
    DeviceBecameCompliant, DeviceBecameNonCompliant, NotAssessedReason, SeverityCounts,
};
use contracts::{Classification, Severity};
use kernel::{Aggregate, BaselineId, DeviceId, PatchId};
use std::collections::HashSet;

/// A scan older than this says little: vendors publish once a month.
pub const STALE_AFTER: TimeDelta = TimeDelta::days(30);

/// A patch of the catalogue as baselines look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// The patch.
    pub patch_id: PatchId,
    /// Title.
    pub name: String,
    /// Operating systems it is for, readable.
    pub os_versions: Vec<String>,
    /// Severity.
    pub severity: Severity,
    /// Classification.
    pub classification: Classification,
    /// Day of its release.
    pub release_date: NaiveDate,
    /// Whether one of its vulnerabilities is known to be exploited.
    pub is_kev: bool,
}

/// What scans tell of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scanned {
    /// When the last scan was recorded.
    pub at: Option<DateTime<Utc>>,
    /// Whether it said that a restart is needed.
    pub pending_reboot: bool,
}

/// The result of holding a device against a baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assessment {
    /// How it stands.
    pub state: ComplianceState,
    /// Why nobody knows, where that is so.
    pub not_assessed: Option<NotAssessedReason>,
    /// What counts.
    pub missing: SeverityCounts,
    /// What is missing and waived.
    pub waived: u32,
    /// When the scan was recorded that it rests on.
    pub scanned_at: Option<DateTime<Utc>>,
    /// When time alone will change the result; none where it will not.
    pub look_again_at: Option<DateTime<Utc>>,
}

/// Whether a baseline asks for a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It does.
    Now,
    /// It will, once the patch is old enough.
    From(NaiveDate),
    /// It does not.
    No,
}

/// A baseline's content, made ready to look at many patches.
#[derive(Debug)]
pub struct Lens {
    included: HashSet<PatchId>,
    excluded: HashSet<PatchId>,
    rules: Vec<BaselineRule>,
}

impl Lens {
    /// Makes `content` ready.
    pub fn of(content: BaselineContent) -> Self {
        let mut rules = content.rules;
        for product in rules.iter_mut().flat_map(|rule| &mut rule.products) {
            *product = product.to_lowercase();
        }
        Self {
            included: content.included.into_iter().collect(),
            excluded: content.excluded.into_iter().collect(),
            rules,
        }
    }

    /// Whether `patch` is asked for on the day `today`.
    pub fn asks_for(&self, patch: &Patch, today: NaiveDate) -> Asked {
        if self.excluded.contains(&patch.patch_id) {
            return Asked::No;
        }
        if self.included.contains(&patch.patch_id) {
            return Asked::Now;
        }
        let matching = self.rules.iter().filter(|rule| matches(rule, patch));
        // A day beyond the calendar never comes.
        let days = matching
            .filter_map(|rule| patch.release_date.checked_add_days(Days::new(rule.minimum_age_days.into())));
        match days.min() {
            None => Asked::No,
            Some(day) if day <= today => Asked::Now,
            Some(day) => Asked::From(day),
        }
    }
}

/// Everything but the age.
fn matches(rule: &BaselineRule, patch: &Patch) -> bool {
    (rule.severities.is_empty() || rule.severities.contains(&patch.severity))
        && (rule.classifications.is_empty() || rule.classifications.contains(&patch.classification))
        && (!rule.kev_only || patch.is_kev)
        && (rule.products.is_empty() || rule.products.iter().any(|product| is_for(patch, product)))
}

/// `product` is in lower case.
fn is_for(patch: &Patch, product: &str) -> bool {
    patch.name.to_lowercase().contains(product)
        || patch.os_versions.iter().any(|version| version.to_lowercase().contains(product))
}

/// Holds a device against a baseline at the time `now`.
pub fn assess<'a>(
    baseline: &Lens,
    scanned: Scanned,
    missing: impl IntoIterator<Item = &'a Patch>,
    waived: impl Fn(PatchId) -> bool,
    now: DateTime<Utc>,
) -> Assessment {
    let today = now.date_naive();
    let (mut counts, mut waived_count, mut next_day) = (SeverityCounts::default(), 0_u32, None::<NaiveDate>);
    for patch in missing {
        match baseline.asks_for(patch, today) {
            Asked::Now if waived(patch.patch_id) => waived_count = waived_count.saturating_add(1),
            Asked::Now => counts.add(patch.severity),
            Asked::From(day) => next_day = Some(next_day.map_or(day, |next| next.min(day))),
            Asked::No => {}
        }
    }
    let stale_at = scanned.at.map(|at| at + STALE_AFTER);
    let not_assessed = match stale_at {
        None => Some(NotAssessedReason::NeverScanned),
        Some(stale_at) if stale_at <= now => Some(NotAssessedReason::NoRecentScan),
        Some(_) => None,
    };
    let state = match not_assessed {
        Some(_) => ComplianceState::NotAssessed,
        None if counts.total() > 0 => ComplianceState::NonCompliant,
        None if scanned.pending_reboot => ComplianceState::PendingReboot,
        None => ComplianceState::Compliant,
    };
    let midnight = next_day.map(|day| day.and_time(NaiveTime::MIN).and_utc());
    let stale_at = stale_at.filter(|_| not_assessed.is_none());
    Assessment {
        state,
        not_assessed,
        missing: counts,
        waived: waived_count,
        scanned_at: scanned.at,
        look_again_at: [midnight, stale_at].into_iter().flatten().min(),
    }
}

/// The aggregate: one device against one baseline.
#[derive(Debug)]
pub struct Compliance;

/// What was last said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    /// The baseline does not hold for the device.
    #[default]
    Unmeasured,
    /// It does.
    Measured(Last),
}

/// The last result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Last {
    /// The baseline's version.
    pub baseline_version: u32,
    /// How it stood.
    pub state: ComplianceState,
    /// Why nobody knew.
    pub not_assessed: Option<NotAssessedReason>,
    /// What counted.
    pub missing: SeverityCounts,
    /// What was waived.
    pub waived: u32,
    /// The scan that it rests on.
    pub scanned_at: Option<DateTime<Utc>>,
}

/// What may be wished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Takes a result down: after each scan, and whenever it is another one.
    Record {
        /// The device.
        device_id: DeviceId,
        /// The baseline.
        baseline_id: BaselineId,
        /// Its version.
        baseline_version: u32,
        /// The result.
        assessment: Assessment,
    },
    /// The baseline does not hold for the device any more.
    End {
        /// The device.
        device_id: DeviceId,
        /// The baseline.
        baseline_id: BaselineId,
    },
}

/// There is no "no": a result is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a result is never refused")]
pub enum Refusal {}

impl kernel::Refused for Refusal {
    fn code(&self) -> &'static str {
        match *self {}
    }
}

impl Aggregate for Compliance {
    const STREAM: &'static str = "approvals.compliance";
    type State = State;
    type Command = Command;
    type Event = ComplianceEvent;
    type Refusal = Refusal;

    fn decide(state: &State, command: Command) -> Result<Vec<ComplianceEvent>, Refusal> {
        Ok(match (command, state) {
            (Command::Record { device_id, baseline_id, baseline_version, assessment }, _) => {
                record(state, device_id, baseline_id, Last::of(baseline_version, assessment))
            }
            (Command::End { .. }, State::Unmeasured) => vec![],
            (Command::End { device_id, baseline_id }, State::Measured(_)) => {
                vec![ComplianceEnded { device_id, baseline_id }.into()]
            }
        })
    }

    fn evolve(state: State, event: &ComplianceEvent) -> State {
        match event {
            ComplianceEvent::ComplianceEvaluated(fact) => State::Measured(Last::from(fact)),
            ComplianceEvent::DeviceBecameCompliant(_) | ComplianceEvent::DeviceBecameNonCompliant(_) => state,
            ComplianceEvent::ComplianceEnded(_) => State::Unmeasured,
        }
    }
}

impl Last {
    fn of(baseline_version: u32, assessment: Assessment) -> Self {
        let Assessment { state, not_assessed, missing, waived, scanned_at, look_again_at: _ } = assessment;
        Self { baseline_version, state, not_assessed, missing, waived, scanned_at }
    }
}

impl From<&ComplianceEvaluated> for Last {
    fn from(fact: &ComplianceEvaluated) -> Self {
        Self {
            baseline_version: fact.baseline_version,
            state: fact.state,
            not_assessed: fact.not_assessed,
            missing: fact.missing,
            waived: fact.waived,
            scanned_at: fact.scanned_at,
        }
    }
}

fn record(state: &State, device_id: DeviceId, baseline_id: BaselineId, now: Last) -> Vec<ComplianceEvent> {
    let before = match state {
        State::Unmeasured => None,
        State::Measured(last) if *last == now => return vec![],
        State::Measured(last) => Some(last.state),
    };
    let Last { baseline_version, state, not_assessed, missing, waived, scanned_at } = now;
    let mut events = vec![
        ComplianceEvaluated {
            device_id,
            baseline_id,
            baseline_version,
            state,
            not_assessed,
            missing,
            waived,
            scanned_at,
        }
        .into(),
    ];
    let verdict = is_compliant(state);
    if verdict.is_some() && verdict != before.and_then(is_compliant) {
        events.push(match verdict {
            Some(true) => DeviceBecameCompliant { device_id, baseline_id, baseline_version }.into(),
            Some(false) | None => {
                DeviceBecameNonCompliant { device_id, baseline_id, baseline_version, missing }.into()
            }
        });
    }
    events
}

/// None where nobody knows.
fn is_compliant(state: ComplianceState) -> Option<bool> {
    match state {
        ComplianceState::Compliant => Some(true),
        ComplianceState::NonCompliant | ComplianceState::PendingReboot => Some(false),
        ComplianceState::NotAssessed => None,
    }
}

#[cfg(test)]
mod tests;
