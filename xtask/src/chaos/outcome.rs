//! What a run came to, for people and for machines.

use super::{Course, Options, conditions::Conditions, plan::Kind, strike::Struck};
use journeys::chaos::{Check, Report};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt::{Display, Formatter},
};

/// The outcome of one run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) seed: u64,
    minutes: f64,
    pub(super) profile: String,
    pub(super) conditions: Conditions,
    /// Whether nothing was found.
    pub(super) holds: bool,
    /// Processes ended.
    pub(super) kills: usize,
    /// Blows that ended no process.
    pub(super) disturbances: usize,
    by_kind: BTreeMap<Kind, Tally>,
    /// How often a backbone became the leader, the first time included.
    pub(super) leaders: usize,
    /// Events stored per second of load.
    pub(super) events_per_second: f64,
    pub(super) checks: Vec<Check>,
    pub(super) report: Report,
    pub(super) struck: Vec<Struck>,
    /// Events with a position, by the seconds since the load began.
    pub(super) course: Vec<(f64, i64)>,
}

/// The blows of one kind.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
struct Tally {
    count: usize,
    recovered_seconds_mean: f64,
    recovered_seconds_max: f64,
}

impl Outcome {
    pub(super) fn new(
        options: &Options,
        conditions: Conditions,
        Course { struck, course }: Course,
        report: Report,
        own_checks: Vec<Check>,
        leaders: usize,
    ) -> Self {
        let mut by_kind: BTreeMap<Kind, Tally> = BTreeMap::new();
        let mut recovered =
            Check::new("everything that was hit came back, and what was told to end ended in order");
        for blow in &struck {
            let tally = by_kind.entry(blow.kind).or_default();
            tally.count += 1;
            tally.recovered_seconds_mean += blow.recovered_seconds;
            tally.recovered_seconds_max = tally.recovered_seconds_max.max(blow.recovered_seconds);
            let failed = blow.failure.as_ref();
            recovered.look(failed.map(|why| format!("{} {}: {why}", blow.kind.words(), blow.target)));
        }
        for tally in by_kind.values_mut() {
            tally.recovered_seconds_mean /= as_f64(tally.count);
        }
        let mut checks = report.checks.clone();
        checks.push(recovered);
        checks.extend(own_checks);
        let events_per_second = if report.load_seconds > 0.0 {
            as_f64(usize::try_from(report.load_events).unwrap_or(0)) / report.load_seconds
        } else {
            0.0
        };
        let mut rate = Check::new("the load was as high as it must be");
        let too_low = events_per_second < f64::from(options.at_least);
        rate.look(too_low.then(|| format!("{events_per_second:.0} events/s, not {}", options.at_least)));
        checks.push(rate);
        let kills = struck.iter().filter(|blow| blow.kind.is_kill()).count();
        Self {
            seed: options.seed,
            minutes: options.minutes,
            profile: if options.release { "release" } else { "debug" }.to_owned(),
            conditions,
            holds: checks.iter().all(|check| check.violations == 0),
            kills,
            disturbances: struck.len() - kills,
            by_kind,
            leaders,
            events_per_second,
            checks,
            report,
            struck,
            course,
        }
    }

    /// How many things were not as they must be.
    pub(super) fn violations(&self) -> u64 {
        self.checks.iter().map(|check| check.violations).sum()
    }

    /// What strikes the same blows again.
    pub(super) fn command(&self) -> String {
        let release = if self.profile == "release" { " --release" } else { "" };
        format!(
            "cargo xtask chaos --minutes {} --seed {} --kills {}{release}",
            self.minutes, self.seed, self.kills
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]
fn as_f64(count: usize) -> f64 {
    count as f64
}

/// A blow as a line.
pub(super) fn line(struck: &Struck) -> String {
    let end = match &struck.failure {
        Some(failure) => format!("FAILED: {failure}"),
        None if struck.note.is_empty() => String::new(),
        None => format!("({})", struck.note),
    };
    format!(
        "  {:6.1} s  {:<36} {:<12} back after {:5.2} s {end}",
        struck.at_seconds,
        struck.kind.words(),
        struck.target,
        struck.recovered_seconds
    )
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let report = &self.report;
        writeln!(
            f,
            "\nchaos, seed {}, {} build: {} kills and {} disturbances within {:.0} s of load",
            self.seed, self.profile, self.kills, self.disturbances, report.load_seconds
        )?;
        for (kind, tally) in &self.by_kind {
            writeln!(
                f,
                "  {:>4}  {:<36} back after {:5.2} s on average, {:5.2} s at most",
                tally.count,
                kind.words(),
                tally.recovered_seconds_mean,
                tally.recovered_seconds_max
            )?;
        }
        writeln!(
            f,
            "{} events stored under load ({:.0}/s), {} commands acknowledged ({} over GraphQL, {} scans), {} sent twice on \
             purpose, {} answered as repeated",
            report.load_events,
            self.events_per_second,
            report.commands,
            report.over_graphql,
            report.scans,
            report.repeated_on_purpose,
            report.answered_as_repeated
        )?;
        let failed: u64 = report.failed_attempts.values().sum();
        writeln!(
            f,
            "{failed} attempts failed and were made again; {} events were published again; {} leaders",
            report.duplicates, self.leaders
        )?;
        for (what, count) in &report.failed_attempts {
            writeln!(f, "  {count:>6}  {what}")?;
        }
        writeln!(f, "at the longest no position was given for {:.1} s", report.longest_standstill_seconds)?;
        writeln!(
            f,
            "quiet {:.1} s after the load; {} events in the log",
            report.quiet_after_seconds, report.events
        )?;
        for check in &self.checks {
            let mark = if check.violations == 0 { '✓' } else { '✗' };
            writeln!(f, "  {mark} {} ({})", check.name, check.looked_at)?;
            if check.violations > 0 {
                writeln!(f, "      {} violations", check.violations)?;
            }
            for example in &check.examples {
                writeln!(f, "      {example}")?;
            }
        }
        if self.holds {
            write!(f, "Nothing was lost, nothing doubled.")
        } else {
            write!(f, "VIOLATIONS. Again with: {}", self.command())
        }
    }
}
