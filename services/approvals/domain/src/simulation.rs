//! What a rule would have approved: its fate with a patch at a customer, from what the service knows.

use crate::evaluation::{Candidate, Listed, Verdict, eligible_from, evaluate, midnight};
use crate::rule;
use chrono::{DateTime, Months, NaiveDate, Utc};
use contracts::approvals::{
    RefusalReason, RuleContents, RuleOwner, RuleSimulationEvent, RuleSimulationRequested,
};
use kernel::{Aggregate, DeviceGroupId, Refused};

/// Months to look back at the most: as long as it is kept what was missing.
pub const MONTHS_MAX: u8 = 24;

/// Patches at customers that one simulation looks at: some seconds of work.
pub const PAIRS_MAX: usize = 200_000;

/// The request. Nobody decides anything by it.
#[derive(Debug)]
pub struct Simulation;

/// What may be wished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Asks what a rule would have approved.
    Request {
        /// Whose the rule would be.
        owner: RuleOwner,
        /// What it would say.
        contents: RuleContents,
        /// How many months to look back.
        months: u8,
        /// A group that it names and the owner does not have.
        unknown_group: Option<DeviceGroupId>,
    },
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody can have such a rule.
    #[error(transparent)]
    Rule(#[from] rule::Refusal),
    /// Too far back, or not at all.
    #[error("a simulation looks back 1 to {MONTHS_MAX} months, not {months}")]
    InvalidMonths {
        /// What was given.
        months: u8,
    },
    /// More than one answer can tell.
    #[error("more than {PAIRS_MAX} patches at customers were missing in that time: look back fewer months")]
    TooLarge,
}

impl Refused for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Rule(refusal) => refusal.code(),
            Self::InvalidMonths { .. } => "approvals.simulation_months_invalid",
            Self::TooLarge => "approvals.simulation_too_large",
        }
    }
}

impl Aggregate for Simulation {
    const STREAM: &'static str = "approvals.simulation";
    /// Whether it was requested.
    type State = bool;
    type Command = Command;
    type Event = RuleSimulationEvent;
    type Refusal = Refusal;

    fn decide(requested: &bool, command: Command) -> Result<Vec<RuleSimulationEvent>, Refusal> {
        let Command::Request { owner, contents, months, unknown_group } = command;
        rule::check(owner, &contents, unknown_group)?;
        if !(1..=MONTHS_MAX).contains(&months) {
            return Err(Refusal::InvalidMonths { months });
        }
        if *requested {
            return Ok(vec![]);
        }
        Ok(vec![RuleSimulationRequested { owner, contents, months }.into()])
    }

    fn evolve(_: bool, event: &RuleSimulationEvent) -> bool {
        match event {
            RuleSimulationEvent::RuleSimulationRequested(_) => true,
        }
    }
}

/// The time that a simulation looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// From when on the rule would have been there.
    pub from: DateTime<Utc>,
    /// Until when.
    pub until: DateTime<Utc>,
}

impl Period {
    /// The last months.
    pub fn last(months: u8, until: DateTime<Utc>) -> Self {
        let from = until.checked_sub_months(Months::new(months.into())).unwrap_or(DateTime::<Utc>::MIN_UTC);
        Self { from, until }
    }
}

/// A patch that was missing at a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// Day of its release.
    pub release_date: NaiveDate,
    /// Since when it was missing on any device.
    pub since: DateTime<Utc>,
    /// When it was superseded or withdrawn.
    pub ended_at: Option<DateTime<Utc>>,
}

/// What the rule would have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Approved it.
    Approved {
        /// When.
        at: DateTime<Utc>,
    },
    /// It would still have to come.
    Scheduled {
        /// When.
        at: DateTime<Utc>,
    },
    /// The patch was superseded or withdrawn before.
    EndedBefore,
}

/// Why the rule would never approve the patch, however long anybody waits. Severity, ratings and whitelist are those of
/// now: their history is not kept.
pub fn refusal(candidate: &Candidate, rule: &RuleContents, whitelist: &[Listed]) -> Option<RefusalReason> {
    // What was superseded was installable before.
    let candidate = Candidate { installable: true, ..candidate.clone() };
    // At the end of all days no delay is left.
    match evaluate(&candidate, rule, whitelist, NaiveDate::MAX) {
        Verdict::Refuse { reason, .. } => Some(reason),
        Verdict::Approve { .. } | Verdict::Scheduled { .. } => None,
    }
}

/// The rule's fate with a patch that it does not refuse for good.
pub fn fate(missed: &Missed, rule: &RuleContents, period: Period) -> Fate {
    let due = midnight(eligible_from(missed.release_date, rule));
    let at = due.max(missed.since).max(period.from);
    if missed.ended_at.is_some_and(|ended| ended <= at) {
        Fate::EndedBefore
    } else if at > period.until {
        Fate::Scheduled { at }
    } else {
        Fate::Approved { at }
    }
}

