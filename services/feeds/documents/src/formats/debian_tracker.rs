//! The Debian security tracker's JSON: source package, CVE, release, urgency.
//!
//! One object for everything, and the kernel's part of it alone is larger than a record may be, so entries are read one
//! after the other and only ratings are kept.

use crate::contents::{Contents, Rating};
use crate::figures::Figures;
use crate::head::{Head, Kind};
use crate::input::Input;
use crate::json::nested::{self, Part};
use crate::reading::Reading;
use crate::text::{is_cve, is_plain};
use crate::{DocumentError, identity, json};
use contracts::Severity;
use feeds_domain::severity;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Bytes of what is said of one CVE in one package: the longest descriptions have some kilobytes.
const RECORD_BYTES_MAX: u64 = 2 << 20;

/// Whether a document begins like the tracker.
pub(crate) fn is(head: &Head) -> bool {
    let is_id = |key: &str| key.starts_with("CVE-") || key.starts_with("TEMP-");
    head.kind == Kind::JsonObject && head.has(3, "releases") && head.keys(2).any(is_id)
}

pub(crate) fn read(input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    reading.figures.lists(&["ids", "cves", "fixed_packages"]);
    reading.figures.tallies(&["status", "urgency"]);
    input.progress.limit_records(RECORD_BYTES_MAX);
    let Reading { contents, figures, .. } = reading;
    let mut tracker = Tracker { contents, figures, source: String::new() };
    nested::read(input, |part| {
        match part {
            Part::Outer(source) => tracker.begin(source),
            Part::Inner(id, record) => tracker.vulnerability(id, record)?,
            Part::NoObject => {
                let reason = format!("{}: its vulnerabilities are not an object", tracker.source);
                tracker.contents.quarantine(reason);
            }
        }
        Ok(())
    })?;
    reading.figures.set("source_packages", reading.contents.records);
    reading.contents.ratings.sort();
    reading.contents.ratings.dedup();
    Ok(())
}

/// The tracker while it is read.
struct Tracker<'a> {
    contents: &'a mut Contents,
    figures: &'a mut Figures,
    /// The source package that began last.
    source: String,
}

impl Tracker<'_> {
    fn begin(&mut self, source: &str) {
        self.contents.records += 1;
        source.clone_into(&mut self.source);
        if !is_plain(source) {
            self.contents.quarantine(format!("{source:?} is not a source package"));
        }
    }

    fn vulnerability(&mut self, id: &str, record: &RawValue) -> Result<(), DocumentError> {
        let source = &self.source;
        let record: Map<String, Value> = match json::item(record) {
            Ok(record) => record,
            Err(reason) => {
                self.contents.quarantine(format!("{source}/{id}: {reason}"));
                return Ok(());
            }
        };
        let nothing = Value::Object(Map::new());
        let Value::Object(releases) = record.get("releases").unwrap_or(&nothing) else {
            self.contents.quarantine(format!("{source}/{id}: its releases are not an object"));
            return Ok(());
        };
        if self.figures.on() {
            count(self.figures, source, id, releases);
        }
        // `TEMP-0290435-0B57B5` and the like have no number outside Debian.
        if !is_cve(id) || !is_plain(source) {
            return Ok(());
        }
        for (codename, release) in releases {
            self.rate(id, codename, release)?;
        }
        Ok(())
    }

    fn rate(&mut self, cve: &str, codename: &str, release: &Value) -> Result<(), DocumentError> {
        // `sid` has no version: no device runs a fix "for sid" of this list.
        let Some(os) = identity::debian(codename) else { return Ok(()) };
        let Some(urgency) = release.get("urgency").and_then(Value::as_str) else { return Ok(()) };
        let severity = severity::from_word(urgency);
        if severity == Severity::Unknown {
            return Ok(());
        }
        let rating = Rating {
            source: self.source.clone(),
            cve: cve.to_owned(),
            os_version: os.version,
            vendor_severity: severity::word(urgency).to_owned(),
            severity,
        };
        self.contents.rate(rating)
    }
}

fn count(figures: &mut Figures, source: &str, id: &str, releases: &Map<String, Value>) {
    figures.list("ids", id);
    if id.starts_with("CVE-") {
        figures.list("cves", id);
    }
    for (codename, release) in releases.iter().filter(|(_, release)| release.is_object()) {
        figures.tally("status", release.get("status").and_then(Value::as_str).unwrap_or("null"));
        figures.tally("urgency", release.get("urgency").and_then(Value::as_str).unwrap_or("None"));
        if let Some(version) = release.get("fixed_version").and_then(Value::as_str).filter(|v| !v.is_empty())
        {
            figures.list("fixed_packages", format!("{codename}/{source}={version}/{id}"));
        }
    }
}
