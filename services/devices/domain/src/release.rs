//! The release that advisories speak of, by what a device says of itself in `os-release(5)`.

use contracts::OsRelease;

/// Enterprise Linux and its rebuilds follow the newest minor release: advisories are for the major one. Those for a minor
/// one alone (Red Hat's extended support) apply nowhere: which devices follow it, `os-release` does not say.
const BY_MAJOR: [&str; 5] = ["rhel", "centos", "almalinux", "rocky", "ol"];
/// They roll: what they give as a version is a day, and advisories give none.
const ROLLING: [&str; 2] = ["wolfi", "opensuse-tumbleweed"];
/// Alpine's branch that has no number; its `VERSION_ID` is the next one with `_alpha` and a day.
const EDGE: &str = "edge";

/// The release of a device in the words of advisories: `almalinux:9` of `9.4`, `alpine:3.18` of `3.18.4`.
pub fn advised(os: &OsRelease) -> OsRelease {
    let id = os.id.as_str();
    let version = if BY_MAJOR.contains(&id) {
        os.version.split('.').next().unwrap_or_default()
    } else if ROLLING.contains(&id) {
        ""
    } else if id == "alpine" {
        if os.version.contains("_alpha") { EDGE } else { two_numbers(&os.version) }
    } else {
        &os.version
    };
    OsRelease { id: os.id.clone(), version: version.to_owned() }
}

fn two_numbers(version: &str) -> &str {
    version.match_indices('.').nth(1).and_then(|(at, _)| version.get(..at)).unwrap_or(version)
}

#[cfg(test)]
mod tests {
    use super::advised;
    use contracts::OsRelease;

    #[test]
    fn a_device_finds_the_advisories_of_its_release() {
        for (id, version, wanted) in [
            ("debian", "12", "debian:12"),
            ("ubuntu", "22.04", "ubuntu:22.04"),
            ("rhel", "9.4", "rhel:9"),
            ("almalinux", "8.10", "almalinux:8"),
            ("rocky", "9.3", "rocky:9"),
            ("ol", "9.4", "ol:9"),
            ("centos", "7", "centos:7"),
            ("fedora", "43", "fedora:43"),
            ("amzn", "2023", "amzn:2023"),
            ("opensuse-leap", "15.6", "opensuse-leap:15.6"),
            ("sles", "15.4", "sles:15.4"),
            ("alpine", "3.18.4", "alpine:3.18"),
            ("alpine", "3.21", "alpine:3.21"),
            ("alpine", "3.22.0_alpha20250108", "alpine:edge"),
            ("wolfi", "20230201", "wolfi:"),
            ("opensuse-tumbleweed", "20240510", "opensuse-tumbleweed:"),
            ("windows", "Windows 11 Version 22H2", "windows:Windows 11 Version 22H2"),
        ] {
            let os = OsRelease { id: id.to_owned(), version: version.to_owned() };
            assert_eq!(advised(&os).key(), wanted);
        }
    }
}
