//! An inventory, arranged for looking up, and what it says of one patch by itself.

use super::{CataloguePatch, Finding, Reason, Standing};
use crate::release;
use contracts::{
    FixTarget, OsRelease, VersionOrder,
    agent::{InstalledPackage, Inventory},
    devices::MissingPackage,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use versions::Version;

/// An inventory, arranged for looking up.
pub(super) struct Shelf<'a> {
    /// In the words of advisories.
    os: OsRelease,
    order: VersionOrder,
    by_name: HashMap<&'a str, Vec<&'a InstalledPackage>>,
    by_source: HashMap<&'a str, Vec<&'a InstalledPackage>>,
    installed: BTreeSet<&'a str>,
    applicable: BTreeSet<&'a str>,
}

/// What is known so far of a patch on this inventory.
#[derive(Default)]
struct Verdict {
    applies: bool,
    missing: BTreeSet<MissingPackage>,
}

/// What every target of packages has.
struct Fix<'a> {
    text: &'a str,
    version: Version,
}

impl<'a> Shelf<'a> {
    pub(super) fn of(os: &OsRelease, inventory: &'a Inventory) -> Self {
        let mut shelf = Self {
            os: release::advised(os),
            order: VersionOrder::default(),
            by_name: HashMap::new(),
            by_source: HashMap::new(),
            installed: BTreeSet::new(),
            applicable: BTreeSet::new(),
        };
        match inventory {
            Inventory::Packages { order, packages } => {
                shelf.order = *order;
                for package in packages {
                    shelf.by_name.entry(&package.name).or_default().push(package);
                    shelf.by_source.entry(&package.source).or_default().push(package);
                }
            }
            Inventory::WindowsUpdates { installed, applicable, .. } => {
                shelf.installed = installed.iter().map(String::as_str).collect();
                shelf.applicable = applicable.iter().map(String::as_str).collect();
            }
        }
        shelf
    }

    pub(super) fn judge(&self, patch: &CataloguePatch) -> Finding {
        if patch.standing == Standing::Withdrawn {
            return Finding::NotApplicable(Reason::Withdrawn);
        }
        let mut verdict = Verdict::default();
        for target in &patch.targets {
            self.look_at(target, &mut verdict);
        }
        if !verdict.missing.is_empty() {
            Finding::Missing(verdict.missing.into_iter().collect())
        } else if verdict.applies {
            Finding::Installed
        } else {
            Finding::NotApplicable(Reason::NothingToPatch)
        }
    }

    fn look_at(&self, target: &FixTarget, verdict: &mut Verdict) {
        match target {
            FixTarget::SourcePackage { os, source, fixed_version } => {
                if let Some(fix) = self.fix(os, VersionOrder::Dpkg, fixed_version) {
                    for package in found(&self.by_source, source) {
                        verdict.compare(package, &package.source_version, &fix);
                    }
                }
            }
            FixTarget::BinaryPackage { os, package, fixed_version, order, architectures, module } => {
                let Some(fix) = self.fix(os, *order, fixed_version) else { return };
                let for_it = |installed: &&InstalledPackage| is_for(architectures, &installed.architecture);
                match order {
                    // Alpine's databases name what packages were built from; all of it has one version.
                    VersionOrder::Apk => {
                        for installed in found(&self.by_source, package).filter(for_it) {
                            verdict.compare(installed, &installed.version, &fix);
                        }
                    }
                    VersionOrder::Dpkg => {
                        for installed in found(&self.by_name, package).filter(for_it) {
                            verdict.compare(installed, &installed.version, &fix);
                        }
                    }
                    VersionOrder::Rpm => {
                        let of_stream =
                            |installed: &&InstalledPackage| is_of_module(installed, module.as_deref(), &fix);
                        for newest in newest(found(&self.by_name, package).filter(for_it).filter(of_stream)) {
                            verdict.compare(newest, &newest.version, &fix);
                        }
                    }
                }
            }
            // The update agent knows its own system better than a list of product names.
            FixTarget::Kb { kb, .. } if self.applicable.contains(kb.as_str()) => {
                verdict.applies = true;
                verdict.missing.insert(MissingPackage {
                    name: kb.clone(),
                    installed_version: String::new(),
                    fixed_version: String::new(),
                });
            }
            FixTarget::Kb { kb, .. } => verdict.applies |= self.installed.contains(kb.as_str()),
            // No agent reports firmware and drivers yet: nothing can be said of them.
            FixTarget::OemComponent { .. } => {}
        }
    }

