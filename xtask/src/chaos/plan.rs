//! What breaks when: drawn from the seed before the run begins.

use journeys::chaos::Chance;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A kind of blow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// kill -9 of a service.
    ServiceKilled,
    /// SIGTERM of a service, which must end in order.
    ServiceTerminated,
    /// kill -9 of a backbone, the leader more often than the standby.
    BackboneKilled,
    /// SIGTERM of a backbone.
    BackboneTerminated,
    /// `pg_ctl -m immediate`.
    DatabaseImmediate,
    /// kill -9 of all processes of the database.
    DatabaseKilled,
    /// kill -9 of one of the database's sessions, on which it restarts all of itself.
    DatabaseSessionKilled,
    /// kill -9 of the broker.
    BrokerKilled,
    /// The broker is restarted in order.
    BrokerRestarted,
    /// `pg_terminate_backend` of every session of the services.
    SessionsEnded,
    /// Every connection to the broker is cut.
    ConnectionsCut,
    /// The broker's disk is full for a while: who publishes is blocked.
    DiskAlarm,
    /// A process stands still for a while and goes on as if nothing had been.
    ProcessPaused,
}

impl Kind {
    /// Every kind with how many of a hundred blows it is.
    const ALL: [(Self, u32); 13] = [
        (Self::ServiceKilled, 25),
        (Self::ServiceTerminated, 12),
        (Self::BackboneKilled, 15),
        (Self::BackboneTerminated, 6),
        (Self::DatabaseImmediate, 5),
        (Self::DatabaseKilled, 5),
        (Self::DatabaseSessionKilled, 3),
        (Self::BrokerKilled, 3),
        (Self::BrokerRestarted, 2),
        (Self::SessionsEnded, 7),
        (Self::ConnectionsCut, 7),
        (Self::DiskAlarm, 3),
        (Self::ProcessPaused, 7),
    ];

    /// Whether processes end by it; the others only disturb.
    pub(super) fn is_kill(self) -> bool {
        match self {
            Self::ServiceKilled
            | Self::ServiceTerminated
            | Self::BackboneKilled
            | Self::BackboneTerminated
            | Self::DatabaseImmediate
            | Self::DatabaseKilled
            | Self::DatabaseSessionKilled
            | Self::BrokerKilled
            | Self::BrokerRestarted => true,
            Self::SessionsEnded | Self::ConnectionsCut | Self::DiskAlarm | Self::ProcessPaused => false,
        }
    }

    /// In words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::ServiceKilled => "service, kill -9",
            Self::ServiceTerminated => "service, SIGTERM",
            Self::BackboneKilled => "backbone, kill -9",
            Self::BackboneTerminated => "backbone, SIGTERM",
            Self::DatabaseImmediate => "database, stopped with -m immediate",
            Self::DatabaseKilled => "database, kill -9 of all processes",
            Self::DatabaseSessionKilled => "database, kill -9 of one session",
            Self::BrokerKilled => "broker, kill -9",
            Self::BrokerRestarted => "broker, restarted in order",
            Self::SessionsEnded => "database, all sessions ended",
            Self::ConnectionsCut => "broker, all connections cut",
            Self::DiskAlarm => "broker, disk alarm",
            Self::ProcessPaused => "process, paused",
        }
    }

    /// How long what it hits stays away, in milliseconds.
    fn absence(self, chance: &mut Chance) -> u64 {
        match self {
            // Half of them are started again at once.
            Self::ServiceKilled
            | Self::ServiceTerminated
            | Self::BackboneKilled
            | Self::BackboneTerminated => {
                if chance.percent(50) {
                    0
                } else {
                    200 + chance.below(2_300)
                }
            }
            Self::DatabaseImmediate | Self::DatabaseKilled => chance.below(1_500),
            Self::BrokerKilled | Self::BrokerRestarted => chance.below(1_000),
            // Some longer than the deadlines of those who publish.
            Self::DiskAlarm => 1_000 + chance.below(11_000),
            Self::ProcessPaused => 300 + chance.below(3_700),
            Self::DatabaseSessionKilled | Self::SessionsEnded | Self::ConnectionsCut => 0,
        }
    }
}

/// One blow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Blow {
    /// After the beginning of the load.
    pub(super) at: Duration,
    pub(super) kind: Kind,
    /// Chooses among what can be hit at that moment.
    pub(super) draw: u64,
    pub(super) down_for: Duration,
}

/// Draws a run of `length` with `kills` kills. Every kind comes at least once.
pub(super) fn draw(seed: u64, length: Duration, kills: u32) -> Vec<Blow> {
    let mut chance = Chance::new(seed, 0);
    let mut kinds: Vec<Kind> = Kind::ALL.iter().map(|(kind, _)| *kind).collect();
    let mut kinds_left = kills.saturating_sub(count_kills(&kinds));
    let weights: u64 = Kind::ALL.iter().map(|(_, weight)| u64::from(*weight)).sum();
    while kinds_left > 0 {
        let mut left = chance.below(weights);
        let Some(kind) = Kind::ALL.iter().find_map(|(kind, weight)| {
            let hit = left < u64::from(*weight);
            left = left.saturating_sub(u64::from(*weight));
            hit.then_some(*kind)
        }) else {
            continue;
        };
        kinds.push(kind);
        kinds_left -= u32::from(kind.is_kill());
    }
    chance.shuffle(&mut kinds);

    // One place in time for each, and a random moment within it: irregular, yet spread over the whole run.
    let place = u64::try_from(length.as_millis()).unwrap_or(u64::MAX) / (kinds.len() as u64 + 1);
    let mut blows = Vec::with_capacity(kinds.len());
    let mut begins = 0;
    for kind in kinds {
        let at = Duration::from_millis(begins + chance.below(place));
        let draw = chance.draw();
        let down_for = Duration::from_millis(kind.absence(&mut chance));
        blows.push(Blow { at, kind, draw, down_for });
        begins += place;
    }
    blows
}

fn count_kills(kinds: &[Kind]) -> u32 {
    u32::try_from(kinds.iter().filter(|kind| kind.is_kill()).count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Kind, count_kills, draw};
    use std::{collections::BTreeSet, time::Duration};

    const LENGTH: Duration = Duration::from_mins(5);

    #[test]
    fn a_seed_draws_the_same_run_again_and_another_seed_another() {
        assert_eq!(draw(7, LENGTH, 70), draw(7, LENGTH, 70));
        assert_ne!(draw(7, LENGTH, 70), draw(8, LENGTH, 70));
    }

    #[test]
    fn every_kind_comes_in_every_run_and_the_number_of_kills_is_the_wanted_one() {
        for (seed, kills) in [(1, 9), (2, 70), (3, 200)] {
            let blows = draw(seed, LENGTH, kills);
            let kinds: Vec<Kind> = blows.iter().map(|blow| blow.kind).collect();
            assert_eq!(kinds.iter().collect::<BTreeSet<_>>().len(), Kind::ALL.len());
            assert_eq!(count_kills(&kinds), kills);
            assert!(blows.is_sorted_by_key(|blow| blow.at) && blows.iter().all(|blow| blow.at < LENGTH));
        }
    }
}
