//! One advisory of a repository, and the patches that it is.

use super::release;
use crate::dates;
use crate::identity::{self, Vendor};
use crate::limits::{PATCH_CVES_MAX, PATCH_TARGETS_MAX};
use crate::packages::Packages;
use crate::text::{clipped, cves_in, is_plain, web_address};
use crate::xml::Tree;
use chrono::{DateTime, Utc};
use contracts::feeds::PatchFacts;
use contracts::{Classification, DevicePlatform, OsRelease, RebootBehaviour, VersionOrder};
use feeds_domain::severity;
use kernel::FeedId;
use std::collections::{BTreeMap, BTreeSet};

/// An advisory as it is written.
pub(super) struct Advisory<'a> {
    update: &'a Tree,
    pub(super) vendor: Vendor,
    /// The advisory's own id; for ids that name a package, with the version that makes it one.
    pub(super) id: String,
    pub(super) version: String,
    pub(super) issued: DateTime<Utc>,
    pub(super) updated: Option<DateTime<Utc>>,
    /// The release that it says it is for.
    stated: Option<OsRelease>,
    url: Option<&'a str>,
}

impl<'a> Advisory<'a> {
    /// Who publishes what and when, or why that cannot be told.
    pub(super) fn read(update: &'a Tree) -> Result<Self, String> {
        let id = update.text_of("id");
        if !is_plain(id) {
            return Err(format!("an update has no id: {:?}", clipped(update.text_of("title"))));
        }
        let version = update.attribute("version").unwrap_or_default().trim();
        if !version.is_empty() && !is_plain(version) {
            return Err(format!("{id}: {version:?} is not a version"));
        }
        let date = |name: &str| update.child(name).and_then(|it| date(it.attribute("date")?));
        let updated = date("updated");
        let issued = date("issued").or(updated).ok_or_else(|| format!("{id}: it has no date"))?;
        let mut names = vec![update.text_of("release")];
        for collection in collections(update) {
            names.push(collection.text_of("name"));
            names.push(collection.attribute("short").unwrap_or_default());
        }
        let stated = release::stated(names);
        let from = update.attribute("from").unwrap_or_default().trim().to_ascii_lowercase();
        let vendor = release::vendor(id, &from, stated.as_ref())
            .ok_or_else(|| format!("{id}: its publisher {from:?} is not known"))?;
        let itself = references(update).find(|reference| reference.attribute("type") == Some("self"));
        let url = itself.and_then(|reference| reference.attribute("href")).and_then(web_address);
        Ok(Self {
            update,
            vendor,
            id: vendor_patch_id(vendor, id, version),
            version: version.to_owned(),
            issued,
            updated,
            stated,
            url,
        })
    }

    /// A patch for each release, or why there is none.
    pub(super) fn patches(&self, feed_id: FeedId) -> Result<Vec<PatchFacts>, String> {
        let id = &self.id;
        let releases = self.releases()?;
        if releases.is_empty() {
            return Err(format!("{id}: it names no package of a release that is known"));
        }
        let cves = self.cves();
        if cves.len() > PATCH_CVES_MAX {
            return Err(format!("{id}: it has more than {PATCH_CVES_MAX} CVEs"));
        }
        let word = severity::word(self.update.text_of("severity"));
        let classification = match self.update.attribute("type").unwrap_or_default().trim() {
            "security" => Classification::Security,
            "enhancement" | "newpackage" | "feature" => Classification::Feature,
            _ => Classification::Other,
        };
        let patch = |(os, on_release): (OsRelease, OnRelease)| PatchFacts {
            name: self.name(&os),
            os_versions: vec![identity::readable(&os)],
            vendor_severity: word.to_owned(),
            severity: severity::from_word(word),
            classification,
            cves: cves.iter().map(|&cve| cve.to_owned()).collect(),
            targets: on_release.packages.into_targets(&os),
            reboot: if on_release.reboots { RebootBehaviour::Always } else { RebootBehaviour::Unknown },
            url: self.url.map(str::to_owned),
            advisories: vec![id.clone()],
            ..identity::blank(
                feed_id,
                identity::patch_id(self.vendor, id, &os),
                id,
                DevicePlatform::Linux,
                self.issued.date_naive(),
            )
        };
        Ok(releases.into_iter().map(patch).collect())
    }

