//! The security database of Alpine and its relatives, as JSON or YAML: package, version, and what that version closed.
//!
//! Each version is one patch, with the name of its package file as its id: `apache2-2.4.35-r0`. The version `0` means that
//! the package never had the vulnerability, and is no patch.
//!
//! The database has no dates, and a patch must have one. It is the earliest day that the document allows: not before the
//! branch was released, and not before the year of the newest CVE that the patch closes. So it is the same each time,
//! never later than the truth, and in the right order of years. What allows no such day gets that of its arrival; either
//! way the patch says that it is not dated.

mod branch;
mod yaml;

use crate::contents::text_bytes;
use crate::head::{Head, Kind};
use crate::identity::{self, Vendor};
use crate::input::Input;
use crate::json::{Fields, Shape};
use crate::limits::{PATCH_CVES_MAX, PATCHES_MAX, RECORDS_MAX};
use crate::reading::Reading;
use crate::text::{clipped, is_cve, is_plain};
use crate::{DocumentError, dates, json};
use branch::Branch;
use chrono::NaiveDate;
use contracts::feeds::PatchFacts;
use contracts::{DevicePlatform, FixTarget, VersionOrder};
use kernel::FeedId;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of one package: the kernel's has some 100 KiB.
const RECORD_BYTES_MAX: u64 = 2 << 20;

/// Whether a document begins like the database.
pub(crate) fn is(head: &Head) -> bool {
    match head.kind {
        Kind::JsonObject => head.has(1, "packages") && head.has(3, "pkg") && head.has(4, "secfixes"),
        Kind::Text => yaml::is(head.text()),
        Kind::JsonArray | Kind::Xml | Kind::Binary => false,
    }
}

pub(crate) fn read(mut input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    reading.figures.lists(&["fixed_packages", "cves", "other_tokens"]);
    reading.figures.add("version_zero_entries", 0);
    input.progress.limit_records(RECORD_BYTES_MAX);
    let mut database = Database::new(reading);
    if is_json(&mut input)? {
        json::fields(input, &mut database)?;
    } else {
        yaml::read(input, &mut database)?;
    }
    database.finish()
}

fn is_json(input: &mut Input<'_>) -> Result<bool, DocumentError> {
    use std::io::BufRead;
    let start = input.fill_buf()?;
    Ok(start.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{'))
}

/// Versions of one package that closed something: real ones have up to a hundred.
const VERSIONS_MAX: usize = 10_000;

/// What is known of a database while it is read; its name may come last.
struct Database<'a> {
    reading: &'a mut Reading,
    /// `v3.16`
    version: Option<String>,
    /// `main`
    repository: Option<String>,
    /// Where the packages are.
    address: Option<String>,
    fixes: Vec<Fix>,
}

/// A package's version that closed something.
struct Fix {
    package: String,
    version: String,
    cves: Vec<String>,
    /// The newest year in the ids of what it closed.
    year: Option<i32>,
}

/// A package with what its versions closed.
struct Package {
    name: String,
    versions: Vec<Version>,
}

struct Version {
    text: String,
    /// As it is in figures.
    shown: String,
    /// CVE ids and others, sometimes several in one; some versions closed nothing that has a name.
    ids: Vec<String>,
    /// How many ids are something else than words.
    unreadable: usize,
}

impl<'a> Database<'a> {
    fn new(reading: &'a mut Reading) -> Self {
        Self { reading, version: None, repository: None, address: None, fixes: Vec::new() }
    }

    /// Takes in a package, or the reason why it cannot be read.
    fn package(&mut self, package: Result<Package, String>) -> Result<(), DocumentError> {
        let contents = &mut self.reading.contents;
        if contents.records >= RECORDS_MAX {
            return Err(DocumentError::TooManyRecords { limit: RECORDS_MAX });
        }
        contents.records += 1;
        match package {
            Ok(Package { name, versions }) => {
                for Version { text, shown, ids, unreadable } in versions {
                    if unreadable > 0 {
                        let contents = &mut self.reading.contents;
                        contents.quarantine(format!("{name} {text}: {unreadable} ids are no words"));
                    }
                    let tokens = || ids.iter().flat_map(|id| id.split_whitespace());
                    if self.reading.figures.on() {
                        self.count(&name, &shown, tokens());
                    }
                    self.fix(&name, text, tokens())?;
                }
            }
            Err(reason) => contents.quarantine(format!("package {}: {reason}", contents.records)),
        }
        Ok(())
    }

    fn count<'t>(&mut self, package: &str, version: &str, tokens: impl Iterator<Item = &'t str>) {
        let figures = &mut self.reading.figures;
        figures.add("version_zero_entries", u64::from(version == "0"));
        figures.list("fixed_packages", format!("{package}={version}"));
        for token in tokens {
            figures.list(if is_cve(token) { "cves" } else { "other_tokens" }, token);
        }
    }

    fn fix<'t>(
        &mut self,
        package: &str,
        version: String,
        tokens: impl Iterator<Item = &'t str>,
    ) -> Result<(), DocumentError> {
        let contents = &mut self.reading.contents;
        let tokens: BTreeSet<&str> = tokens.collect();
        if version == "0" || tokens.is_empty() {
            return Ok(());
        }
        if !is_file_name(package)
            || !is_file_name(&version)
            || !version.starts_with(|c: char| c.is_ascii_digit())
        {
            contents.quarantine(format!("{package:?} {version:?} is not a package and its version"));
            return Ok(());
        }
        let cves: Vec<String> =
            tokens.iter().filter(|token| is_cve(token)).map(|&cve| cve.to_owned()).collect();
        if cves.len() > PATCH_CVES_MAX {
            contents.quarantine(format!("{package}-{version}: more than {PATCH_CVES_MAX} CVEs"));
            return Ok(());
        }
        if self.fixes.len() >= PATCHES_MAX {
            return Err(DocumentError::TooManyRecords { limit: PATCHES_MAX });
        }
        let year = tokens.iter().filter_map(|token| year_in(token)).max();
        let fix = Fix { package: package.to_owned(), version, cves, year };
        contents.hold(fix.bytes())?;
        self.fixes.push(fix);
        Ok(())
    }

    /// Makes patches of the fixes, when all is known of the database.
    fn finish(self) -> Result<(), DocumentError> {
        let Reading { contents, figures, feed_id, received_on } = self.reading;
        figures.set("packages", contents.records);
        figures.set("distro", self.version.clone());
        figures.set("repo", self.repository.clone());
        let branch = Branch::of(self.version.as_deref(), self.address.as_deref());
        let Some(branch) = branch else {
            if !self.fixes.is_empty() {
                let address = self.address.unwrap_or_default();
                let version = self.version.unwrap_or_default();
                contents.quarantine(format!("nobody here knows the distribution {version:?} at {address:?}"));
            }
            return Ok(());
        };
        for fix in self.fixes {
            contents.let_go(fix.bytes());
            let day = fix.day(&branch).unwrap_or(*received_on);
            contents.patch(PatchFacts { is_dated: false, ..fix.patch(*feed_id, &branch, day) })?;
        }
        Ok(())
    }
}

