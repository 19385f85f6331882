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

/// Ratings of one document: some 40,000 CVEs in some five releases have an urgency.
const RATINGS_MAX: usize = 500_000;
/// Memory of all ratings, about: half a million real ones take that much.
const RATINGS_BYTES_MAX: usize = 128 << 20;
/// Bytes of what is said of one CVE in one package: the longest descriptions have some kilobytes.
const RECORD_BYTES_MAX: u64 = 2 << 20;

/// Whether a document begins like the tracker.
pub(crate) fn is(head: &Head) -> bool {
    head.kind == Kind::JsonObject && head.has(3, "releases")
}

pub(crate) fn read(input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    reading.figures.lists(&["ids", "cves", "fixed_packages"]);
    reading.figures.tallies(&["status", "urgency"]);
    input.progress.limit_records(RECORD_BYTES_MAX);
    let Reading { contents, figures, .. } = reading;
    let mut tracker = Tracker { contents, figures, source: String::new(), ratings_bytes: 0 };
    nested::read(input, |part| {
        match part {
            Part::Outer(source) => tracker.begin(source),
            Part::Inner(id, record) => tracker.vulnerability(id, record),
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
    ratings_bytes: usize,
}

impl Tracker<'_> {
    fn begin(&mut self, source: &str) {
        self.contents.records += 1;
        source.clone_into(&mut self.source);
        if !is_plain(source) {
            self.contents.quarantine(format!("{source:?} is not a source package"));
        }
    }

    fn vulnerability(&mut self, id: &str, record: &RawValue) {
        let source = &self.source;
        let record: Map<String, Value> = match json::item(record) {
            Ok(record) => record,
            Err(reason) => return self.contents.quarantine(format!("{source}/{id}: {reason}")),
        };
        let nothing = Value::Object(Map::new());
        let Value::Object(releases) = record.get("releases").unwrap_or(&nothing) else {
            return self.contents.quarantine(format!("{source}/{id}: its releases are not an object"));
        };
        if self.figures.on() {
            count(self.figures, source, id, releases);
        }
        // `TEMP-0290435-0B57B5` and the like have no number outside Debian.
        if !is_cve(id) || !is_plain(source) {
            return;
        }
        for (codename, release) in releases {
            self.rate(id, codename, release);
        }
    }

    fn rate(&mut self, cve: &str, codename: &str, release: &Value) {
        // `sid` has no version: no device runs a fix "for sid" of this list.
        let Some(os) = identity::debian(codename) else { return };
        let Some(urgency) = release.get("urgency").and_then(Value::as_str) else { return };
        let severity = severity::from_word(urgency);
        if severity == Severity::Unknown {
            return;
        }
        let rating = Rating {
            source: self.source.clone(),
            cve: cve.to_owned(),
            os_version: os.version,
            vendor_severity: severity::word(urgency).to_owned(),
            severity,
        };
        let texts = [&rating.source, &rating.cve, &rating.os_version, &rating.vendor_severity];
        // Each text has a place in the heap besides its own bytes.
        self.ratings_bytes += size_of::<Rating>() + texts.iter().map(|text| text.len() + 16).sum::<usize>();
        if self.contents.ratings.len() >= RATINGS_MAX || self.ratings_bytes > RATINGS_BYTES_MAX {
            let source = &self.source;
            return self
                .contents
                .quarantine(format!("{source}/{cve}: there are more ratings than any tracker has"));
        }
        self.contents.ratings.push(rating);
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
