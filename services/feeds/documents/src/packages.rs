//! Fixed packages of one patch, brought together: one target for each package, whatever it was built for.

use crate::identity::without_zero_epoch;
use contracts::{FixTarget, OsRelease, VersionOrder};
use debversion::Version;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Packages that a patch fixes on one release; of several versions of one, the highest counts.
#[derive(Debug)]
pub(crate) struct Packages {
    order: VersionOrder,
    /// Source package to version.
    sources: BTreeMap<String, String>,
    /// Package and module stream, to processor architecture, to the highest version that was named.
    fixed: BTreeMap<(String, Option<String>), BTreeMap<String, String>>,
}

/// What is built once for all processors.
const FOR_ALL: &[&str] = &["noarch", "all", ""];

impl Packages {
    pub(crate) fn new(order: VersionOrder) -> Self {
        Self { order, sources: BTreeMap::new(), fixed: BTreeMap::new() }
    }

    /// One build of a package; an empty architecture is any.
    pub(crate) fn add(&mut self, package: &str, module: Option<&str>, architecture: &str, version: &str) {
        let version = without_zero_epoch(version);
        let architecture = if FOR_ALL.contains(&architecture) { "" } else { architecture };
        let builds = self.fixed.entry((package.to_owned(), module.map(str::to_owned))).or_default();
        keep_later(self.order, builds, architecture, version);
    }

    /// A source package; its version is in Debian's order.
    pub(crate) fn add_source(&mut self, source: &str, version: &str) {
        keep_later(VersionOrder::Dpkg, &mut self.sources, source, version);
    }

    /// Takes over packages that have become targets before.
    pub(crate) fn add_targets(&mut self, targets: &[FixTarget]) {
        for target in targets {
            if let FixTarget::BinaryPackage { package, fixed_version, architectures, module, .. } = target {
                let all = [String::new()];
                let architectures = if architectures.is_empty() { &all[..] } else { architectures };
                for architecture in architectures {
                    self.add(package, module.as_deref(), architecture, fixed_version);
                }
            }
        }
    }

    /// How many packages there are.
    pub(crate) fn len(&self) -> usize {
        self.fixed.len() + self.sources.len()
    }

    /// What must be on a device of the release.
    pub(crate) fn into_targets(self, os: &OsRelease) -> Vec<FixTarget> {
        let source =
            |(source, fixed_version)| FixTarget::SourcePackage { os: os.clone(), source, fixed_version };
        let mut targets: Vec<FixTarget> = self.sources.into_iter().map(source).collect();
        for ((package, module), builds) in self.fixed {
            let mut by_version: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for (architecture, version) in builds {
                by_version.entry(version).or_default().insert(architecture);
            }
            for (version, architectures) in by_version {
                let is_for_all = architectures.contains("");
                targets.push(FixTarget::BinaryPackage {
                    os: os.clone(),
                    package: package.clone(),
                    fixed_version: version,
                    order: self.order,
                    architectures: if is_for_all { Vec::new() } else { architectures.into_iter().collect() },
                    module: module.clone(),
                });
            }
        }
        targets
    }
}

fn keep_later(order: VersionOrder, versions: &mut BTreeMap<String, String>, name: &str, version: &str) {
    match versions.get_mut(name) {
        Some(known) if is_later(order, version, known) => version.clone_into(known),
        Some(_) => {}
        None => {
            versions.insert(name.to_owned(), version.to_owned());
        }
    }
}

/// Whether a version comes after another one; never where one of them is none in its own order.
pub(crate) fn is_later(order: VersionOrder, version: &str, than: &str) -> bool {
    match order {
        VersionOrder::Rpm => rpm_version::rpm_evr_compare(version, than) == Ordering::Greater,
        VersionOrder::Dpkg => match (version.parse::<Version>(), than.parse::<Version>()) {
            (Ok(version), Ok(than)) => version > than,
            (Ok(_) | Err(_), Err(_)) | (Err(_), Ok(_)) => false,
        },
        // Nobody lists several versions of one patch there.
        VersionOrder::Apk => false,
    }
}

#[cfg(test)]
mod tests {
    use super::Packages;
    use contracts::{FixTarget, OsRelease, VersionOrder};

    fn targets(builds: &[(&str, &str, &str)]) -> Vec<String> {
        let mut packages = Packages::new(VersionOrder::Rpm);
        for (package, architecture, version) in builds {
            packages.add(package, None, architecture, version);
        }
        let os = OsRelease { id: "rocky".to_owned(), version: "9".to_owned() };
        let shown = |target: &FixTarget| {
            let FixTarget::BinaryPackage { package, fixed_version, architectures, .. } = target else {
                panic!("{target:?}")
            };
            format!("{package} {fixed_version} {}", architectures.join(","))
        };
        packages.into_targets(&os).iter().map(shown).collect()
    }

    #[test]
    fn builds_for_several_processors_are_one_target() {
        let builds = [("xz", "x86_64", "0:5.2-8"), ("xz", "aarch64", "5.2-8"), ("a", "noarch", "1:1-1")];
        assert_eq!(targets(&builds), ["a 1:1-1 ", "xz 5.2-8 aarch64,x86_64"]);
    }

    #[test]
    fn of_two_versions_the_later_one_counts() {
        let builds = [("xz", "x86_64", "5.2-8.el9_0.10"), ("xz", "x86_64", "5.2-8.el9_0.9")];
        assert_eq!(targets(&builds), ["xz 5.2-8.el9_0.10 x86_64"]);
    }

    #[test]
    fn processors_may_need_different_versions() {
        let builds = [("xz", "x86_64", "2-1"), ("xz", "i686", "1-1")];
        assert_eq!(targets(&builds), ["xz 1-1 i686", "xz 2-1 x86_64"]);
    }
}
