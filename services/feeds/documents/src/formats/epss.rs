//! FIRST's exploit prediction scores: a CSV file a day.
//!
//! ```text
//! #model_version:v2023.03.01,score_date:2023-03-07T00:00:00+0000
//! cve,epss,percentile
//! CVE-2020-5902,0.97567,0.99995
//! ```
//! The first model's files have neither the comment nor percentiles, the second's no comment.

use crate::DocumentError;
use crate::contents::VulnerabilityFacts;
use crate::dates::instant;
use crate::head::{Head, Kind};
use crate::input::Input;
use crate::limits::VULNERABILITIES_MAX;
use crate::reading::Reading;
use crate::rows::Rows;
use crate::text::{clipped, is_cve};
use contracts::feeds::Epss;
use csv::StringRecord;
use std::io::BufRead;

const SOURCE: &str = "first-epss";

/// Whether a document begins like one.
pub(crate) fn is(head: &Head) -> bool {
    let mut lines = head.text().lines().map(str::trim).filter(|line| !line.is_empty());
    let header = lines.find(|line| !line.starts_with('#')).unwrap_or_default();
    let has = |name: &str| header.split(',').any(|column| column.trim().trim_matches('"') == name);
    head.kind == Kind::Text && has("cve") && has("epss")
}

pub(crate) fn read(mut input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    let Reading { contents, figures, .. } = reading;
    figures.lists(&["cves"]);
    let comment = comment(&mut input)?;
    let date = comment.as_deref().and_then(score_date).and_then(instant);
    contents.document_id = comment.as_deref().and_then(model_version).map(clipped);
    contents.document_date = date;
    figures.set("comment", comment);

    let mut rows = Rows::new(input)?;
    let columns = (rows.column("cve"), rows.column("epss"), rows.column("percentile"));
    let (Some(cve_at), Some(score_at), percentile_at) = columns else {
        return Err(DocumentError::malformed("a column is missing"));
    };
    let header: Vec<&str> = rows.header().collect();
    let last_at = header.len().saturating_sub(1);
    figures.set("header", header);
    figures.set("has_percentile", percentile_at.is_some());
    let mut highest: Option<f64> = None;
    // All values of a file have the same number of digits: of the row before, or of the score in the first one.
    let (mut digits, mut last_digits) = (None, 0);
    let mut row = StringRecord::new();
    while rows.next(&mut row)? {
        contents.records += 1;
        let field = |at: usize| row.get(at).unwrap_or_default().trim();
        let cve = field(cve_at);
        digits = Some(if digits.is_none() { field(score_at).len() } else { last_digits });
        last_digits = field(last_at).len();
        figures.list("cves", cve);
        let score = probability(field(score_at));
        let percentile = percentile_at.map(|at| probability(field(at)));
        let (Some(score), Some(percentile)) = (score, percentile.map_or(Some(None), |found| found.map(Some)))
        else {
            contents.quarantine(format!("row {}: a value of {cve:?} is no probability", contents.records));
            continue;
        };
        if !is_cve(cve) || !rows.is_complete(&row) {
            contents.quarantine(format!("row {}: {cve:?} is no CVE", contents.records));
            continue;
        }
        highest = Some(highest.map_or(score, |known| known.max(score)));
        contents.vulnerability(VulnerabilityFacts {
            cve: cve.to_owned(),
            source: SOURCE.to_owned(),
            epss: Some(Epss {
                score: parts(score),
                percentile: percentile.map(parts),
                date: date.map(|date| date.date_naive()),
            }),
            ..VulnerabilityFacts::default()
        })?;
        if contents.records > VULNERABILITIES_MAX {
            return Err(DocumentError::TooManyRecords { limit: VULNERABILITIES_MAX });
        }
    }
    // A file cut inside of its last number would give a wrong one.
    if !rows.ends_with_a_line() && digits.is_some_and(|digits| last_digits < digits) {
        return Err(DocumentError::truncated("the last number is shorter than the others"));
    }
    if contents.records == 0 {
        return Err(DocumentError::truncated("it has no rows"));
    }
    figures.set("rows", contents.records);
    figures.set("max_epss", highest);
    Ok(())
}

/// The line above the header, where there is one.
fn comment(input: &mut Input<'_>) -> Result<Option<String>, DocumentError> {
    if input.fill_buf()?.first() != Some(&b'#') {
        return Ok(None);
    }
    let mut line = String::new();
    input.next_line(&mut line)?;
    Ok(Some(line.trim().to_owned()))
}

fn model_version(comment: &str) -> Option<&str> {
    value_of(comment, "model_version:")
}

fn score_date(comment: &str) -> Option<&str> {
    value_of(comment, "score_date:")
}

fn value_of<'a>(comment: &'a str, name: &str) -> Option<&'a str> {
    comment.trim_start_matches('#').split(',').find_map(|part| part.trim().strip_prefix(name))
}

fn probability(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value| (0.0..=1.0).contains(value))
}

/// In parts of 100,000.
fn parts(probability: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 1")]
    let parts = (probability * 100_000.0).round() as u32;
    parts
}
