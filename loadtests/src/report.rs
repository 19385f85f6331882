//! What a bench found: for people as a table, for machines as JSON.

use crate::{machine::Conditions, options::Options, statistics::Spread};
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::{fmt::Write, io::IsTerminal, time::Duration};

/// What is to be reached.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Goal {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    /// The number in it.
    pub(crate) fn value(self) -> f64 {
        match self {
            Self::AtLeast(value) | Self::AtMost(value) => value,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(least) => format!("≥ {}", number(least)),
            Self::AtMost(most) => format!("≤ {}", number(most)),
        }
    }
}

/// One thing that was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// The part of the bench.
    pub part: &'static str,
    /// What was done.
    pub what: String,
    /// Under which conditions: fsync, writers, stored events.
    pub setting: String,
    /// What was reached.
    pub ours: Spread,
    /// In what.
    pub unit: &'static str,
    /// What it is compared with.
    pub against: Option<&'static str>,
    /// What that reached in the same rounds.
    pub baseline: Option<Spread>,
    /// The rounds' ratios.
    pub ratio: Option<Spread>,
    /// What is to be reached, by the ratio if there is one.
    pub goal: Option<Goal>,
    /// Whether the median reaches it.
    pub met: Option<bool>,
}

impl Figure {
    /// A figure that stands alone.
    pub(crate) fn alone(
        part: &'static str,
        what: impl Into<String>,
        setting: impl Into<String>,
        ours: Spread,
        unit: &'static str,
        goal: Option<Goal>,
    ) -> Self {
        let met = goal.map(|goal| goal.is_met(ours.median));
        let (what, setting) = (what.into(), setting.into());
        Self { part, what, setting, ours, unit, against: None, baseline: None, ratio: None, goal, met }
    }

    /// The same against a baseline.
    pub(crate) fn against(mut self, name: &'static str, baseline: Spread, ratio: Spread) -> Self {
        self.met = self.goal.map(|goal| goal.is_met(ratio.median));
        Self { against: Some(name), baseline: Some(baseline), ratio: Some(ratio), ..self }
    }
}

/// All that one bench found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Its name.
    pub bench: &'static str,
    /// The command that makes it again.
    pub command: String,
    /// Rounds that count.
    pub rounds: usize,
    /// How long a contender worked in a round, in milliseconds.
    pub turn_ms: u128,
    /// On what.
    pub conditions: Conditions,
    /// What was found.
    pub figures: Vec<Figure>,
    /// What a reader must know to judge it.
    pub notes: Vec<String>,
}

