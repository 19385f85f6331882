//! What `cargo xtask chaos` and the program that makes its load and checks its outcome tell each other.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// Where the system is, and how hard it is to be worked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct World {
    /// What the whole run follows from.
    pub seed: u64,
    /// Events that the driver's commands write per second, on average over the run.
    pub events_per_second: u32,
    /// Scans that agents report per second, on average over the run.
    pub scans_per_second: u32,
    /// Commands under way at the same time.
    pub lanes: u32,
    /// The database as a superuser, who sees everything.
    pub database_url: String,
    /// The broker.
    pub amqp_url: String,
    /// Its management API.
    pub amqp_admin_url: String,
    /// Where each service answers, by its name; several where several processes run it.
    pub services: BTreeMap<String, Vec<String>>,
    /// With which services believe each other.
    pub internal_secret: String,
    /// Proves to the built-in issuer who may ask for tokens.
    pub client_secret: String,
    /// The subject of the platform operator.
    pub operator: String,
    /// Where acknowledgements are written down.
    pub folder: PathBuf,
    /// How long the system may take to become quiet after the last kill, in seconds.
    pub quiet_within_seconds: u64,
}

/// What the load program says, one JSON object per line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Said {
    /// Tenants and people are there, the load begins.
    Ready,
    /// How far it is.
    Progress(Progress),
    /// What it is doing after the load.
    Doing {
        /// In words.
        what: String,
    },
    /// The end.
    Report(Report),
}

/// How far the load is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Events that have a position.
    pub stored: i64,
    /// Commands acknowledged.
    pub acknowledged: u64,
    /// Attempts that were answered with an error or not at all.
    pub failed_attempts: u64,
    /// Events that the probe has seen.
    pub probed: u64,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What the run follows from.
    pub seed: u64,
    /// The servers with their versions.
    pub servers: BTreeMap<String, String>,
    /// How long commands were sent, in seconds.
    pub load_seconds: f64,
    /// Events stored during that time.
    pub load_events: i64,
    /// Events in the log at the end.
    pub events: i64,
    /// Commands acknowledged, each of them once.
    pub commands: u64,
    /// Of these, over GraphQL.
    pub over_graphql: u64,
    /// Of these, scans of agents.
    pub scans: u64,
    /// Attempts that were answered with an error or not at all, and made again with the same id, by what was answered.
    pub failed_attempts: BTreeMap<String, u64>,
    /// Commands that were sent twice at the same moment, or again much later.
    pub repeated_on_purpose: u64,
    /// Answers that said: carried out before.
    pub answered_as_repeated: u64,
    /// Messages that the probe has seen a second time.
    pub duplicates: u64,
    /// The longest time without a new position during the load, in seconds.
    pub longest_standstill_seconds: f64,
    /// How long the system took to become quiet after the load, in seconds.
    pub quiet_after_seconds: f64,
    /// What was looked at.
    pub checks: Vec<Check>,
}

impl Report {
    /// Whether nothing was found.
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.violations == 0)
    }
}

/// One thing that must be so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What must be so, as a sentence.
    pub name: String,
    /// How many things were looked at.
    pub looked_at: u64,
    /// How many are not as they must be.
    pub violations: u64,
    /// The first of them.
    pub examples: Vec<String>,
}

/// Violations that are described; the rest is counted.
const EXAMPLES_MAX: usize = 10;

impl Check {
    /// A check that has looked at nothing yet.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), looked_at: 0, violations: 0, examples: Vec::new() }
    }

    /// Counts something that was looked at; `violation` describes what is wrong with it.
    pub fn look(&mut self, violation: Option<String>) {
        self.looked_at += 1;
        if let Some(violation) = violation {
            self.violate(violation);
        }
    }

    /// Notes something that is not as it must be.
    pub fn violate(&mut self, violation: String) {
        self.violations += 1;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(violation);
        }
    }
}

/// Chance that comes out the same for the same seed (`SplitMix64`).
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The chance of one part of a run.
    pub fn new(seed: u64, part: u64) -> Self {
        let mut chance = Self(seed ^ part.wrapping_mul(0xa076_1d64_78bd_642f));
        // Neighbouring seeds must not begin alike.
        chance.draw();
        chance
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.draw() % end.max(1)
    }

    /// True in `percent` of a hundred cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of the items.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let count = u64::try_from(items.len()).unwrap_or(u64::MAX);
        usize::try_from(self.below(count)).ok().and_then(|index| items.get(index))
    }

    /// Brings the items into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = usize::try_from(self.below(last as u64 + 1)).unwrap_or(last);
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Chance;

    #[test]
    fn the_same_seed_gives_the_same_chance_and_another_part_another() {
        let draw = |seed, part| {
            let mut chance = Chance::new(seed, part);
            [chance.draw(), chance.draw(), chance.below(1000)]
        };
        assert_eq!(draw(7, 1), draw(7, 1));
        assert_ne!(draw(7, 1), draw(7, 2));
        assert_ne!(draw(7, 1), draw(8, 1));
    }

    #[test]
    fn a_shuffle_keeps_every_item() {
        let mut items: Vec<u32> = (0..50).collect();
        Chance::new(3, 0).shuffle(&mut items);
        assert_ne!(items, (0..50).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
    }
}
