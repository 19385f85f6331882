//! The alert rules ask for metrics that exist, and every alert says what to do.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its support as well")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const RULES: &str = include_str!("../../../infra/alerts/patchfleet.rules.yml");
const RUNBOOK: &str = include_str!("../../../docs/runbooks/alerts.md");

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("tests") && !path.ends_with("target") {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

fn after<'a>(lines: &'a str, key: &str) -> Vec<&'a str> {
    let found = lines.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix(key));
    found.map(str::trim).collect()
}

#[test]
fn every_metric_that_a_rule_asks_for_is_reported_by_some_service() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    sources(&root.join("shared"), &mut files);
    sources(&root.join("services"), &mut files);
    let code: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let words = after(RULES, "expr:").into_iter().flat_map(|expression| {
        expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect::<Vec<_>>()
    });
    let asked: BTreeSet<&str> =
        words.filter(|word| word.starts_with("eventstore_") || word.starts_with("messaging_")).collect();
    assert!(asked.len() >= 8, "{asked:?}");
    let unknown: Vec<_> = asked.iter().filter(|name| !code.contains(&format!("\"{name}\""))).collect();
    assert!(unknown.is_empty(), "nobody reports {unknown:?}");
}

#[test]
fn every_alert_stands_in_the_runbook_and_the_runbook_has_no_other() {
    let alerts: BTreeSet<&str> = after(RULES, "alert:").into_iter().collect();
    let described: BTreeSet<&str> = after(RUNBOOK, "##").into_iter().collect();
    assert!(alerts.len() >= 8);
    assert_eq!(alerts, described);
}
