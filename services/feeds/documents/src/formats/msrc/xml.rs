//! CVRF as XML, matched by local names: some captures prefix every element, others use a default namespace.

use super::{Advisory, Fix, Month, Tracking};
use crate::DocumentError;
use crate::input::Input;
use crate::xml::{Node, Tree, Xml};

pub(super) fn read(input: Input<'_>, month: &mut Month<'_>) -> Result<(), DocumentError> {
    let mut xml = Xml::new(input);
    while let Some(node) = xml.next()? {
        let Node::Open(element) = node else { continue };
        match (xml.depth(), element.name.as_str()) {
            (1, other) if other != "cvrfdoc" => {
                return Err(DocumentError::malformed(format!("its root is {other:?} and not \"cvrfdoc\"")));
            }
            (2, "DocumentTracking") => month.tracking = tracking(&xml.tree(element)?),
            (2, "Vulnerability") => {
                let tree = xml.tree(element)?;
                month.advisory(&advisory(&tree))?;
            }
            (_, "FullProductName") => {
                let tree = xml.tree(element)?;
                if let Some(id) = tree.attribute("ProductID") {
                    month.reading.figures.list("products", id);
                    month.product(id, &tree.text)?;
                }
            }
            (1, _) | (2, "ProductTree") | (3.., "Branch") => {}
            (_, _) => xml.skip()?,
        }
    }
    Ok(())
}

fn tracking(tree: &Tree) -> Tracking {
    let text = |name| tree.child(name).map(|child| child.text.clone());
    let mut revisions = 0;
    tree.walk(&mut |element| revisions += usize::from(element.name() == "Revision"));
    Tracking {
        id: tree.child("Identification").and_then(|child| child.child("ID")).map(|id| id.text.clone()),
        initial_release: text("InitialReleaseDate"),
        current_release: text("CurrentReleaseDate"),
        revisions,
    }
}

fn advisory(tree: &Tree) -> Advisory {
    let of_kind = |tree: &&Tree, kind| tree.attribute("Type") == Some(kind);
    let inner = |outer: &'static str, inner: &'static str| {
        tree.children
            .iter()
            .filter(move |child| child.name() == outer)
            .flat_map(|child| &child.children)
            .filter(move |child| child.name() == inner)
    };
    Advisory {
        id: tree.text_of("CVE").to_owned(),
        revised: inner("RevisionHistory", "Revision").map(|it| it.text_of("Date").to_owned()).collect(),
        severities: inner("Threats", "Threat")
            .filter(|threat| of_kind(threat, "Severity"))
            .map(|threat| (products(threat), raw(threat, "Description")))
            .collect(),
        scores: inner("CVSSScoreSets", "ScoreSet")
            .map(|set| (set.text_of("Vector").to_owned(), set.text_of("BaseScore").to_owned()))
            .collect(),
        fixes: inner("Remediations", "Remediation")
            .filter(|remediation| of_kind(remediation, "Vendor Fix"))
            .map(|remediation| Fix {
                description: raw(remediation, "Description"),
                products: products(remediation),
                supercedence: raw(remediation, "Supercedence"),
                restart_required: raw(remediation, "RestartRequired"),
                fixed_build: raw(remediation, "FixedBuild"),
                sub_type: raw(remediation, "SubType"),
            })
            .collect(),
    }
}

fn products(tree: &Tree) -> Vec<String> {
    tree.all("ProductID").map(|product| product.text.clone()).collect()
}

/// The text of the first child of the name as it is written.
fn raw(tree: &Tree, name: &str) -> String {
    tree.child(name).map(|child| child.text.clone()).unwrap_or_default()
}
