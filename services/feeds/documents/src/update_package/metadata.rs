//! `Metadata.xml` of an update package.
//!
//! ```text
//! <UpdatePackageManifest>
//!   <UpdateInfo>
//!     <UpdateName>AzS Update - 1.2102.31.152</UpdateName>  <Publisher>Microsoft</Publisher>
//!     <Version>1.2102.31.152</Version>                     <MinVersionRequired>1.2008.0.0</MinVersionRequired>
//!     <PackageSizeInMb>18432</PackageSizeInMb>             <KBLink>https://…</KBLink>
//!     <PackageHash>…SHA-256…</PackageHash>
//!   </UpdateInfo>
//! </UpdatePackageManifest>
//! ```
//! Microsoft publishes no schema. The names are those that public tools read: `Find-AzSAvailableUpdate` of
//! `comnam90/bcthomas.com-scripts` (`UpdatePackageManifest.UpdateInfo` with `UpdateName`, `Description`, `Version`,
//! `PackageSizeInMB`, `MinVersionRequired`, `KBLink`), scripts that compare every zip file of an update with the
//! `PackageHash` of all its `UpdateInfo`, Azure Local's validators (`oemMetadata.xml` of the same shape;
//! `ASZSolutionBundleUpdates` with `ApplicableUpdate`, `BillOfMaterials` and `BomItem`), and the fields of the update
//! resource provider. These tools do not tell elements from attributes nor upper from lower case, so neither does this.

use crate::DocumentError;
use crate::head::Head;
use crate::input::Input;
use crate::text::{clipped, is_plain, web_address};
use crate::xml::{Node, Tree, Xml};
use std::io::Read;

/// Real ones have some kilobytes.
const METADATA_BYTES_MAX: u64 = 4 << 20;
/// Components of an update: real bills of materials list some ten.
const COMPONENTS_MAX: usize = 1_000;
/// Roots that such documents have.
const ROOTS: &[&str] = &["UpdatePackageManifest", "ASZSolutionBundleUpdates"];

/// What a package says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageMetadata {
    /// `Microsoft`, or the hardware partner.
    pub publisher: String,
    /// `AzS Hotfix - 1.1906.11.52`
    pub name: String,
    /// `1.1906.11.52`
    pub version: Option<String>,
    /// A sentence.
    pub description: Option<String>,
    /// What must be there first.
    pub requirements: Vec<Requirement>,
    /// What has to be carried, in bytes.
    pub size_bytes: Option<u64>,
    /// Where a person finds support.
    pub support_url: Option<String>,
    /// The version's release notes, where they are elsewhere.
    pub release_notes_url: Option<String>,
    /// `KB4515650`
    pub kb_id: Option<String>,
    /// What it is, where the metadata lets nobody guess.
    pub package_type: Option<PackageType>,
    /// SHA-256 of every payload, lowercase hex, sorted; empty where the metadata has none.
    pub payload_sha256: Vec<String>,
    /// What it is made of: service updates, updates of the operating system, and so on.
    pub components: Vec<Component>,
}

/// The three kinds of packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageType {
    /// A software update.
    Software,
    /// A hotfix.
    Hotfix,
    /// A hardware partner's drivers and firmware.
    Oem,
}

/// A version that must be there first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirement {
    /// At least this version of the platform.
    Platform(String),
    /// At least this version of the hardware partner's package.
    Oem(String),
    /// Another package, by its name.
    Package(String),
}

/// A part of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// `PlatformUpdate`
    pub name: String,
    /// Version after the update.
    pub version: Option<String>,
}

/// Reads `Metadata.xml`.
pub fn read_metadata(source: impl Read) -> Result<PackageMetadata, DocumentError> {
    let source = source.take(METADATA_BYTES_MAX + 1);
    let (head, input) = Input::open(Box::new(source), METADATA_BYTES_MAX)?;
    let head = Head::new(&head);
    let is_it = |root: &str| ROOTS.iter().any(|known| known.eq_ignore_ascii_case(root));
    if !head.root().is_some_and(|(root, _)| is_it(root)) {
        return Err(DocumentError::UnknownFormat { looks_like: head.looks_like() });
    }
    // Before the parser would take the rest for truncated.
    let text = input.read_whole(METADATA_BYTES_MAX)?;
    let (_, input) = Input::open(Box::new(text.as_bytes()), METADATA_BYTES_MAX)?;
    let mut xml = Xml::new(input);
    let Some(Node::Open(root)) = xml.next()? else {
        return Err(DocumentError::malformed("it has no root element"));
    };
    let root = xml.tree(root)?;
    if xml.next()?.is_some() {
        return Err(DocumentError::malformed("it goes on behind its root element"));
    }
    let updates = all_named(&root, "UpdateInfo");
    let Some(update) = updates.first() else {
        return Err(DocumentError::malformed("it describes no update"));
    };
    let required = |names: &[&str], what: &str| {
        value(update, names)
            .ok_or_else(|| DocumentError::malformed(format!("it names no {what}")))
            .map(|value| clipped(&value))
    };
    let name = required(&["UpdateName", "Name", "PackageName"], "update")?;
    let publisher =
        required(&["Publisher", "PublisherName", "Vendor", "OemName", "Manufacturer"], "publisher")?;
    let kb_link = address(update, &["KBLink", "KBUrl"]);
    let kb = value(update, &["KBId", "KBArticle", "KBNumber", "KB"]);
    let kb_id = kb.iter().chain(&kb_link).find_map(|text| kb_id(text));
    Ok(PackageMetadata {
        requirements: requirements(update),
        size_bytes: size(&updates),
        support_url: address(update, &["SupportUrl", "SupportPathUrl", "SupportPath", "SupportLink"])
            .or(kb_link),
        release_notes_url: address(update, &["ReleaseLink", "ReleaseNotesUrl", "ReleaseNotes"]),
        kb_id,
        package_type: package_type(update, &name),
        payload_sha256: digests(&updates)?,
        components: components(&root)?,
        version: value(update, &["Version", "UpdateVersion"]).map(|version| clipped(&version)),
        description: value(update, &["Description"]).map(|text| clipped(&text)),
        publisher,
        name,
    })
}

