//! RPM packages as CSAF documents name them: by package URL, or by a product's name.

use crate::text::is_plain;

/// Processor architectures that RPM knows: by them a name is told from other words with dots.
const ARCHITECTURES: &[&str] = &[
    "aarch64",
    "armv6hl",
    "armv7hl",
    "athlon",
    "i386",
    "i486",
    "i586",
    "i686",
    "ia64",
    "loongarch64",
    "noarch",
    "nosrc",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv64",
    "s390",
    "s390x",
    "src",
    "x86_64",
    "x86_64_v2",
];

/// A package in one version for one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) name: String,
    /// With its epoch where that is not 0: `15:6.2.0-50.el8`.
    pub(super) version: String,
    pub(super) architecture: String,
    /// `virt:rhel`
    pub(super) module: Option<String>,
}

impl Package {
    /// Sources are never installed.
    pub(super) fn is_source(&self) -> bool {
        self.architecture == "src" || self.architecture == "nosrc"
    }
}

/// The package of `pkg:rpm/redhat/sudo@1.9.5p2-7.el9?arch=aarch64&epoch=1&rpmmod=virt:rhel:8100`.
pub(super) fn from_purl(purl: &str) -> Option<Package> {
    let (path, qualifiers) = parts(purl, "pkg:rpm/")?;
    let (name, version) = path.rsplit_once('@')?;
    let name = decoded(name.rsplit('/').next()?)?;
    let version = decoded(version)?;
    let (mut epoch, mut architecture, mut module) = (String::new(), String::new(), None);
    for (key, value) in qualifiers.split('&').filter_map(|pair| pair.split_once('=')) {
        match key {
            "epoch" => epoch = decoded(value)?,
            "arch" => architecture = decoded(value)?,
            "rpmmod" => module = stream(&decoded(value)?),
            _ => {}
        }
    }
    checked(Package { name, version: with_epoch(&epoch, &version)?, architecture, module })
}

/// The module of `pkg:rpmmod/redhat/virt@rhel:8100020240704072441:489197e6`.
pub(super) fn module_from_purl(purl: &str) -> Option<String> {
    let (path, _) = parts(purl, "pkg:rpmmod/")?;
    let (name, version) = path.rsplit_once('@')?;
    stream(&format!("{}:{}", decoded(name.rsplit('/').next()?)?, decoded(version)?))
}

/// `virt:rhel` of `virt:rhel:8100020240704072441:489197e6`.
pub(super) fn stream(module: &str) -> Option<String> {
    let mut parts = module.split(':');
    let (name, stream) = (parts.next()?, parts.next()?);
    let module = format!("{name}:{stream}");
    (!name.is_empty() && !stream.is_empty() && is_plain(&module)).then_some(module)
}

/// The package of `sudo-0:1.9.5p2-7.el9_0.4.aarch64`, with or without epoch or `.rpm`.
pub(super) fn from_name(name: &str) -> Option<Package> {
    let name = name.trim();
    let name = name.strip_suffix(".rpm").unwrap_or(name);
    let (rest, architecture) = name.rsplit_once('.')?;
    if !ARCHITECTURES.contains(&architecture) {
        return None;
    }
    let (rest, release) = rest.rsplit_once('-')?;
    let (name, version) = rest.rsplit_once('-')?;
    let (epoch, version) = version.split_once(':').unwrap_or(("", version));
    checked(Package {
        name: name.to_owned(),
        version: with_epoch(epoch, &format!("{version}-{release}"))?,
        architecture: architecture.to_owned(),
        module: None,
    })
}

/// The path behind the type of a package URL, and its qualifiers.
fn parts<'a>(purl: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    let purl = purl.trim();
    let (start, rest) = purl.split_at_checked(prefix.len())?;
    if !start.eq_ignore_ascii_case(prefix) {
        return None;
    }
    let rest = rest.split('#').next()?;
    Some(rest.split_once('?').unwrap_or((rest, "")))
}

