//! Releases of distributions, by the names that people, repositories and package versions give them.

use super::{DEBIAN, UBUNTU, Vendor, os, red_hat};
use contracts::OsRelease;

/// How a release's number is made from what its name says.
#[derive(Clone, Copy)]
enum Number {
    /// `8.2` is `8`: minor releases are updates of the major one.
    Major,
    /// The same, but for products that follow one minor release alone.
    RedHat,
    /// As it is written.
    Whole,
    /// Two numbers: `15 SP1` is `15.1`.
    ServicePack,
    /// Codenamed releases: only those that are known.
    Known(&'static [(&'static str, &'static str)]),
    /// This, whatever the name goes on with.
    Fixed(&'static str),
}

/// Beginnings of names in lower case, `-` and `_` as blanks; a longer one stands before the shorter one that it begins with.
const NAMES: &[(&str, &str, Number)] = &[
    ("red hat enterprise linux", "rhel", Number::RedHat),
    ("rhel", "rhel", Number::RedHat),
    ("centos", "centos", Number::Major),
    ("almalinux", "almalinux", Number::Major),
    ("rocky linux", "rocky", Number::Major),
    ("oracle linux", "ol", Number::Major),
    ("amazon linux ami", "amzn", Number::Fixed(AMAZON_1)),
    ("amazon linux", "amzn", Number::Whole),
    ("fedora linux", "fedora", Number::Whole),
    ("fedora", "fedora", Number::Whole),
    ("debian gnu/linux", "debian", Number::Known(DEBIAN)),
    ("debian", "debian", Number::Known(DEBIAN)),
    ("ubuntu", "ubuntu", Number::Known(UBUNTU)),
    ("opensuse leap micro", "leap-micro", Number::Whole),
    ("opensuse leap", "opensuse-leap", Number::Whole),
    ("opensuse tumbleweed", "opensuse-tumbleweed", Number::Fixed("")),
    ("opensuse", "opensuse", Number::Whole),
    ("suse linux micro", "sl-micro", Number::Whole),
    ("suse linux enterprise server for sap applications", "sles_sap", Number::ServicePack),
    ("suse linux enterprise server", "sles", Number::ServicePack),
    ("suse linux enterprise desktop", "sled", Number::ServicePack),
    ("suse linux enterprise high performance computing", "sle_hpc", Number::ServicePack),
    ("suse linux enterprise real time", "sle_rt", Number::ServicePack),
    ("suse linux enterprise micro", "sle-micro", Number::Whole),
    // What is added to a server is found on a server: modules, extensions, live patches.
    ("suse linux enterprise", "sles", Number::ServicePack),
    ("suse package hub", "sles", Number::ServicePack),
    ("azure linux", "azurelinux", Number::Whole),
    ("cbl mariner", "mariner", Number::Whole),
];

/// Names that begin like those of a release and are none: what they name has numbers of its own.
const OTHERS: &[&str] = &[
    "fedora epel",
    "opensuse backports",
    "ubuntu pro",
    "red hat enterprise linux ai",
    "suse linux enterprise storage",
];

/// `VERSION_ID` of the last release of the first Amazon Linux.
const AMAZON_1: &str = "2018.03";

/// The last of SUSE's micro releases that called themselves `suse-microos`.
const MICROOS_LAST: &str = "5.2";

/// A release, by what people or repositories call it: `Rocky Linux 9`, `SUSE Linux Enterprise Server 15 SP1-LTSS`,
/// `almalinux-9-for-x86_64-baseos-rpms`, `F43`.
pub fn named(name: &str) -> Option<OsRelease> {
    let name = name.to_lowercase().replace(['-', '_'], " ");
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    if OTHERS.iter().any(|other| name.starts_with(other)) {
        return None;
    }
    if let Some(number) = name.strip_prefix('f').and_then(whole_number) {
        return Some(os("fedora", number));
    }
    let (id, number, rest) = NAMES.iter().find_map(|(prefix, id, number)| {
        let rest = name.strip_prefix(prefix)?;
        (rest.is_empty() || rest.starts_with(' ')).then_some((*id, number, rest))
    })?;
    let words: Vec<&str> =
        rest.split(' ').map(|word| word.trim_matches(|c: char| "(),;.v".contains(c))).collect();
    let first = || words.iter().copied().find(|word| is_version(word));
    let version = match number {
        Number::Fixed(version) => (*version).to_owned(),
        Number::RedHat => return red_hat::of_words(rest),
        Number::Major => first()?.split('.').next()?.to_owned(),
        Number::Whole => first()?.to_owned(),
        Number::ServicePack => {
            // The last one: `… Module for Python 3 15 SP4`.
            let at = words.iter().rposition(|word| is_version(word))?;
            let version = words.get(at)?;
            match words.get(at + 1).and_then(|word| word.strip_prefix("sp")) {
                Some(pack) => format!("{version}.{}", whole_number(pack)?),
                None => (*version).to_owned(),
            }
        }
        Number::Known(releases) => {
            let version = first()?;
            let is_it = |known: &str| known == version || known.strip_suffix(".0") == Some(version);
            releases.iter().find(|(_, known)| is_it(known))?.1.to_owned()
        }
    };
    let id = if id == "sle-micro" && version.as_str() <= MICROOS_LAST { "suse-microos" } else { id };
    Some(os(id, &version))
}

/// The release that a package was built for, by the end of its version: `8.el9_0`, `1.fc43`, `lp152.4.3.1`.
///
/// Enterprise Linux is rebuilt by several publishers under the same tag, so the publisher decides.
pub fn of_dist_tag(vendor: Vendor, rpm_release: &str) -> Option<OsRelease> {
    let release = rpm_release.to_ascii_lowercase();
    match vendor {
        Vendor::RedHat => tagged(&release, "el").map(|number| os("rhel", number)),
        Vendor::CentOs => tagged(&release, "el").map(|number| os("centos", number)),
        Vendor::AlmaLinux => tagged(&release, "el").map(|number| os("almalinux", number)),
        Vendor::Rocky => tagged(&release, "el").map(|number| os("rocky", number)),
        Vendor::Oracle => tagged(&release, "el").map(|number| os("ol", number)),
        Vendor::Fedora => tagged(&release, "fc").map(|number| os("fedora", number)),
        Vendor::Amazon => {
            tagged(&release, "amzn").map(|number| os("amzn", if number == "1" { AMAZON_1 } else { number }))
        }
        Vendor::AzureLinux => tagged(&release, "azl")
            .map(|number| os("azurelinux", &format!("{number}.0")))
            .or_else(|| tagged(&release, "cm").map(|number| os("mariner", &format!("{number}.0")))),
        Vendor::Suse => suse_tag(&release),
        Vendor::Microsoft
        | Vendor::Debian
        | Vendor::Ubuntu
        | Vendor::Alpine
        | Vendor::Wolfi
        | Vendor::Dell
        | Vendor::Lenovo
        | Vendor::AzureStack => None,
    }
}

/// A version with its epoch only where that is not zero: publishers write `0:1.2-3` and `1.2-3` for the same.
pub fn without_zero_epoch(version: &str) -> &str {
    version.strip_prefix("0:").unwrap_or(version)
}

/// The number behind a tag that begins a part of a release: `8` of `3.module+el8.7.0+21037`.
fn tagged<'a>(release: &'a str, tag: &str) -> Option<&'a str> {
    release.match_indices(tag).find_map(|(at, _)| {
        let (before, found) = release.split_at_checked(at)?;
        let number = found.get(tag.len()..)?;
        let number = number.get(..number.bytes().take_while(u8::is_ascii_digit).count())?;
        let begins = before.is_empty() || before.ends_with(['.', '+', '_', '-']);
        (begins && (1..=4).contains(&number.len())).then_some(number)
    })
}

