//! CVRF as JSON: the same document, with numbers where the XML has words.

use super::{Advisory, Fix, Month, Tracking};
use crate::DocumentError;
use crate::input::Input;
use crate::json::{self, Fields, Shape};
use serde::Deserialize;
use serde_json::value::RawValue;

/// `Threats[].Type` of a severity.
const SEVERITY: f64 = 3.0;
/// `Remediations[].Type` of a vendor fix.
const VENDOR_FIX: f64 = 2.0;

/// Bytes of the product tree, which is read at once: Microsoft's whole list has below 1 MiB.
const PRODUCT_TREE_BYTES_MAX: usize = 4 << 20;
/// Threats, remediations, scores and revisions of one vulnerability, each: one or two for each of some 300 products.
const PARTS_MAX: usize = 50_000;
/// Products of one of these.
const PART_PRODUCTS_MAX: usize = 10_000;

pub(super) fn read(input: Input<'_>, month: &mut Month<'_>) -> Result<(), DocumentError> {
    json::fields(input, month)
}

impl Fields for Month<'_> {
    fn shape(&self, field: &str) -> Shape {
        match field {
            "DocumentTracking" | "ProductTree" => Shape::Whole,
            "Vulnerability" => Shape::Items,
            _ => Shape::Skip,
        }
    }

    fn whole(&mut self, field: &str, value: &RawValue) -> Result<(), DocumentError> {
        let malformed = |reason| DocumentError::malformed(format!("{field}: {reason}"));
        if field == "DocumentTracking" {
            self.tracking = tracking(json::item::<Option<_>>(value).map_err(malformed)?.unwrap_or_default());
            return Ok(());
        }
        if value.get().len() > PRODUCT_TREE_BYTES_MAX {
            return Err(DocumentError::RecordTooLarge { limit: PRODUCT_TREE_BYTES_MAX as u64 });
        }
        let tree: ProductTree = json::item::<Option<_>>(value).map_err(malformed)?.unwrap_or_default();
        let listed = tree.full_product_name.unwrap_or_default();
        for product in &listed {
            self.reading.figures.list("products", &*product.id);
        }
        let mut names = Vec::new();
        let mut nodes = tree.branch.unwrap_or_default();
        while let Some(node) = nodes.pop() {
            match node {
                Node { product_id: Some(id), value: Some(value), .. } => names.push(Product { id, value }),
                Node { items, .. } => nodes.extend(items.unwrap_or_default()),
            }
        }
        for product in listed.into_iter().chain(names) {
            self.product(&product.id, &product.value)?;
        }
        Ok(())
    }

    fn item(&mut self, field: &str, key: Option<&str>, value: &RawValue) -> Result<(), DocumentError> {
        if key.is_some() {
            return Err(DocumentError::malformed(format!("{field} is not a list")));
        }
        match json::item(value) {
            Ok(vulnerability) => self.advisory(&advisory(vulnerability)),
            Err(reason) => {
                self.record()?;
                self.reading.contents.quarantine(format!("a vulnerability cannot be read: {reason}"));
                Ok(())
            }
        }
    }
}

fn tracking(tracking: TrackingJson) -> Tracking {
    Tracking {
        id: tracking.identification.and_then(|it| it.id).and_then(Text::value),
        initial_release: tracking.initial_release_date,
        current_release: tracking.current_release_date,
        revisions: tracking.revision_history.len(),
    }
}

fn advisory(vulnerability: Vulnerability) -> Advisory {
    let Vulnerability { cve, threats, remediations, score_sets, revision_history } = vulnerability;
    Advisory {
        id: cve.unwrap_or_default().trim().to_owned(),
        revised: revision_history.into_iter().filter_map(|revision| revision.date).collect(),
        severities: threats
            .into_iter()
            .filter(|threat| threat.kind == Kind::Number(SEVERITY))
            .map(|threat| (threat.products, text(threat.description)))
            .collect(),
        scores: score_sets
            .into_iter()
            .filter_map(|set| Some((set.vector?, set.base_score?.to_string())))
            .collect(),
        fixes: remediations
            .into_iter()
            .filter(|remediation| match &remediation.kind {
                Kind::Number(number) => *number == VENDOR_FIX,
                Kind::Word(word) => word == "Vendor Fix",
            })
            .map(fix)
            .collect(),
    }
}

