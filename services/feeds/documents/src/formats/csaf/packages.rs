//! Patches of Linux distributions: one per release that an advisory fixes packages for.

use super::Closed;
use super::header::Header;
use super::package::Package;
use super::products::{Number, Place, Products};
use crate::DocumentError;
use crate::identity::{self, Vendor};
use crate::limits::{PATCH_CVES_MAX, PATCH_TARGETS_MAX};
use crate::packages::Packages;
use crate::reading::Reading;
use crate::text::clipped;
use chrono::NaiveDate;
use contracts::feeds::PatchFacts;
use contracts::{DevicePlatform, OsRelease, RebootBehaviour, VersionOrder};
use feeds_domain::severity;
use kernel::FeedId;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Packages of all releases together: an advisory for a kernel has some 3,000 in each of its releases.
const PACKAGES_MAX: usize = 100_000;

/// What an advisory fixes in one release.
struct Release<'a> {
    packages: Packages,
    cves: BTreeSet<&'a str>,
}

pub(super) fn patches(
    header: &Header,
    vendor: Vendor,
    products: &Products,
    vulnerabilities: &[Closed],
    reading: &mut Reading,
) -> Result<(), DocumentError> {
    let id = header.tracking.id.trim();
    let Some(first_released) = header.first_released() else {
        return Err(DocumentError::malformed("no release date in `tracking`"));
    };
    let mut releases: BTreeMap<OsRelease, Release<'_>> = BTreeMap::new();
    // The release of each product; vulnerabilities of an advisory are mostly fixed in the same ones.
    let mut seen: HashMap<Number, Option<OsRelease>> = HashMap::new();
    let mut placing = Placing::default();
    for vulnerability in vulnerabilities {
        for number in fixed(vendor, vulnerability) {
            let os =
                seen.entry(*number).or_insert_with(|| placed(products, *number, &mut releases, &mut placing));
            if placing.taken > PACKAGES_MAX {
                return Err(DocumentError::TooManyRecords { limit: PACKAGES_MAX });
            }
            if let (Some(os), Some(cve)) = (os, &vulnerability.cve)
                && let Some(release) = releases.get_mut(os)
            {
                release.cves.insert(cve);
            }
        }
    }
    placing.report(id, reading);
    let (severity, vendor_severity) = severity(header, vulnerabilities);
    for (os, release) in releases {
        if release.packages.len() > PATCH_TARGETS_MAX || release.cves.len() > PATCH_CVES_MAX {
            reading.contents.quarantine(format!(
                "{id} for {}: more than {PATCH_TARGETS_MAX} packages or {PATCH_CVES_MAX} CVEs",
                os.key()
            ));
            continue;
        }
        let facts = PatchFacts {
            severity,
            vendor_severity: vendor_severity.clone(),
            reboot: reboot(vendor, vulnerabilities),
            url: header.url().map(str::to_owned),
            ..facts(reading.feed_id, vendor, header, &os, release, first_released.date_naive())
        };
        reading.contents.patch(facts)?;
    }
    Ok(())
}

/// SUSE recommends what it fixed, and has no other word for it.
fn fixed(vendor: Vendor, vulnerability: &Closed) -> impl Iterator<Item = &Number> {
    let recommended: &[Number] =
        if vendor == Vendor::Suse { vulnerability.recommended.as_slice() } else { &[] };
    vulnerability.fixed.iter().chain(recommended)
}

/// Adds the package that a product is to its release, and tells which release that is.
fn placed(
    products: &Products,
    number: Number,
    releases: &mut BTreeMap<OsRelease, Release<'_>>,
    placing: &mut Placing,
) -> Option<OsRelease> {
    match products.place(number) {
        Place::Package(os, package) => {
            if package.is_source() {
                return None;
            }
            placing.taken += 1;
            let release = releases.entry(os.clone()).or_insert_with(|| Release {
                packages: Packages::new(VersionOrder::Rpm),
                cves: BTreeSet::new(),
            });
            let Package { name, version, architecture, module } = package;
            release.packages.add(&name, module.as_deref(), &architecture, &version);
            Some(os)
        }
        Place::NoPackage => {
            placing.without_package += 1;
            None
        }
        Place::NoRelease(name) => {
            *placing.platforms.entry(clipped(&name)).or_default() += 1;
            None
        }
        Place::Unknown => {
            placing.unknown.get_or_insert_with(|| clipped(products.id(number)));
            placing.unknown_count += 1;
            None
        }
    }
}

/// How many fixed products are packages, and which are not.
#[derive(Default)]
struct Placing {
    taken: usize,
    without_package: usize,
    platforms: BTreeMap<String, usize>,
    unknown: Option<String>,
    unknown_count: usize,
}

impl Placing {
    fn report(self, id: &str, reading: &mut Reading) {
        let contents = &mut reading.contents;
        if self.without_package > 0 {
            contents.quarantine(format!("{id}: {} fixed products are no packages", self.without_package));
        }
        if let Some(first) = self.unknown {
            let count = self.unknown_count;
            contents.quarantine(format!(
                "{id}: {count} fixed products are not in the product tree, the first is {first:?}"
            ));
        }
        for (name, count) in self.platforms {
            contents.quarantine(format!(
                "{id}: {count} fixed products are for {name:?}, which is no release known here"
            ));
        }
    }
}

/// The document's own word, or else the highest of its vulnerabilities.
fn severity(header: &Header, vulnerabilities: &[Closed]) -> (contracts::Severity, String) {
    let own = severity::word(header.severity_text().unwrap_or_default());
    let known = severity::from_word(own);
    if known != contracts::Severity::Unknown {
        return (known, own.to_owned());
    }
    let words = vulnerabilities.iter().flat_map(|one| one.impacts.iter().map(String::as_str));
    let (severity, word) = severity::highest(words);
    (severity, word.to_owned())
}

/// Whether the device must restart. Red Hat says `none` of everything, kernels included: that says nothing.
fn reboot(vendor: Vendor, vulnerabilities: &[Closed]) -> RebootBehaviour {
    let said: Vec<RebootBehaviour> =
        vulnerabilities.iter().flat_map(|one| &one.fixes).filter_map(|fix| fix.restart).collect();
    if said.contains(&RebootBehaviour::Always) {
        RebootBehaviour::Always
    } else if said.is_empty() || vendor == Vendor::RedHat {
        RebootBehaviour::Unknown
    } else {
        RebootBehaviour::Never
    }
}

fn facts(
    feed_id: FeedId,
    vendor: Vendor,
    header: &Header,
    os: &OsRelease,
    release: Release<'_>,
    released: NaiveDate,
) -> PatchFacts {
    let id = header.tracking.id.trim();
    let readable = identity::readable(os);
    PatchFacts {
        name: clipped(&format!("{} for {readable} ({id})", subject(header))),
        targets: release.packages.into_targets(os),
        os_versions: vec![readable],
        classification: identity::classification(id),
        cves: release.cves.into_iter().map(str::to_owned).collect(),
        advisories: vec![id.to_owned()],
        ..identity::blank(feed_id, identity::patch_id(vendor, id, os), id, DevicePlatform::Linux, released)
    }
}

/// The title without what the id says as well: `Red Hat Security Advisory: `.
fn subject(header: &Header) -> &str {
    let title = header.title.as_deref().unwrap_or_default().trim();
    let subject = match title.split_once(": ") {
        Some((kind, subject)) if kind.ends_with("Advisory") => subject.trim(),
        _ => title,
    };
    if subject.is_empty() { "Update" } else { subject }
}
