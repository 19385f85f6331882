//! A page of the National Vulnerability Database, API 2.0, or one of its yearly files, which have the same shape.

use crate::DocumentError;
use crate::contents::VulnerabilityFacts;
use crate::dates::{day, instant};
use crate::head::{Head, Kind};
use crate::input::Input;
use crate::json::{self, Fields, Shape};
use crate::reading::Reading;
use crate::text::{clipped, is_cve};
use crate::{cvss, figures::Figures};
use contracts::feeds::{Cvss, KevEntry};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::cell::Cell;

const SOURCE: &str = "nvd";

/// Whether a document begins like one.
pub(crate) fn is(head: &Head) -> bool {
    head.kind == Kind::JsonObject
        && head.has(1, "vulnerabilities")
        && !head.has(1, "document")
        && (head.has(1, "totalResults") || head.has(1, "resultsPerPage") || head.has(4, "vulnStatus"))
}

pub(crate) fn read(input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    reading.figures.lists(&["cves"]);
    reading.figures.tallies(&["vulnStatus", "primary_severity"]);
    let mut page = Page { reading, has_list: Cell::new(false), starts_at: None, total: None };
    json::fields(input, &mut page)?;
    if !page.has_list.get() {
        return Err(DocumentError::malformed("it has no list of vulnerabilities"));
    }
    // A page without records would lead to itself for ever.
    let read = page.reading.contents.records as u64;
    if let (Some(starts_at), Some(total), 1..) = (page.starts_at, page.total, read) {
        let next = starts_at.saturating_add(read);
        page.reading.contents.next_page = Some(next).filter(|next| *next < total);
    }
    for name in ["cpe_matches", "with_kev_fields", "references"] {
        reading.figures.add(name, 0);
    }
    reading.figures.set("records", reading.contents.records);
    Ok(())
}

struct Page<'r> {
    reading: &'r mut Reading,
    has_list: Cell<bool>,
    /// The place of its first record among all.
    starts_at: Option<u64>,
    /// Records of all pages.
    total: Option<u64>,
}

impl Fields for Page<'_> {
    fn shape(&self, field: &str) -> Shape {
        match field {
            "vulnerabilities" => {
                self.has_list.set(true);
                Shape::Items
            }
            "timestamp" | "startIndex" | "totalResults" => Shape::Whole,
            _ => Shape::Skip,
        }
    }

    fn whole(&mut self, field: &str, value: &RawValue) -> Result<(), DocumentError> {
        let wrong = |reason| DocumentError::malformed(format!("{field}: {reason}"));
        if field == "totalResults" {
            let total: u64 = json::item(value).map_err(wrong)?;
            self.reading.figures.set("totalResults", total);
            self.total = Some(total);
        } else if field == "startIndex" {
            // A yearly file says nothing of use here.
            self.starts_at = json::item(value).ok();
        } else {
            let timestamp: String = json::item(value).map_err(wrong)?;
            self.reading.contents.document_date = instant(&timestamp);
        }
        Ok(())
    }

    fn item(&mut self, _: &str, _: Option<&str>, value: &RawValue) -> Result<(), DocumentError> {
        let Reading { contents, figures, .. } = &mut *self.reading;
        contents.records += 1;
        let record: Item = match json::item(value) {
            Ok(record) => record,
            Err(reason) => {
                contents.quarantine(format!("record {}: {reason}", contents.records));
                return Ok(());
            }
        };
        let record = record.cve;
        if figures.on() {
            record.count(figures);
        }
        if !is_cve(&record.id) {
            contents.quarantine(format!("{:?} is no CVE", record.id));
            return Ok(());
        }
        let mut unreadable = Vec::new();
        let facts = record.facts(&mut unreadable);
        for reason in unreadable {
            contents.quarantine(reason);
        }
        contents.vulnerability(facts)
    }
}

#[derive(Deserialize)]
struct Item {
    cve: Record,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    id: String,
    vuln_status: Option<String>,
    #[serde(default, deserialize_with = "json::list::<_, _, 100>")]
    descriptions: Vec<Description>,
    #[serde(default)]
    metrics: Metrics,
    #[serde(default, deserialize_with = "json::list::<_, _, 10_000>")]
    configurations: Vec<Configuration>,
    #[serde(default, deserialize_with = "json::list::<_, _, 100_000>")]
    references: Vec<IgnoredAny>,
    cisa_exploit_add: Option<String>,
    cisa_action_due: Option<String>,
    cisa_vulnerability_name: Option<String>,
}

#[derive(Deserialize)]
struct Description {
    #[serde(default)]
    lang: String,
    #[serde(default)]
    value: String,
}

