//! A page of Ubuntu's security notices, as the API gives them.

use super::ubuntu::{self, Fixes, Notice};
use crate::contents::Contents;
use crate::dates;
use crate::figures::Figures;
use crate::head::{Head, Kind};
use crate::identity::{self, Vendor};
use crate::input::Input;
use crate::json::{Fields, Shape};
use crate::limits::{PATCH_CVES_MAX, PATCH_TARGETS_MAX, RECORDS_MAX};
use crate::reading::Reading;
use crate::text::is_plain;
use crate::{DocumentError, json};
use contracts::OsRelease;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Whether a document begins like a page.
pub(crate) fn is(head: &Head) -> bool {
    head.kind == Kind::JsonObject
        && head.has(1, "notices")
        && (head.has(3, "release_packages") || head.has(3, "cves_ids") || head.has(1, "total_results"))
}

/// Bytes of one notice: those of kernels have some hundred kilobytes.
const RECORD_BYTES_MAX: u64 = 4 << 20;
/// Source and binary packages of one release: a kernel's notice names some thousands.
const PACKAGES_MAX: usize = 4 * PATCH_TARGETS_MAX;
/// Releases that one notice is for: Ubuntu has had some fifty.
const RELEASES_MAX: usize = 200;

/// A notice as it is written.
#[derive(Deserialize)]
struct Entry {
    id: String,
    #[serde(default)]
    title: String,
    published: Option<String>,
    instructions: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    is_hidden: bool,
    #[serde(default, deserialize_with = "json::list::<_, _, PATCH_CVES_MAX>")]
    cves_ids: Vec<String>,
    #[serde(default, deserialize_with = "json::map::<_, _, RELEASES_MAX>")]
    release_packages: BTreeMap<String, Packages>,
    #[serde(default, deserialize_with = "json::list::<_, _, RELEASES_MAX>")]
    releases: Vec<Release>,
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Packages(#[serde(deserialize_with = "json::list::<_, _, PACKAGES_MAX>")] Vec<Package>);

#[derive(Deserialize)]
struct Package {
    name: String,
    version: Option<String>,
    #[serde(default)]
    is_source: bool,
    pocket: Option<String>,
}

#[derive(Deserialize)]
struct Release {
    #[serde(default)]
    codename: String,
    #[serde(default)]
    version: String,
}

pub(crate) fn read(input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    reading.figures.lists(&["advisories", "cves", "packages"]);
    reading.figures.tallies(&["types"]);
    input.progress.limit_records(RECORD_BYTES_MAX);
    json::fields(input, &mut Page { reading })
}

struct Page<'a> {
    reading: &'a mut Reading,
}

impl Fields for Page<'_> {
    fn shape(&self, field: &str) -> Shape {
        if field == "notices" { Shape::Items } else { Shape::Skip }
    }

    fn whole(&mut self, _: &str, _: &RawValue) -> Result<(), DocumentError> {
        Ok(())
    }

    fn item(&mut self, _: &str, key: Option<&str>, value: &RawValue) -> Result<(), DocumentError> {
        if key.is_some() {
            return Err(DocumentError::malformed("its notices are no list"));
        }
        let Reading { contents, figures, .. } = &mut *self.reading;
        if contents.records >= RECORDS_MAX {
            return Err(DocumentError::TooManyRecords { limit: RECORDS_MAX });
        }
        contents.records += 1;
        let entry: Entry = match json::item(value) {
            Ok(entry) => entry,
            Err(reason) => {
                contents.quarantine(format!("notice {}: {reason}", contents.records));
                return Ok(());
            }
        };
        count(figures, &entry);
        take(self.reading, &entry)
    }
}

fn count(figures: &mut Figures, entry: &Entry) {
    if !figures.on() {
        return;
    }
    figures.list("advisories", entry.id.as_str());
    figures.tally("types", entry.kind.as_deref().unwrap_or_default());
    for cve in &entry.cves_ids {
        figures.list("cves", cve.as_str());
    }
    for (codename, Packages(packages)) in &entry.release_packages {
        for Package { name, version, is_source, .. } in packages {
            let version = version.as_deref().unwrap_or("None");
            let kind = if *is_source { "src" } else { "bin" };
            figures.list("packages", format!("{codename}/{name}={version}/{kind}"));
        }
    }
}

fn take(reading: &mut Reading, entry: &Entry) -> Result<(), DocumentError> {
    let contents = &mut reading.contents;
    let id = entry.id.as_str();
    if let Some(reason) = unwanted(entry) {
        contents.quarantine(format!("{id}: {reason}"));
        return Ok(());
    }
    let Some(published) = entry.published.as_deref().and_then(dates::instant) else {
        contents.quarantine(format!("{id}: it has no date"));
        return Ok(());
    };
    contents.document_date = contents.document_date.max(Some(published));
    let notice = Notice {
        id,
        title: &entry.title,
        published: published.date_naive(),
        instructions: entry.instructions.as_deref().unwrap_or_default(),
        cves: ubuntu::cves(entry.cves_ids.iter().map(String::as_str)),
    };
    for (codename, Packages(packages)) in &entry.release_packages {
        let Some(os) = release(entry, codename, &mut reading.contents) else { continue };
        notice.add(codename, &os, &fixes(packages), reading)?;
    }
    Ok(())
}

/// Why a notice gives no patch, where it gives none.
fn unwanted(entry: &Entry) -> Option<&'static str> {
    let is_usn = Vendor::of_advisory(&entry.id) == Some(Vendor::Ubuntu) && entry.id.starts_with("USN-");
    if !is_plain(&entry.id) || entry.id.contains(char::is_whitespace) {
        Some("it is not an id of a notice")
    } else if entry.is_hidden {
        Some("its publisher does not show it")
    } else if is_usn {
        None
    } else if entry.id.starts_with("LSN-") {
        // It changes the running kernel and no package: versions of packages do not tell whether it is there.
        Some("it patches a running kernel, not a package")
    } else {
        Some("it is not a notice about packages")
    }
}

/// The release, from our own table or else as the notice itself names it.
fn release(entry: &Entry, codename: &str, contents: &mut Contents) -> Option<OsRelease> {
    let named = || {
        let release = entry.releases.iter().find(|release| release.codename == codename)?;
        let is_version = release.version.split_once('.').is_some_and(|(year, month)| {
            [year, month]
                .iter()
                .all(|part| (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))
        });
        is_version.then(|| identity::os("ubuntu", &release.version))
    };
    let os = identity::ubuntu(codename).or_else(named);
    if os.is_none() {
        contents.quarantine(format!("{}: release {codename:?} is not known", entry.id));
    }
    os
}

fn fixes(packages: &[Package]) -> Fixes<'_> {
    let mut fixes = Fixes::default();
    for package in packages {
        let version = package.version.as_deref().unwrap_or_default();
        fixes.needs_subscription |= package.pocket.as_deref().is_some_and(ubuntu::is_for_subscribers);
        if package.is_source && !version.is_empty() {
            fixes.sources.push((&package.name, version));
        } else if !package.is_source {
            fixes.binaries.push((&package.name, version));
        }
    }
    fixes
}
