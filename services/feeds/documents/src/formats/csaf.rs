//! A CSAF 2.0 document: a vendor's advisory, or what it says of one vulnerability (VEX).
//!
//! ```text
//! document        who publishes it, which kind it is, its id and dates
//! product_tree    products, and which package is a component of which release
//! vulnerabilities each with the products where it is fixed, scores and remediations
//! ```
//! The parts may come in any order, and each may be large: they are read along their paths, products are kept as
//! numbers, and what is resolved waits for the end.

mod header;
mod kbs;
mod package;
mod packages;
mod products;
mod route;
mod vulnerability;

use crate::DocumentError;
use crate::contents::{VulnerabilityFacts, Withdrawal};
use crate::head::{Head, Kind};
use crate::identity::Vendor;
use crate::input::Input;
use crate::json::{self, paths};
use crate::reading::Reading;
use crate::text::{clipped, is_cve};
use header::{Fixes, Header};
use products::{Branch, FullProduct, Number, Products, Relationship};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashSet};
use vulnerability::{Fix, Vulnerability};

/// Vulnerabilities of a document: a yearly advisory for a distribution's kernel names some 2,000.
const VULNERABILITIES_MAX: usize = 50_000;
/// Bits of the figures that list products.
const LISTED_AS_BRANCH: u8 = 1;
const LISTED_AS_FIXED: u8 = 2;

/// Whether a document begins like one. Its largest parts may come first.
pub(crate) fn is(head: &Head) -> bool {
    head.kind == Kind::JsonObject
        && (head.has(1, "document") && (head.has(2, "csaf_version") || head.has(2, "tracking"))
            || head.has(1, "product_tree")
            || head.has(1, "vulnerabilities") && head.has(3, "product_status"))
}

pub(crate) fn read(input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    let figures = &mut reading.figures;
    figures.lists(&["cves", "branch_product_ids", "fixed_product_ids"]);
    figures.tallies(&[
        "product_status_entries",
        "cvss_severity",
        "impact_threats",
        "remediation_categories",
        "restart_required",
    ]);
    for sum in ["vulnerabilities", "branch_products", "relationship_products"] {
        figures.add(sum, 0);
    }
    let mut csaf = Csaf {
        reading,
        header: None,
        products: Products::default(),
        branches: Vec::new(),
        open: Vulnerability::default(),
        closed: Vec::new(),
        counted: HashSet::new(),
        parts: HashSet::new(),
    };
    paths::read(input, &mut csaf)?;
    csaf.finish()
}

struct Csaf<'a> {
    reading: &'a mut Reading,
    header: Option<Header>,
    products: Products,
    /// Branches around the place in the tree that is read now.
    branches: Vec<Branch>,
    /// The vulnerability that is read now.
    open: Vulnerability,
    /// What patches are made of at the end.
    closed: Vec<Closed>,
    /// Words that figures count already.
    counted: HashSet<(&'static str, String)>,
    /// Parts of the document that were there.
    parts: HashSet<&'static str>,
}

/// What is kept of a vulnerability.
struct Closed {
    cve: Option<String>,
    fixed: Vec<Number>,
    recommended: Vec<Number>,
    impacts: Vec<String>,
    fixes: Vec<Fix>,
}

