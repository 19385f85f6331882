//! Compressed documents: bombs, boxes in boxes, broken ones.

use super::seeds::{self, read};
use feeds_documents::limits::DECODED_RATIO_MAX;
use kernel::Refused;
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;

const NAMES: [&str; 4] = ["gz", "bz2", "xz", "zst"];

fn packed(packing: &str, bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    match packing {
        "gz" => {
            let mut encoder = flate2::write::GzEncoder::new(&mut packed, flate2::Compression::new(9));
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap();
        }
        "bz2" => {
            let mut encoder = bzip2::write::BzEncoder::new(&mut packed, bzip2::Compression::new(9));
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap();
        }
        "xz" => {
            let mut encoder = liblzma::write::XzEncoder::new(&mut packed, 6);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap();
        }
        _ => {
            let mut encoder = zstd::stream::write::Encoder::new(&mut packed, 9).unwrap();
            encoder.include_checksum(true).unwrap();
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap();
        }
    }
    packed
}

fn zipped(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(name, SimpleFileOptions::default().compression_level(Some(9))).unwrap();
    zip.write_all(bytes).unwrap();
    zip.finish().unwrap().into_inner()
}

fn code(bytes: &[u8]) -> &'static str {
    read(bytes).map_or_else(|error| error.code(), |_| "read")
}

/// Beginnings of documents, and a record that repeats: these formats pack several pieces one after the other.
const BOMBS: [(&str, &str); 4] = [
    ("<updates>", "<update type='security'><id>RHSA-2031:0001</id><title>lantern update</title></update>\n"),
    ("{\"vulnerabilities\": [{\"cveID\": \"CVE-2031-1001\"}", ", {\"cveID\": \"CVE-2031-1001\"}\n"),
    ("cve,epss,percentile\n", "CVE-2031-1001,0.00042,0.05\n"),
    (
        "Package: lantern\nVersion: 1\nArchitecture: all\nSize: 1\n\n",
        "Package: lantern\nVersion: 1\nArchitecture: all\nSize: 1\n\n",
    ),
];
const PIECE_BYTES: usize = 8 << 20;
const PIECES: usize = (1 << 30) / PIECE_BYTES;

#[test]
fn a_document_that_swells_beyond_all_measure_is_refused() {
    for ((start, record), packing) in BOMBS.into_iter().zip(NAMES) {
        // Long lines of blanks in between: the fewer records, the sooner the ratio is what stops it.
        let record = format!("{record}{}\n", " ".repeat(1 << 16));
        let piece = record.repeat(PIECE_BYTES / record.len());
        let bomb = [packed(packing, start.as_bytes()), packed(packing, piece.as_bytes()).repeat(4)].concat();
        let ratio = 4 * PIECE_BYTES as u64 / bomb.len() as u64;
        assert!(ratio > DECODED_RATIO_MAX, "{packing}: {ratio} is no bomb");
        assert_eq!(code(&bomb), "feeds.document_bomb", "{packing} of {start}");
    }
    let header = "DatePosted,CVE,BulletinKB,AffectedProduct,Severity,Supersedes\n";
    let rows = "20310311,CVE-2031-1001,5090001,Windows 11,Critical,\n".repeat(600_000);
    assert_eq!(
        code(&zipped("CVEs_20310311.csv", format!("{header}{rows}").as_bytes())),
        "feeds.document_bomb"
    );
}

#[test]
fn a_gigabyte_of_nothing_is_no_document() {
    for packing in NAMES {
        for nothing in [0, b' ', b'\n'] {
            let bomb = packed(packing, &vec![nothing; PIECE_BYTES]).repeat(PIECES);
            let wanted = if nothing == 0 { "feeds.document_unknown_format" } else { "feeds.document_empty" };
            assert_eq!(code(&bomb), wanted, "{packing} of {nothing}");
        }
        // The same behind the beginning of a document, as one record without end.
        let start = packed(packing, b"<updates><update><id>");
        let bomb = [start, packed(packing, &vec![b'A'; PIECE_BYTES]).repeat(PIECES)].concat();
        let found = code(&bomb);
        assert!(
            ["feeds.document_record_too_large", "feeds.document_bomb"].contains(&found),
            "{packing}: {found}"
        );
    }
}

