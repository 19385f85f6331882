//! An advisory of a distribution as patches: one for each release that it fixes packages of.

use super::Record;
use crate::DocumentError;
use crate::contents::{Withdrawal, text_bytes};
use crate::identity::ecosystem::{Access, Ecosystem};
use crate::identity::{self, Vendor};
use crate::json;
use crate::limits::PATCH_CVES_MAX;
use crate::packages::Packages;
use crate::text::{clipped, is_plain, web_address};
use chrono::{DateTime, NaiveDate, Utc};
use contracts::feeds::PatchFacts;
use contracts::{DevicePlatform, OsRelease, Severity, VersionOrder};
use debversion::Version;
use feeds_domain::severity;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use versions::is_later;

/// Packages and words by release.
#[derive(Debug, Default)]
pub(super) struct Releases {
    all: BTreeMap<(Vendor, OsRelease), Release>,
    fixes: usize,
}

#[derive(Debug, Default)]
struct Release {
    packages: BTreeMap<String, Fix>,
    /// What they take of memory, about.
    bytes: usize,
    /// Severities.
    words: BTreeSet<String>,
}

/// The highest first good version among those that most people get.
#[derive(Debug)]
struct Fix {
    access: Access,
    version: String,
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

    /// A package and its first good version: what it takes of memory, or why it is none.
    pub(super) fn fix(
        &mut self,
        ecosystem: &Ecosystem,
        package: &str,
        version: &str,
    ) -> Result<usize, String> {
        let is_debian = matches!(ecosystem.vendor, Vendor::Debian | Vendor::Ubuntu);
        if !is_plain(package) || !is_plain(version) || is_debian && version.parse::<Version>().is_err() {
            return Err(format!("{package:?} {version:?} is no package with a version"));
        }
        // Never affected.
        if version == "0" {
            return Ok(0);
        }
        self.fixes += 1;
        let fix = Fix { access: ecosystem.access, version: version.to_owned() };
        let order = ecosystem.vendor.version_order();
        let release = self.release(ecosystem);
        match release.packages.entry(package.to_owned()) {
            Entry::Vacant(new) => {
                let bytes = 2 * size_of::<(String, Fix)>() + text_bytes(package) + text_bytes(version);
                release.bytes += bytes;
                new.insert(fix);
                return Ok(bytes);
            }
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                let is_later = fix.access == known.access && is_later(order, version, &known.version);
                if fix.access < known.access || is_later {
                    *known = fix;
                }
            }
        }
        Ok(0)
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
            let reason = clipped(&format!("withdrawn on {withdrawn}"));
            return self.reading.contents.withdraw(Withdrawal { vendor, vendor_patch_id: self.id, reason });
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
            self.reading.contents.let_go(release.bytes);
            if of != vendor {
                let reason = format!("{}: {} is not of its publisher", self.id, identity::readable(&os));
                self.reading.contents.quarantine(reason);
                continue;
            }
            if release.packages.is_empty() {
                continue;
            }
            match self.patch(vendor, &os, &release, &words, &cves, published) {
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
        release: &Release,
        words: &BTreeSet<String>,
        cves: &BTreeSet<String>,
        published: NaiveDate,
    ) -> Result<PatchFacts, String> {
        let id = self.id.as_str();
        let needs_subscription = release.packages.values().any(|fix| fix.access > Access::Free);
        let order = vendor.version_order();
        let mut packages = Packages::new(order);
        for (package, fix) in &release.packages {
            match order {
                VersionOrder::Dpkg => packages.add_source(package, &fix.version),
                VersionOrder::Rpm | VersionOrder::Apk => packages.add(package, None, "", &fix.version),
            }
        }
        let (severity, word) = severity::highest(release.words.iter().chain(words).map(String::as_str));
        let title = if self.summary.trim().is_empty() { id } else { self.summary.trim() };
        let subscription = if needs_subscription { " with Ubuntu Pro" } else { "" };
        Ok(PatchFacts {
            name: clipped(&format!("{title} for {}{subscription} ({id})", identity::readable(os))),
            os_versions: vec![identity::readable(os)],
            vendor_severity: word.to_owned(),
            severity,
            classification: identity::classification(id),
            cves: cves.iter().cloned().collect(),
            targets: packages.into_targets(os).map_err(|reason| format!("{id}: {reason}"))?,
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
            pages.filter_map(|reference| web_address(&reference.url))
        };
        pages().find(|url| url.ends_with(&self.id)).or_else(|| pages().next()).map(str::to_owned)
    }
}
