//! CISA's list of known exploited vulnerabilities, as JSON or CSV.
//!
//! The list is all there is: what is not in it is not known to be exploited any more. So it is believed as a whole only
//! where every record of it could be read.

use crate::contents::VulnerabilityFacts;
use crate::dates::{day, instant, midnight};
use crate::head::{Head, Kind};
use crate::input::Input;
use crate::json::{self, Fields, Shape};
use crate::limits::VULNERABILITIES_MAX;
use crate::reading::Reading;
use crate::rows::Rows;
use crate::text::{clipped, is_cve};
use crate::{DocumentError, Format};
use chrono::NaiveDate;
use contracts::feeds::KevEntry;
use csv::StringRecord;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeSet;

const SOURCE: &str = "cisa-kev";

/// Whether a document begins like one.
pub(crate) fn is_json(head: &Head) -> bool {
    head.kind == Kind::JsonObject
        && head.has(1, "vulnerabilities")
        && !head.has(1, "document")
        && (head.has(1, "catalogVersion") || head.has(3, "cveID"))
}

/// Whether a document begins like one.
pub(crate) fn is_csv(head: &Head) -> bool {
    let line = head.first_line();
    let has = |name: &str| line.split(',').any(|column| column.trim().trim_matches('"') == name);
    head.kind == Kind::Text && has("cveID") && has("vendorProject") && has("dateAdded")
}

pub(crate) fn read(format: Format, input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    reading.figures.lists(&["cves"]);
    reading.figures.tallies(&["ransomware"]);
    let mut list = List::of(reading);
    if format == Format::KevCsv {
        csv(input, &mut list)?;
    } else {
        json(input, &mut list)?;
    }
    list.close()
}

/// A record, the same in both forms.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Record {
    #[serde(rename = "cveID")]
    cve: String,
    vendor_project: String,
    product: String,
    vulnerability_name: String,
    date_added: String,
    due_date: Option<String>,
    known_ransomware_campaign_use: Option<String>,
}

/// What is gathered while the list is read.
struct List<'r> {
    reading: &'r mut Reading,
    /// The publisher's own number of records, and whether it is to be there.
    count: Option<u64>,
    vendors: BTreeSet<String>,
    added: Option<(String, String)>,
    newest: Option<NaiveDate>,
    is_all: bool,
}

impl<'r> List<'r> {
    fn of(reading: &'r mut Reading) -> Self {
        Self { reading, count: None, vendors: BTreeSet::new(), added: None, newest: None, is_all: true }
    }

    fn leave_out(&mut self, reason: String) {
        self.is_all = false;
        self.reading.contents.quarantine(reason);
    }

    fn add(&mut self, record: Record) -> Result<(), DocumentError> {
        self.reading.contents.records += 1;
        self.count_figures(&record);
        let cve = record.cve.trim();
        if !is_cve(cve) {
            self.leave_out(format!("{cve:?} is no CVE"));
            return Ok(());
        }
        let forms = &["%Y-%m-%d", "%m/%d/%Y"];
        let Some(date_added) = day(&record.date_added, forms) else {
            self.leave_out(format!("{cve}: {:?} is no day", record.date_added));
            return Ok(());
        };
        self.newest = self.newest.max(Some(date_added));
        let known = record.known_ransomware_campaign_use.unwrap_or_default();
        let kev = KevEntry {
            date_added,
            due_date: record.due_date.and_then(|due| day(&due, forms)),
            ransomware: known.trim().eq_ignore_ascii_case("known").then_some(true),
            vendor: clipped(record.vendor_project.trim()),
            product: clipped(record.product.trim()),
            name: clipped(record.vulnerability_name.trim()),
        };
        self.reading.contents.vulnerability(VulnerabilityFacts {
            cve: cve.to_owned(),
            source: SOURCE.to_owned(),
            kev: Some(kev),
            ..VulnerabilityFacts::default()
        })
    }

    fn count_figures(&mut self, record: &Record) {
        let figures = &mut self.reading.figures;
        if !figures.on() {
            return;
        }
        figures.list("cves", record.cve.as_str());
        figures.tally("ransomware", record.known_ransomware_campaign_use.as_deref().unwrap_or_default());
        figures.add("microsoft", u64::from(record.vendor_project == "Microsoft"));
        self.vendors.insert(record.vendor_project.clone());
        let added = record.date_added.clone();
        self.added = Some(match self.added.take() {
            None => (added.clone(), added),
            Some((first, last)) => (first.min(added.clone()), last.max(added)),
        });
    }