impl Csaf<'_> {
    /// Whether fixed products become patches, as far as can be said by now.
    fn keeps_fixes(&self) -> bool {
        !matches!(self.header.as_ref().map(Header::fixes), Some(Fixes::None))
    }

    fn keeps_kbs(&self) -> bool {
        matches!(self.header.as_ref().map(Header::fixes), None | Some(Fixes::Kbs))
    }

    fn product(&mut self, value: &RawValue) -> Result<(), DocumentError> {
        let product: FullProduct = match json::item(value) {
            Ok(product) => product,
            Err(reason) => {
                self.reading.contents.quarantine(format!("a product: {reason}"));
                return Ok(());
            }
        };
        if self.reading.figures.on() {
            self.reading.figures.add("branch_products", 1);
            if self.products.is_news(&product.product_id, LISTED_AS_BRANCH)? {
                self.reading.figures.list("branch_product_ids", product.product_id.as_str());
            }
        }
        if self.keeps_fixes() {
            let number = self.products.describe(product)?;
            if let Some(branch) = self.branches.last_mut() {
                branch.products.push(number);
            }
        }
        Ok(())
    }

    fn relationship(&mut self, value: &RawValue) -> Result<(), DocumentError> {
        self.reading.figures.add("relationship_products", 1);
        if !self.keeps_fixes() {
            return Ok(());
        }
        match json::item::<Relationship>(value) {
            Ok(relationship) => self.products.relate(relationship),
            Err(reason) => {
                self.reading.contents.quarantine(format!("a relationship: {reason}"));
                Ok(())
            }
        }
    }

    fn close_branch(&mut self) -> Result<(), DocumentError> {
        let branch = self.branches.pop().unwrap_or_default();
        if branch.category == "product_name" {
            return self.products.name_versions(&branch.products, &branch.name);
        }
        if let Some(outer) = self.branches.last_mut() {
            outer.products.extend(branch.products);
        }
        Ok(())
    }

    /// A part of a vulnerability that is read at once.
    fn part(&mut self, path: &str, value: &RawValue) -> Result<(), DocumentError> {
        if let Some(status) = path.strip_prefix("product_status.") {
            return self.status(status.trim_end_matches("[]"), value);
        }
        if let Some((_, member)) = path.rsplit_once(".cvss") {
            let member = format!("cvss{member}");
            match self.open.score(&member, value) {
                Ok(severity) => self.tally("cvss_severity", &format!("{member}:{severity}"))?,
                Err(reason) => {
                    let cve = self.open.shown();
                    self.reading.contents.quarantine(format!("{cve}: a score is left out: {reason}"));
                }
            }
            return Ok(());
        }
        let word = if path == "remediations[].restart_required" {
            json::item::<Restart>(value).map(|Restart { category }| category)
        } else {
            json::item::<String>(value)
        };
        let word = match word {
            Ok(word) => word,
            Err(reason) => {
                self.open.refuse(format!("{path}: {reason}"));
                return Ok(());
            }
        };
        let open = &mut self.open;
        let place = match path {
            "cve" => open.cve.insert(String::new()),
            "remediations[].category" => &mut open.remediation.category,
            "remediations[].details" => &mut open.remediation.details,
            "remediations[].url" => &mut open.remediation.url,
            "remediations[].restart_required" => &mut open.remediation.restart,
            "threats[].category" => &mut open.threat.category,
            "threats[].details" => &mut open.threat.details,
            "remediations[].product_ids[]" => {
                self.products.keep(size_of::<Number>())?;
                open.remediation.products.push(self.products.number(&word)?);
                return Ok(());
            }
            _ => return Ok(()),
        };
        *place = word;
        Ok(())
    }

    /// A product that has a status.
    fn status(&mut self, status: &str, value: &RawValue) -> Result<(), DocumentError> {
        self.reading.figures.tally("product_status_entries", status);
        let is_fixed = ["fixed", "first_fixed"].contains(&status);
        if !is_fixed && status != "recommended" {
            return Ok(());
        }
        let id: String = match json::item(value) {
            Ok(id) => id,
            Err(reason) => {
                self.open.refuse(format!("product_status.{status}: {reason}"));
                return Ok(());
            }
        };
        if is_fixed && self.reading.figures.on() && self.products.is_news(&id, LISTED_AS_FIXED)? {
            self.reading.figures.list("fixed_product_ids", id.as_str());
        }
        if self.keeps_fixes() {
            self.products.keep(size_of::<Number>())?;
            let number = self.products.number(&id)?;
            let list = if is_fixed { &mut self.open.fixed } else { &mut self.open.recommended };
            list.push(number);
        }
        Ok(())
    }

    fn close_vulnerability(&mut self) -> Result<(), DocumentError> {
        let mut open = std::mem::take(&mut self.open);
        self.reading.contents.records += 1;
        if self.reading.contents.records > VULNERABILITIES_MAX {
            return Err(DocumentError::TooManyRecords { limit: VULNERABILITIES_MAX });
        }
        self.reading.figures.add("vulnerabilities", 1);
        if let Some(cve) = &open.cve {
            self.list("cves", cve)?;
        }
        if let Some(reason) = open.reason {
            let cve = open.cve.as_deref().map_or_else(String::new, |cve| format!("{}: ", clipped(cve)));
            self.reading.contents.quarantine(format!("{cve}{reason}"));
            return Ok(());
        }
        let cve = open.cve.take().map(|cve| cve.trim().to_owned());
        if let Some(other) = cve.as_deref().filter(|cve| !is_cve(cve)) {
            self.reading.contents.quarantine(format!("{:?} is not a CVE id", clipped(other)));
            return Ok(());
        }
        if let Some(cve) = &cve {
            let cvss = open.sorted_scores();
            self.reading.contents.vulnerability(VulnerabilityFacts {
                cve: cve.clone(),
                cvss,
                ..VulnerabilityFacts::default()
            })?;
        }
        if self.keeps_fixes() {
            self.products.keep(size_of::<Closed>())?;
            self.closed.push(Closed {
                cve,
                fixed: open.fixed,
                recommended: open.recommended,
                impacts: open.impacts.into_iter().collect(),
                fixes: open.fixes,
            });
        }
        Ok(())
    }

    /// The document was read to its end.
    fn finish(self) -> Result<(), DocumentError> {
        let header = self.header.ok_or_else(|| DocumentError::malformed("it has no `document`"))?;
        header_figures(&header, self.reading);
        let contents = &mut self.reading.contents;
        let id = header.tracking.id.trim();
        contents.document_id = Some(id.to_owned());
        contents.document_date = header.last_released().or_else(|| header.first_released());
        let source = header.source();
        contents.vulnerabilities = merged(std::mem::take(&mut contents.vulnerabilities), &source);
        if header.is_withdrawn()
            && let Some(vendor) = Vendor::of_advisory(id)
        {
            let reason = clipped(header.withdrawal_reason().unwrap_or("its publisher withdrew it"));
            contents.withdraw(Withdrawal { vendor, vendor_patch_id: id.to_owned(), reason })?;
        }
        if self.closed.is_empty() {
            return Ok(());
        }
        match header.fixes() {
            Fixes::None => Ok(()),
            Fixes::Packages(vendor) => {
                packages::patches(&header, vendor, &self.products, &self.closed, self.reading)
            }
            Fixes::Kbs => kbs::patches(&header, &self.products, &self.closed, self.reading),
        }
    }

    /// Each part of a document is there once: of two, a reader could take either.
    fn once(&mut self, part: &'static str) -> Result<(), DocumentError> {
        if self.parts.insert(part) {
            return Ok(());
        }
        Err(DocumentError::malformed(format!("`{part}` is there twice")))
    }

    /// Counts a word, and what keeping it costs.
    fn tally(&mut self, figure: &'static str, word: &str) -> Result<(), DocumentError> {
        self.count(figure, word)?;
        self.reading.figures.tally(figure, word);
        Ok(())
    }

    /// Lists a word, and counts what keeping it costs.
    fn list(&mut self, figure: &'static str, word: &str) -> Result<(), DocumentError> {
        self.count(figure, word)?;
        self.reading.figures.list(figure, word);
        Ok(())
    }

    fn count(&mut self, figure: &'static str, word: &str) -> Result<(), DocumentError> {
        if self.reading.figures.on() && self.counted.insert((figure, word.to_owned())) {
            self.products.keep(2 * (size_of::<(&str, String)>() + word.len()))?;
        }
        Ok(())
    }
}

