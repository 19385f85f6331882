//! The Debian security tracker's JSON: source package, CVE, release, urgency.
//!
//! One object for everything, so packages are read one after the other and only ratings are kept.

use crate::contents::{Contents, Rating};
use crate::head::{Head, Kind};
use crate::input::Input;
use crate::reading::Reading;
use crate::text::{is_cve, is_plain};
use crate::{DocumentError, identity, json};
use contracts::Severity;
use feeds_domain::severity;
use serde::Deserialize;
use serde_json::Value;

/// Ratings of one document: some 40,000 CVEs in some five releases have an urgency.
const RATINGS_MAX: usize = 2_000_000;

/// Whether a document begins like the tracker.
pub(crate) fn is(head: &Head) -> bool {
    head.kind == Kind::JsonObject && head.has(3, "releases")
}

pub(crate) fn read(input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    let contents = &mut reading.contents;
    json::items(input, |source, vulnerabilities| {
        let source = source.ok_or_else(|| DocumentError::malformed("it is an array"))?;
        contents.records += 1;
        match json::item(vulnerabilities) {
            Ok(vulnerabilities) => package(contents, source, vulnerabilities),
            Err(reason) => contents.quarantine(format!("{source}: {reason}")),
        }
        Ok(())
    })?;
    contents.ratings.sort();
    contents.ratings.dedup();
    Ok(())
}

/// The part of a vulnerability's record that matters here.
#[derive(Deserialize)]
struct Release {
    urgency: Option<String>,
}

fn package(contents: &mut Contents, source: &str, vulnerabilities: Value) {
    let Value::Object(vulnerabilities) = vulnerabilities else {
        contents.quarantine(format!("{source}: its vulnerabilities are not an object"));
        return;
    };
    if !is_plain(source) {
        contents.quarantine(format!("{source:?} is not a source package"));
        return;
    }
    for (cve, mut record) in vulnerabilities {
        // `TEMP-0290435-0B57B5` and the like have no number outside Debian.
        if !is_cve(&cve) {
            continue;
        }
        let Some(Value::Object(releases)) = record.get_mut("releases").map(Value::take) else {
            contents.quarantine(format!("{source}/{cve}: its releases are not an object"));
            continue;
        };
        for (codename, release) in releases {
            rate(contents, source, &cve, &codename, release);
        }
    }
}

fn rate(contents: &mut Contents, source: &str, cve: &str, codename: &str, release: Value) {
    // `sid` has no version: no device runs a fix "for sid" of this list.
    let Some(os) = identity::debian(codename) else { return };
    let Ok(Release { urgency: Some(urgency) }) = serde_json::from_value(release) else { return };
    let severity = severity::from_word(&urgency);
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
        vendor_severity: severity::word(&urgency).to_owned(),
        severity,
    });
}
