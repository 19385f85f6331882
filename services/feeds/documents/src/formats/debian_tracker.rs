//! The Debian security tracker's JSON: source package, CVE, release, urgency.
//!
//! One object for everything, and the kernel's part of it alone is larger than a record may be, so entries are read one
//! after the other and only ratings are kept.

use crate::contents::{Contents, Rating};
use crate::figures::Figures;
use crate::head::{Head, Kind};
use crate::input::Input;
use crate::json::Nested;
use crate::reading::Reading;
use crate::text::{is_cve, is_plain};
use crate::{DocumentError, identity, json};
use contracts::Severity;
use feeds_domain::severity;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Ratings of one document: some 40,000 CVEs in some five releases have an urgency.
const RATINGS_MAX: usize = 500_000;

/// Whether a document begins like the tracker.
pub(crate) fn is(head: &Head) -> bool {
    head.kind == Kind::JsonObject && head.has(3, "releases")
}

pub(crate) fn read(input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    let Reading { contents, figures, .. } = reading;
    figures.lists(&["ids", "cves", "fixed_packages"]);
    figures.tallies(&["status", "urgency"]);
    let mut source = String::new();
    json::nested(input, |part| {
        match part {
            Nested::Outer(name) => {
                contents.records += 1;
                name.clone_into(&mut source);
                if !is_plain(&source) {
                    contents.quarantine(format!("{source:?} is not a source package"));
                }
            }
            Nested::Inner(id, record) => vulnerability(contents, figures, &source, id, record),
            Nested::NoObject => {
                contents.quarantine(format!("{source}: its vulnerabilities are not an object"));
            }
        }
        Ok(())
    })?;
    reading.figures.set("source_packages", contents.records);
    contents.ratings.sort();
    contents.ratings.dedup();
    Ok(())
}

fn vulnerability(contents: &mut Contents, figures: &mut Figures, source: &str, id: &str, record: &RawValue) {
    let record: Map<String, Value> = match json::item(record) {
        Ok(record) => record,
        Err(reason) => return contents.quarantine(format!("{source}/{id}: {reason}")),
    };
    let nothing = Value::Object(Map::new());
    let Value::Object(releases) = record.get("releases").unwrap_or(&nothing) else {
        return contents.quarantine(format!("{source}/{id}: its releases are not an object"));
    };
    if figures.on() {
        count(figures, source, id, releases);
    }
    // `TEMP-0290435-0B57B5` and the like have no number outside Debian.
    if !is_cve(id) || !is_plain(source) {
        return;
    }
    for (codename, release) in releases {
        rate(contents, source, id, codename, release);
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

fn rate(contents: &mut Contents, source: &str, cve: &str, codename: &str, release: &Value) {
    // `sid` has no version: no device runs a fix "for sid" of this list.
    let Some(os) = identity::debian(codename) else { return };
    let Some(urgency) = release.get("urgency").and_then(Value::as_str) else { return };
    let severity = severity::from_word(urgency);
    if severity == Severity::Unknown {
        return;
    }
    if contents.ratings.len() >= RATINGS_MAX {
        contents.quarantine(format!("{source}/{cve}: more than {RATINGS_MAX} ratings"));
        return;
    }
    contents.ratings.push(Rating {
        source: source.to_owned(),
        cve: cve.to_owned(),
        os_version: os.version,
        vendor_severity: severity::word(urgency).to_owned(),
        severity,
    });
}
