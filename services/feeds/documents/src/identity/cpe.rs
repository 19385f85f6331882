//! Releases as Linux distributors name them in advisories: by CPE, or by the product's name.

use super::os;
use contracts::OsRelease;

/// Products whose version is the minor release that they are for: a fix for `rhel_eus:9.0` is none for 9.2.
const RHEL_MINORS: &[&str] = &[
    "rhel_eus",
    "rhel_aus",
    "rhel_tus",
    "rhel_e4s",
    "rhel_els",
    "rhel_eus_long_life",
    "rhel_mission_critical",
    "rhel_extras",
];

/// The release that a CPE (`cpe:/a:redhat:enterprise_linux:9::appstream`, or its form 2.3) stands for, or on which the
/// product that it stands for is installed.
pub fn release(cpe: &str) -> Option<OsRelease> {
    let fields = cpe.trim().strip_prefix("cpe:/").or_else(|| cpe.trim().strip_prefix("cpe:2.3:"))?;
    let fields: Vec<String> = fields.split(':').map(plain).collect();
    let field = |at: usize| fields.get(at).map(String::as_str).unwrap_or_default();
    let (vendor, product, version, update, edition) = (field(1), field(2), field(3), field(4), field(5));
    match vendor {
        "redhat" => red_hat(product, version, edition),
        "suse" => suse(product, version, update),
        "opensuse" => match product {
            "leap" => is_version(version).then(|| os("opensuse-leap", version)),
            "opensuse" => is_version(version).then(|| os("opensuse", version)),
            "tumbleweed" => Some(os("opensuse-tumbleweed", "")),
            "leap_micro" | "leap-micro" => is_version(version).then(|| os("leap-micro", version)),
            _ => None,
        },
        "oracle" if ["linux", "oracle_linux"].contains(&product) => major(version).map(|v| os("ol", v)),
        "centos" if product == "centos" => major(version).map(|v| os("centos", v)),
        "almalinux" | "alma" => major(version).map(|v| os("almalinux", v)),
        "rocky" | "rockylinux" | "resf" => major(version).map(|v| os("rocky", v)),
        "fedoraproject" if product == "fedora" => major(version).map(|v| os("fedora", v)),
        "amazon" if product.starts_with("linux") || product.starts_with("amazon_linux") => {
            is_version(version).then(|| os("amzn", version))
        }
        _ => None,
    }
}

/// The release that a SUSE product's name stands for, where a document gives no CPE.
pub fn release_by_name(name: &str) -> Option<OsRelease> {
    let words: Vec<&str> = name.split_whitespace().collect();
    let after = |at: usize| words.get(at).copied().unwrap_or_default();
    match (after(0), after(1)) {
        ("openSUSE", "Tumbleweed") => return Some(os("opensuse-tumbleweed", "")),
        ("openSUSE", "Leap") if is_version(after(2)) => return Some(os("opensuse-leap", after(2))),
        ("openSUSE", version) if is_version(version) => return Some(os("opensuse", version)),
        ("SUSE", "Linux" | "Package") => {}
        _ => return None,
    }
    // `SUSE Linux Enterprise Module for Basesystem 15 SP5`, `SUSE Linux Enterprise Server 12 SP5-LTSS`
    // The last of them: `… Module for Python 3 15 SP5`.
    let at = words.iter().rposition(|word| major_word(word))?;
    let version = after(at).split('-').next().unwrap_or_default();
    let update = after(at + 1).split('-').next().unwrap_or_default();
    let has = |wanted: &str| words.iter().any(|word| word.eq_ignore_ascii_case(wanted));
    let product = if has("Micro") {
        if has("Enterprise") { "sle-micro" } else { "sl-micro" }
    } else if has("Desktop") {
        "sled"
    } else if has("SAP") && has("Server") {
        "sles_sap"
    } else if has("Computing") || has("HPC") {
        "sle_hpc"
    } else {
        "sles"
    };
    suse(product, version, &update.to_ascii_lowercase())
}

/// A field of a CPE without what quotes characters in it: `el8\.4`, `%7e`, `*` and `-` for "any".
fn plain(field: &str) -> String {
    let field = field.replace('\\', "").to_ascii_lowercase();
    if field == "*" || field == "-" { String::new() } else { field }
}

fn red_hat(product: &str, version: &str, edition: &str) -> Option<OsRelease> {
    // Layered products say on what they are installed: `openshift:4.12::el8`.
    let on = edition.strip_prefix("el").and_then(|rest| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        rest.get(..digits).filter(|digits| !digits.is_empty())
    });
    if product == "enterprise_linux" || product.starts_with("enterprise_linux_") {
        return major(version).map(|version| os("rhel", version));
    }
    if RHEL_MINORS.contains(&product) {
        return is_version(version).then(|| os("rhel", version));
    }
    on.map(|version| os("rhel", version))
}