    /// Packages by the release that they are for.
    fn releases(&self) -> Result<BTreeMap<OsRelease, OnRelease>, String> {
        let reboots = suggests_reboot(self.update);
        let mut releases: BTreeMap<OsRelease, OnRelease> = BTreeMap::new();
        for collection in collections(self.update) {
            let module = collection.child("module").and_then(module);
            for package in collection.all("package") {
                let attribute = |name| package.attribute(name).map(str::trim).unwrap_or_default();
                let architecture = attribute("arch");
                // Sources are not installed on devices.
                if ["src", "nosrc"].contains(&architecture) {
                    continue;
                }
                let (name, version) = (attribute("name"), attribute("version"));
                let (epoch, rpm_release) = (attribute("epoch"), attribute("release"));
                let parts = [name, version, rpm_release];
                let is_number = epoch.bytes().all(|byte| byte.is_ascii_digit());
                if !parts.into_iter().all(is_plain) || !is_number || epoch.len() > 10 {
                    return Err(format!("{}: package {name:?} has no version", self.id));
                }
                let epoch = if epoch.is_empty() { "0" } else { epoch };
                let version = format!("{epoch}:{version}-{rpm_release}");
                for os in release::of_package(self.vendor, &self.id, self.stated.as_ref(), rpm_release) {
                    let on_release = releases.entry(os).or_insert_with(|| OnRelease::new(reboots));
                    on_release.reboots |= suggests_reboot(package);
                    on_release.packages.add(name, module.as_deref(), architecture, &version);
                    if on_release.packages.len() > PATCH_TARGETS_MAX {
                        return Err(format!("{}: it has more than {PATCH_TARGETS_MAX} packages", self.id));
                    }
                }
            }
        }
        Ok(releases)
    }

    /// CVEs that it is marked with; where there are none, those that its texts name: Fedora, `CentOS`' volunteers and
    /// old SUSE mark none.
    fn cves(&self) -> BTreeSet<&'a str> {
        let marked = |reference: &&'a Tree| {
            reference.attribute("type").is_some_and(|kind| kind.eq_ignore_ascii_case("cve"))
        };
        let ids = |reference: &'a Tree| {
            ["id", "title"].into_iter().filter_map(|name| reference.attribute(name)).flat_map(cves_in)
        };
        let found: BTreeSet<&str> = references(self.update).filter(marked).flat_map(ids).collect();
        if !found.is_empty() {
            return found;
        }
        let texts = ["title", "summary", "description"].into_iter().map(|name| self.update.text_of(name));
        texts.flat_map(cves_in).chain(references(self.update).flat_map(ids)).collect()
    }

    fn name(&self, os: &OsRelease) -> String {
        let title = self.update.text_of("title").split_whitespace().collect::<Vec<_>>().join(" ");
        let title = if title.is_empty() { self.update.text_of("summary") } else { &title };
        if title.contains(&self.id) {
            return clipped(title);
        }
        clipped(format!("{title} for {} ({})", identity::readable(os), self.id).trim_start())
    }
}

/// What an advisory says of one release.
struct OnRelease {
    packages: Packages,
    reboots: bool,
}

impl OnRelease {
    fn new(reboots: bool) -> Self {
        Self { packages: Packages::new(VersionOrder::Rpm), reboots }
    }
}

/// The id under which an advisory is known elsewhere as well.
fn vendor_patch_id(vendor: Vendor, id: &str, version: &str) -> String {
    // `CESA_2016__0301`, `CESA-2016--0301`: CentOS' volunteers may not use the colon of `CESA-2016:0301`.
    if vendor == Vendor::CentOs
        && let Some((kind, number)) = id.split_once(['_', '-'])
        && let Some((year, number)) = number.split_once("__").or_else(|| number.split_once("--"))
    {
        return format!("{kind}-{year}:{number}");
    }
    // SUSE's old ids are names of packages, or numbers: a version makes them an advisory.
    if Vendor::of_advisory(id).is_none() && !version.is_empty() {
        format!("{id}-{version}")
    } else {
        id.to_owned()
    }
}

/// Groups of packages, and the list itself where its packages are in none.
fn collections(update: &Tree) -> impl Iterator<Item = &Tree> {
    update.all("pkglist").flat_map(|list| std::iter::once(list).chain(list.all("collection")))
}

fn references(update: &Tree) -> impl Iterator<Item = &Tree> {
    update.all("references").flat_map(|references| references.all("reference"))
}

/// `nodejs:18`
fn module(module: &Tree) -> Option<String> {
    let (name, stream) = (module.attribute("name")?.trim(), module.attribute("stream")?.trim());
    (is_plain(name) && is_plain(stream)).then(|| format!("{name}:{stream}"))
}

/// `<reboot_suggested>True</reboot_suggested>`, `reboot_suggested="1"`; the empty element says it as well.
fn suggests_reboot(element: &Tree) -> bool {
    let child = element.child("reboot_suggested").map(|child| child.text.trim());
    let is_yes = |text: &str| !["0", "false", "no"].contains(&text.to_ascii_lowercase().as_str());
    child.is_some_and(is_yes)
        || element.attribute("reboot_suggested").is_some_and(|it| !it.is_empty() && is_yes(it))
}

/// Seconds since 1970, or any form of a date.
fn date(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    match text.parse::<i64>() {
        Ok(seconds) => dates::epoch(seconds),
        Err(_) => dates::instant(text.strip_suffix(" UTC").unwrap_or(text)),
    }
}
