//! When a package that nobody needs any more must be gone.

use chrono::{DateTime, TimeDelta, Utc};
use contracts::packages::PackageRemovalReason;

/// The longest time that a package may stay when it is not needed any more.
pub const RETENTION_DAYS_MAX: u32 = 14;

/// "Within" so many days: an outage of a day, or a removal that has to be tried again, must not break the promise.
const MARGIN: TimeDelta = TimeDelta::days(1);

/// Since when a package is not needed any more, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spare {
    /// A newer one was ready then.
    Superseded {
        /// When.
        since: DateTime<Utc>,
    },
    /// It was installed at the last place then.
    Installed {
        /// When.
        since: DateTime<Utc>,
    },
    /// Nothing has come for its import since then.
    Abandoned {
        /// When.
        since: DateTime<Utc>,
    },
}

impl Spare {
    /// Why it goes.
    pub fn reason(self) -> PackageRemovalReason {
        match self {
            Self::Superseded { .. } => PackageRemovalReason::Superseded,
            Self::Installed { .. } => PackageRemovalReason::Installed,
            Self::Abandoned { .. } => PackageRemovalReason::Abandoned,
        }
    }

    fn since(self) -> DateTime<Utc> {
        match self {
            Self::Superseded { since } | Self::Installed { since } | Self::Abandoned { since } => since,
        }
    }
}

/// Whether a spare package is to be removed at `now`, when packages are kept for `days`.
pub fn removal_is_due(spare: Spare, days: u32, now: DateTime<Utc>) -> bool {
    let kept = TimeDelta::days(days.min(RETENTION_DAYS_MAX).into()) - MARGIN;
    now - spare.since() >= kept
}

#[cfg(test)]
mod tests {
    use super::{Spare, removal_is_due};
    use chrono::{DateTime, TimeDelta, Utc};
    use proptest::prelude::*;

    fn noon() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn due_after(days: u32, hours: i64) -> bool {
        removal_is_due(Spare::Superseded { since: noon() }, days, noon() + TimeDelta::hours(hours))
    }

    // Point 75.
    #[test]
    fn a_spare_package_is_kept_for_a_while_and_not_for_longer_than_two_weeks() {
        assert!(!due_after(14, 12 * 24));
        assert!(due_after(14, 13 * 24));
        assert!(due_after(90, 13 * 24), "nobody can ask for longer");
        assert!(due_after(1, 0));
    }

    proptest! {
        // Points 74 and 75.
        #[test]
        fn a_daily_round_removes_it_within_the_days_whenever_it_runs(days in 1_u32..=14, phase in 0_i64..86_400) {
            let rounds = (0_i64..).map(|day| noon() + TimeDelta::days(day) + TimeDelta::seconds(phase));
            let mut due = rounds.skip_while(|now| !removal_is_due(Spare::Installed { since: noon() }, days, *now));
            prop_assert!(due.next().unwrap() <= noon() + TimeDelta::days(days.into()));
        }
    }
}
