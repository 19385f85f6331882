//! Rules and laws of applicability.

use super::{CataloguePatch, Finding, Reason, Standing, assess};
use contracts::{
    FixTarget, OsRelease, VersionOrder,
    agent::{InstalledPackage, Inventory},
    devices::MissingPackage,
};
use kernel::PatchId;
use proptest::prelude::*;
use uuid::Uuid;

fn bookworm() -> OsRelease {
    OsRelease { id: "debian".to_owned(), version: "12".to_owned() }
}

fn windows() -> OsRelease {
    OsRelease { id: "windows".to_owned(), version: "Windows 11 Version 22H2".to_owned() }
}

fn id(n: u128) -> PatchId {
    PatchId(Uuid::from_u128(n))
}

fn package(name: &str, source: &str, version: &str) -> InstalledPackage {
    InstalledPackage {
        name: name.to_owned(),
        version: version.to_owned(),
        architecture: "amd64".to_owned(),
        source: source.to_owned(),
        source_version: version.to_owned(),
        module: None,
    }
}

fn packages(list: &[(&str, &str, &str)]) -> Inventory {
    let packages = list.iter().map(|(name, source, version)| package(name, source, version)).collect();
    Inventory::Packages { order: VersionOrder::Dpkg, packages }
}

fn updates(installed: &[&str], applicable: &[&str]) -> Inventory {
    let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
    Inventory::WindowsUpdates {
        installed: texts(installed),
        applicable: texts(applicable),
        build: "10.0.22621.3007".to_owned(),
    }
}

fn dsa(n: u128, fixes: &[(&str, &str)]) -> CataloguePatch {
    let targets = fixes
        .iter()
        .map(|(source, fixed)| FixTarget::SourcePackage {
            os: bookworm(),
            source: (*source).to_owned(),
            fixed_version: (*fixed).to_owned(),
        })
        .collect();
    CataloguePatch {
        patch_id: id(n),
        vendor_patch_id: format!("DSA-{n}-1"),
        targets,
        standing: Standing::Current,
    }
}

fn kb(n: u128) -> CataloguePatch {
    let kb = format!("KB{n}");
    CataloguePatch {
        patch_id: id(n),
        vendor_patch_id: kb.clone(),
        targets: vec![FixTarget::Kb { os: windows(), kb, fixed_build: None }],
        standing: Standing::Current,
    }
}

fn superseded(patch: CataloguePatch, by: u128) -> CataloguePatch {
    CataloguePatch { standing: Standing::Superseded { by: id(by) }, ..patch }
}

fn missing(list: &[(&str, &str, &str)]) -> Finding {
    let one = |&(name, installed, fixed): &(&str, &str, &str)| MissingPackage {
        name: name.to_owned(),
        installed_version: installed.to_owned(),
        fixed_version: fixed.to_owned(),
    };
    Finding::Missing(list.iter().map(one).collect())
}

fn nothing_to_patch() -> Finding {
    Finding::NotApplicable(Reason::NothingToPatch)
}

#[test]
fn every_binary_below_the_fixed_version_keeps_a_patch_missing() {
    let inventory = packages(&[
        ("openssl", "openssl", "3.0.11-1~deb12u1"),
        ("libssl3", "openssl", "3.0.11-1~deb12u2"),
        ("libssl-doc", "openssl", "3.0.9-1"),
    ]);
    let findings = assess(&bookworm(), &inventory, &[dsa(1, &[("openssl", "3.0.11-1~deb12u2")])]);
    assert_eq!(
        findings[&id(1)],
        missing(&[
            ("libssl-doc", "3.0.9-1", "3.0.11-1~deb12u2"),
            ("openssl", "3.0.11-1~deb12u1", "3.0.11-1~deb12u2"),
        ])
    );
}

#[test]
fn the_source_version_decides_and_the_binary_version_is_reported() {
    let mut binary = package("libgcc-s1", "gcc-12", "12.2.0-14");
    binary.version = "12.2.0-14+b3".to_owned();
    let inventory = Inventory::Packages { order: VersionOrder::Dpkg, packages: vec![binary] };
    let at = |fixed| assess(&bookworm(), &inventory, &[dsa(1, &[("gcc-12", fixed)])])[&id(1)].clone();
    assert_eq!(at("12.2.0-14"), Finding::Installed);
    assert_eq!(at("12.2.0-14.1"), missing(&[("libgcc-s1", "12.2.0-14+b3", "12.2.0-14.1")]));
}

#[test]
fn a_fix_for_another_release_or_source_says_nothing() {
    let patch = dsa(1, &[("openssl", "4")]);
    let trixie = OsRelease { version: "13".to_owned(), ..bookworm() };
    let inventory = packages(&[("openssl", "openssl", "3")]);
    assert_eq!(assess(&trixie, &inventory, std::slice::from_ref(&patch))[&id(1)], nothing_to_patch());
    let other = packages(&[("openssl", "openssl-fork", "3")]);
    assert_eq!(assess(&bookworm(), &other, &[patch])[&id(1)], nothing_to_patch());
}

#[test]
fn one_source_of_several_is_enough() {
    let inventory = packages(&[("a", "a", "1"), ("b", "b", "2")]);
    let patch = dsa(1, &[("a", "1"), ("b", "3"), ("c", "9")]);
    assert_eq!(assess(&bookworm(), &inventory, &[patch])[&id(1)], missing(&[("b", "2", "3")]));
}

