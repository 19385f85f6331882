//! An OSV record: an advisory of a distribution, or a vulnerability as some database describes it.
//!
//! An advisory (`ALSA-2024:2433`) becomes a patch for each release that it fixes packages of. What describes a
//! vulnerability (`UBUNTU-CVE-2021-3782`, `GHSA-…`) becomes no patch: third-party libraries are not ours to install.

mod advisory;
mod vulnerability;

use crate::DocumentError;
use crate::dates::instant;
use crate::head::{Head, Kind};
use crate::identity::Vendor;
use crate::identity::ecosystem;
use crate::input::Input;
use crate::json::{self, Fields, Shape};
use crate::limits::PATCH_CVES_MAX;
use crate::reading::Reading;
use crate::text::{cves_in, is_cve, is_plain};
use advisory::Releases;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};

/// Packages that one record may speak of: a kernel has some hundred, times some ten releases.
const AFFECTED_MAX: usize = 100_000;
/// Bytes of one of them, with all versions that were ever affected: real ones stay below 100 KiB.
const AFFECTED_BYTES_MAX: u64 = 4 << 20;
/// Vectors of one vulnerability: one or two of each version.
const VECTORS_MAX: usize = 20;
/// Ids that a record may name.
const IDS_MAX: usize = 2 * PATCH_CVES_MAX;

/// Whether a document begins like one.
pub(crate) fn is(head: &Head) -> bool {
    let describes = ["schema_version", "affected", "withdrawn", "aliases", "upstream", "related"];
    head.kind == Kind::JsonObject
        && head.has(1, "id")
        && (head.has(1, "modified") && describes.iter().any(|field| head.has(1, field))
            || head.has(1, "affected") && head.has(3, "package") && head.has(4, "ecosystem"))
}

pub(crate) fn read(input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    input.progress.limit_records(AFFECTED_BYTES_MAX);
    let mut record = Record::of(reading);
    json::fields(input, &mut record)?;
    record.close()
}

/// What is gathered of the record; its fields come in any order.
struct Record<'r> {
    reading: &'r mut Reading,
    id: String,
    published: Option<String>,
    modified: Option<String>,
    withdrawn: Option<String>,
    aliases: Vec<String>,
    upstream: Vec<String>,
    related: Vec<String>,
    summary: String,
    severity: Vec<Severity>,
    database_severity: Option<String>,
    references: Vec<Reference>,
    affected: usize,
    ecosystems: BTreeSet<String>,
    releases: Releases,
    /// Scores of single vulnerabilities, where a package's part of the record gives some.
    scores: BTreeMap<String, BTreeSet<String>>,
}

/// `CVSS_V3` with a vector, or a database's own kind (`Ubuntu`) with a word.
#[derive(Deserialize)]
struct Severity {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    score: String,
}

impl Severity {
    fn is_vector(&self) -> bool {
        self.kind.starts_with("CVSS")
    }
}

#[derive(Deserialize)]
struct Reference {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    url: String,
}

#[derive(Deserialize)]
struct DatabaseSpecific<'a> {
    /// A word; some databases put something else there.
    #[serde(borrow)]
    severity: Option<&'a RawValue>,
}

/// What is said of one package in one ecosystem.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Affected<'a> {
    #[serde(borrow)]
    package: Option<Package<'a>>,
    #[serde(deserialize_with = "json::list::<_, _, 1_000>")]
    ranges: Vec<Range>,
    #[serde(deserialize_with = "json::list::<_, _, 100>")]
    severity: Vec<Severity>,
    #[serde(borrow)]
    ecosystem_specific: Option<&'a RawValue>,
    #[serde(borrow)]
    database_specific: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Package<'a> {
    #[serde(borrow)]
    ecosystem: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    name: std::borrow::Cow<'a, str>,
}

#[derive(Deserialize)]
struct Range {
    /// `GIT` ranges name commits instead of versions.
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default, deserialize_with = "json::list::<_, _, 10_000>")]
    events: Vec<Event>,
}

impl Range {
    fn fixed(&self) -> impl Iterator<Item = &str> {
        self.events.iter().filter_map(|event| event.fixed.as_deref())
    }
}

