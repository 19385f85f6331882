//! Progress of an import, and what came of it.

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use feeds::Watcher;
use feeds::offline::Outcome;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;
use std::io::Write;

/// One bar for the documents, and one for the patches of the document that is read.
pub(super) struct Bars {
    documents: ProgressBar,
    records: ProgressBar,
}

impl Bars {
    pub(super) fn new() -> Self {
        let style = |template: &str| {
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
        };
        // Both are silent where standard error is no terminal.
        let both = MultiProgress::new();
        let documents = both.add(ProgressBar::new(0));
        documents.set_style(style("{bar:30} {pos}/{len} documents, {elapsed} {wide_msg}"));
        let records = both.add(ProgressBar::new(0));
        records.set_style(style("{bar:30} {pos}/{len} records"));
        Self { documents, records }
    }

    pub(super) fn finish(&self) {
        self.records.finish_and_clear();
        self.documents.finish_and_clear();
    }
}

impl Watcher for Bars {
    fn found(&self, documents: usize) {
        self.documents.set_length(documents as u64);
    }

    fn reading(&self, name: &str) {
        self.documents.set_message(name.to_owned());
        self.records.set_length(0);
        self.records.set_position(0);
    }

    fn taken(&self, done: usize, of: usize) {
        self.records.set_length(of as u64);
        self.records.set_position(done as u64);
    }

    fn done(&self) {
        self.documents.inc(1);
    }
}

/// Writes what came of an import to standard output, and what was refused to standard error.
pub(super) fn print(outcome: &Outcome, as_json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if as_json {
        for imported in &outcome.imported {
            let line = json!({"format": imported.format, "report": imported.report});
            writeln!(out, "{line}")?;
        }
    } else {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_header([
            "feed",
            "documents",
            "new",
            "revised",
            "as they were",
            "withdrawn",
            "vulnerabilities",
            "left out",
        ]);
        for imported in &outcome.imported {
            let report = &imported.report;
            table.add_row([
                format!("{:?}", imported.format),
                report.documents.to_string(),
                report.published.to_string(),
                report.revised.to_string(),
                report.unchanged.to_string(),
                report.withdrawn.to_string(),
                report.vulnerabilities.to_string(),
                report.quarantined.len().to_string(),
            ]);
        }
        writeln!(out, "{table}")?;
    }
    out.flush()?;
    for refused in &outcome.refused {
        eprintln!("refused: {refused}");
    }
    Ok(())
}
