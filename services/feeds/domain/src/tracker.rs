//! The Debian security tracker's JSON: source package, CVE, release, urgency.
//!
//! One object for everything, so packages are read one after the other and only ratings are kept.

use crate::debian::release_version;
use crate::document::{DocumentError, ParsedDocument, Quarantine, RECORDS_MAX, Rating, is_cve, is_plain};
use crate::severity;
use contracts::Severity;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// Ratings of one document: some 40,000 CVEs in some five releases have an urgency.
const RATINGS_MAX: usize = 2_000_000;

pub(crate) fn parse(text: &str) -> Result<ParsedDocument, DocumentError> {
    let mut reading = Reading::default();
    let mut json = serde_json::Deserializer::from_str(text);
    let read = Packages(&mut reading).deserialize(&mut json).and_then(|()| json.end());
    if reading.too_many {
        return Err(DocumentError::TooManyRecords { limit: RECORDS_MAX });
    }
    read.map_err(|e| json_error(&e))?;
    reading.ratings.sort();
    reading.ratings.dedup();
    Ok(ParsedDocument {
        document_date: None,
        patches: Vec::new(),
        ratings: reading.ratings,
        quarantined: reading.quarantine.into_reasons(),
    })
}

/// A JSON fault in the words of this crate.
pub(crate) fn json_error(error: &serde_json::Error) -> DocumentError {
    if error.is_eof() {
        DocumentError::Truncated { reason: error.to_string() }
    } else {
        DocumentError::Malformed { reason: error.to_string() }
    }
}

#[derive(Default)]
struct Reading {
    ratings: Vec<Rating>,
    quarantine: Quarantine,
    too_many: bool,
}

struct Packages<'a>(&'a mut Reading);

impl<'de> DeserializeSeed<'de> for Packages<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Packages<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of source packages")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let mut packages = 0;
        while let Some((source, vulnerabilities)) = map.next_entry::<String, Value>()? {
            packages += 1;
            self.0.too_many = packages > RECORDS_MAX;
            if self.0.too_many {
                return Err(M::Error::custom("too many packages"));
            }
            self.0.package(&source, vulnerabilities);
        }
        Ok(())
    }
}

/// The part of a vulnerability's record that matters here.
#[derive(Deserialize)]
struct Release {
    urgency: Option<String>,
}

impl Reading {
    fn package(&mut self, source: &str, vulnerabilities: Value) {
        let Value::Object(vulnerabilities) = vulnerabilities else {
            self.quarantine.add(format!("{source}: its vulnerabilities are not an object"));
            return;
        };
        if !is_plain(source) {
            self.quarantine.add(format!("{source:?} is not a source package"));
            return;
        }
        for (cve, mut record) in vulnerabilities {
            // `TEMP-0290435-0B57B5` and the like have no number outside Debian.
            if !is_cve(&cve) {
                continue;
            }
            let Some(Value::Object(releases)) = record.get_mut("releases").map(Value::take) else {
                self.quarantine.add(format!("{source}/{cve}: its releases are not an object"));
                continue;
            };
            for (codename, release) in releases {
                self.release(source, &cve, &codename, release);
            }
        }
    }

    fn release(&mut self, source: &str, cve: &str, codename: &str, release: Value) {
        // `sid` has no version: no device runs a fix "for sid" of this list.
        let Some(os_version) = release_version(codename) else { return };
        let Ok(Release { urgency: Some(urgency) }) = serde_json::from_value(release) else { return };
        let severity = severity::from_word(&urgency);
        if severity == Severity::Unknown {
            return;
        }
        if self.ratings.len() >= RATINGS_MAX {
            self.quarantine.add(format!("{source}/{cve}: more than {RATINGS_MAX} ratings"));
            return;
        }
        self.ratings.push(Rating {
            source: source.to_owned(),
            cve: cve.to_owned(),
            os_version: os_version.to_owned(),
            vendor_severity: severity::word(&urgency).to_owned(),
            severity,
        });
    }
}
