//! Releases as Linux distributors name them by CPE.

use super::{os, red_hat};
use contracts::OsRelease;

/// The release that a CPE (`cpe:/a:redhat:enterprise_linux:9::appstream`, or its form 2.3) stands for, or on which the
/// product that it stands for is installed.
pub fn release(cpe: &str) -> Option<OsRelease> {
    let fields = cpe.trim().strip_prefix("cpe:/").or_else(|| cpe.trim().strip_prefix("cpe:2.3:"))?;
    let fields: Vec<String> = fields.split(':').map(plain).collect();
    let field = |at: usize| fields.get(at).map(String::as_str).unwrap_or_default();
    let (vendor, product, version, update, edition) = (field(1), field(2), field(3), field(4), field(5));
    match vendor {
        "redhat" => red_hat::of_cpe(product, version, edition),
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

/// A field of a CPE without what quotes characters in it: `el8\.4`, `%7e`, `*` and `-` for "any".
fn plain(field: &str) -> String {
    let field = field.replace('\\', "").to_ascii_lowercase();
    if field == "*" || field == "-" { String::new() } else { field }
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

#[cfg(test)]
mod tests {
    use super::release;

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
}
