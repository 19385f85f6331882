//! Fixed packages of one patch, brought together: one target for each package, whatever it was built for.

use crate::identity::without_zero_epoch;
use crate::limits::PATCH_TARGETS_MAX;
use contracts::{FixTarget, OsRelease, VersionOrder};
use std::collections::{BTreeMap, BTreeSet};
use versions::is_later;

/// Packages that a patch fixes on one release; of several versions of one, the highest counts.
#[derive(Debug)]
pub(crate) struct Packages {
    order: VersionOrder,
    /// Source package to version.
    sources: BTreeMap<String, String>,
    /// Binary package to what was built of it.
    fixed: BTreeMap<String, Vec<Build>>,
    /// One of them was built for more than anybody builds for.
    is_endless: bool,
}

/// The highest version of a package for one processor architecture and module stream.
#[derive(Debug)]
struct Build {
    module: Option<String>,
    architecture: String,
    version: String,
}

/// What is built once for all processors.
const FOR_ALL: &[&str] = &["noarch", "all", ""];
/// Builds of one package: some ten architectures, in some module streams.
const BUILDS_MAX: usize = 200;

impl Packages {
    pub(crate) fn new(order: VersionOrder) -> Self {
        Self { order, sources: BTreeMap::new(), fixed: BTreeMap::new(), is_endless: false }
    }

    /// One build of a package; an empty architecture is any.
    pub(crate) fn add(&mut self, package: &str, module: Option<&str>, architecture: &str, version: &str) {
        let version = without_zero_epoch(version);
        let architecture = if FOR_ALL.contains(&architecture) { "" } else { architecture };
        let build = || Build {
            module: module.map(str::to_owned),
            architecture: architecture.to_owned(),
            version: version.to_owned(),
        };
        let Some(builds) = self.fixed.get_mut(package) else {
            self.fixed.insert(package.to_owned(), vec![build()]);
            return;
        };
        let is_it =
            |known: &&mut Build| known.architecture == architecture && known.module.as_deref() == module;
        let is_full = builds.len() >= BUILDS_MAX;
        match builds.iter_mut().find(is_it) {
            Some(known) if is_later(self.order, version, &known.version) => {
                version.clone_into(&mut known.version);
            }
            Some(_) => {}
            None if is_full => self.is_endless = true,
            None => builds.push(build()),
        }
    }

    /// A source package; its version is in Debian's order.
    pub(crate) fn add_source(&mut self, source: &str, version: &str) {
        match self.sources.get_mut(source) {
            Some(known) if is_later(VersionOrder::Dpkg, version, known) => version.clone_into(known),
            Some(_) => {}
            None => {
                self.sources.insert(source.to_owned(), version.to_owned());
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
        self.fixed.len() + self.sources.len()
    }

    /// What must be on a device of the release, or why that cannot be told.
    pub(crate) fn into_targets(self, os: &OsRelease) -> Result<Vec<FixTarget>, String> {
        if self.is_endless {
            return Err(format!("one of its packages has more than {BUILDS_MAX} builds"));
        }
        let source =
            |(source, fixed_version)| FixTarget::SourcePackage { os: os.clone(), source, fixed_version };
        let mut targets: Vec<FixTarget> = self.sources.into_iter().map(source).collect();
        if targets.len() > PATCH_TARGETS_MAX {
            return Err(too_many());
        }
        for (package, builds) in self.fixed {
            let mut versions: BTreeMap<(Option<String>, String), BTreeSet<String>> = BTreeMap::new();
            for Build { module, architecture, version } in builds {
                versions.entry((module, version)).or_default().insert(architecture);
            }
            for ((module, version), architectures) in versions {
                let is_for_all = architectures.contains("");
                targets.push(FixTarget::BinaryPackage {
                    os: os.clone(),
                    package: package.clone(),
                    fixed_version: version,
                    order: self.order,
                    architectures: if is_for_all { Vec::new() } else { architectures.into_iter().collect() },
                    module,
                });
            }
            if targets.len() > PATCH_TARGETS_MAX {
                return Err(too_many());
            }
        }
        Ok(targets)
    }
}

fn too_many() -> String {
    format!("it has more than {PATCH_TARGETS_MAX} packages")
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
        packages.into_targets(&os).expect("not too many").iter().map(shown).collect()
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

    #[test]
    fn what_nobody_can_have_built_is_refused() {
        let os = OsRelease { id: "rocky".to_owned(), version: "9".to_owned() };
        let mut packages = Packages::new(VersionOrder::Rpm);
        for number in 0..1_000 {
            packages.add("xz", None, &format!("a{number}"), "1-1");
        }
        assert_eq!(
            packages.into_targets(&os),
            Err("one of its packages has more than 200 builds".to_owned())
        );
        let mut packages = Packages::new(VersionOrder::Rpm);
        for number in 0..3_000 {
            packages.add(&format!("p{number}"), None, "x86_64", "1-1");
            packages.add(&format!("p{number}"), None, "aarch64", "2-1");
        }
        assert_eq!(packages.into_targets(&os), Err("it has more than 5000 packages".to_owned()));
    }
}
