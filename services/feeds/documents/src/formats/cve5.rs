//! A CVE record, version 5: what the numbering authority says, and what others add (CISA's Vulnrichment).

use crate::contents::{Contents, VulnerabilityFacts};
use crate::cvss;
use crate::dates::{day, instant};
use crate::head::{Head, Kind};
use crate::input::Input;
use crate::reading::Reading;
use crate::text::{clipped, is_cve};
use crate::{DocumentError, json};
use contracts::feeds::{KevEntry, SsvcInputs};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// Whether a document begins like one.
pub(crate) fn is(head: &Head) -> bool {
    head.kind == Kind::JsonObject && head.has(1, "cveMetadata") && head.has(2, "cveId")
}

pub(crate) fn read(input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    // The longest records, of kernels with thousands of versions, are below 2 MiB.
    let record: Record = json::value(input)?;
    let metadata = &record.cve_metadata;
    if !is_cve(&metadata.cve_id) {
        return Err(DocumentError::malformed(format!("{:?} is no CVE", metadata.cve_id)));
    }
    if reading.figures.on() {
        record.count(reading);
    }
    let contents = &mut reading.contents;
    contents.records = 1;
    contents.document_id = Some(metadata.cve_id.clone());
    let dates = [&metadata.date_updated, &metadata.date_published];
    contents.document_date = dates.into_iter().flatten().find_map(|date| instant(date));
    let authority = metadata.assigner_short_name.as_deref().filter(|name| !name.trim().is_empty());
    let authority = clipped(authority.unwrap_or("cve").trim());
    let mut facts = record.containers.cna.facts(&metadata.cve_id, authority, contents);
    if metadata.state == "REJECTED" {
        facts.rejected = Some(record.containers.cna.reason());
    }
    contents.vulnerability(facts)?;
    for container in &record.containers.adp {
        let source = container.source();
        let facts = container.facts(&metadata.cve_id, source, contents);
        if !facts.cvss.is_empty() || facts.ssvc.is_some() || facts.kev.is_some() {
            contents.vulnerability(facts)?;
        }
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(default)]
    data_version: Option<String>,
    cve_metadata: Metadata,
    containers: Containers,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    cve_id: String,
    state: String,
    assigner_short_name: Option<String>,
    date_published: Option<String>,
    date_updated: Option<String>,
}

#[derive(Deserialize)]
struct Containers {
    cna: Container,
    #[serde(default, deserialize_with = "json::list::<_, _, 100>")]
    adp: Vec<Container>,
}

/// What one organisation says.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    provider_metadata: Provider,
    title: Option<String>,
    #[serde(deserialize_with = "json::list::<_, _, 1_000_000>")]
    affected: Vec<IgnoredAny>,
    #[serde(deserialize_with = "json::list::<_, _, 1_000_000>")]
    references: Vec<IgnoredAny>,
    #[serde(deserialize_with = "json::list::<_, _, 1_000>")]
    metrics: Vec<Metric>,
    #[serde(deserialize_with = "json::list::<_, _, 1_000>")]
    problem_types: Vec<ProblemType>,
    #[serde(deserialize_with = "json::list::<_, _, 100>")]
    rejected_reasons: Vec<Words>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Provider {
    short_name: Option<String>,
}

