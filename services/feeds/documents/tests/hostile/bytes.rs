//! Documents that lost their end, or in which bytes were changed.

use super::seeds::{self, check, read};
use std::collections::HashSet;

/// Reads of one document: each place where there are not more, and so many places evenly apart otherwise.
const READS_OF_ONE: usize = 200;

/// Formats of lines: one that ends with a line is complete for all that anybody can tell.
const OF_LINES: &[&str] = &[
    "alpine-secdb.yaml",
    "csaf-changes-csv.csv",
    "debian-dsa-list.txt",
    "debian-packages.txt",
    "debian-release.txt",
    "epss-csv.csv",
    "kev-csv.csv",
];

#[test]
fn a_document_as_it_should_be_is_read() {
    for seed in seeds::all() {
        let document = read(&seed.bytes).unwrap_or_else(|error| panic!("{}: {error}", seed.name));
        check(&document);
        assert!(document.contents.records > 0, "{}", seed.name);
    }
}

#[test]
fn a_document_that_was_cut_is_refused_or_says_less() {
    for seed in seeds::all() {
        let whole = read(&seed.bytes).unwrap().contents;
        let ids: HashSet<_> = whole.patches.iter().map(|patch| patch.patch_id).collect();
        let end = seed.bytes.trim_ascii_end().len();
        for at in (0..end).step_by((end / READS_OF_ONE).max(1)) {
            let Ok(cut) = read(&seed.bytes[..at]) else { continue };
            let place = format!("{} at {at}", seed.name);
            assert!(OF_LINES.contains(&seed.name.as_str()), "{place}: {cut:#?}");
            check(&cut);
            assert!(cut.contents.records <= whole.records, "{place}");
            assert!(cut.contents.patches.iter().all(|patch| ids.contains(&patch.patch_id)), "{place}");
            let ends_with_a_line = seed.bytes[..at].ends_with(b"\n");
            let is_all = ends_with_a_line || cut.contents.records == whole.records;
            assert!(is_all || !cut.contents.is_whole_kev, "{place}");
        }
    }
}

#[test]
fn a_changed_byte_never_stops_the_reader() {
    for seed in seeds::all() {
        let mut bytes = seed.bytes.clone();
        for (number, at) in (0..bytes.len()).step_by((bytes.len() / READS_OF_ONE).max(1)).enumerate() {
            // A near one (another letter or digit), one that is no text, and what stands for structure.
            let other = [bytes[at] ^ 1, bytes[at] ^ 0x80, b'"', b'<', b'\n', 0];
            let before = std::mem::replace(&mut bytes[at], other[number % other.len()]);
            if let Ok(document) = read(&bytes) {
                check(&document);
            }
            bytes[at] = before;
        }
    }
}