#[cfg(test)]
mod tests {
    use super::{Command, Fate, Missed, Period, Refusal, Simulation, fate, refusal};
    use crate::evaluation::{Candidate, Listed, midnight};
    use crate::rule;
    use chrono::{DateTime, NaiveDate, Utc};
    use contracts::approvals::{
        ApprovalLevel, RefusalReason, RuleConditions, RuleContents, RuleOwner, RuleSimulationRequested,
        RuleTiming, WhitelistPattern,
    };
    use contracts::{Classification, DevicePlatform, Severity};
    use kernel::CustomerId;
    use scenario::given;
    use uuid::Uuid;

    const ACME: RuleOwner = RuleOwner::Customer { customer_id: CustomerId(Uuid::from_u128(2)) };

    fn at(month: u32, day: u32) -> DateTime<Utc> {
        midnight(NaiveDate::from_ymd_opt(2024, month, day).unwrap())
    }

    fn delayed(days: u16) -> RuleContents {
        RuleContents {
            groups: vec![],
            conditions: RuleConditions { severities: vec![Severity::Critical], ..RuleConditions::default() },
            timing: RuleTiming::Delay { days },
        }
    }

    /// Released and found missing in January.
    fn missed() -> Missed {
        Missed { release_date: at(1, 9).date_naive(), since: at(1, 10), ended_at: None }
    }

    fn candidate() -> Candidate {
        Candidate {
            vendor_patch_id: "KB5034123".into(),
            name: "2024-01 Cumulative Update".into(),
            os_versions: vec![],
            vendors: vec![],
            platform: DevicePlatform::Windows,
            severity: Severity::Critical,
            classification: Classification::Security,
            kev: false,
            rating: None,
            release_date: at(1, 9).date_naive(),
            installable: false,
        }
    }

    fn told(missed: &Missed, rule: &RuleContents) -> Fate {
        fate(missed, rule, Period::last(6, at(6, 30)))
    }

    #[test]
    fn a_patch_is_approved_when_it_is_missing_and_its_delay_has_ended() {
        assert_eq!(told(&missed(), &delayed(0)), Fate::Approved { at: at(1, 10) });
        assert_eq!(told(&missed(), &delayed(22)), Fate::Approved { at: at(1, 31) });
    }

    #[test]
    fn the_rule_begins_with_the_period() {
        let long_ago = at(1, 1) - chrono::TimeDelta::days(300);
        let old = Missed { since: long_ago, release_date: long_ago.date_naive(), ended_at: None };
        assert_eq!(told(&old, &delayed(0)), Fate::Approved { at: Period::last(6, at(6, 30)).from });
    }

    #[test]
    fn a_long_delay_lets_a_patch_end_before_it_is_approved() {
        let ended = Missed { ended_at: Some(at(2, 13)), ..missed() };
        assert_eq!(told(&ended, &delayed(20)), Fate::Approved { at: at(1, 29) });
        assert_eq!(told(&ended, &delayed(40)), Fate::EndedBefore);
    }

    #[test]
    fn a_delay_that_has_not_ended_is_still_to_come() {
        assert_eq!(told(&missed(), &delayed(180)), Fate::Scheduled { at: at(7, 7) });
    }

    #[test]
    fn point_87_a_simulation_approves_no_linux_patch_either() {
        let pattern = WhitelistPattern::Product("cumulative".into());
        let whitelist = [Listed { level: ApprovalLevel::Customer, pattern }];
        let linux = Candidate { platform: DevicePlatform::Linux, ..candidate() };
        assert_eq!(refusal(&linux, &delayed(0), &whitelist), Some(RefusalReason::PlatformNotEligible));
        assert_eq!(refusal(&candidate(), &delayed(360), &whitelist), None);
        assert_eq!(refusal(&candidate(), &delayed(0), &[]), Some(RefusalReason::NotWhitelisted));
    }

    #[test]
    fn a_request_is_all_that_is_recorded() {
        let request =
            |months| Command::Request { owner: ACME, contents: delayed(0), months, unknown_group: None };
        given::<Simulation>([]).when(request(6)).then([RuleSimulationRequested {
            owner: ACME,
            contents: delayed(0),
            months: 6,
        }
        .into()]);
        given::<Simulation>([]).when(request(0)).then_refused(&Refusal::InvalidMonths { months: 0 });
        given::<Simulation>([]).when(request(25)).then_refused(&Refusal::InvalidMonths { months: 25 });
        given::<Simulation>([])
            .when(Command::Request { owner: ACME, contents: delayed(361), months: 1, unknown_group: None })
            .then_refused(&Refusal::Rule(rule::Refusal::TooLong { days: 361 }));
    }
}