#[derive(Deserialize)]
struct Event {
    fixed: Option<String>,
}

/// Ubuntu's: which vulnerabilities an advisory closes in a release.
#[derive(Deserialize)]
struct AffectedDatabase<'a> {
    cves_map: Option<CvesMap>,
    #[serde(borrow)]
    severity: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct CvesMap {
    #[serde(default, deserialize_with = "json::list::<_, _, 5_000>")]
    cves: Vec<ScoredCve>,
}

#[derive(Deserialize)]
struct ScoredCve {
    #[serde(default)]
    id: String,
    #[serde(default, deserialize_with = "json::list::<_, _, 100>")]
    severity: Vec<Severity>,
}

impl Fields for Record<'_> {
    fn shape(&self, field: &str) -> Shape {
        match field {
            "affected" => Shape::Items,
            "id" | "published" | "modified" | "withdrawn" | "aliases" | "upstream" | "related"
            | "summary" | "severity" | "database_specific" | "references" => Shape::Whole,
            _ => Shape::Skip,
        }
    }

    fn whole(&mut self, field: &str, value: &RawValue) -> Result<(), DocumentError> {
        self.field(field, value).map_err(|reason| DocumentError::malformed(format!("{field}: {reason}")))
    }

    fn item(&mut self, _: &str, _: Option<&str>, value: &RawValue) -> Result<(), DocumentError> {
        self.affected += 1;
        if self.affected > AFFECTED_MAX || self.releases.fixes() > AFFECTED_MAX {
            return Err(DocumentError::TooManyRecords { limit: AFFECTED_MAX });
        }
        match json::item(value) {
            Ok(affected) => self.affected(&affected),
            Err(reason) => {
                self.reading.contents.quarantine(format!("affected package {}: {reason}", self.affected));
            }
        }
        Ok(())
    }
}

impl<'r> Record<'r> {
    fn of(reading: &'r mut Reading) -> Self {
        Self {
            reading,
            id: String::new(),
            published: None,
            modified: None,
            withdrawn: None,
            aliases: Vec::new(),
            upstream: Vec::new(),
            related: Vec::new(),
            summary: String::new(),
            severity: Vec::new(),
            database_severity: None,
            references: Vec::new(),
            affected: 0,
            ecosystems: BTreeSet::new(),
            releases: Releases::default(),
            scores: BTreeMap::new(),
        }
    }

    fn field(&mut self, field: &str, value: &RawValue) -> Result<(), String> {
        match field {
            "id" => self.id = json::item(value)?,
            "published" => self.published = json::item(value)?,
            "modified" => self.modified = json::item(value)?,
            "withdrawn" => self.withdrawn = json::item(value)?,
            "aliases" => self.aliases = ids(value)?,
            "upstream" => self.upstream = ids(value)?,
            "related" => self.related = ids(value)?,
            "summary" => self.summary = json::item::<Option<String>>(value)?.unwrap_or_default(),
            "severity" => self.severity = listed(value)?,
            "references" => self.references = listed(value)?,
            _ => {
                let specific: Option<DatabaseSpecific<'_>> = json::item(value)?;
                self.database_severity = specific.and_then(|specific| word_of(specific.severity));
            }
        }
        Ok(())
    }