/// `sles:15:sp5` and whatever is installed on it: modules, extensions, live patches, Package Hub.
fn suse(product: &str, version: &str, update: &str) -> Option<OsRelease> {
    if !is_version(version) {
        return None;
    }
    let product = product.replace('_', "-");
    let id = match product.as_str() {
        "sled" | "suse-sled" => "sled",
        "sle-hpc" | "sle-hpc-ltss" | "sle-hpc-espos" => "sle_hpc",
        "sles-sap" => "sles_sap",
        "suse-microos" => "suse-microos",
        "sle-micro" if ["5.0", "5.1", "5.2"].contains(&version) => "suse-microos",
        "sle-micro" => "sle-micro",
        "sle-rt" => "sle_rt",
        "sl-micro" => "sl-micro",
        "packagehub" => "sles",
        // Live patching, the public cloud and the like have products of their own names.
        name if ["sles", "sle-", "suse-sles"].iter().any(|start| name.starts_with(start)) => "sles",
        _ => return None,
    };
    let service_pack = update.strip_prefix("sp").and_then(|rest| rest.split(['-', '_']).next());
    let version = match service_pack.filter(|pack| is_version(pack) && *pack != "0") {
        Some(pack) => format!("{version}.{pack}"),
        None => version.to_owned(),
    };
    Some(os(id, &version))
}

/// `9` of `9` and of `9.4`.
fn major(version: &str) -> Option<&str> {
    is_version(version).then(|| version.split('.').next().unwrap_or(version))
}

/// A number, or two with a dot.
fn is_version(text: &str) -> bool {
    /// `VERSION_ID` of a release: `15.5`, `2023`.
    const CHARS_MAX: usize = 8;
    let mut parts = text.split('.');
    let mut number =
        || parts.next().is_some_and(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    text.len() <= CHARS_MAX && number() && (!text.contains('.') || number()) && parts.next().is_none()
}

/// The word of a SUSE product's name that is its version: `15`, `12-LTSS`, `5.3`.
fn major_word(word: &str) -> bool {
    word.split('-').next().is_some_and(is_version)
}

#[cfg(test)]
mod tests {
    use super::{release, release_by_name};

    #[test]
    fn a_cpe_names_the_release_or_what_the_product_is_installed_on() {
        for (cpe, wanted) in [
            ("cpe:/a:redhat:enterprise_linux:9::appstream", "rhel:9"),
            ("cpe:/o:redhat:enterprise_linux:10.0", "rhel:10"),
            ("cpe:2.3:o:redhat:enterprise_linux:8:*:baseos:*:*:*:*:*", "rhel:8"),
            ("cpe:/o:redhat:rhel_eus:9.0::baseos", "rhel:9.0"),
            ("cpe:/o:redhat:rhel_els:7", "rhel:7"),
            ("cpe:/a:redhat:jboss_enterprise_application_platform:7.4::el8", "rhel:8"),
            ("cpe:/a:redhat:rhel_software_collections:3::el7", "rhel:7"),
            ("cpe:/o:suse:sles:15:sp5", "sles:15.5"),
            ("cpe:/o:suse:sles-ltss:12:sp5", "sles:12.5"),
            ("cpe:/o:suse:sle-module-basesystem:15:sp5", "sles:15.5"),
            ("cpe:/o:suse:suse_sles_ltss:11:sp4", "sles:11.4"),
            ("cpe:/o:suse:sles_sap:15:sp4", "sles_sap:15.4"),
            ("cpe:/o:suse:packagehub:12", "sles:12"),
            ("cpe:/o:suse:sle-micro:5.3", "sle-micro:5.3"),
            // Micro releases before it called themselves by another name.
            ("cpe:/o:suse:suse-microos:5.2", "suse-microos:5.2"),
            ("cpe:/o:suse:sle-micro:5.2", "suse-microos:5.2"),
            ("cpe:/o:opensuse:leap:15.2", "opensuse-leap:15.2"),
            ("cpe:/o:opensuse:tumbleweed", "opensuse-tumbleweed:"),
            ("cpe:/a:oracle:linux:8", "ol:8"),
        ] {
            assert_eq!(release(cpe).map(|os| os.key()).as_deref(), Some(wanted), "{cpe}");
        }
        for cpe in [
            "",
            "cpe:/",
            "cpe:/a:redhat:quarkus:2",
            "cpe:/o:redhat:enterprise_linux",
            "cpe:/o:suse:suse-manager-server:4.3",
            "cpe:/o:redhat:enterprise_linux:9.4.1",
            "cpe:/o:suse:sles:15-sp5",
        ] {
            assert_eq!(release(cpe), None, "{cpe}");
        }
    }

    #[test]
    fn names_stand_for_releases_as_well() {
        for (name, wanted) in [
            ("SUSE Linux Enterprise Server 12 SP5-LTSS", "sles:12.5"),
            ("SUSE Linux Enterprise Server 11 SP4", "sles:11.4"),
            ("SUSE Linux Enterprise Module for Basesystem 15 SP5", "sles:15.5"),
            ("SUSE Linux Enterprise Server for SAP Applications 15 SP4", "sles_sap:15.4"),
            ("SUSE Linux Enterprise Module for Python 3 15 SP4", "sles:15.4"),
            ("SUSE Linux Enterprise Desktop 15", "sled:15"),
            ("SUSE Linux Enterprise Micro 5.3", "sle-micro:5.3"),
            ("SUSE Package Hub 15 SP5", "sles:15.5"),
            ("openSUSE Leap 15.2", "opensuse-leap:15.2"),
            ("openSUSE 13.1", "opensuse:13.1"),
            ("openSUSE Tumbleweed", "opensuse-tumbleweed:"),
        ] {
            assert_eq!(release_by_name(name).map(|os| os.key()).as_deref(), Some(wanted), "{name}");
        }
        for name in ["", "SUSE Manager Server 4.3", "Image SLES15-SP5-BYOS", "Red Hat Enterprise Linux 9"] {
            assert_eq!(release_by_name(name), None, "{name}");
        }
    }
}
