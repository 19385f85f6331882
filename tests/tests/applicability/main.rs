//! Which patch is missing where, against answers that a person found by reading the advisories.
//!
//! Every case is one device with a few packages, and everything that all advisories of its distribution say of it: a patch
//! that is not listed as missing must not be missing. The advisories are read by the product from the documents with which
//! its parsers are tested, and, where they lie beside the repository, from real ones.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it left out"
)]

mod alpine;
mod debian;
mod enterprise;
mod real;
mod ubuntu;
mod windows;

use contracts::agent::{InstalledPackage, Inventory};
use contracts::{OsRelease, VersionOrder};
use devices_domain::applicability::{CataloguePatch, Finding, Standing, assess};
use feeds_documents::{Options, read};
use kernel::FeedId;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A device and what a person says of it.
struct Case {
    /// What it is about.
    about: &'static str,
    /// `rocky 9.4`
    os: &'static str,
    /// `name version architecture`, then `source=name`, `source=name=version` and `module=name:stream` where they differ.
    packages: &'static [&'static str],
    /// Patches that are missing, and no others are.
    missing: &'static [&'static str],
    /// Patches that are there, and no others are.
    installed: &'static [&'static str],
}

/// The catalogue of some documents.
struct Catalogue(Vec<CataloguePatch>);

fn document(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../services/feeds/documents/tests/documents").join(name)
}

fn own_document(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("documents/applicability").join(name)
}

/// A real document, if the collection lies beside the repository.
fn real_document(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let beside = ["../shared", "../../shared"].map(|place| root.join(place).join("feeds/corpus").join(name));
    beside.into_iter().find(|path| path.exists())
}

impl Catalogue {
    /// Reads documents as the feeds service does, and links what replaces what as it does.
    fn of(paths: &[PathBuf]) -> Self {
        let mut facts = Vec::new();
        for path in paths {
            let options = Options {
                feed_id: FeedId(uuid::Uuid::nil()),
                received_on: chrono::NaiveDate::default(),
                figures: false,
            };
            let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let document = read(std::io::Cursor::new(bytes), options).unwrap();
            assert!(!document.contents.patches.is_empty(), "{} holds no patch", path.display());
            facts.extend(document.contents.patches);
        }
        let systems = |patch: &contracts::feeds::PatchFacts| -> BTreeSet<OsRelease> {
            patch.targets.iter().map(|target| target.os().clone()).collect()
        };
        let patches = facts.iter().map(|patch| {
            let newer = facts.iter().find(|newer| {
                newer.supersedes.contains(&patch.vendor_patch_id)
                    && !systems(newer).is_disjoint(&systems(patch))
            });
            CataloguePatch {
                patch_id: patch.patch_id,
                vendor_patch_id: patch.vendor_patch_id.clone(),
                targets: patch.targets.clone(),
                standing: newer
                    .map_or(Standing::Current, |newer| Standing::Superseded { by: newer.patch_id }),
            }
        });
        Self(patches.collect())
    }

    /// What the product says that a person does not, in words.
    fn wrong_answer(&self, case: &Case, inventory: &Inventory) -> Option<String> {
        let findings = assess(&release(case.os), inventory, &self.0);
        let named = |wanted: fn(&Finding) -> bool| -> BTreeSet<&str> {
            let found = self.0.iter().filter(|patch| findings.get(&patch.patch_id).is_some_and(wanted));
            found.map(|patch| patch.vendor_patch_id.as_str()).collect()
        };
        let missing = named(|finding| matches!(finding, Finding::Missing(_)));
        let installed = named(|finding| matches!(finding, Finding::Installed));
        let expected = |list: &[&'static str]| list.iter().copied().collect::<BTreeSet<&str>>();
        let right = missing == expected(case.missing) && installed == expected(case.installed);
        (!right).then(|| {
            format!(
                "{} ({} {:?}): missing {missing:?}, installed {installed:?}; by hand: missing {:?}, installed {:?}",
                case.about, case.os, case.packages, case.missing, case.installed
            )
        })
    }

    /// Judges every case; none may be wrong.
    fn agrees_with(&self, name: &str, order: VersionOrder, cases: &[Case]) {
        self.agrees(name, cases, |case| packages(order, case.packages));
    }

    fn agrees(&self, name: &str, cases: &[Case], inventory: impl Fn(&Case) -> Inventory) {
        assert!(cases.len() >= 10, "{name}: {} cases are not enough", cases.len());
        self.judges(name, cases, inventory);
    }

    fn judges(&self, name: &str, cases: &[Case], inventory: impl Fn(&Case) -> Inventory) {
        let wrong: Vec<String> =
            cases.iter().filter_map(|case| self.wrong_answer(case, &inventory(case))).collect();
        println!("{name}: {} cases, {} wrong answers", cases.len(), wrong.len());
        assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    }
}

fn release(text: &str) -> OsRelease {
    let (id, version) = text.split_once(' ').unwrap();
    OsRelease { id: id.to_owned(), version: version.to_owned() }
}

fn packages(order: VersionOrder, lines: &[&str]) -> Inventory {
    Inventory::Packages { order, packages: lines.iter().map(|line| package(line)).collect() }
}

fn package(line: &str) -> InstalledPackage {
    let mut words = line.split(' ');
    let mut next = || words.next().unwrap_or_else(|| panic!("{line:?} is no package")).to_owned();
    let (name, version, architecture) = (next(), next(), next());
    let (mut source, mut source_version, mut module) = (name.clone(), version.clone(), None);
    for word in words {
        match word.split_once('=').unwrap_or_else(|| panic!("{word:?} in {line:?}")) {
            ("source", value) => {
                let (name, version) = value.split_once('=').unwrap_or((value, &source_version));
                (source, source_version) = (name.to_owned(), version.to_owned());
            }
            ("module", value) => module = Some(value.to_owned()),
            other => panic!("{other:?} in {line:?}"),
        }
    }
    InstalledPackage { name, version, architecture, source, source_version, module }
}

#[test]
fn a_wrong_answer_would_be_noticed() {
    let catalogue = Catalogue::of(&[document("debian-dsa-list.txt")]);
    let case = Case {
        about: "the answer of somebody who compares versions as texts",
        os: "debian 12",
        packages: &["lantern 2:3.9.8-1+deb12u10 amd64"],
        missing: &["DSA-9004-1"],
        installed: &[],
    };
    assert!(catalogue.wrong_answer(&case, &packages(VersionOrder::Dpkg, case.packages)).is_some());
}