    fn affected(&mut self, affected: &Affected<'_>) {
        let nothing = Package::default();
        let package = affected.package.as_ref().unwrap_or(&nothing);
        let (name, place) = (package.name.as_ref(), package.ecosystem.as_ref());
        if self.reading.figures.on() {
            self.ecosystems.insert(place.to_owned());
            for version in affected.ranges.iter().flat_map(Range::fixed) {
                self.reading.figures.list("fixed_packages", format!("{place}|{name}|{version}"));
            }
        }
        let Some(ecosystem) = ecosystem::of(place) else { return };
        let database =
            affected.database_specific.and_then(|raw| json::item::<AffectedDatabase<'_>>(raw).ok());
        let (cves, severity) = match database {
            Some(database) => (database.cves_map.map(|map| map.cves).unwrap_or_default(), database.severity),
            None => (Vec::new(), None),
        };
        let severities = cves.iter().flat_map(|cve| &cve.severity).chain(&affected.severity);
        let words =
            severities.filter(|severity| !severity.is_vector()).map(|severity| severity.score.clone());
        self.releases.rate(&ecosystem, words.chain(word_of(severity)));
        for cve in cves.iter().filter(|cve| is_cve(&cve.id)) {
            if self.scores.len() >= IDS_MAX {
                break;
            }
            let scores = self.scores.entry(cve.id.clone()).or_default();
            let vectors = cve.severity.iter().filter(|severity| severity.is_vector());
            let free = VECTORS_MAX.saturating_sub(scores.len());
            scores.extend(vectors.take(free).map(|severity| severity.score.clone()));
        }
        // SUSE names the source package, and below it what was built from it.
        let built = match affected.ecosystem_specific {
            Some(specific) if ecosystem.vendor == Vendor::Suse => advisory::built_packages(specific),
            Some(_) | None => Vec::new(),
        };
        let named: Vec<(&str, &str)> = if built.is_empty() {
            let ranges = affected.ranges.iter().filter(|range| range.kind != "GIT");
            ranges.flat_map(Range::fixed).map(|version| (name, version)).collect()
        } else {
            built.iter().map(|(package, version)| (package.as_str(), version.as_str())).collect()
        };
        for (package, version) in named {
            if let Err(reason) = self.releases.fix(&ecosystem, package, version) {
                self.reading.contents.quarantine(reason);
            }
        }
    }

    fn close(mut self) -> Result<(), DocumentError> {
        if !is_plain(&self.id) {
            return Err(DocumentError::malformed("it has no id"));
        }
        self.count();
        let contents = &mut self.reading.contents;
        contents.records = 1;
        contents.document_id = Some(self.id.clone());
        let date = |text: &Option<String>| text.as_deref().and_then(instant);
        let (published, modified) = (date(&self.published), date(&self.modified));
        contents.document_date = modified.or(published);
        match Vendor::of_advisory(&self.id) {
            Some(vendor) => self.advisory(vendor, published.or(modified)),
            None => self.vulnerability(),
        }
    }

    /// Vulnerabilities that the record names in any way, without what databases put before their ids.
    fn cves(&self) -> BTreeSet<String> {
        let ids = self.aliases.iter().chain(&self.upstream).chain(&self.related);
        ids.flat_map(|id| cves_in(id)).map(str::to_owned).collect()
    }

    fn count(&mut self) {
        let figures = &mut self.reading.figures;
        if !figures.on() {
            return;
        }
        figures.lists(&["cves_any", "fixed_packages"]);
        figures.tallies(&["severity_types"]);
        figures.set("id", self.id.as_str());
        figures.set("published", self.published.as_deref());
        figures.set("modified", self.modified.as_deref());
        figures.set("withdrawn", self.withdrawn.as_deref());
        for (name, ids) in
            [("aliases", &self.aliases), ("related", &self.related), ("upstream", &self.upstream)]
        {
            let mut sorted = ids.clone();
            sorted.sort();
            figures.set(name, sorted);
            for cve in ids.iter().flat_map(|id| cves_in(id)) {
                figures.list("cves_any", cve);
            }
        }
        figures.set("affected", self.affected);
        figures.set("ecosystems", self.ecosystems.iter().cloned().collect::<Vec<_>>());
        for severity in &self.severity {
            figures.tally("severity_types", &severity.kind);
        }
        figures.set("database_severity", self.database_severity.as_deref());
    }
}

fn ids(value: &RawValue) -> Result<Vec<String>, String> {
    #[derive(Deserialize)]
    struct Ids(#[serde(deserialize_with = "json::list::<_, _, IDS_MAX>")] Vec<String>);
    json::item(value).map(|Ids(ids)| ids)
}

fn listed<T: for<'de> Deserialize<'de>>(value: &RawValue) -> Result<Vec<T>, String> {
    #[derive(Deserialize)]
    #[serde(bound = "T: Deserialize<'de>")]
    struct Listed<T>(#[serde(deserialize_with = "json::list::<_, _, 10_000>")] Vec<T>);
    json::item(value).map(|Listed(listed)| listed)
}

/// A word, where there is a text.
fn word_of(value: Option<&RawValue>) -> Option<String> {
    json::item(value?).ok()
}
