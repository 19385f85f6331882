//! Fixed binary packages of one patch, brought together: one target for each package, whatever it was built for.

use crate::identity::without_zero_epoch;
use contracts::{FixTarget, OsRelease, VersionOrder};
use debversion::Version;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Binary packages that a patch fixes on one release.
#[derive(Debug)]
pub(crate) struct Packages {
    order: VersionOrder,
    /// Package and module stream, to processor architecture, to the highest version that was named.
    fixed: BTreeMap<(String, Option<String>), BTreeMap<String, String>>,
}

/// What is built once for all processors.
const FOR_ALL: &[&str] = &["noarch", "all", ""];

impl Packages {
    pub(crate) fn new(order: VersionOrder) -> Self {
        Self { order, fixed: BTreeMap::new() }
    }

    /// One build of a package; an empty architecture is any.
    pub(crate) fn add(&mut self, package: &str, module: Option<&str>, architecture: &str, version: &str) {
        let version = without_zero_epoch(version);
        let architecture = if FOR_ALL.contains(&architecture) { "" } else { architecture };
        let builds = self.fixed.entry((package.to_owned(), module.map(str::to_owned))).or_default();
        match builds.get_mut(architecture) {
            Some(best) if compare(self.order, best, version) == Ordering::Less => version.clone_into(best),
            Some(_) => {}
            None => {
                builds.insert(architecture.to_owned(), version.to_owned());
            }
        }
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
        self.fixed.len()
    }

    /// What must be on a device of the release.
    pub(crate) fn into_targets(self, os: &OsRelease) -> Vec<FixTarget> {
        let mut targets = Vec::new();
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

/// Which of two versions is the later one; those that are none in their own order compare as equal.
fn compare(order: VersionOrder, a: &str, b: &str) -> Ordering {
    match order {
        VersionOrder::Rpm => rpm_version::rpm_evr_compare(a, b),
        VersionOrder::Dpkg => match (a.parse::<Version>(), b.parse::<Version>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            (Ok(_) | Err(_), Err(_)) | (Err(_), Ok(_)) => Ordering::Equal,
        },
        VersionOrder::Apk => Ordering::Equal,
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
