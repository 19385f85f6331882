//! What an RPM repository holds (`repomd.xml`): of its files, the advisories are of interest.

use crate::DocumentError;
use crate::contents::Link;
use crate::dates::epoch;
use crate::head::Head;
use crate::input::Input;
use crate::reading::Reading;
use crate::text::is_plain;
use crate::xml::{Node, Tree, Xml};
use serde_json::Value;

/// Whether a document begins like one.
pub(crate) fn is(head: &Head) -> bool {
    head.root().is_some_and(|(name, _)| name == "repomd")
}

/// Files that a repository may name: real ones name some twenty.
const FILES_MAX: usize = 2_000;

pub(crate) fn read(input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    let mut xml = Xml::new(input);
    let mut types = Vec::new();
    let mut href = Value::Null;
    while let Some(node) = xml.next()? {
        match node {
            Node::Open(element) if xml.depth() == 2 => {
                let tree = xml.tree(element)?;
                match tree.name() {
                    "revision" => revision(tree.text.trim(), reading),
                    "data" => {
                        if types.len() >= FILES_MAX {
                            return Err(DocumentError::TooManyRecords { limit: FILES_MAX });
                        }
                        let kind = tree.attribute("type");
                        types.push(kind.map_or(Value::Null, Value::from));
                        if kind == Some("updateinfo") {
                            let location = tree.child("location").and_then(|it| it.attribute("href"));
                            if href.is_null() {
                                href = location.map_or(Value::Null, Value::from);
                            }
                            advisories(&tree, location, reading)?;
                        }
                    }
                    _ => {}
                }
            }
            Node::Open(_) | Node::Close | Node::Text(_) => {}
        }
    }
    reading.contents.records = types.len();
    reading.figures.set("data_types", types);
    reading.figures.set("updateinfo_href", href);
    Ok(())
}

/// Most publishers count seconds since 1970; some have a number of their own.
fn revision(text: &str, reading: &mut Reading) {
    let contents = &mut reading.contents;
    if is_plain(text) {
        contents.document_id = Some(text.to_owned());
        contents.document_date = text.parse().ok().and_then(epoch);
    }
}

/// A file of advisories.
fn advisories(data: &Tree, href: Option<&str>, reading: &mut Reading) -> Result<(), DocumentError> {
    let contents = &mut reading.contents;
    let Some(href) = href.map(str::trim).filter(|href| is_plain(href)) else {
        contents.quarantine("updateinfo: it has no location");
        return Ok(());
    };
    // Paths are relative to the repository, unless it says where else its files are.
    let base = data.child("location").and_then(|it| it.attribute("base")).unwrap_or_default().trim();
    let href = match base {
        "" => href.to_owned(),
        base => format!("{}/{href}", base.trim_end_matches('/')),
    };
    let checksum = data.all("checksum").find(|sum| sum.attribute("type") == Some("sha256"));
    let sha256 = checksum.map(|sum| sum.text.trim().to_ascii_lowercase()).filter(|sum| is_sha256(sum));
    if checksum.is_some() && sha256.is_none() {
        contents.quarantine(format!("{href}: its checksum is not a SHA-256"));
        return Ok(());
    }
    let seconds = data.text_of("timestamp").split('.').next().unwrap_or_default();
    let updated = seconds.parse().ok().and_then(epoch);
    if contents.document_date.is_none() {
        contents.document_date = updated;
    }
    contents.link(Link { href, updated, size_bytes: data.text_of("size").parse().ok(), sha256 })
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
