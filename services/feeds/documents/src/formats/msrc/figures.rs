//! Counts of Microsoft's monthly document.

use super::{Advisory, Fix, Tracking};
use crate::figures::Figures;
use serde_json::Value;

/// Figures that are shown also where they stay empty.
pub(super) fn begin(figures: &mut Figures) {
    figures.lists(&[
        "cves",
        "non_cve_advisories",
        "kbs",
        "supersedence_links",
        "products",
        "fixed_build_pairs",
    ]);
    figures.tallies(&["severity_max_per_advisory", "severity_threat_entries", "restart_required_entries"]);
    figures.add("advisories", 0);
    figures.add("remediations_vendor_fix", 0);
}

/// Counts one vulnerability.
pub(super) fn count(figures: &mut Figures, advisory: &Advisory) {
    if !figures.on() {
        return;
    }
    figures.add("advisories", 1);
    let id = advisory.id.trim();
    figures.list(if id.starts_with("CVE-") { "cves" } else { "non_cve_advisories" }, id);
    let words = || advisory.severities.iter().map(|(_, word)| word.as_str());
    figures.tally("severity_max_per_advisory", highest(words()));
    words().for_each(|word| figures.tally("severity_threat_entries", word));
    for fix in &advisory.fixes {
        count_fix(figures, fix);
    }
}

fn count_fix(figures: &mut Figures, fix: &Fix) {
    figures.add("remediations_vendor_fix", 1);
    figures.tally("restart_required_entries", fix.restart_required.trim());
    let kb = fix.description.trim();
    if (6..=8).contains(&kb.len()) && kb.bytes().all(|byte| byte.is_ascii_digit()) {
        figures.list("kbs", kb);
        for older in numbers(&fix.supercedence) {
            figures.list("supersedence_links", format!("{older}>{kb}"));
        }
    }
    let build = fix.fixed_build.trim();
    if !build.is_empty() {
        for product in &fix.products {
            figures.list("fixed_build_pairs", format!("{product}={build}"));
        }
    }
}

/// Counts what the document says of itself.
pub(super) fn end(figures: &mut Figures, tracking: &Tracking) {
    let text = |text: &Option<String>| text.clone().map_or(Value::Null, Value::from);
    figures.set("document_id", text(&tracking.id));
    figures.set("initial_release", text(&tracking.initial_release));
    figures.set("current_release", text(&tracking.current_release));
    figures.set("revisions", tracking.revisions);
}

/// The word that ranks highest, of equal ones the first; empty words are none.
fn highest<'a>(words: impl Iterator<Item = &'a str>) -> &'a str {
    let rank = |word: &str| match word.trim().to_lowercase().as_str() {
        "critical" => 4,
        "important" | "high" => 3,
        "moderate" | "medium" => 2,
        "low" => 1,
        _ => 0,
    };
    let first_of_highest =
        |known: &'a str, word: &'a str| if rank(word) > rank(known) { word } else { known };
    words.filter(|word| !word.is_empty()).reduce(first_of_highest).unwrap_or_default()
}

/// Six to eight digits in a row, as often as they occur.
fn numbers(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for run in text.split(|c: char| !c.is_ascii_digit()) {
        let mut rest = run;
        while rest.len() >= 6 {
            let (number, after) = rest.split_at(rest.len().min(8));
            found.push(number);
            rest = after;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{highest, numbers};

    #[test]
    fn the_first_of_the_highest_words_counts_as_it_is_written() {
        assert_eq!(highest(["", "Low", " High", "Important"].into_iter()), " High");
        assert_eq!(highest(["", "odd", "other"].into_iter()), "odd");
        assert_eq!(highest(["", ""].into_iter()), "");
    }

    #[test]
    fn long_rows_of_digits_are_cut_into_numbers() {
        assert_eq!(numbers("KB4484398, 12345;1234567890123456"), ["4484398", "12345678", "90123456"]);
    }
}
