//! The same with real documents, where they lie beside the repository.

use crate::{Case, Catalogue, packages, real_document};
use contracts::VersionOrder;

fn judged(name: &str, document: &str, order: VersionOrder, cases: &[Case]) {
    match real_document(document) {
        None => println!("{name}: left out, for {document} is not there"),
        Some(path) => {
            Catalogue::of(&[path]).judges(name, cases, |case| packages(order, case.packages));
        }
    }
}

#[test]
fn real_advisories_of_debian_are_judged_as_a_person_does() {
    let cases = [
        Case {
            about: "three years of an X server: only the last advisory is missing",
            os: "debian 11",
            packages: &["xserver-xorg-core 2:1.20.11-1+deb11u3 amd64 source=xorg-server"],
            missing: &["DSA-5380-1"],
            installed: &["DSA-5027-1", "DSA-5199-1", "DSA-5278-1"],
        },
        Case {
            about: "the last advisory but one is there",
            os: "debian 11",
            packages: &["xserver-xorg-core 2:1.20.11-1+deb11u5 amd64 source=xorg-server"],
            missing: &["DSA-5380-1"],
            installed: &["DSA-5027-1", "DSA-5199-1", "DSA-5278-1", "DSA-5304-1", "DSA-5342-1"],
        },
        Case {
            about: "openssl with its fix",
            os: "debian 11",
            packages: &["libssl1.1 1.1.1n-0+deb11u4 amd64 source=openssl"],
            missing: &[],
            installed: &["DSA-4963-1", "DSA-5103-1", "DSA-5139-1", "DSA-5169-1", "DSA-5343-1"],
        },
        Case {
            about: "openssl without it",
            os: "debian 11",
            packages: &["libssl1.1 1.1.1n-0+deb11u3 amd64 source=openssl"],
            missing: &["DSA-5343-1"],
            installed: &["DSA-4963-1", "DSA-5103-1", "DSA-5139-1", "DSA-5169-1"],
        },
        Case {
            about: "another release",
            os: "debian 12",
            packages: &["libssl3 3.0.8-1 amd64 source=openssl"],
            missing: &[],
            installed: &[],
        },
    ];
    judged("Debian", "debian/DSA-list-2023-04.txt", VersionOrder::Dpkg, &cases);
}

#[test]
fn real_advisories_of_ubuntu_are_judged_as_a_person_does() {
    let cases = [
        Case {
            about: "jinja2 as bionic was released",
            os: "ubuntu 18.04",
            packages: &["python3-jinja2 2.10-1 all source=jinja2"],
            missing: &["USN-4011-1"],
            installed: &[],
        },
        Case {
            about: "the fix of another release is above this one",
            os: "ubuntu 18.04",
            packages: &["python3-jinja2 2.10-1ubuntu0.19.04.1 all source=jinja2"],
            missing: &[],
            installed: &["USN-4011-1"],
        },
        Case {
            about: "a release without this notice",
            os: "ubuntu 14.04",
            packages: &["python3-jinja2 2.7.2-2 all source=jinja2"],
            missing: &[],
            installed: &[],
        },
        Case {
            about: "a kernel below its notice",
            os: "ubuntu 14.04",
            packages: &["linux-image-3.13.0-29-generic 3.13.0-29.53 amd64 source=linux"],
            missing: &["USN-2274-1"],
            installed: &[],
        },
        Case {
            about: "a kernel at its notice",
            os: "ubuntu 14.04",
            packages: &["linux-image-3.13.0-30-generic 3.13.0-30.55 amd64 source=linux"],
            missing: &[],
            installed: &["USN-2274-1"],
        },
        Case {
            about: "a backport is below what it is a backport of",
            os: "ubuntu 18.04",
            packages: &["linux-image-4.15.0-216-generic 4.15.0-216.227~16.04.1 amd64 source=linux"],
            missing: &["USN-6342-1"],
            installed: &[],
        },
    ];
    judged("Ubuntu", "ubuntu/usn-database-all.json.bz2", VersionOrder::Dpkg, &cases);
}

#[test]
fn real_advisories_of_almalinux_are_judged_as_a_person_does() {
    let cases = [
        Case {
            about: "xz below its security update",
            os: "almalinux 9.1",
            packages: &["xz 5.2.5-7.el9 x86_64"],
            missing: &["ALSA-2022:4940"],
            installed: &[],
        },
        Case {
            about: "xz at its security update",
            os: "almalinux 9.1",
            packages: &["xz 5.2.5-8.el9_0 x86_64"],
            missing: &[],
            installed: &["ALSA-2022:4940"],
        },
        Case {
            about: "curl below its bug fix",
            os: "almalinux 9.1",
            packages: &["curl 7.76.1-19.el9_1.2 x86_64"],
            missing: &["ALBA-2023:0123"],
            installed: &[],
        },
        Case {
            about: "an architecture that is not in the list",
            os: "almalinux 9.1",
            packages: &["xz 5.2.5-7.el9 aarch64"],
            missing: &[],
            installed: &[],
        },
    ];
    judged("AlmaLinux", "rpm/alma9-baseos-updateinfo.xml.gz", VersionOrder::Rpm, &cases);
}

#[test]
fn real_advisories_of_rocky_are_judged_as_a_person_does() {
    let cases = [Case {
        about: "xz below, curl above",
        os: "rocky 9.2",
        packages: &["xz 5.2.5-7.el9 x86_64", "curl 7.76.1-23.el9_2.1 x86_64"],
        missing: &["RLSA-2022:7513"],
        installed: &["RLBA-2023:0456"],
    }];
    judged("Rocky Linux", "rpm/rocky9-baseos-updateinfo.xml.gz", VersionOrder::Rpm, &cases);
}

#[test]
fn real_advisories_of_alpine_are_judged_as_a_person_does() {
    let cases = [
        Case {
            about: "apache between its two fixes",
            os: "alpine 3.16.9",
            packages: &["apache2-utils 2.4.29-r0 x86_64 source=apache2"],
            missing: &["apache2-2.4.35-r0"],
            installed: &["apache2-2.4.27-r1"],
        },
        Case {
            about: "the apache of that branch",
            os: "alpine 3.16.9",
            packages: &["apache2 2.4.59-r0 x86_64"],
            missing: &[],
            installed: &["apache2-2.4.27-r1", "apache2-2.4.35-r0"],
        },
    ];
    judged("Alpine", "alpine/secdb-v3.16-main.json", VersionOrder::Apk, &cases);
}
