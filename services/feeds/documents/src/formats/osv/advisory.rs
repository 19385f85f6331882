//! An advisory of a distribution as patches: one for each release that it fixes packages of.

use super::Record;
use crate::DocumentError;
use crate::contents::Withdrawal;
use crate::identity::ecosystem::{Access, Ecosystem};
use crate::identity::{self, Vendor};
use crate::json;
use crate::limits::{PATCH_CVES_MAX, PATCH_TARGETS_MAX};
use crate::text::{clipped, is_plain};
use chrono::{DateTime, NaiveDate, Utc};
use contracts::feeds::PatchFacts;
use contracts::{Classification, DevicePlatform, FixTarget, OsRelease, Severity, VersionOrder};
use debversion::Version;
use feeds_domain::severity;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};

/// Packages and words by release.
#[derive(Debug, Default)]
pub(super) struct Releases {
    all: BTreeMap<(Vendor, OsRelease), Release>,
    fixes: usize,
}

#[derive(Debug, Default)]
struct Release {
    packages: BTreeMap<String, Fix>,
    /// Severities.
    words: BTreeSet<String>,
}

#[derive(Debug)]
struct Fix {
    access: Access,
    versions: BTreeSet<String>,
}

/// Releases that one advisory is for: SUSE's are for up to some fifty.
const RELEASES_MAX: usize = 500;
/// Words of severity of one release: real records have two or three different ones.
const WORDS_MAX: usize = 100;

impl Releases {
    /// How many fixes and words were taken in.
    pub(super) fn fixes(&self) -> usize {
        self.fixes
    }

    /// Severities that are told for a release.
    pub(super) fn rate(&mut self, ecosystem: &Ecosystem, words: impl Iterator<Item = String>) {
        let release = self.release(ecosystem);
        let mut new = 0;
        for word in words.filter(|word| !severity::word(word).is_empty()) {
            new += usize::from(release.words.len() < WORDS_MAX && release.words.insert(word));
        }
        self.fixes += new;
    }

    /// A package and its first good version.
    pub(super) fn fix(&mut self, ecosystem: &Ecosystem, package: &str, version: &str) -> Result<(), String> {
        let is_debian = matches!(ecosystem.vendor, Vendor::Debian | Vendor::Ubuntu);
        if !is_plain(package) || !is_plain(version) || is_debian && version.parse::<Version>().is_err() {
            return Err(format!("{package:?} {version:?} is no package with a version"));
        }
        // Never affected.
        if version == "0" {
            return Ok(());
        }
        self.fixes += 1;
        let access = ecosystem.access;
        let release = self.release(ecosystem);
        let fix = release
            .packages
            .entry(package.to_owned())
            .or_insert_with(|| Fix { access, versions: BTreeSet::new() });
        if access < fix.access {
            *fix = Fix { access, versions: BTreeSet::new() };
        }
        if access == fix.access {
            // Publishers write `0:1.2-3` and `1.2-3` for the same.
            let version = if is_debian { version } else { version.strip_prefix("0:").unwrap_or(version) };
            fix.versions.insert(version.to_owned());
        }
        Ok(())
    }

    fn release(&mut self, ecosystem: &Ecosystem) -> &mut Release {
        self.all.entry((ecosystem.vendor, ecosystem.os.clone())).or_default()
    }
}

/// What was built from a source package: a list of objects that name binary packages and their versions.
pub(super) fn built_packages(specific: &RawValue) -> Vec<(String, String)> {
    #[derive(Deserialize)]
    struct Specific {
        #[serde(default, deserialize_with = "json::list::<_, _, 1_000>")]
        binaries: Vec<BTreeMap<String, String>>,
    }
    let specific: Option<Specific> = json::item(specific).ok();
    specific.into_iter().flat_map(|specific| specific.binaries).flatten().collect()
}