fn with_epoch(epoch: &str, version: &str) -> Option<String> {
    let (epoch, version) = version.split_once(':').unwrap_or((epoch, version));
    if !epoch.bytes().all(|byte| byte.is_ascii_digit()) || version.is_empty() {
        return None;
    }
    let epoch = epoch.trim_start_matches('0');
    Some(if epoch.is_empty() { version.to_owned() } else { format!("{epoch}:{version}") })
}

fn checked(package: Package) -> Option<Package> {
    let is_word = |text: &str| is_plain(text) && !text.contains(char::is_whitespace);
    let is_good = is_word(&package.name)
        && is_word(&package.version)
        && (package.architecture.is_empty() || ARCHITECTURES.contains(&package.architecture.as_str()));
    is_good.then_some(package)
}

/// `%2B` is `+`.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        plain.push(if byte == b'%' {
            let (high, low) = (hex(bytes.next()?)?, hex(bytes.next()?)?);
            high << 4 | low
        } else {
            byte
        });
    }
    String::from_utf8(plain).ok()
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::{Package, from_name, from_purl, module_from_purl};

    fn package(name: &str, version: &str, architecture: &str, module: Option<&str>) -> Package {
        let text = str::to_owned;
        Package {
            name: text(name),
            version: text(version),
            architecture: text(architecture),
            module: module.map(text),
        }
    }

    #[test]
    fn a_package_url_names_package_version_architecture_and_module() {
        for (purl, wanted) in [
            (
                "pkg:rpm/redhat/lamp@1.0-2.el9?arch=x86_64&epoch=0",
                package("lamp", "1.0-2.el9", "x86_64", None),
            ),
            (
                "pkg:rpm/redhat/lamp@1.0-2.module%2Bel8?arch=noarch&epoch=15&rpmmod=light:rhel:81000:ab",
                package("lamp", "15:1.0-2.module+el8", "noarch", Some("light:rhel")),
            ),
            ("pkg:rpm/suse/lamp@1.0-2?arch=src", package("lamp", "1.0-2", "src", None)),
            ("pkg:rpm/lamp@3:1.0-2", package("lamp", "3:1.0-2", "", None)),
        ] {
            assert_eq!(from_purl(purl), Some(wanted), "{purl}");
        }
        for purl in [
            "",
            "pkg:rpm/redhat/lamp",
            "pkg:oci/lamp@sha256:00?arch=amd64",
            "pkg:rpm/redhat/lamp@1.0-2?arch=warp",
            "pkg:rpm/redhat/lamp@1.0%2",
            "pkg:rpm/redhat/lamp@1%000-2",
            "pkg:rpm/redhat/lamp@1.0-2?epoch=x",
            "pkg:rpm/redhat/@1.0",
            "pkg:rpm",
            "pkg:rpé/",
        ] {
            assert_eq!(from_purl(purl), None, "{purl}");
        }
        assert_eq!(module_from_purl("pkg:rpmmod/redhat/light@rhel:81000:ab").as_deref(), Some("light:rhel"));
    }

    #[test]
    fn a_name_is_read_from_its_end() {
        for (name, wanted) in [
            ("lamp-oil-0:1.0-2.el9_0.4.aarch64", package("lamp-oil", "1.0-2.el9_0.4", "aarch64", None)),
            ("lamp-oil-1:1.0-2.x86_64.rpm", package("lamp-oil", "1:1.0-2", "x86_64", None)),
            ("lamp-51.0-85.3.noarch", package("lamp", "51.0-85.3", "noarch", None)),
        ] {
            assert_eq!(from_name(name), Some(wanted), "{name}");
        }
        for name in ["", "lamp", "lamp-1.0-2", "lamp/oil@sha256:00_amd64", "lamp-1.0.x86_64", "-1-2.noarch"] {
            assert_eq!(from_name(name), None, "{name}");
        }
    }
}