#[test]
fn the_update_agent_says_which_kb_is_missing_and_which_is_there() {
    let findings = assess(&windows(), &updates(&["KB1"], &["KB2", "KB9"]), &[kb(1), kb(2), kb(3)]);
    assert_eq!(findings[&id(1)], Finding::Installed);
    assert_eq!(findings[&id(2)], missing(&[("KB2", "", "")]));
    assert_eq!(findings[&id(3)], nothing_to_patch());
    assert_eq!(findings.len(), 3);
}

#[test]
fn a_withdrawn_patch_is_not_missing() {
    let patch = CataloguePatch { standing: Standing::Withdrawn, ..kb(1) };
    let findings = assess(&windows(), &updates(&[], &["KB1"]), &[patch]);
    assert_eq!(findings[&id(1)], Finding::NotApplicable(Reason::Withdrawn));
}

#[test]
fn a_superseded_patch_is_not_missing_where_the_newer_one_is_missing_or_installed() {
    let catalogue = [superseded(kb(1), 2), kb(2)];
    let replaced = Finding::NotApplicable(Reason::Superseded { by: "KB2".to_owned() });
    assert_eq!(assess(&windows(), &updates(&[], &["KB1", "KB2"]), &catalogue)[&id(1)], replaced);
    assert_eq!(assess(&windows(), &updates(&["KB2"], &["KB1"]), &catalogue)[&id(1)], replaced);
}

#[test]
fn a_superseded_patch_stays_missing_where_the_newer_one_does_not_apply() {
    let catalogue = [superseded(kb(1), 2), kb(2)];
    assert_eq!(assess(&windows(), &updates(&[], &["KB1"]), &catalogue)[&id(1)], missing(&[("KB1", "", "")]));
}

#[test]
fn a_chain_of_supersedence_is_followed() {
    let catalogue = [superseded(kb(1), 2), superseded(kb(2), 3), kb(3)];
    let findings = assess(&windows(), &updates(&[], &["KB1", "KB3"]), &catalogue);
    assert_eq!(findings[&id(1)], Finding::NotApplicable(Reason::Superseded { by: "KB3".to_owned() }));
    assert_eq!(findings[&id(2)], nothing_to_patch());
}

#[test]
fn a_circle_of_supersedence_ends() {
    let catalogue = [superseded(kb(1), 2), superseded(kb(2), 1)];
    assert_eq!(assess(&windows(), &updates(&[], &["KB1"]), &catalogue)[&id(1)], missing(&[("KB1", "", "")]));
}

#[test]
fn a_fixed_version_that_is_none_says_nothing() {
    let inventory = packages(&[("a", "a", "1")]);
    assert_eq!(assess(&bookworm(), &inventory, &[dsa(1, &[("a", "<unfixed>")])])[&id(1)], nothing_to_patch());
}

fn any_inventory() -> impl Strategy<Value = Vec<InstalledPackage>> {
    let one = ("[a-d]{1,2}", "[a-d]", "[0-9](\\.[0-9])?(~rc1|\\+deb12u[0-9]{1,2})?")
        .prop_map(|(name, source, version)| package(&name, &source, &version));
    prop::collection::vec(one, 0..12)
}

fn any_catalogue() -> impl Strategy<Value = Vec<CataloguePatch>> {
    let one = ("[a-d]", "[0-9](\\.[0-9])?(~rc1|\\+deb12u[0-9]{1,2})?", prop::option::of(0..8u128));
    prop::collection::vec(one, 0..8).prop_map(|list| {
        list.into_iter()
            .enumerate()
            .map(|(n, (source, fixed, by))| {
                let patch = dsa(n as u128, &[(&source, &fixed)]);
                match by {
                    Some(by) if by != n as u128 => superseded(patch, by),
                    Some(_) | None => patch,
                }
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn the_order_of_packages_and_of_the_catalogue_does_not_matter(
        (list, shuffled) in any_inventory().prop_flat_map(|l| (Just(l.clone()), Just(l).prop_shuffle())),
        (catalogue, mixed) in any_catalogue().prop_flat_map(|c| (Just(c.clone()), Just(c).prop_shuffle())),
    ) {
        let one = assess(&bookworm(), &Inventory::Packages { order: VersionOrder::Dpkg, packages: list }, &catalogue);
        let two = assess(&bookworm(), &Inventory::Packages { order: VersionOrder::Dpkg, packages: shuffled }, &mixed);
        prop_assert_eq!(one, two);
    }

    #[test]
    fn raising_every_package_to_the_fixed_version_leaves_nothing_missing(
        list in any_inventory(),
        catalogue in any_catalogue(),
    ) {
        let raised = list.into_iter().map(|p| package(&p.name, &p.source, "99:1")).collect();
        let findings = assess(&bookworm(), &Inventory::Packages { order: VersionOrder::Dpkg, packages: raised }, &catalogue);
        prop_assert!(findings.values().all(|finding| !matches!(finding, Finding::Missing(_))));
    }

    #[test]
    fn a_source_that_is_below_some_fix_always_has_a_missing_patch(
        list in any_inventory(),
        catalogue in any_catalogue(),
    ) {
        let below = |p: &InstalledPackage, c: &CataloguePatch| {
            let FixTarget::SourcePackage { source, fixed_version, .. } = &c.targets[0] else { return false };
            *source == p.source
                && p.source_version.parse::<versions::DebianVersion>().unwrap() < fixed_version.parse().unwrap()
        };
        let affected = list.iter().any(|p| catalogue.iter().any(|c| below(p, c) && c.standing == Standing::Current));
        let findings = assess(&bookworm(), &Inventory::Packages { order: VersionOrder::Dpkg, packages: list }, &catalogue);
        prop_assert!(!affected || findings.values().any(|finding| matches!(finding, Finding::Missing(_))));
    }
}
