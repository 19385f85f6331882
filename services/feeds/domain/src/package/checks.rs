//! What is said of a package, looked at before it is believed.

use super::refusal::PackageRefusal;
use super::version::compare;
use contracts::packages::{AnnouncedFile, PackageContents, PackageDownload, PackageFacts, PackageType};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// Characters of a name, a version, a reason.
pub(super) const TEXT_CHARS_MAX: usize = 200;
/// Characters of a web address.
const ADDRESS_CHARS_MAX: usize = 2_000;
/// Products that must be there first: real packages name one or two.
const PREREQUISITES_MAX: usize = 20;
/// Files of a package: real ones have a handful.
pub const FILES_MAX: usize = 50;
/// Characters of a file's name: what every file system can hold.
pub const FILE_NAME_CHARS_MAX: usize = 200;
/// Bytes of a package: several times the largest known one.
pub const PACKAGE_BYTES_MAX: u64 = 100 * 1024 * 1024 * 1024;
/// What vendors put beside a package for people to read.
const SUPPLEMENTAL_NOTICE: &str = "supplemental notice.txt";

/// Refuses what cannot be shown, reached or prepared.
pub(super) fn facts(package: &PackageFacts, plain_http: bool) -> Result<(), PackageRefusal> {
    for (field, text) in [
        ("vendor", Some(&package.vendor)),
        ("product", Some(&package.product)),
        ("name", Some(&package.name)),
        ("version", Some(&package.version)),
        ("KB id", package.kb_id.as_ref()),
        ("base version", package.base_version.as_ref()),
    ] {
        if text.is_some_and(|text| !is_text(text)) {
            return Err(PackageRefusal::InvalidText { field });
        }
    }
    let mut prerequisites = package.prerequisites.iter();
    if package.prerequisites.len() > PREREQUISITES_MAX
        || !prerequisites.all(|one| is_text(&one.product) && is_text(&one.version))
    {
        return Err(PackageRefusal::InvalidText { field: "list of prerequisites" });
    }
    for (field, url) in
        [("release notes", &package.release_notes_url), ("vendor contact", &package.vendor_contact_url)]
    {
        if let Some(url) = url.as_ref().filter(|url| !is_address(url)) {
            return Err(PackageRefusal::InvalidAddress { field, url: url.clone() });
        }
    }
    downloads(&package.downloads, plain_http)?;
    match package.package_type {
        PackageType::Hotfix if package.base_version.is_none() => Err(PackageRefusal::HotfixWithoutBase),
        PackageType::Software | PackageType::Hotfix | PackageType::Oem => Ok(()),
    }
}

fn downloads(downloads: &[PackageDownload], plain_http: bool) -> Result<(), PackageRefusal> {
    if downloads.len() > FILES_MAX {
        return Err(PackageRefusal::InvalidSize);
    }
    names(downloads.iter().map(|download| download.name.as_str()))?;
    for download in downloads {
        if !is_address(&download.url) {
            return Err(PackageRefusal::InvalidAddress { field: "download", url: download.url.clone() });
        }
        if !plain_http && !download.url.starts_with("https://") {
            return Err(PackageRefusal::InsecureDownload { url: download.url.clone() });
        }
        checksum(download.sha256.as_ref())?;
    }
    Ok(())
}

/// Refuses a list of files that must not or cannot be imported.
pub(super) fn announced(files: &[AnnouncedFile]) -> Result<(), PackageRefusal> {
    names(files.iter().map(|file| file.name.as_str()))?;
    let bytes = files.iter().try_fold(0_u64, |sum, file| sum.checked_add(file.size_bytes));
    let fits = bytes.is_some_and(|bytes| bytes <= PACKAGE_BYTES_MAX);
    if !(1..=FILES_MAX).contains(&files.len()) || !fits || files.iter().any(|file| file.size_bytes == 0) {
        return Err(PackageRefusal::InvalidSize);
    }
    files.iter().try_for_each(|file| checksum(file.sha256.as_ref()))
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), PackageRefusal> {
    let mut seen = BTreeSet::new();
    for name in names {
        // Not every storage tells large letters from small ones.
        let folded = name.to_lowercase();
        if folded.trim() == SUPPLEMENTAL_NOTICE {
            return Err(PackageRefusal::SupplementalNotice { name: name.to_owned() });
        }
        if !is_file_name(name) || !seen.insert(folded) {
            let name = name.chars().take(FILE_NAME_CHARS_MAX).collect();
            return Err(PackageRefusal::InvalidFileName { name });
        }
    }
    Ok(())
}

