//! Microsoft's documents become the facts that a person would read in them.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod corpus;
mod lists;
mod months;
mod refusals;

use contracts::FixTarget;
use contracts::feeds::PatchFacts;
use feeds_documents::contents::Contents;
use feeds_documents::{Document, DocumentError, Format, Options};
use kernel::{FeedId, Refused};
use std::io::Cursor;

const OCTOBER_XML: &[u8] = include_bytes!("../documents/msrc-cvrf-xml.xml");
const OCTOBER_JSON: &[u8] = include_bytes!("../documents/msrc-cvrf-json.json");
const SEPTEMBER_JSON: &[u8] = include_bytes!("../documents/msrc-cvrf-json-2026-sep.json");
const INDEX: &[u8] = include_bytes!("../documents/msrc-updates-index.json");
const DEPLOYMENT: &[u8] = include_bytes!("../documents/msrc-sug-deployment.json");
const WSUS: &[u8] = include_bytes!("../documents/wsus-clixml.xml");
const WESNG: &[u8] = include_bytes!("../documents/wesng-zip.zip");

const ALL: [(Format, &[u8]); 7] = [
    (Format::MsrcCvrfXml, OCTOBER_XML),
    (Format::MsrcCvrfJson, OCTOBER_JSON),
    (Format::MsrcCvrfJson, SEPTEMBER_JSON),
    (Format::MsrcIndex, INDEX),
    (Format::MsrcDeployment, DEPLOYMENT),
    (Format::WsusClixml, WSUS),
    (Format::WesngZip, WESNG),
];

fn open(bytes: &[u8]) -> Result<Document, DocumentError> {
    let feed_id = FeedId(uuid::Uuid::from_u128(7));
    feeds_documents::read(
        Cursor::new(bytes),
        Options { feed_id, received_on: chrono::NaiveDate::default(), figures: true },
    )
}

fn read(bytes: &[u8]) -> Contents {
    open(bytes).unwrap().contents
}

fn figure(bytes: &[u8], name: &str) -> serde_json::Value {
    open(bytes).unwrap().to_json().remove(name).unwrap_or_else(|| panic!("no figure {name}"))
}

fn patch<'a>(contents: &'a Contents, kb: &str) -> &'a PatchFacts {
    contents.patches.iter().find(|patch| patch.vendor_patch_id == kb).unwrap_or_else(|| panic!("no {kb}"))
}

fn builds(patch: &PatchFacts) -> Vec<(&str, Option<&str>)> {
    let mut builds = Vec::new();
    for target in &patch.targets {
        let FixTarget::Kb { os, fixed_build, .. } = target else { panic!("{target:?}") };
        builds.push((os.version.as_str(), fixed_build.as_deref()));
    }
    builds
}

#[test]
fn the_format_is_told_by_the_content() {
    for (format, bytes) in ALL {
        assert_eq!(open(bytes).unwrap().format, format);
    }
    let lenovo = "<Objs><Obj><MS><S N=\"Component\">BIOS</S></MS></Obj></Objs>";
    let red_hat = "<cvrfdoc><DocumentPublisher><IssuingAuthority>Red Hat</IssuingAuthority></DocumentPublisher>\
                   <DocumentNotes>not of microsoft.com</DocumentNotes></cvrfdoc>";
    for other in [lenovo, red_hat, "{\"value\": []}", "{\"value\": [{\"name\": \"AzureStack\"}]}"] {
        assert_eq!(open(other.as_bytes()).unwrap_err().code(), "feeds.document_unknown_format", "{other:?}");
    }
}

#[test]
fn every_document_means_the_same_patch_by_a_kb() {
    let known = patch(&read(OCTOBER_XML), "KB5090101").patch_id;
    for document in [OCTOBER_JSON, DEPLOYMENT, WSUS, WESNG] {
        assert_eq!(patch(&read(document), "KB5090101").patch_id, known);
    }
}