/// `{"category": "system"}`
#[derive(serde::Deserialize)]
struct Restart {
    category: String,
}

fn parsed<T: DeserializeOwned>(path: &str, value: &RawValue) -> Result<T, DocumentError> {
    json::item(value).map_err(|reason| DocumentError::malformed(format!("{path}: {reason}")))
}

/// One entry a vulnerability, in the order of their ids.
fn merged(found: Vec<VulnerabilityFacts>, source: &str) -> Vec<VulnerabilityFacts> {
    let mut merged: BTreeMap<String, VulnerabilityFacts> = BTreeMap::new();
    for facts in found {
        let known = merged.entry(facts.cve.clone()).or_insert_with(|| VulnerabilityFacts {
            cve: facts.cve,
            source: source.to_owned(),
            ..VulnerabilityFacts::default()
        });
        for score in facts.cvss {
            if !known.cvss.contains(&score) {
                known.cvss.push(score);
            }
        }
    }
    merged.into_values().collect()
}

fn header_figures(header: &Header, reading: &mut Reading) {
    let tracking = &header.tracking;
    let figures = &mut reading.figures;
    figures.set("id", tracking.id.as_str());
    figures.set("category", header.category.as_str());
    figures.set("publisher", header.publisher.name.as_deref());
    figures.set("csaf_version", header.csaf_version.as_str());
    figures.set("status", tracking.status.as_deref());
    figures.set("version", tracking.version.as_deref());
    figures.set("revisions", tracking.revision_history.as_ref().map_or(0, Vec::len));
    figures.set("initial_release", tracking.initial_release_date.as_deref());
    figures.set("current_release", tracking.current_release_date.as_deref());
    figures.set("aggregate_severity", header.severity_text());
}