fn fix(remediation: Remediation) -> Fix {
    Fix {
        description: text(remediation.description),
        products: remediation.products,
        supercedence: remediation.supercedence.unwrap_or_default(),
        restart_required: text(remediation.restart_required),
        fixed_build: remediation.fixed_build.unwrap_or_default(),
        sub_type: remediation.sub_type.unwrap_or_default(),
    }
}

fn text(text: Option<Text>) -> String {
    text.and_then(Text::value).unwrap_or_default()
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct TrackingJson {
    identification: Option<Identification>,
    initial_release_date: Option<String>,
    current_release_date: Option<String>,
    #[serde(default, deserialize_with = "json::list::<_, _, PARTS_MAX>")]
    revision_history: Vec<Revision>,
}

#[derive(Deserialize)]
struct Identification {
    #[serde(rename = "ID")]
    id: Option<Text>,
}

#[derive(Deserialize)]
struct Revision {
    #[serde(rename = "Date")]
    date: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct ProductTree {
    branch: Option<Vec<Node>>,
    full_product_name: Option<Vec<Product>>,
}

#[derive(Deserialize)]
struct Product {
    #[serde(rename = "ProductID")]
    id: String,
    #[serde(rename = "Value")]
    value: String,
}

/// A branch or a product.
#[derive(Deserialize)]
struct Node {
    #[serde(rename = "ProductID")]
    product_id: Option<String>,
    #[serde(rename = "Value")]
    value: Option<String>,
    #[serde(rename = "Items")]
    items: Option<Vec<Node>>,
}

#[derive(Deserialize)]
struct Vulnerability {
    #[serde(rename = "CVE")]
    cve: Option<String>,
    #[serde(rename = "Threats", default, deserialize_with = "json::list::<_, _, PARTS_MAX>")]
    threats: Vec<Threat>,
    #[serde(rename = "Remediations", default, deserialize_with = "json::list::<_, _, PARTS_MAX>")]
    remediations: Vec<Remediation>,
    #[serde(rename = "CVSSScoreSets", default, deserialize_with = "json::list::<_, _, PARTS_MAX>")]
    score_sets: Vec<ScoreSet>,
    #[serde(rename = "RevisionHistory", default, deserialize_with = "json::list::<_, _, PARTS_MAX>")]
    revision_history: Vec<Revision>,
}

#[derive(Deserialize)]
struct Threat {
    #[serde(rename = "Type")]
    kind: Kind,
    #[serde(rename = "Description")]
    description: Option<Text>,
    #[serde(rename = "ProductID", default, deserialize_with = "json::list::<_, _, PART_PRODUCTS_MAX>")]
    products: Vec<String>,
}

#[derive(Deserialize)]
struct Remediation {
    #[serde(rename = "Type")]
    kind: Kind,
    #[serde(rename = "Description")]
    description: Option<Text>,
    #[serde(rename = "ProductID", default, deserialize_with = "json::list::<_, _, PART_PRODUCTS_MAX>")]
    products: Vec<String>,
    #[serde(rename = "Supercedence")]
    supercedence: Option<String>,
    #[serde(rename = "RestartRequired")]
    restart_required: Option<Text>,
    #[serde(rename = "FixedBuild")]
    fixed_build: Option<String>,
    #[serde(rename = "SubType")]
    sub_type: Option<String>,
}

#[derive(Deserialize)]
struct ScoreSet {
    #[serde(rename = "BaseScore")]
    base_score: Option<serde_json::Number>,
    #[serde(rename = "Vector")]
    vector: Option<String>,
}

/// A kind: a number, or the word that the XML has.
#[derive(Deserialize, PartialEq)]
#[serde(untagged)]
enum Kind {
    Number(f64),
    Word(String),
}

/// A text: by itself or in an object.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Plain(String),
    Inside {
        #[serde(rename = "Value")]
        value: Option<String>,
    },
}

impl Text {
    fn value(self) -> Option<String> {
        match self {
            Self::Plain(text) => Some(text),
            Self::Inside { value } => value,
        }
    }
}