    /// None where the fix is for another system, or its version is none.
    fn fix<'t>(&self, os: &OsRelease, order: VersionOrder, text: &'t str) -> Option<Fix<'t>> {
        let ours = *os == self.os && order == self.order;
        ours.then(|| Version::read(order, text).ok()).flatten().map(|version| Fix { text, version })
    }
}

impl Verdict {
    fn compare(&mut self, package: &InstalledPackage, version: &str, fix: &Fix<'_>) {
        self.applies = true;
        if is_below(version, &fix.version) {
            self.missing.insert(MissingPackage {
                name: package.name.clone(),
                installed_version: package.version.clone(),
                fixed_version: fix.text.to_owned(),
            });
        }
    }
}

fn found<'a, 's>(
    shelf: &'s HashMap<&'a str, Vec<&'a InstalledPackage>>,
    name: &str,
) -> impl Iterator<Item = &'a InstalledPackage> + use<'a, 's> {
    shelf.get(name).into_iter().flatten().copied()
}

/// What is built once for all processors is for each of them.
fn is_for(architectures: &[String], installed: &str) -> bool {
    architectures.is_empty()
        || ["noarch", "all"].contains(&installed)
        || architectures.iter().any(|architecture| architecture == installed)
}

/// Whether a fix of this module stream (or of none) is one for what is installed. Each stream has versions of its own: the
/// fix of `nodejs:18` says nothing of the packages of `nodejs:16`, nor of those that are of no module.
fn is_of_module(installed: &InstalledPackage, module: Option<&str>, fix: &Fix<'_>) -> bool {
    match (module, installed.module.as_deref()) {
        (Some(wanted), Some(stream)) => wanted == stream,
        // The build says that it is of a module, and its agent does not say of which.
        (Some(wanted), None) => is_modular(&installed.version) && can_be_of(&installed.version, wanted),
        (None, stream) => stream.is_none() && !is_modular(&installed.version) && !is_modular(fix.text),
    }
}

/// `1:18.19.0-1.module+el8.9.0+21+8ee66348`, and the same with `_` by those who rebuild it.
fn is_modular(version: &str) -> bool {
    version.split_once('-').is_some_and(|(_, release)| {
        release.contains(".module+") || release.contains(".module_") || release.starts_with("module")
    })
}

/// Whether a build can be of a stream by its version: streams are named for the version that they hold (`nodejs:18`), or for
/// something else (`container-tools:rhel8`), which says nothing.
fn can_be_of(version: &str, module: &str) -> bool {
    let stream = module.split_once(':').map_or(module, |(_, stream)| stream);
    let version = version.split_once(':').map_or(version, |(_, version)| version);
    let rest = version.strip_prefix(stream);
    !stream.starts_with(|c: char| c.is_ascii_digit())
        || rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Of a package that is installed several times, as kernels are, the newest one for each processor: it is the one that runs
/// after the next restart, so that the older ones do not keep a patch missing.
fn newest<'a>(packages: impl Iterator<Item = &'a InstalledPackage>) -> Vec<&'a InstalledPackage> {
    let mut newest: BTreeMap<&str, &InstalledPackage> = BTreeMap::new();
    for package in packages {
        newest
            .entry(&package.architecture)
            .and_modify(|known| {
                if versions::is_later(VersionOrder::Rpm, &package.version, &known.version) {
                    *known = package;
                }
            })
            .or_insert(package);
    }
    newest.into_values().collect()
}

/// A version that cannot be read is never taken for a fixed one; reports with such versions are refused before.
fn is_below(installed: &str, fixed: &Version) -> bool {
    let order = match fixed {
        Version::Dpkg(_) => VersionOrder::Dpkg,
        Version::Rpm(_) => VersionOrder::Rpm,
        Version::Apk(_) => VersionOrder::Apk,
    };
    Version::read(order, installed).map_or(true, |installed| installed < *fixed)
}