/// `lp152.4.3.1` is of openSUSE Leap 15.2, `150400.5.3` of SUSE Linux Enterprise 15 SP4.
fn suse_tag(release: &str) -> Option<OsRelease> {
    if let Some(leap) = tagged(release, "lp").filter(|number| number.len() == 3) {
        let (major, minor) = leap.split_at_checked(2)?;
        return Some(os("opensuse-leap", &format!("{major}.{minor}")));
    }
    let pack = release.split('.').next()?.strip_prefix("15")?.strip_suffix("00")?;
    let pack = whole_number(pack).filter(|pack| pack.len() == 2)?.trim_start_matches('0');
    Some(os("sles", &if pack.is_empty() { "15".to_owned() } else { format!("15.{pack}") }))
}

fn whole_number(text: &str) -> Option<&str> {
    ((1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

/// Numbers and dots, as in `22.04`.
fn is_version(word: &str) -> bool {
    word.len() <= 10 && word.split('.').all(|part| whole_number(part).is_some())
}

#[cfg(test)]
mod tests {
    use super::super::Vendor;
    use super::{named, of_dist_tag};

    #[test]
    fn releases_have_many_names() {
        for (name, wanted) in [
            ("Red Hat Enterprise Linux 8", "rhel:8"),
            ("Red Hat Enterprise Linux Server (v. 7)", "rhel:7"),
            ("Red Hat Enterprise Linux EUS (v.8.2)", "rhel:8.2"),
            ("rhel-9-for-x86_64-baseos-rpms__9_DOT_2", "rhel:9"),
            ("rhel-9-for-x86_64-baseos-eus-rpms__9_DOT_2", "rhel:9.2"),
            ("almalinux-9-for-x86_64-baseos-rpms__9_1_default", "almalinux:9"),
            ("rocky-linux-9-x86-64-baseos-rpms", "rocky:9"),
            ("Oracle Linux 8", "ol:8"),
            ("CentOS 6", "centos:6"),
            ("amazon-linux-2---core", "amzn:2"),
            ("Amazon Linux 2023", "amzn:2023"),
            ("amazon-linux-ami", "amzn:2018.03"),
            ("Fedora 43", "fedora:43"),
            ("F43", "fedora:43"),
            ("Debian GNU/Linux 11", "debian:11"),
            ("Debian GNU/Linux 6", "debian:6.0"),
            ("Ubuntu 22.04 LTS", "ubuntu:22.04"),
            ("openSUSE Leap 15.2", "opensuse-leap:15.2"),
            ("openSUSE Tumbleweed", "opensuse-tumbleweed:"),
            ("openSUSE 11.0", "opensuse:11.0"),
            ("SUSE Linux Enterprise Server 15", "sles:15"),
            ("SUSE Linux Enterprise Server 15-LTSS", "sles:15"),
            ("SUSE Linux Enterprise Server 15 SP1-LTSS", "sles:15.1"),
            ("SUSE Linux Enterprise Server for SAP Applications 12 SP5", "sles_sap:12.5"),
            ("SUSE Linux Enterprise Module for Basesystem 15 SP4", "sles:15.4"),
            ("SUSE Linux Enterprise Module for Python 3 15 SP4", "sles:15.4"),
            ("SUSE Linux Enterprise Server 11 SP4", "sles:11.4"),
            ("SUSE Linux Enterprise Desktop 15", "sled:15"),
            ("SUSE Linux Enterprise Real Time 15 SP5", "sle_rt:15.5"),
            ("SUSE Linux Enterprise High Availability Extension 15 SP3", "sles:15.3"),
            ("SUSE Package Hub 15 SP5", "sles:15.5"),
            ("openSUSE Leap Micro 5.2", "leap-micro:5.2"),
            ("SUSE Linux Enterprise Server 16.0", "sles:16.0"),
            ("SUSE Linux Enterprise Micro 5.2", "suse-microos:5.2"),
            ("SUSE Linux Enterprise Micro 5.5", "sle-micro:5.5"),
            ("Azure Linux 3.0", "azurelinux:3.0"),
        ] {
            assert_eq!(named(name).map(|os| os.key()).as_deref(), Some(wanted), "{name}");
        }
    }

    #[test]
    fn what_is_no_release_has_no_name() {
        for name in [
            "",
            "0",
            "Fedora EPEL 8",
            "Fedora",
            "Azure Linux",
            "Ubuntu 3.11",
            "SUSE Linux Enterprise Storage 7.1",
            "SUSE Manager Server 4.3",
            "Red Hat OpenShift Container Platform 4",
            "Red Hat Enterprise Linux AI 1.1",
            "Image SLES15-SP5-BYOS",
            "fédora 4",
            "f",
        ] {
            assert_eq!(named(name), None, "{name}");
        }
    }

    #[test]
    fn a_package_tells_what_it_was_built_for() {
        for (vendor, release, wanted) in [
            (Vendor::CentOs, "42.el6_7.4", Some("centos:6")),
            (Vendor::RedHat, "21.module+el8.7.0+21037+8ee66348", Some("rhel:8")),
            (Vendor::Oracle, "1.el9uek", Some("ol:9")),
            (Vendor::Rocky, "8.el10", Some("rocky:10")),
            (Vendor::Fedora, "1.fc43", Some("fedora:43")),
            (Vendor::Amazon, "3.amzn2023.0.2", Some("amzn:2023")),
            (Vendor::Amazon, "3.12.amzn1", Some("amzn:2018.03")),
            (Vendor::AzureLinux, "1.azl3", Some("azurelinux:3.0")),
            (Vendor::AzureLinux, "1.cm2", Some("mariner:2.0")),
            (Vendor::Suse, "lp152.4.3.1", Some("opensuse-leap:15.2")),
            (Vendor::Suse, "150400.5.3.1", Some("sles:15.4")),
            (Vendor::Suse, "150000.1.1", Some("sles:15")),
            (Vendor::Suse, "3.1", None),
            (Vendor::CentOs, "3.36", None),
            (Vendor::CentOs, "1.rhel7", None),
            (Vendor::Fedora, "1.el8", None),
            (Vendor::Debian, "1.el8", None),
        ] {
            let found = of_dist_tag(vendor, release).map(|os| os.key());
            assert_eq!(found.as_deref(), wanted, "{release}");
        }
    }
}
