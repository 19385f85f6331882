//! Ubuntu's database of security notices: one object, a notice (`4011-1`) for each key.
//!
//! A later notice of the same number (`4011-2`) adds to the first or reverts part of it; it is a patch of its own and
//! replaces nothing.

use super::ubuntu::{self, Fixes, Notice};
use crate::dates;
use crate::figures::Figures;
use crate::head::{Head, Kind};
use crate::input::Input;
use crate::limits::{PATCH_CVES_MAX, PATCH_TARGETS_MAX, RECORDS_MAX};
use crate::reading::Reading;
use crate::{DocumentError, identity, json};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Whether a document begins like the database.
pub(crate) fn is(head: &Head) -> bool {
    head.kind == Kind::JsonObject
        && head.keys(1).next().is_some_and(is_key)
        && ["releases", "cves", "title", "timestamp", "action"].iter().any(|key| head.has(2, key))
}

/// `4011-1`
fn is_key(key: &str) -> bool {
    let is_number = |part: &str| (1..=9).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    key.split_once('-').is_some_and(|(first, second)| is_number(first) && is_number(second))
}

/// Bytes of one notice: those of kernels, with the addresses of all files, have some hundred kilobytes. What is read of
/// one takes some twenty times as much memory.
const RECORD_BYTES_MAX: u64 = 4 << 20;
/// Source or binary packages of one release: a kernel's notice names some thousands.
const PACKAGES_MAX: usize = 4 * PATCH_TARGETS_MAX;
/// Releases that one notice is for: Ubuntu has had some fifty.
const RELEASES_MAX: usize = 200;

/// A notice as it is written.
#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    title: String,
    timestamp: Option<f64>,
    #[serde(default)]
    action: Option<String>,
    #[serde(default, deserialize_with = "json::list::<_, _, PATCH_CVES_MAX>")]
    cves: Vec<String>,
    #[serde(deserialize_with = "json::map::<_, _, RELEASES_MAX>")]
    releases: BTreeMap<String, Release>,
}

#[derive(Deserialize)]
struct Release {
    #[serde(default, deserialize_with = "json::map::<_, _, PACKAGES_MAX>")]
    sources: BTreeMap<String, Package>,
    #[serde(default, deserialize_with = "json::map::<_, _, PACKAGES_MAX>")]
    binaries: BTreeMap<String, Package>,
}

#[derive(Deserialize)]
struct Package {
    #[serde(default)]
    version: String,
    pocket: Option<String>,
}

pub(crate) fn read(input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    reading.figures.lists(&["advisories", "cves", "other_refs", "fixed_packages", "releases"]);
    input.progress.limit_records(RECORD_BYTES_MAX);
    json::items(input, |key, raw| {
        let key = key.ok_or_else(|| DocumentError::malformed("it is an array"))?;
        if reading.contents.records >= RECORDS_MAX {
            return Err(DocumentError::TooManyRecords { limit: RECORDS_MAX });
        }
        reading.contents.records += 1;
        let id = format!("USN-{key}");
        reading.figures.list("advisories", id.as_str());
        match json::item::<Entry>(raw) {
            Ok(entry) => {
                count(&mut reading.figures, &entry);
                take(reading, key, &id, &entry)
            }
            Err(reason) => {
                reading.contents.quarantine(format!("{id}: {reason}"));
                Ok(())
            }
        }
    })
}

fn count(figures: &mut Figures, entry: &Entry) {
    if !figures.on() {
        return;
    }
    for reference in &entry.cves {
        let list = if reference.starts_with("CVE-") { "cves" } else { "other_refs" };
        figures.list(list, reference.as_str());
    }
    for (codename, release) in &entry.releases {
        figures.list("releases", codename.as_str());
        for (package, Package { version, .. }) in &release.binaries {
            figures.list("fixed_packages", format!("{codename}/{package}={version}"));
        }
    }
}

fn take(reading: &mut Reading, key: &str, id: &str, entry: &Entry) -> Result<(), DocumentError> {
    let contents = &mut reading.contents;
    if !is_key(key) {
        contents.quarantine(format!("{id:?} is not an id of a notice"));
        return Ok(());
    }
    let Some(published) = entry.timestamp.and_then(instant) else {
        contents.quarantine(format!("{id}: it has no date"));
        return Ok(());
    };
    contents.document_date = contents.document_date.max(Some(published));
    let notice = Notice {
        id,
        title: &entry.title,
        published: published.date_naive(),
        instructions: entry.action.as_deref().unwrap_or_default(),
        cves: ubuntu::cves(entry.cves.iter().map(String::as_str)),
    };
    for (codename, release) in &entry.releases {
        let Some(os) = identity::ubuntu(codename) else {
            reading.contents.quarantine(format!("{id}: release {codename:?} is not known"));
            continue;
        };
        notice.add(codename, &os, &fixes(release), reading)?;
    }
    Ok(())
}

fn fixes(release: &Release) -> Fixes<'_> {
    fn versions(packages: &BTreeMap<String, Package>) -> Vec<(&str, &str)> {
        packages.iter().map(|(name, package)| (name.as_str(), package.version.as_str())).collect()
    }
    let pockets = release.binaries.values().filter_map(|package| package.pocket.as_deref());
    Fixes {
        sources: versions(&release.sources),
        binaries: versions(&release.binaries),
        needs_subscription: pockets.into_iter().any(ubuntu::is_for_subscribers),
    }
}

/// Seconds since 1970 with a fraction.
fn instant(seconds: f64) -> Option<DateTime<Utc>> {
    #[expect(clippy::cast_possible_truncation, reason = "the fraction is not wanted, and a cast saturates")]
    let seconds = seconds as i64;
    dates::epoch(seconds)
}