impl Report {
    /// An empty one.
    pub(crate) fn begin(bench: &'static str, options: &Options) -> Self {
        let arguments: Vec<String> =
            std::env::args().skip(1).filter(|argument| argument != "--own-server").collect();
        Self {
            bench,
            command: format!("cargo xtask bench {}", arguments.join(" ")),
            rounds: options.rounds(),
            turn_ms: options.turn().as_millis(),
            conditions: Conditions::observe(),
            figures: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// As tables for a terminal.
    pub fn tables(&self) -> String {
        let mut text = format!("{}\n{}\n", self.command, self.conditions_text());
        for part in self.parts() {
            let mut table = Table::new();
            table.load_style(UTF8_BORDERS_ONLY);
            table.set_header(HEADER);
            for figure in self.figures.iter().filter(|figure| figure.part == part) {
                table.add_row(cells(figure));
            }
            _ = writeln!(text, "\n{part}\n{table}");
        }
        for note in &self.notes {
            _ = writeln!(text, "- {note}");
        }
        text
    }

    /// As a page.
    pub fn markdown(&self) -> String {
        let mut text = format!("# Bench `{}`\n\nMade by `{}`.\n\n", self.bench, self.command);
        for line in self.conditions_text().lines() {
            _ = writeln!(text, "- {line}");
        }
        for part in self.parts() {
            _ = writeln!(text, "\n## {part}\n\n![{part}]({}-{part}.svg)\n", self.bench);
            _ = writeln!(text, "| {} |\n|{}", HEADER.join(" | "), "---|".repeat(HEADER.len()));
            for figure in self.figures.iter().filter(|figure| figure.part == part) {
                _ = writeln!(text, "| {} |", cells(figure).join(" | "));
            }
        }
        if !self.notes.is_empty() {
            text.push_str("\n## How it was measured\n\n");
        }
        for note in &self.notes {
            _ = writeln!(text, "- {note}");
        }
        text
    }

    pub(crate) fn parts(&self) -> Vec<&'static str> {
        let mut parts: Vec<&'static str> = Vec::new();
        for figure in &self.figures {
            if !parts.contains(&figure.part) {
                parts.push(figure.part);
            }
        }
        parts
    }

    fn conditions_text(&self) -> String {
        let Conditions {
            began_at,
            commit,
            build,
            cpu,
            cores,
            memory_gb,
            kernel,
            fsync_ms,
            load_before,
            servers,
        } = &self.conditions;
        let mut text = format!(
            "{began_at}, commit {commit}, {build} build, {} rounds of {} ms\n\
             {cpu}, {cores} cores, {memory_gb} GB, Linux {kernel}, fsync of 8 kB {} ms, load before the run {load_before}\n",
            self.rounds,
            self.turn_ms,
            number(*fsync_ms),
        );
        for (server, settings) in servers {
            _ = writeln!(text, "{server} {settings}");
        }
        text.trim_end().to_owned()
    }
}

const HEADER: [&str; 8] =
    ["what", "setting", "reached", "min – max", "against", "ratio", "min – max", "goal"];

fn cells(figure: &Figure) -> [String; 8] {
    let range = |spread: &Spread| format!("{} – {}", number(spread.min), number(spread.max));
    let baseline = figure.against.zip(figure.baseline.as_ref());
    let goal = figure
        .goal
        .map(|goal| format!("{} {}", goal.text(), if figure.met == Some(true) { "✓" } else { "✗" }));
    [
        figure.what.clone(),
        figure.setting.clone(),
        format!("{} {}", number(figure.ours.median), figure.unit),
        range(&figure.ours),
        baseline.map(|(name, spread)| format!("{name}: {}", number(spread.median))).unwrap_or_default(),
        figure.ratio.as_ref().map(|ratio| number(ratio.median)).unwrap_or_default(),
        figure.ratio.as_ref().map(range).unwrap_or_default(),
        goal.unwrap_or_default(),
    ]
}

/// With as many digits as a reader needs.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => {
            let digits = format!("{size:.0}");
            let groups: Vec<&str> = digits
                .as_bytes()
                .rchunks(3)
                .rev()
                .map(|group| std::str::from_utf8(group).unwrap_or_default())
                .collect();
            format!("{}{}", if value < 0.0 { "-" } else { "" }, groups.join(","))
        }
        size if size.fract() < f64::EPSILON => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size < 0.1 => format!("{value:.3}"),
        _ => format!("{value:.2}"),
    }
}

/// Shows how far a run is: a bar on a terminal, lines anywhere else.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Of so many steps.
    pub(crate) fn of(steps: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(steps);
            if let Ok(style) =
                ProgressStyle::with_template("  {bar:24} {pos}/{len} {prefix} {wide_msg} {elapsed}")
            {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self { bar }
    }

    /// Begins a step.
    pub(crate) fn step(&self, name: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_prefix(name.to_owned());
                bar.set_message("");
                bar.inc(1);
            }
            None => eprintln!("  → {name}"),
        }
    }

    /// Says what is being done now; only where it does not fill a log.
    pub(crate) fn note(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.to_owned());
        }
    }

    /// Goes away.
    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Goal, number};

    #[test]
    fn numbers_have_as_many_digits_as_a_reader_needs() {
        let texts = [0.0, 0.017, 0.8, 0.854, 1.0, 12.34, 123.4, 1_234_567.0, -1_500.0].map(number);
        assert_eq!(texts, ["0", "0.017", "0.80", "0.85", "1", "12.3", "123", "1,234,567", "-1,500"]);
    }

    #[test]
    fn a_goal_is_met_at_its_own_value() {
        assert!(Goal::AtLeast(0.8).is_met(0.8) && !Goal::AtLeast(0.8).is_met(0.79));
        assert!(Goal::AtMost(50.0).is_met(50.0) && !Goal::AtMost(50.0).is_met(50.1));
        assert!(!Goal::AtLeast(0.8).is_met(f64::NAN));
    }
}
