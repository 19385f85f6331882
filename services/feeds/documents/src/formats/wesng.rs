//! The definitions of Windows Exploit Suggester NG: a CSV in a zip file, one row per fix, product and vulnerability.

use super::microsoft::{Days, Statement, Updates};
use crate::DocumentError;
use crate::figures::Figures;
use crate::input::Input;
use crate::limits::RECORDS_MAX;
use crate::reading::Reading;
use crate::rows::Rows;
use crate::text::{cves_in, is_plain};
use chrono::NaiveDate;
use csv::StringRecord;

/// Whether a zip file's entry is the table of vulnerabilities: `CVEs_20221211.csv`.
pub(crate) fn is_table(name: &str) -> bool {
    name.starts_with("CVEs_")
}

/// Reads the table; its name tells its day.
pub(crate) fn read(name: &str, input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    let stem = name.strip_suffix(".csv").unwrap_or(name);
    reading.contents.document_id = Some(stem.to_owned()).filter(|id| is_plain(id));
    reading.contents.document_date = stem.strip_prefix("CVEs_").and_then(day).map(crate::dates::midnight);
    reading.figures.lists(&["kbs", "cves", "supersedence_links", "products"]);
    reading.figures.tallies(&["severity_rows"]);
    reading.figures.add("rows", 0);
    let mut rows = Rows::new(input)?;
    let columns = Columns::of(&rows)?;
    let mut updates = Updates::default();
    let mut row = StringRecord::new();
    while rows.next(&mut row)? {
        reading.contents.records += 1;
        if reading.contents.records > RECORDS_MAX {
            return Err(DocumentError::TooManyRecords { limit: RECORDS_MAX });
        }
        let Some(row) = columns.row(&row) else {
            let number = reading.contents.records;
            reading.contents.quarantine(format!("row {number} has too few columns"));
            continue;
        };
        row.count(&mut reading.figures);
        row.tell(&mut updates)?;
    }
    updates.finish(reading, Days::OfAnyChange, None, None)
}

/// Where the columns are.
struct Columns([usize; 6]);

/// What is read of a row.
struct Row<'a> {
    posted: &'a str,
    advisory: &'a str,
    kb: &'a str,
    product: &'a str,
    severity: &'a str,
    supersedes: &'a str,
}

impl Columns {
    fn of(rows: &Rows<'_>) -> Result<Self, DocumentError> {
        /// In the order of [`Row`].
        const NAMES: [&str; 6] =
            ["DatePosted", "CVE", "BulletinKB", "AffectedProduct", "Severity", "Supersedes"];
        let mut columns = [0; NAMES.len()];
        for (column, name) in columns.iter_mut().zip(NAMES) {
            *column = rows
                .column(name)
                .ok_or_else(|| DocumentError::malformed(format!("it has no column {name:?}")))?;
        }
        Ok(Self(columns))
    }

    fn row<'a>(&self, row: &'a StringRecord) -> Option<Row<'a>> {
        let [posted, advisory, kb, product, severity, supersedes] = self.0;
        Some(Row {
            posted: row.get(posted)?,
            advisory: row.get(advisory)?,
            kb: row.get(kb)?,
            product: row.get(product)?,
            severity: row.get(severity)?,
            supersedes: row.get(supersedes)?,
        })
    }
}

impl Row<'_> {
    /// A row whose bulletin is no number is counted: its fix has no KB that a device could have.
    fn tell(&self, updates: &mut Updates) -> Result<(), DocumentError> {
        // Some names have blanks at their end, and some ids are written small or two in one.
        let product = self.product.split_whitespace().collect::<Vec<_>>().join(" ");
        let advisory = self.advisory.trim().to_ascii_uppercase();
        let advisories: Vec<&str> =
            if advisory.starts_with("ADV") { vec![&advisory] } else { cves_in(&advisory).collect() };
        updates.add(&Statement {
            fix: self.kb,
            products: &[&product],
            advisories: &advisories,
            severities: &[self.severity],
            supersedes: self.supersedes,
            released: day(self.posted),
            ..Statement::default()
        })
    }

    fn count(&self, figures: &mut Figures) {
        if !figures.on() {
            return;
        }
        figures.add("rows", 1);
        figures.tally("severity_rows", self.severity);
        figures.list("kbs", self.kb);
        figures.list("products", self.product);
        if !self.advisory.is_empty() {
            figures.list("cves", self.advisory);
        }
        for older in self.supersedes.split([';', ',']).map(str::trim).filter(|older| !older.is_empty()) {
            figures.list("supersedence_links", format!("{older}>{}", self.kb));
        }
    }
}

/// `20221211`
fn day(text: &str) -> Option<NaiveDate> {
    crate::dates::day(text, &["%Y%m%d"])
}