    fn close(self) -> Result<(), DocumentError> {
        let Reading { contents, figures, .. } = self.reading;
        if let Some(count) = self.count.filter(|count| *count != contents.records as u64) {
            return Err(DocumentError::malformed(format!(
                "it counts {count} vulnerabilities and lists {}",
                contents.records
            )));
        }
        if contents.records == 0 {
            return Err(DocumentError::malformed("it lists nothing, and the real list is never empty"));
        }
        contents.is_whole_kev = self.is_all;
        contents.document_date = contents.document_date.or(self.newest.map(midnight));
        figures.set("records", contents.records);
        figures.set("vendors", self.vendors.len());
        if let Some((first, last)) = self.added {
            figures.set("date_added_min", first);
            figures.set("date_added_max", last);
        }
        Ok(())
    }
}

fn json(input: Input<'_>, list: &mut List<'_>) -> Result<(), DocumentError> {
    json::fields(input, list)?;
    if list.count.is_none() {
        return Err(DocumentError::malformed("it does not count its vulnerabilities"));
    }
    Ok(())
}

impl Fields for List<'_> {
    fn shape(&self, field: &str) -> Shape {
        match field {
            "vulnerabilities" => Shape::Items,
            "catalogVersion" | "dateReleased" | "count" => Shape::Whole,
            _ => Shape::Skip,
        }
    }

    fn whole(&mut self, field: &str, value: &RawValue) -> Result<(), DocumentError> {
        let Reading { contents, figures, .. } = &mut *self.reading;
        let wrong = |reason| DocumentError::malformed(format!("{field}: {reason}"));
        match field {
            "count" => {
                let count: u64 = json::item(value).map_err(wrong)?;
                self.count = Some(count);
                figures.set("count_field", count);
            }
            "catalogVersion" => {
                let version: String = json::item(value).map_err(wrong)?;
                contents.document_id = Some(clipped(&version));
                figures.set("catalogVersion", version);
            }
            _ => {
                let released: String = json::item(value).map_err(wrong)?;
                contents.document_date = instant(&released);
                figures.set("dateReleased", released);
            }
        }
        Ok(())
    }

    fn item(&mut self, _: &str, _: Option<&str>, value: &RawValue) -> Result<(), DocumentError> {
        match json::item(value) {
            Ok(record) => self.add(record),
            Err(reason) => {
                self.reading.contents.records += 1;
                self.leave_out(format!("record {}: {reason}", self.reading.contents.records));
                Ok(())
            }
        }
    }
}

fn csv(input: Input<'_>, list: &mut List<'_>) -> Result<(), DocumentError> {
    let mut rows = Rows::new(input)?;
    let header: Vec<&str> = rows.header().collect();
    list.reading.figures.set("header", header);
    let columns = [
        "cveID",
        "vendorProject",
        "product",
        "vulnerabilityName",
        "dateAdded",
        "dueDate",
        "knownRansomwareCampaignUse",
    ]
    .map(|name| rows.column(name));
    if columns.iter().take(5).any(Option::is_none) {
        return Err(DocumentError::malformed("a column is missing"));
    }
    let mut row = StringRecord::new();
    while rows.next(&mut row)? {
        if list.reading.contents.records >= VULNERABILITIES_MAX {
            return Err(DocumentError::TooManyRecords { limit: VULNERABILITIES_MAX });
        }
        if !rows.is_complete(&row) {
            list.reading.contents.records += 1;
            list.leave_out(format!("record {}: it has {} fields", list.reading.contents.records, row.len()));
            continue;
        }
        let field = |column: Option<usize>| column.and_then(|at| row.get(at)).map(str::to_owned);
        let [cve, vendor, product, name, added, due, ransomware] = columns.map(field);
        list.add(Record {
            cve: cve.unwrap_or_default(),
            vendor_project: vendor.unwrap_or_default(),
            product: product.unwrap_or_default(),
            vulnerability_name: name.unwrap_or_default(),
            date_added: added.unwrap_or_default(),
            due_date: due,
            known_ransomware_campaign_use: ransomware,
        })?;
    }
    // Nothing counts the rows of this form. A list that breaks off may lack the rest.
    list.is_all &= rows.ends_with_a_line();
    Ok(())
}
