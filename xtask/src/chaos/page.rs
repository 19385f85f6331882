//! The page of results: all runs of a folder in one table, each with its course as a plot.

use super::{course, outcome::Outcome, plan::Kind};
use anyhow::{Context, Result};
use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

/// Writes the run and its plot into the folder, and the page of all runs there anew.
pub(super) fn save(outcome: &Outcome, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let write = |name: &str, text: &str| {
        let file = folder.join(name);
        fs::write(&file, text).with_context(|| format!("writing {}", file.display()))
    };
    write(&format!("chaos-{}.json", outcome.seed), &format!("{}\n", serde_json::to_string_pretty(outcome)?))?;
    write(&format!("chaos-{}.svg", outcome.seed), &course::svg(outcome))?;
    write("chaos.md", &page(&outcomes(folder)?))
}

fn outcomes(folder: &Path) -> Result<Vec<Outcome>> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let is_run = |file: &PathBuf| {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("chaos-") && Path::new(name).extension().is_some_and(|end| end == "json")
    };
    let mut outcomes = Vec::new();
    for file in entries.flatten().map(|entry| entry.path()).filter(is_run) {
        let text = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        let outcome: Outcome = serde_json::from_slice(&text)
            .with_context(|| format!("{} is of another version: remove it", file.display()))?;
        outcomes.push(outcome);
    }
    outcomes.sort_by_key(|outcome| outcome.seed);
    Ok(outcomes)
}

fn page(outcomes: &[Outcome]) -> String {
    let mut text = String::from(
        "# The kill test\n\nWhat is done and checked: [tests/chaos](../../tests/chaos/README.md).\n\n```\n",
    );
    for outcome in outcomes {
        _ = writeln!(text, "{} --save loadtests/results", outcome.command());
    }
    text.push_str("```\n\n");
    conditions(&mut text, outcomes);
    runs(&mut text, outcomes);
    blows(&mut text, outcomes);
    checks(&mut text, outcomes);
    for outcome in outcomes {
        _ = writeln!(text, "\n![the course of seed {0}](chaos-{0}.svg)", outcome.seed);
    }
    text
}

fn conditions(text: &mut String, outcomes: &[Outcome]) {
    text.push_str("| seed | began | commit | build | machine | load before | servers |\n|---|---|---|---|---|---|---|\n");
    for outcome in outcomes {
        let on = &outcome.conditions;
        let servers: Vec<String> =
            outcome.report.servers.iter().map(|(name, version)| format!("{name} {version}")).collect();
        _ = writeln!(
            text,
            "| {} | {} | {} | {} | {}, {} cores, {} GB, Linux {} | {:.2} | {} |",
            outcome.seed,
            on.began_at,
            on.commit,
            outcome.profile,
            on.cpu,
            on.cores,
            on.memory_gb,
            on.kernel,
            on.load_before,
            servers.join(", ")
        );
    }
}

fn runs(text: &mut String, outcomes: &[Outcome]) {
    text.push_str(
        "\n| seed | kills | disturbances | load | events | events/s | commands and scans | attempts made again | \
         sent twice on purpose | published again | leaders | longest without a position | quiet after | violations |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for outcome in outcomes {
        let report = &outcome.report;
        let failed: u64 = report.failed_attempts.values().sum();
        _ = writeln!(
            text,
            "| {} | {} | {} | {:.0} s | {} | {:.0} | {} | {failed} | {} | {} | {} | {:.1} s | {:.1} s | {} |",
            outcome.seed,
            outcome.kills,
            outcome.disturbances,
            report.load_seconds,
            report.load_events,
            outcome.events_per_second,
            report.commands,
            report.repeated_on_purpose,
            report.duplicates,
            outcome.leaders,
            report.longest_standstill_seconds,
            report.quiet_after_seconds,
            outcome.violations(),
        );
    }
    let sum = |of: &dyn Fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>();
    _ = writeln!(
        text,
        "| all | **{}** | {} | | {} | | {} | | | {} | {} | | | **{}** |",
        sum(&|outcome| outcome.kills as u64),
        sum(&|outcome| outcome.disturbances as u64),
        sum(&|outcome| u64::try_from(outcome.report.load_events).unwrap_or(0)),
        sum(&|outcome| outcome.report.commands),
        sum(&|outcome| outcome.report.duplicates),
        sum(&|outcome| outcome.leaders as u64),
        sum(&Outcome::violations),
    );
}

fn blows(text: &mut String, outcomes: &[Outcome]) {
    let mut recovered: BTreeMap<Kind, Vec<f64>> = BTreeMap::new();
    for struck in outcomes.iter().flat_map(|outcome| &outcome.struck) {
        recovered.entry(struck.kind).or_default().push(struck.recovered_seconds);
    }
    text.push_str(
        "\nUntil what was hit was ready again, its planned absence included:\n\n\
         | blow | times | median | longest |\n|---|---|---|---|\n",
    );
    for (kind, mut seconds) in recovered {
        seconds.sort_by(f64::total_cmp);
        let median = seconds.get(seconds.len() / 2).copied().unwrap_or(0.0);
        let longest = seconds.last().copied().unwrap_or(0.0);
        _ = writeln!(text, "| {} | {} | {median:.2} s | {longest:.2} s |", kind.words(), seconds.len());
    }
}

fn checks(text: &mut String, outcomes: &[Outcome]) {
    let mut sums: Vec<(&str, u64, u64)> = Vec::new();
    for check in outcomes.iter().flat_map(|outcome| &outcome.checks) {
        match sums.iter_mut().find(|(name, ..)| *name == check.name) {
            Some((_, looked_at, violations)) => {
                *looked_at += check.looked_at;
                *violations += check.violations;
            }
            None => sums.push((&check.name, check.looked_at, check.violations)),
        }
    }
    text.push_str("\n| what must be so | looked at | violations |\n|---|---|---|\n");
    for (name, looked_at, violations) in sums {
        _ = writeln!(text, "| {name} | {looked_at} | {violations} |");
    }
}