/// A closed set of characters: what is left cannot be a path, a drive, a stream or a wildcard on any system.
fn is_file_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || " .-_()+".contains(c);
    (1..=FILE_NAME_CHARS_MAX).contains(&name.len())
        && name.chars().all(fits)
        && !name.starts_with(['.', ' '])
        && !name.ends_with(['.', ' '])
}

fn checksum(sha256: Option<&String>) -> Result<(), PackageRefusal> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    match sha256 {
        Some(sha256) if sha256.len() != 64 || !sha256.bytes().all(is_digit) => {
            let sha256 = sha256.chars().take(TEXT_CHARS_MAX).collect();
            Err(PackageRefusal::InvalidChecksum { sha256 })
        }
        Some(_) | None => Ok(()),
    }
}

/// Why files that could be read are not those of the package: a code and a reason.
pub(super) fn difference(
    package: &PackageFacts,
    contents: &PackageContents,
) -> Option<(&'static str, String)> {
    let metadata = &contents.metadata;
    if !is_same(&metadata.publisher, &package.vendor) {
        let reason = format!(
            "the package is of {:?}, and its metadata names {:?}",
            package.vendor, metadata.publisher
        );
        return Some(("feeds.package_vendor_differs", reason));
    }
    if let Some(version) = metadata.version.as_ref().filter(|version| **version != package.version) {
        let reason =
            format!("the package is version {:?}, and its metadata says {version:?}", package.version);
        return Some(("feeds.package_version_differs", reason));
    }
    // Between an update and a hotfix a name alone often decides; a manufacturer's package that is not called one would go
    // round its certification.
    if metadata.package_type == Some(PackageType::Oem) && package.package_type != PackageType::Oem {
        let reason =
            "its metadata says that it is a manufacturer's package, which is submitted for certification";
        return Some(("feeds.package_type_differs", reason.to_owned()));
    }
    let found = |name: &str| contents.files.iter().find(|file| file.name == name);
    let wrong = package.downloads.iter().find(|download| {
        let stored = found(&download.name).map(|file| &file.sha256);
        stored.zip(download.sha256.as_ref()).is_some_and(|(stored, told)| stored != told)
    });
    wrong.map(|download| {
        ("feeds.package_checksum_differs", format!("{:?} is not what its publisher offers", download.name))
    })
}

/// Whether `older` is of no use any more when `newer` is ready.
pub fn supersedes(newer: &PackageFacts, older: &PackageFacts) -> bool {
    let replaces = match (newer.package_type, older.package_type) {
        (PackageType::Software, PackageType::Software | PackageType::Hotfix)
        | (PackageType::Oem, PackageType::Oem) => true,
        // A hotfix of another version is still the right one for those who have that version.
        (PackageType::Hotfix, PackageType::Hotfix) => newer.base_version == older.base_version,
        (PackageType::Hotfix | PackageType::Oem, PackageType::Software)
        | (PackageType::Software | PackageType::Hotfix, PackageType::Oem)
        | (PackageType::Oem, PackageType::Hotfix) => false,
    };
    replaces
        && is_same(&newer.vendor, &older.vendor)
        && is_same(&newer.product, &older.product)
        && compare(&newer.version, &older.version) == Ordering::Greater
}

/// Vendors write their own name now so, now so.
pub(super) fn is_same(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}

/// Something that can be shown.
pub(super) fn is_text(text: &str) -> bool {
    (1..=TEXT_CHARS_MAX).contains(&text.trim().chars().count()) && !text.chars().any(char::is_control)
}

fn is_address(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let names_server = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    names_server
        && url.len() <= ADDRESS_CHARS_MAX
        && !url.chars().any(|c| c.is_control() || c.is_whitespace())
}
