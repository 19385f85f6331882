//! Random changes of good documents, one target for each parser, and random bytes: nothing panics, and what is read is sound.
//!
//! A plain `cargo test` gives each target a moment. How to let one run for hours is in the README of this crate.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

#[path = "hostile/seeds.rs"]
mod seeds;

use bolero::{TypeGenerator, check};
use feeds_documents::Format;
use std::time::Duration;

/// How long a target runs where nothing else is said.
const A_MOMENT: Duration = Duration::from_millis(250);

/// One change. Places and lengths are taken modulo what there is.
#[derive(Debug, Clone, TypeGenerator)]
enum Edit {
    /// Another byte.
    Set { at: u16, byte: u8 },
    /// A byte more.
    Insert { at: u16, byte: u8 },
    /// Something that means something to one format or another.
    Say { at: u16, word: u8 },
    /// Some bytes less.
    Delete { at: u16, length: u8 },
    /// Some bytes once more, somewhere else.
    Copy { from: u16, length: u16, to: u16 },
    /// No more.
    Truncate { at: u16 },
}

/// What parsers look for.
const WORDS: &[&str] = &[
    "\"",
    "'",
    "\\u0000",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "-1",
    "1e400",
    "99999999999999999999",
    "<",
    ">",
    "</",
    "/>",
    "<!--",
    "<![CDATA[",
    "]]>",
    "&lt;",
    "&#0;",
    "&x;",
    "<!DOCTYPE x>",
    "\r\n",
    "\n\n",
    "\t",
    " ",
    "\u{feff}",
    "\u{202e}",
    "\u{fffd}",
    "CVE-2031-1001",
    "CVE-",
    "KB5090001",
    "RHSA-2031:0001",
    "0001-01-01",
    "9999-12-31T23:59:59Z",
    "0:",
    "::",
    "../",
    "https://",
    "cpe:/",
    "pkg:rpm/",
    "%",
    "é",
];

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let place = |at: u16| usize::from(at) % bytes.len();
        match *self {
            Self::Set { at, byte } => {
                let at = place(at);
                bytes[at] = byte;
            }
            Self::Insert { at, byte } => bytes.insert(place(at), byte),
            Self::Say { at, word } => {
                let at = place(at);
                let word = WORDS[usize::from(word) % WORDS.len()];
                bytes.splice(at..at, word.bytes());
            }
            Self::Delete { at, length } => {
                let at = place(at);
                let end = (at + usize::from(length)).min(bytes.len());
                bytes.drain(at..end);
            }
            Self::Copy { from, length, to } => {
                let (from, to) = (place(from), place(to));
                let piece = bytes[from..(from + usize::from(length)).min(bytes.len())].to_vec();
                bytes.splice(to..to, piece);
            }
            Self::Truncate { at } => bytes.truncate(place(at)),
        }
    }
}

/// Documents of a format, by their names.
fn documents(word: &str) -> Vec<Vec<u8>> {
    let formats = Format::ALL.iter().map(|format| format.word());
    let of_name =
        |name: &str| formats.clone().filter(|word| name.starts_with(word)).max_by_key(|word| word.len());
    let seeds = seeds::all().into_iter().filter(|seed| of_name(&seed.name) == Some(word));
    seeds.map(|seed| seed.bytes).collect()
}

fn read(bytes: &[u8]) {
    if let Ok(document) = seeds::read(bytes) {
        seeds::check(&document);
    }
}

fn change(word: &str) {
    let documents = documents(word);
    assert!(!documents.is_empty(), "there is a document of {word}");
    check!().with_test_time(A_MOMENT).with_type::<(u8, Vec<Edit>)>().for_each(|(which, edits)| {
        let mut bytes = documents[usize::from(*which) % documents.len()].clone();
        // Many changes at once make nothing that gets far.
        edits.iter().take(6).for_each(|edit| edit.apply(&mut bytes));
        read(&bytes);
    });
}

macro_rules! parsers {
    ($($name:ident = $word:literal;)+) => {
        $(
            #[test]
            fn $name() {
                change($word);
            }
        )+

        #[test]
        fn every_parser_is_a_target() {
            let targets = [$($word),+];
            let missing: Vec<_> = Format::ALL.iter().filter(|format| !targets.contains(&format.word())).collect();
            assert!(missing.is_empty(), "{missing:?}");
        }
    };
}

parsers! {
    alpine_secdb = "alpine-secdb";
    azurestack_updates = "azurestack-updates";
    csaf = "csaf";
    csaf_changes_csv = "csaf-changes-csv";
    csaf_provider_metadata = "csaf-provider-metadata";
    cve5 = "cve5";
    debian_dsa_list = "debian-dsa-list";
    debian_packages = "debian-packages";
    debian_release = "debian-release";
    debian_tracker_json = "debian-tracker-json";
    dell_driverpack = "dell-driverpack";
    epss_csv = "epss-csv";
    kev_csv = "kev-csv";
    kev_json = "kev-json";
    lenovo_catalog = "lenovo-catalog";
    msrc_cvrf_json = "msrc-cvrf-json";
    msrc_cvrf_xml = "msrc-cvrf-xml";
    msrc_sug_deployment = "msrc-sug-deployment";
    msrc_updates_index = "msrc-updates-index";
    nvd = "nvd-2.0";
    osv = "osv";
    oval = "oval";
    repomd = "repomd";
    rolie_feed = "rolie-feed";
    ubuntu_notices = "ubuntu-notices";
    ubuntu_usndb = "ubuntu-usndb";
    updateinfo = "updateinfo";
    wesng_zip = "wesng-zip";
    wsus_clixml = "wsus-clixml";
}

#[test]
fn bytes_of_any_kind() {
    check!().with_test_time(A_MOMENT).for_each(read);
}

/// Bytes behind what tells a packing, so that the decoders are reached.
#[test]
fn bytes_that_claim_to_be_packed() {
    const MAGICS: [&[u8]; 5] = [b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"];
    check!().with_test_time(A_MOMENT).with_type::<(u8, Vec<u8>)>().for_each(|(which, bytes)| {
        let magic = MAGICS[usize::from(*which) % MAGICS.len()];
        read(&[magic, bytes].concat());
    });
}
