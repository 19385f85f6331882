//! OVAL definitions of Linux distributions: Red Hat, SUSE, Oracle, Ubuntu, Debian, Azure Linux.
//!
//! ```text
//! definitions: advisory, criteria ─▶ tests ─▶ objects: package
//!                                         └─▶ states: less than a version   (Ubuntu: variables: packages)
//! ```
//! What a definition tests comes behind all definitions, in documents of some hundred MiB. So of each definition little
//! is kept but references, and of all that follows only what is referred to.

mod checks;
mod criteria;
mod definition;
mod drafts;
mod vulnerabilities;

use crate::DocumentError;
use crate::dates::instant;
use crate::figures::Figures;
use crate::head::Head;
use crate::input::Input;
use crate::limits::RECORDS_MAX;
use crate::reading::Reading;
use crate::text::cves_in;
use crate::xml::{Node, Tree, Xml};
use checks::Checks;
use definition::Definition;
use drafts::Drafts;
use vulnerabilities::Vulnerabilities;

/// Whether a document begins like one.
pub(crate) fn is(head: &Head) -> bool {
    head.root().is_some_and(|(name, _)| name == "oval_definitions")
}

/// The parts of a document that are read, in its order, and the figure that counts what is in each.
const SECTIONS: &[&str] = &["definitions", "tests", "objects", "states", "variables"];

pub(crate) fn read(input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    for name in SECTIONS {
        reading.figures.add(name, 0);
    }
    reading.figures.add("evr_states", 0);
    reading.figures.lists(&["definition_ids", "cves", "advisory_refs", "distinct_evr"]);
    reading.figures.tallies(&["class", "severity", "reference_sources"]);
    let mut xml = Xml::new(input);
    let mut checks = Checks::default();
    let mut drafts = Drafts::default();
    let mut vulnerabilities = Vulnerabilities::default();
    let mut section = None;
    let mut depth_max = 0;
    while let Some(node) = xml.next()? {
        let Node::Open(element) = node else { continue };
        match (xml.depth(), section) {
            (1, _) => {}
            (2, _) if element.name == "generator" => {
                let timestamp = xml.tree(element)?;
                reading.contents.document_date = instant(timestamp.text_of("timestamp"));
            }
            (2, _) => section = SECTIONS.iter().copied().find(|name| *name == element.name),
            (_, None) => xml.skip()?,
            (_, Some("definitions")) if element.name == "definition" => {
                let tree = xml.tree(element)?;
                reading.contents.records += 1;
                if reading.contents.records > RECORDS_MAX {
                    return Err(DocumentError::TooManyRecords { limit: RECORDS_MAX });
                }
                if reading.figures.on() {
                    depth_max = depth_max.max(count(&tree, &mut reading.figures));
                }
                let definition = Definition::new(&tree);
                vulnerabilities.take(&definition, &mut reading.contents)?;
                drafts.take(&definition, &mut checks, &mut reading.contents)?;
            }
            (_, Some(section)) => {
                let tree = xml.tree(element)?;
                if section != "definitions" {
                    reading.figures.add(section, 1);
                }
                if reading.figures.on() {
                    count_versions(&tree, &mut reading.figures);
                }
                checks.take(section, &tree, &mut reading.contents)?;
            }
        }
    }
    reading.figures.set("max_criteria_depth", depth_max);
    vulnerabilities.finish(&mut reading.contents);
    drafts.finish(&checks, reading.feed_id, &mut reading.contents)
}

/// Figures of one definition: what is anywhere in it, as it is written. Gives the depth of its criteria.
fn count(definition: &Tree, figures: &mut Figures) -> usize {
    figures.add("definitions", 1);
    figures.tally("class", definition.attribute("class").unwrap_or("null"));
    if let Some(id) = definition.attribute("id") {
        figures.list("definition_ids", id);
    }
    let mut severity = None;
    definition.walk(&mut |element| match element.name() {
        "severity" if severity.is_none() => severity = Some(element.text.trim()),
        "reference" => {
            figures.tally("reference_sources", element.attribute("source").unwrap_or("None"));
            let id = element.attribute("ref_id").unwrap_or_default();
            figures.list(if id.starts_with("CVE-") { "cves" } else { "advisory_refs" }, id);
        }
        "cve" => cves_in(&element.text).for_each(|cve| figures.list("cves", cve)),
        _ => {}
    });
    figures.tally("severity", severity.unwrap_or_default());
    count_versions(definition, figures);
    criteria_depth(definition)
}

fn count_versions(tree: &Tree, figures: &mut Figures) {
    tree.walk(&mut |element| {
        if element.name() == "evr" {
            figures.add("evr_states", 1);
            figures.list("distinct_evr", element.text.trim());
        }
    });
}

fn criteria_depth(tree: &Tree) -> usize {
    // Not deeper than NESTING_MAX: the reader saw to that.
    tree.all("criteria").map(|criteria| 1 + criteria_depth(criteria)).max().unwrap_or(0)
}