#[derive(Deserialize)]
struct Metric {
    #[serde(rename = "cvssV4_0")]
    v40: Option<Score>,
    #[serde(rename = "cvssV3_1")]
    v31: Option<Score>,
    #[serde(rename = "cvssV3_0")]
    v30: Option<Score>,
    #[serde(rename = "cvssV2_0")]
    v2: Option<Score>,
    other: Option<Other>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Score {
    vector_string: Option<String>,
    base_score: Option<f64>,
}

#[derive(Deserialize)]
struct Other {
    #[serde(rename = "type", default)]
    kind: String,
    content: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct ProblemType {
    #[serde(default, deserialize_with = "json::list::<_, _, 1_000>")]
    descriptions: Vec<Weakness>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Weakness {
    cwe_id: Option<String>,
}

#[derive(Deserialize)]
struct Words {
    #[serde(default)]
    lang: String,
    #[serde(default)]
    value: String,
}

/// CISA's decision points, each an object of one entry.
#[derive(Deserialize)]
struct Ssvc {
    #[serde(default, deserialize_with = "json::list::<_, _, 100>")]
    options: Vec<DecisionPoint>,
}

#[derive(Deserialize)]
struct DecisionPoint {
    #[serde(rename = "Exploitation")]
    exploitation: Option<String>,
    #[serde(rename = "Automatable")]
    automatable: Option<String>,
    #[serde(rename = "Technical Impact")]
    technical_impact: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    date_added: String,
}

impl Container {
    /// CISA's container is known under the name of its programme.
    fn source(&self) -> String {
        match self.provider_metadata.short_name.as_deref().map(str::trim) {
            Some("CISA-ADP") => "cisa-vulnrichment".to_owned(),
            Some(name) if !name.is_empty() => clipped(name),
            Some(_) | None => clipped(self.title.as_deref().unwrap_or("adp")),
        }
    }

    /// Why an id was rejected, in the words of who rejected it.
    fn reason(&self) -> String {
        let english = self.rejected_reasons.iter().find(|words| words.lang.starts_with("en"));
        let words = english.or(self.rejected_reasons.first()).map_or("", |words| words.value.trim());
        if words.is_empty() { "rejected".to_owned() } else { clipped(words) }
    }

    fn facts(&self, cve: &str, source: String, contents: &mut Contents) -> VulnerabilityFacts {
        let mut facts = VulnerabilityFacts { cve: cve.to_owned(), source, ..VulnerabilityFacts::default() };
        for metric in &self.metrics {
            for (version, score) in metric.scores() {
                let vector = score.vector_string.as_deref().unwrap_or_default();
                match cvss::told(version, vector, score.base_score) {
                    Ok(score) if facts.cvss.contains(&score) => {}
                    Ok(score) => facts.cvss.push(score),
                    Err(reason) => contents.quarantine(format!("{cve}: a score is left out: {reason}")),
                }
            }
            let Some(Other { kind, content: Some(content) }) = &metric.other else { continue };
            match kind.as_str() {
                "ssvc" => facts.ssvc = ssvc(content).or(facts.ssvc),
                "kev" => facts.kev = listed(content).or(facts.kev),
                _ => {}
            }
        }
        // A stable sort: the order of the container within a version.
        facts.cvss.sort_by(|a, b| b.version.cmp(&a.version));
        facts
    }
}

impl Metric {
    fn scores(&self) -> impl Iterator<Item = (&'static str, &Score)> {
        let scores = [("4.0", &self.v40), ("3.1", &self.v31), ("3.0", &self.v30), ("2.0", &self.v2)];
        scores.into_iter().filter_map(|(version, score)| score.as_ref().map(|score| (version, score)))
    }

    /// The names that the record gives the scores.
    fn names(&self) -> impl Iterator<Item = &'static str> {
        let names = [
            ("cvssV4_0", self.v40.is_some()),
            ("cvssV3_1", self.v31.is_some()),
            ("cvssV3_0", self.v30.is_some()),
            ("cvssV2_0", self.v2.is_some()),
        ];
        names.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name)
    }
}

fn ssvc(content: &RawValue) -> Option<SsvcInputs> {
    let ssvc: Ssvc = json::item(content).ok()?;
    let word = |text: &str| clipped(&text.trim().to_lowercase());
    let mut inputs = SsvcInputs { exploitation: None, automatable: None, technical_impact: None };
    for point in ssvc.options {
        if let Some(exploitation) = point.exploitation {
            inputs.exploitation = Some(word(&exploitation));
        }
        if let Some(automatable) = point.automatable {
            inputs.automatable = match word(&automatable).as_str() {
                "yes" => Some(true),
                "no" => Some(false),
                _ => None,
            };
        }
        if let Some(impact) = point.technical_impact {
            inputs.technical_impact = Some(word(&impact));
        }
    }
    let says_nothing =
        inputs.exploitation.is_none() && inputs.automatable.is_none() && inputs.technical_impact.is_none();
    (!says_nothing).then_some(inputs)
}

/// The record tells when CISA listed the vulnerability, and nothing else of the entry.
fn listed(content: &RawValue) -> Option<KevEntry> {
    let listed: Listed = json::item(content).ok()?;
    Some(KevEntry {
        date_added: day(&listed.date_added, &["%Y-%m-%d"])?,
        due_date: None,
        ransomware: None,
        vendor: String::new(),
        product: String::new(),
        name: String::new(),
    })
}

impl Record {
    fn count(&self, reading: &mut Reading) {
        let figures = &mut reading.figures;
        let (metadata, cna) = (&self.cve_metadata, &self.containers.cna);
        figures.set("id", metadata.cve_id.as_str());
        figures.set("state", metadata.state.as_str());
        figures.set("dataVersion", self.data_version.as_deref());
        figures.set("published", metadata.date_published.as_deref());
        figures.set("updated", metadata.date_updated.as_deref());
        figures.set("assigner", metadata.assigner_short_name.as_deref());
        figures.set("affected", cna.affected.len());
        figures.set("references", cna.references.len());
        figures.set("adp_containers", self.containers.adp.len());
        figures.set("cna_metrics", cna.metrics.iter().flat_map(Metric::names).collect::<Vec<_>>());
        let weaknesses = cna.problem_types.iter().flat_map(|problem| &problem.descriptions);
        let weaknesses: Vec<Option<&str>> = weaknesses.map(|weakness| weakness.cwe_id.as_deref()).collect();
        figures.set("problem_types", serde_json::json!(weaknesses));
    }
}
