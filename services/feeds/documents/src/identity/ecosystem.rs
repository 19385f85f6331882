//! Releases of distributions by the names that OSV gives them: `Ubuntu:22.04:LTS`, `Red Hat:enterprise_linux:9::appstream`.

use super::{Vendor, named, os, red_hat};
use contracts::OsRelease;

/// A release of a distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ecosystem {
    /// Who publishes for it.
    pub vendor: Vendor,
    /// The release.
    pub os: OsRelease,
    /// Who gets what is published there.
    pub access: Access,
}

/// Who gets a fix. The order is that of preference: of two fixes for a package, the one for everybody counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Everybody.
    Free,
    /// Subscribers of Ubuntu Pro.
    Pro,
    /// Subscribers who chose a variant of Ubuntu (`FIPS`, `Realtime`), whose packages differ from the usual ones.
    Variant,
}

/// The release of an ecosystem; none where it is no distribution of [`Vendor`], or where it names no release.
pub fn of(ecosystem: &str) -> Option<Ecosystem> {
    let (name, rest) = ecosystem.split_once(':').unwrap_or((ecosystem, ""));
    let free = |vendor, os| Some(Ecosystem { vendor, os, access: Access::Free });
    let numbered = |vendor, id| free(vendor, os(id, number(rest)?));
    match name {
        "Ubuntu" => ubuntu(rest),
        "Debian" => numbered(Vendor::Debian, "debian"),
        "AlmaLinux" => numbered(Vendor::AlmaLinux, "almalinux"),
        "Rocky Linux" => numbered(Vendor::Rocky, "rocky"),
        "Oracle Linux" => numbered(Vendor::Oracle, "ol"),
        "Alpine" => free(Vendor::Alpine, os("alpine", number(rest.strip_prefix('v')?)?)),
        "Wolfi" => free(Vendor::Wolfi, os("wolfi", "")),
        "Azure Linux" => {
            let version = number(rest)?;
            let minor = if version.contains('.') { "" } else { ".0" };
            free(Vendor::AzureLinux, os("azurelinux", &format!("{version}{minor}")))
        }
        "Red Hat" => free(Vendor::RedHat, red_hat(rest)?),
        // `SUSE:Linux Enterprise Server 15 SP5-LTSS`, `openSUSE:Leap 15.2`: the names that people use.
        "SUSE" | "openSUSE" => free(Vendor::Suse, named(&format!("{name} {rest}"))?),
        _ => None,
    }
}

/// `22.04:LTS`, `Pro:18.04:LTS`, `Pro:FIPS-updates:20.04:LTS`, `Pro:22.04:LTS:Realtime:Kernel`
fn ubuntu(rest: &str) -> Option<Ecosystem> {
    let version = rest.split(':').find_map(|part| number(part).filter(|number| number.contains('.')))?;
    let access = match rest.strip_prefix("Pro:") {
        None => Access::Free,
        Some(rest) if rest.split(':').all(|part| part == version || part == "LTS") => Access::Pro,
        Some(_) => Access::Variant,
    };
    Some(Ecosystem { vendor: Vendor::Ubuntu, os: os("ubuntu", version), access })
}

/// `enterprise_linux:9::appstream`: the fields of a CPE behind the vendor.
fn red_hat(rest: &str) -> Option<OsRelease> {
    let mut fields = rest.split(':');
    let (product, version) = (fields.next()?, fields.next()?);
    red_hat::of_cpe(product, version, fields.nth(1).unwrap_or_default())
}

/// Digits, and dots between them.
fn number(text: &str) -> Option<&str> {
    /// `2018.03` is the longest.
    const CHARS_MAX: usize = 8;
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    (text.len() <= CHARS_MAX && text.split('.').all(is_number)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::{Access, of};

    #[test]
    fn every_distribution_has_its_own_way_to_name_a_release() {
        for (ecosystem, wanted) in [
            ("Ubuntu:22.04:LTS", "ubuntu:22.04"),
            ("Ubuntu:23.10", "ubuntu:23.10"),
            ("Ubuntu:Pro:18.04:LTS", "ubuntu:18.04"),
            ("Ubuntu:Pro:FIPS-updates:20.04:LTS", "ubuntu:20.04"),
            ("Debian:11", "debian:11"),
            ("AlmaLinux:9", "almalinux:9"),
            ("Rocky Linux:8", "rocky:8"),
            ("Alpine:v3.16", "alpine:3.16"),
            ("Wolfi", "wolfi:"),
            ("Azure Linux:3", "azurelinux:3.0"),
            ("Red Hat:enterprise_linux:9::appstream", "rhel:9"),
            ("Red Hat:enterprise_linux:10.1", "rhel:10"),
            ("Red Hat:rhel_aus:8.6::appstream", "rhel:8.6"),
            ("Red Hat:openshift:4.12::el8", "rhel:8"),
            ("SUSE:Linux Enterprise Server 15 SP5", "sles:15.5"),
            ("SUSE:Linux Enterprise Server 12 SP5-LTSS", "sles:12.5"),
            ("SUSE:Linux Enterprise Server 15-LTSS", "sles:15"),
            ("SUSE:Linux Enterprise Module for Python 3 15 SP4", "sles:15.4"),
            ("SUSE:Linux Enterprise Server for SAP Applications 15 SP4", "sles_sap:15.4"),
            ("SUSE:Linux Enterprise Desktop 15 SP5", "sled:15.5"),
            ("SUSE:Linux Enterprise Micro 5.3", "sle-micro:5.3"),
            ("SUSE:Linux Enterprise Micro 5.2", "suse-microos:5.2"),
            ("openSUSE:Leap Micro 5.2", "leap-micro:5.2"),
            ("SUSE:Package Hub 15 SP5", "sles:15.5"),
            ("openSUSE:Leap 15.2", "opensuse-leap:15.2"),
            ("openSUSE:Tumbleweed", "opensuse-tumbleweed:"),
        ] {
            let found = of(ecosystem).map(|found| found.os.key());
            assert_eq!(found.as_deref(), Some(wanted), "{ecosystem}");
        }
    }

    #[test]
    fn what_names_no_release_is_none() {
        for ecosystem in [
            "",
            "npm",
            "PyPI",
            "Debian",
            "Debian:sid",
            "Ubuntu",
            "Ubuntu:Pro",
            "Alpine:edge",
            "Red Hat:openshift:4.12",
            "SUSE:Manager Server 4.3",
            "openSUSE:Backports SLE-15 SP5",
            "Android",
        ] {
            assert_eq!(of(ecosystem), None, "{ecosystem}");
        }
    }

    #[test]
    fn subscriptions_are_told_apart() {
        let access = |ecosystem| of(ecosystem).map(|found| found.access);
        assert_eq!(access("Ubuntu:22.04:LTS"), Some(Access::Free));
        assert_eq!(access("Ubuntu:Pro:22.04:LTS"), Some(Access::Pro));
        assert_eq!(access("Ubuntu:Pro:FIPS:22.04:LTS"), Some(Access::Variant));
        assert_eq!(access("Ubuntu:Pro:22.04:LTS:Realtime:Kernel"), Some(Access::Variant));
    }
}