impl Fields for Database<'_> {
    fn shape(&self, field: &str) -> Shape {
        match field {
            "packages" => Shape::Items,
            "distroversion" | "reponame" | "urlprefix" => Shape::Whole,
            _ => Shape::Skip,
        }
    }

    fn whole(&mut self, field: &str, value: &RawValue) -> Result<(), DocumentError> {
        let text = json::item::<Option<String>>(value).map_err(DocumentError::malformed)?;
        self.name(field, text);
        Ok(())
    }

    fn item(&mut self, _: &str, key: Option<&str>, value: &RawValue) -> Result<(), DocumentError> {
        if key.is_some() {
            return Err(DocumentError::malformed("its packages are no list"));
        }
        self.package(json::item::<Item>(value).map(Package::from))
    }
}

#[derive(Deserialize)]
struct Item {
    pkg: ItemPackage,
}

#[derive(Deserialize)]
struct ItemPackage {
    name: String,
    #[serde(default, deserialize_with = "json::map::<_, _, VERSIONS_MAX>")]
    secfixes: BTreeMap<String, Option<Vec<String>>>,
}

impl From<Item> for Package {
    fn from(Item { pkg: ItemPackage { name, secfixes } }: Item) -> Self {
        let version = |(text, ids): (String, Option<Vec<String>>)| Version {
            shown: text.clone(),
            text,
            ids: ids.unwrap_or_default(),
            unreadable: 0,
        };
        Self { name, versions: secfixes.into_iter().map(version).collect() }
    }
}

impl Database<'_> {
    fn name(&mut self, field: &str, text: Option<String>) {
        match field {
            "distroversion" => self.version = text,
            "reponame" => self.repository = text,
            "urlprefix" => self.address = text,
            "timestamp" => {
                self.reading.contents.document_date = text.as_deref().and_then(dates::instant);
            }
            _ => {}
        }
    }
}

impl Fix {
    /// The name of the package's file, without its ending.
    fn id(&self) -> String {
        format!("{}-{}", self.package, self.version)
    }

    /// The earliest day on which it can have been published.
    fn day(&self, branch: &Branch) -> Option<NaiveDate> {
        let year = self.year.and_then(|year| NaiveDate::from_ymd_opt(year, 1, 1));
        year.max(branch.released)
    }

    fn bytes(&self) -> usize {
        let cves: usize = self.cves.iter().map(|cve| size_of::<String>() + text_bytes(cve)).sum();
        size_of::<Self>() + text_bytes(&self.package) + text_bytes(&self.version) + cves
    }

    fn patch(self, feed_id: FeedId, branch: &Branch, day: NaiveDate) -> PatchFacts {
        let readable = identity::readable(&branch.os);
        let id = self.id();
        let url = format!("https://security.alpinelinux.org/srcpkg/{}", self.package);
        PatchFacts {
            name: clipped(&format!("{} {} for {readable}", self.package, self.version)),
            os_versions: vec![readable],
            cves: self.cves,
            targets: vec![FixTarget::BinaryPackage {
                os: branch.os.clone(),
                package: self.package,
                fixed_version: self.version,
                order: VersionOrder::Apk,
                architectures: Vec::new(),
                module: None,
            }],
            url: (branch.vendor == Vendor::Alpine).then_some(url),
            ..identity::blank(
                feed_id,
                identity::patch_id(branch.vendor, &id, &branch.os),
                &id,
                DevicePlatform::Linux,
                day,
            )
        }
    }
}

/// Whether a text can be part of a package's file name.
fn is_file_name(text: &str) -> bool {
    is_plain(text) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+._-~".contains(&byte))
}

/// The year in an id: `CVE-2019-5060`, `TALOS-2019-0844`.
fn year_in(id: &str) -> Option<i32> {
    let years = 1990..2100;
    let is_year = |part: &&str| part.len() == 4 && part.bytes().all(|byte| byte.is_ascii_digit());
    id.split('-').skip(1).take(1).find(is_year)?.parse().ok().filter(|year| years.contains(year))
}