/// Elements of the name, wherever they are.
fn all_named<'a>(root: &'a Tree, name: &str) -> Vec<&'a Tree> {
    let mut found = Vec::new();
    root.walk(&mut |element| {
        if element.name().eq_ignore_ascii_case(name) {
            found.push(element);
        }
    });
    found
}

/// All values of the names: of elements inside, or of attributes.
fn values(element: &Tree, names: &[&str]) -> Vec<String> {
    let is_it = |name: &str| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    let inside = element.children.iter().filter(|child| is_it(child.name())).map(|child| child.text.trim());
    let attributes =
        element.element.attributes().filter(|(name, _)| is_it(name)).map(|(_, value)| value.trim());
    inside.chain(attributes).filter(|value| !value.is_empty()).map(str::to_owned).collect()
}

/// The value of the first of the names that has one.
fn value(element: &Tree, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| values(element, &[name]).into_iter().next())
}

fn address(element: &Tree, names: &[&str]) -> Option<String> {
    value(element, names).filter(|url| web_address(url).is_some())
}

fn requirements(update: &Tree) -> Vec<Requirement> {
    let plain = |names: &[&str]| values(update, names).into_iter().filter(|value| is_plain(value));
    let platform = plain(&["MinVersionRequired", "MinimumVersionRequired"]).map(Requirement::Platform);
    let oem = plain(&["MinOemVersionRequired", "MinimumOemVersionRequired"]).map(Requirement::Oem);
    let packages = plain(&["Prerequisite", "PrerequisitePackage"]).map(Requirement::Package);
    let lists = update.children.iter().filter(|child| child.name().eq_ignore_ascii_case("Prerequisites"));
    let listed = lists.flat_map(|list| {
        list.children.iter().filter_map(|item| {
            let name = value(item, &["PackageName", "UpdateName", "Name", "Version"]);
            name.or_else(|| Some(item.text.trim().to_owned())).filter(|name| is_plain(name))
        })
    });
    let mut all: Vec<Requirement> = platform.chain(oem).chain(packages).collect();
    all.extend(listed.map(Requirement::Package));
    all
}

/// Of all parts together.
fn size(updates: &[&Tree]) -> Option<u64> {
    const MEGABYTE: f64 = 1_048_576.0;
    let mut all: u64 = 0;
    for update in updates {
        let bytes = value(update, &["PackageSizeInBytes", "SizeInBytes"]).and_then(|size| size.parse().ok());
        let bytes = bytes.or_else(|| {
            let size: f64 = value(update, &["PackageSizeInMb", "SizeInMb"])?.parse().ok()?;
            let size = Some(size).filter(|size| (0.0..1e9).contains(size))?;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is below 10^15")]
            let bytes = (size * MEGABYTE).round() as u64;
            Some(bytes)
        });
        all = all.saturating_add(bytes.unwrap_or_default());
    }
    (all > 0).then_some(all)
}

/// `KB4515650` of `4515650`, `KB 4515650` or `https://support.microsoft.com/help/4515650/…`.
fn kb_id(text: &str) -> Option<String> {
    /// Numbers of articles have six or seven digits.
    const DIGITS: std::ops::RangeInclusive<usize> = 6..=8;
    let mut numbers = text.split(|character: char| !character.is_ascii_digit());
    numbers.find(|number| DIGITS.contains(&number.len())).map(|number| format!("KB{number}"))
}

fn package_type(update: &Tree, name: &str) -> Option<PackageType> {
    let word = value(update, &["PackageType", "UpdateType"]).unwrap_or_default().to_ascii_lowercase();
    let name = name.to_ascii_lowercase();
    let is = |wanted: &str| word.contains(wanted) || word.is_empty() && name.contains(wanted);
    if is("oem") || is("partner") || word == "sbe" {
        Some(PackageType::Oem)
    } else if is("hotfix") || name.contains("hotfix") {
        Some(PackageType::Hotfix)
    } else if !word.is_empty() || name.contains("update") {
        Some(PackageType::Software)
    } else {
        None
    }
}

fn digests(updates: &[&Tree]) -> Result<Vec<String>, DocumentError> {
    let mut digests = Vec::new();
    for digest in updates.iter().flat_map(|update| values(update, &["PackageHash"])) {
        let digest = digest.to_ascii_lowercase();
        if !super::is_sha256(&digest) {
            return Err(DocumentError::malformed(format!("{digest:?} is no SHA-256")));
        }
        digests.push(digest);
    }
    digests.sort();
    digests.dedup();
    Ok(digests)
}

fn components(root: &Tree) -> Result<Vec<Component>, DocumentError> {
    let items = ["BomItem", "Component"].into_iter().flat_map(|name| all_named(root, name));
    let mut components = Vec::new();
    for item in items {
        let Some(name) = value(item, &["Id", "Name"]).filter(|name| is_plain(name)) else { continue };
        if components.len() >= COMPONENTS_MAX {
            return Err(DocumentError::TooManyRecords { limit: COMPONENTS_MAX });
        }
        let version = value(item, &["Version"]).filter(|version| is_plain(version));
        components.push(Component { name, version });
    }
    Ok(components)
}