impl Record<'_> {
    pub(super) fn advisory(
        mut self,
        vendor: Vendor,
        published: Option<DateTime<Utc>>,
    ) -> Result<(), DocumentError> {
        if let Some(withdrawn) = &self.withdrawn {
            self.reading.contents.withdrawn.push(Withdrawal {
                vendor,
                vendor_patch_id: self.id.clone(),
                reason: clipped(&format!("withdrawn on {withdrawn}")),
            });
            return Ok(());
        }
        let cves = self.cves();
        self.scores_of_advisory(vendor, &cves)?;
        if cves.len() > PATCH_CVES_MAX {
            let reason = format!("{}: it has more than {PATCH_CVES_MAX} CVEs", self.id);
            self.reading.contents.quarantine(reason);
            return Ok(());
        }
        let Some(published) = published.map(|date| date.date_naive()) else {
            let reason = format!("{}: it has no date", self.id);
            self.reading.contents.quarantine(reason);
            return Ok(());
        };
        if self.releases.all.len() > RELEASES_MAX {
            return Err(DocumentError::TooManyRecords { limit: RELEASES_MAX });
        }
        let words = self.words();
        for ((of, os), release) in std::mem::take(&mut self.releases.all) {
            if of != vendor {
                let reason = format!("{}: {} is not of its publisher", self.id, identity::readable(&os));
                self.reading.contents.quarantine(reason);
                continue;
            }
            if release.packages.is_empty() {
                continue;
            }
            match self.patch(vendor, &os, release, &words, &cves, published) {
                Ok(patch) => self.reading.contents.patch(patch)?,
                Err(reason) => self.reading.contents.quarantine(reason),
            }
        }
        Ok(())
    }

    fn patch(
        &self,
        vendor: Vendor,
        os: &OsRelease,
        release: Release,
        words: &BTreeSet<String>,
        cves: &BTreeSet<String>,
        published: NaiveDate,
    ) -> Result<PatchFacts, String> {
        let id = self.id.as_str();
        let needs_subscription = release.packages.values().any(|fix| fix.access > Access::Free);
        let targets: Vec<FixTarget> = release
            .packages
            .into_iter()
            .flat_map(|(package, fix)| targets(vendor, os, &package, fix))
            .collect();
        if targets.len() > PATCH_TARGETS_MAX {
            return Err(format!("{id}: it fixes more than {PATCH_TARGETS_MAX} packages"));
        }
        let (severity, word) = severity::highest(release.words.iter().chain(words).map(String::as_str));
        let title = if self.summary.trim().is_empty() { id } else { self.summary.trim() };
        let subscription = if needs_subscription { " with Ubuntu Pro" } else { "" };
        Ok(PatchFacts {
            name: clipped(&format!("{title} for {}{subscription} ({id})", identity::readable(os))),
            os_versions: vec![identity::readable(os)],
            vendor_severity: word.to_owned(),
            severity,
            classification: classification(id),
            cves: cves.iter().cloned().collect(),
            targets,
            url: self.url(),
            advisories: vec![id.to_owned()],
            ..identity::blank(
                self.reading.feed_id,
                identity::patch_id(vendor, id, os),
                id,
                DevicePlatform::Linux,
                published,
            )
        })
    }

    /// Words of severity that are told for all releases.
    fn words(&self) -> BTreeSet<String> {
        let mut words: BTreeSet<String> = self.database_severity.iter().cloned().collect();
        words.extend(self.severity.iter().filter(|severity| !severity.is_vector()).map(|s| s.score.clone()));
        // Enterprise Linux says it in the title: `Moderate: avahi security update`.
        if let Some((word, _)) = self.summary.split_once(':')
            && severity::from_word(word) != Severity::Unknown
        {
            words.insert(word.trim().to_owned());
        }
        // Red Hat links the word's meaning: `…/security/updates/classification/#important`.
        for reference in &self.references {
            if let Some((page, word)) = reference.url.split_once('#')
                && page.ends_with("redhat.com/security/updates/classification/")
            {
                words.insert(word.to_owned());
            }
        }
        words
    }

    /// The publisher's page: the one that names the advisory before others.
    fn url(&self) -> Option<String> {
        let pages = || {
            let pages = self.references.iter().filter(|reference| reference.kind == "ADVISORY");
            pages.map(|reference| reference.url.trim()).filter(|url| url.starts_with("http") && is_plain(url))
        };
        pages().find(|url| url.ends_with(&self.id)).or_else(|| pages().next()).map(str::to_owned)
    }
}

fn targets(vendor: Vendor, os: &OsRelease, package: &str, fix: Fix) -> Vec<FixTarget> {
    if matches!(vendor, Vendor::Debian | Vendor::Ubuntu) {
        // All of them could be read when they came.
        let highest = fix.versions.into_iter().max_by_key(|version| version.parse::<Version>().ok());
        let target = |fixed_version| FixTarget::SourcePackage {
            os: os.clone(),
            source: package.to_owned(),
            fixed_version,
        };
        return highest.map(target).into_iter().collect();
    }
    fix.versions
        .into_iter()
        .map(|fixed_version| FixTarget::BinaryPackage {
            os: os.clone(),
            package: package.to_owned(),
            fixed_version,
            order: VersionOrder::Rpm,
            architectures: Vec::new(),
            module: None,
        })
        .collect()
}

/// `RHSA`, `RHBA` and `RHEA`: security, bugs, enhancements; the publishers after Red Hat name theirs alike. SUSE's are
/// security, recommended, optional and feature updates.
fn classification(id: &str) -> Classification {
    let has = |part: &str| id.get(..14).unwrap_or(id).contains(part);
    if id.get(2..5) == Some("BA-") || has("SUSE-RU-") || has("SUSE-OU-") {
        Classification::Other
    } else if id.get(2..5) == Some("EA-") || has("SUSE-FU-") {
        Classification::Feature
    } else {
        Classification::Security
    }
}
