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
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Bytes of what is said of one CVE in one package: the longest descriptions have some kilobytes.
const RECORD_BYTES_MAX: u64 = 2 << 20;
/// Entries of one object within a vulnerability: some ten releases, some ten fields.
const ENTRIES_MAX: usize = 1_000;

/// Whether a document begins like the tracker.
pub(crate) fn is(head: &Head) -> bool {
    let is_id = |key: &str| key.starts_with("CVE-") || key.starts_with("TEMP-");
    head.kind == Kind::JsonObject && head.has(3, "releases") && head.keys(2).any(is_id)
}

pub(crate) fn read(input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    let Reading { contents, figures, .. } = reading;
    figures.lists(&["ids", "cves", "fixed_packages"]);
    figures.tallies(&["status", "urgency"]);
    let mut source = String::new();
    input.progress.limit_records(RECORD_BYTES_MAX);
    nested::read(input, |part| {
        match part {
            Part::Outer(name) => {
                contents.records += 1;
                name.clone_into(&mut source);
                if !is_plain(&source) {
                    contents.quarantine(format!("{source:?} is not a source package"));
                }
            }
            Part::Inner(id, record) => vulnerability(contents, figures, &source, id, record)?,
            Part::NoObject => {
                contents.quarantine(format!("{source}: its vulnerabilities are not an object"));
            }
        }
        Ok(())
    })?;
    reading.figures.set("source_packages", contents.records);
    contents.ratings.sort_unstable();
    contents.ratings.dedup();
    Ok(())
}

/// An object whose values are read one by one. Real ones have up to ten entries.
#[derive(Deserialize)]
#[serde(transparent)]
struct Entries<'a>(
    #[serde(borrow, deserialize_with = "json::map::<_, _, ENTRIES_MAX>")] BTreeMap<String, &'a RawValue>,
);

impl<'a> Entries<'a> {
    /// None where the value is something else than an object.
    fn of(value: &'a RawValue) -> Option<Result<Self, String>> {
        value.get().starts_with('{').then(|| json::item(value))
    }

    fn text(&self, name: &str) -> Option<String> {
        json::item(self.0.get(name)?).ok()
    }
}

fn vulnerability(
    contents: &mut Contents,
    figures: &mut Figures,
    source: &str,
    id: &str,
    record: &RawValue,
) -> Result<(), DocumentError> {
    let releases = match releases(record) {
        Ok(releases) => releases,
        Err(reason) => {
            contents.quarantine(format!("{source}/{id}: {reason}"));
            return Ok(());
        }
    };
    if figures.on() {
        count(figures, source, id, &releases);
    }
    // `TEMP-0290435-0B57B5` and the like have no number outside Debian.
    if !is_cve(id) || !is_plain(source) {
        return Ok(());
    }
    for (codename, release) in &releases {
        if let Some(rating) = rating(source, id, codename, release) {
            contents.rate(rating)?;
        }
    }
    Ok(())
}

/// What is said of each release; what is no object says nothing.
fn releases(record: &RawValue) -> Result<Vec<(String, Entries<'_>)>, String> {
    let record = Entries::of(record).ok_or("it is not an object")??;
    let Some(releases) = record.0.get("releases") else { return Ok(Vec::new()) };
    let releases = Entries::of(releases).ok_or("its releases are not an object")??;
    let release =
        |(codename, value): (String, _)| Some(Entries::of(value)?.map(|release| (codename, release)));
    releases.0.into_iter().filter_map(release).collect()
}

fn count(figures: &mut Figures, source: &str, id: &str, releases: &[(String, Entries<'_>)]) {
    figures.list("ids", id);
    if id.starts_with("CVE-") {
        figures.list("cves", id);
    }
    for (codename, release) in releases {
        figures.tally("status", release.text("status").as_deref().unwrap_or("null"));
        figures.tally("urgency", release.text("urgency").as_deref().unwrap_or("None"));
        if let Some(version) = release.text("fixed_version").filter(|version| !version.is_empty()) {
            figures.list("fixed_packages", format!("{codename}/{source}={version}/{id}"));
        }
    }
}

fn rating(source: &str, cve: &str, codename: &str, release: &Entries<'_>) -> Option<Rating> {
    // `sid` has no version: no device runs a fix "for sid" of this list.
    let os = identity::debian(codename)?;
    let urgency = release.text("urgency")?;
    let severity = severity::from_word(&urgency);
    (severity != Severity::Unknown).then(|| Rating {
        source: source.to_owned(),
        cve: cve.to_owned(),
        os_version: os.version,
        vendor_severity: severity::word(&urgency).to_owned(),
        severity,
    })
}
