//! CVRF as JSON: the same document, with numbers where the XML has words.

use super::{Advisory, Fix, Month, date_of};
use crate::DocumentError;
use serde::Deserialize;

/// `Threats[].Type` of a severity.
const SEVERITY: i64 = 3;
/// `Remediations[].Type` of a vendor fix.
const VENDOR_FIX: i64 = 2;

pub(super) fn read(text: &str) -> Result<Month, DocumentError> {
    let document: Document = serde_json::from_str(text)?;
    let tracking = document.tracking.unwrap_or_default();
    let mut month = Month {
        initial_release: tracking.initial_release_date.as_deref().and_then(date_of),
        current_release: tracking.current_release_date.as_deref().and_then(date_of),
        ..Month::default()
    };
    let tree = document.product_tree.unwrap_or_default();
    let mut nodes = tree.branch.unwrap_or_default();
    let mut names = tree.full_product_name.unwrap_or_default();
    while let Some(node) = nodes.pop() {
        match node {
            Node { product_id: Some(id), value: Some(value), .. } => names.push(Product { id, value }),
            Node { items, .. } => nodes.extend(items.unwrap_or_default()),
        }
    }
    for product in names {
        month.products.entry(product.id.trim().to_owned()).or_insert_with(|| product.value.trim().to_owned());
    }
    month.advisories = document.vulnerabilities.unwrap_or_default().into_iter().map(advisory).collect();
    Ok(month)
}

fn advisory(vulnerability: Vulnerability) -> Advisory {
    let severities = vulnerability
        .threats
        .unwrap_or_default()
        .into_iter()
        .filter(|threat| threat.kind == SEVERITY)
        .map(|threat| (threat.products.unwrap_or_default(), text(threat.description)))
        .collect();
    let fixes = vulnerability
        .remediations
        .unwrap_or_default()
        .into_iter()
        .filter(|remediation| remediation.kind == VENDOR_FIX)
        .map(|remediation| Fix {
            description: text(remediation.description),
            products: remediation.products.unwrap_or_default(),
            supercedence: remediation.supercedence.unwrap_or_default(),
            restart_required: text(remediation.restart_required),
            fixed_build: remediation.fixed_build.unwrap_or_default(),
            sub_type: remediation.sub_type.unwrap_or_default(),
        })
        .collect();
    Advisory { id: vulnerability.cve.unwrap_or_default().trim().to_owned(), severities, fixes }
}

fn text(value: Option<Text>) -> String {
    value.and_then(|text| text.value).unwrap_or_default().trim().to_owned()
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "DocumentTracking")]
    tracking: Option<Tracking>,
    #[serde(rename = "ProductTree")]
    product_tree: Option<ProductTree>,
    #[serde(rename = "Vulnerability")]
    vulnerabilities: Option<Vec<Vulnerability>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct Tracking {
    initial_release_date: Option<String>,
    current_release_date: Option<String>,
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
    #[serde(rename = "Threats")]
    threats: Option<Vec<Threat>>,
    #[serde(rename = "Remediations")]
    remediations: Option<Vec<Remediation>>,
}

#[derive(Deserialize)]
struct Threat {
    #[serde(rename = "Type")]
    kind: i64,
    #[serde(rename = "Description")]
    description: Option<Text>,
    #[serde(rename = "ProductID")]
    products: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Remediation {
    #[serde(rename = "Type")]
    kind: i64,
    #[serde(rename = "Description")]
    description: Option<Text>,
    #[serde(rename = "ProductID")]
    products: Option<Vec<String>>,
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
struct Text {
    #[serde(rename = "Value")]
    value: Option<String>,
}