#[test]
fn only_the_outer_box_is_opened() {
    let seeds = seeds::all();
    let seed = seeds.iter().find(|seed| seed.name == "updateinfo.xml").unwrap();
    for outer in NAMES {
        assert_eq!(read(&packed(outer, &seed.bytes)).unwrap().contents, read(&seed.bytes).unwrap().contents);
        for inner in NAMES {
            let boxes = packed(outer, &packed(inner, &seed.bytes));
            assert_eq!(code(&boxes), "feeds.document_unknown_format", "{inner} in {outer}");
        }
        let zip_inside = packed(outer, &zipped("CVEs_20310311.csv", b"x"));
        assert_eq!(code(&zip_inside), "feeds.document_unknown_format", "zip in {outer}");
        let in_zip = zipped("CVEs_20310311.csv", &packed(outer, &seed.bytes));
        assert_eq!(code(&in_zip), "feeds.document_wrong_encoding", "{outer} in zip");
    }
}

#[test]
fn a_box_that_was_cut_is_refused() {
    for seed in seeds::all()
        .into_iter()
        .filter(|seed| ["osv.json", "debian-packages.txt"].contains(&seed.name.as_str()))
    {
        for packing in NAMES {
            let whole = packed(packing, &seed.bytes);
            assert_eq!(code(&whole), "read");
            for at in 6..whole.len() {
                let found = code(&whole[..at]);
                assert_eq!(found, "feeds.document_truncated", "{} as {packing} at {at}", seed.name);
            }
        }
    }
}

#[test]
fn a_box_whose_checksum_is_wrong_is_refused() {
    let seeds = seeds::all();
    let seed = seeds.iter().find(|seed| seed.name == "debian-packages.txt").unwrap();
    for packing in NAMES {
        let whole = packed(packing, &seed.bytes);
        // Every byte of it, be it content, length or checksum; what names the tool or the time does no harm.
        let mut refused = 0;
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] ^= 0x10;
            match read(&broken) {
                Ok(document) => assert_eq!(document.contents, read(&seed.bytes).unwrap().contents),
                Err(error) => {
                    assert!(error.code().starts_with("feeds.document_"));
                    refused += 1;
                }
            }
        }
        assert!(refused > whole.len() * 9 / 10, "{packing}: {refused} of {}", whole.len());
    }
    let mut broken = packed("gz", &seed.bytes);
    let checksum = broken.len() - 8;
    broken[checksum] ^= 1;
    assert_eq!(code(&broken), "feeds.document_malformed");
}

#[test]
fn what_lies_behind_a_box_is_not_passed_over() {
    let seeds = seeds::all();
    let seed = seeds.iter().find(|seed| seed.name == "debian-packages.txt").unwrap();
    for packing in NAMES {
        let whole = packed(packing, &seed.bytes);
        let junk = [whole.as_slice(), b"junk behind it"].concat();
        assert_ne!(code(&junk), "read", "{packing}");
    }
}

#[test]
fn a_decoder_is_not_given_all_memory() {
    // A frame that asks for a window of 2 GiB.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00];
    assert_eq!(code(&frame), "feeds.document_malformed");
    // What `xz --lzma2=dict=1GiB` writes: the size of the dictionary is in the header of the block, with a checksum.
    let mut block = packed("xz", b"x");
    let header = 12..12 + 8;
    assert_eq!(
        block[header.start + 2..header.start + 4],
        [0x21, 1],
        "a filter LZMA2 with one byte of properties"
    );
    block[header.start + 4] = 36;
    let mut checksum = flate2::Crc::new();
    checksum.update(&block[header.clone()]);
    block[header.end..header.end + 4].copy_from_slice(&checksum.sum().to_le_bytes());
    assert_eq!(code(&block), "feeds.document_malformed");
}