/// The lists in the order in which they count.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Metrics {
    #[serde(rename = "cvssMetricV40", deserialize_with = "json::list::<_, _, 100>")]
    v40: Vec<Metric>,
    #[serde(rename = "cvssMetricV31", deserialize_with = "json::list::<_, _, 100>")]
    v31: Vec<Metric>,
    #[serde(rename = "cvssMetricV30", deserialize_with = "json::list::<_, _, 100>")]
    v30: Vec<Metric>,
    #[serde(rename = "cvssMetricV2", deserialize_with = "json::list::<_, _, 100>")]
    v2: Vec<Metric>,
}

impl Metrics {
    /// The name that the API gives each list, the version, and the list.
    fn lists(&self) -> [(&'static str, &'static str, &[Metric]); 4] {
        [
            ("V40", "4.0", &self.v40),
            ("V31", "3.1", &self.v31),
            ("V30", "3.0", &self.v30),
            ("V2", "2.0", &self.v2),
        ]
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metric {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    cvss_data: CvssData,
    base_severity: Option<String>,
}

impl Metric {
    fn is_primary(&self) -> bool {
        self.kind == "Primary"
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CvssData {
    vector_string: String,
    base_score: Option<f64>,
    base_severity: Option<String>,
}

#[derive(Deserialize)]
struct Configuration {
    #[serde(default, deserialize_with = "json::list::<_, _, 10_000>")]
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    #[serde(default, deserialize_with = "json::list::<_, _, 1_000_000>")]
    cpe_match: Vec<IgnoredAny>,
}

impl Record {
    fn facts(self, unreadable: &mut Vec<String>) -> VulnerabilityFacts {
        let cvss = self.cvss(unreadable);
        let kev = self.kev();
        let is_rejected = self.vuln_status.as_deref() == Some("Rejected");
        let reason = || {
            let english = self.descriptions.iter().find(|description| description.lang == "en");
            let words = english.or(self.descriptions.first()).map_or("", |description| &description.value);
            if words.trim().is_empty() { "rejected".to_owned() } else { clipped(words.trim()) }
        };
        let rejected = is_rejected.then(reason);
        VulnerabilityFacts {
            cve: self.id,
            source: SOURCE.to_owned(),
            kev,
            cvss,
            rejected,
            ..VulnerabilityFacts::default()
        }
    }

    /// The highest version first; in each, the database's own scores before those of others.
    fn cvss(&self, unreadable: &mut Vec<String>) -> Vec<Cvss> {
        let mut scores: Vec<Cvss> = Vec::new();
        for (_, version, list) in self.metrics.lists() {
            let primary = list.iter().filter(|metric| metric.is_primary());
            let others = list.iter().filter(|metric| !metric.is_primary());
            for metric in primary.chain(others) {
                let data = &metric.cvss_data;
                match cvss::told(version, &data.vector_string, data.base_score) {
                    Ok(score) if scores.contains(&score) => {}
                    Ok(score) => scores.push(score),
                    Err(reason) => unreadable.push(format!("{}: a score is left out: {reason}", self.id)),
                }
            }
        }
        scores
    }

    /// The database tells when CISA listed a vulnerability, and neither vendor nor product.
    fn kev(&self) -> Option<KevEntry> {
        let forms = &["%Y-%m-%d"];
        let date_added = day(self.cisa_exploit_add.as_deref()?, forms)?;
        Some(KevEntry {
            date_added,
            due_date: self.cisa_action_due.as_deref().and_then(|due| day(due, forms)),
            ransomware: None,
            vendor: String::new(),
            product: String::new(),
            name: clipped(self.cisa_vulnerability_name.as_deref().unwrap_or_default().trim()),
        })
    }

    fn count(&self, figures: &mut Figures) {
        figures.list("cves", self.id.as_str());
        figures.tally("vulnStatus", self.vuln_status.as_deref().unwrap_or_default());
        figures.tally("primary_severity", &self.primary_severity());
        figures.add("references", self.references.len() as u64);
        figures.add("with_kev_fields", u64::from(self.cisa_exploit_add.is_some()));
        let nodes = self.configurations.iter().flat_map(|configuration| &configuration.nodes);
        figures.add("cpe_matches", nodes.map(|node| node.cpe_match.len() as u64).sum());
    }

    /// `V31:MEDIUM`, by the first primary score.
    fn primary_severity(&self) -> String {
        let first = self.metrics.lists().into_iter().find_map(|(name, _, list)| {
            list.iter().find(|metric| metric.is_primary()).map(|metric| (name, metric))
        });
        let Some((name, metric)) = first else { return String::new() };
        let words = [&metric.cvss_data.base_severity, &metric.base_severity];
        let word = words.into_iter().flatten().find(|word| !word.is_empty());
        format!("{name}:{}", word.map_or("", String::as_str))
    }
}
