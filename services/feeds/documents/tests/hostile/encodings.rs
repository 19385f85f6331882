//! Documents in other encodings than they should be in, and such that are none at all.

use super::check::read;
use super::is_written_as;
use super::seeds::{self, Seed};
use kernel::Refused;

fn texts() -> impl Iterator<Item = Seed> {
    seeds::all().into_iter().filter(|seed| !is_written_as(seed, "zip"))
}

fn code(bytes: &[u8]) -> &'static str {
    read(bytes).map_or_else(|error| error.code(), |_| "read")
}

fn utf_16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(to_bytes).collect()
}

#[test]
fn nothing_is_in_no_format() {
    for nothing in
        [&b""[..], b"\n", b" \t\r\n ", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n", b"\xff\xfe", b"\xfe\xff"]
    {
        assert_eq!(code(nothing), "feeds.document_empty", "{nothing:?}");
    }
}

#[test]
fn a_byte_that_is_no_utf_8_is_refused_wherever_it_is() {
    let mut refused_as_such = 0;
    for seed in texts() {
        // `wsus-clixml.xml` is UTF-16.
        let Ok(text) = std::str::from_utf8(&seed.bytes) else { continue };
        for share in [2, 3, 5] {
            let at = text.char_indices().map(|(at, _)| at).find(|at| *at >= text.len() / share).unwrap();
            for bytes in [&b"\xe9"[..], b"\xc3\x28", b"\xff\xff\xff\xff", b"\xed\xa0\x80"] {
                let damaged = [&seed.bytes[..at], bytes, &seed.bytes[at..]].concat();
                // Where it is in what tells the format, there is no format.
                let found = code(&damaged);
                let wanted = ["feeds.document_wrong_encoding", "feeds.document_unknown_format"];
                assert!(wanted.contains(&found), "{} at {at}: {found}", seed.name);
                refused_as_such += usize::from(found == wanted[0]);
            }
        }
        // In the middle of a character, at the end.
        let damaged = [text.trim_end().as_bytes(), b"\xf0\x9f\x92"].concat();
        let found = code(&damaged);
        assert!(
            ["feeds.document_wrong_encoding", "feeds.document_malformed"].contains(&found),
            "{}",
            seed.name
        );
    }
    assert!(refused_as_such > 300, "{refused_as_such}");
}

#[test]
fn utf_16_is_read_by_its_mark_or_by_its_first_character() {
    for seed in texts() {
        let Ok(text) = std::str::from_utf8(&seed.bytes) else { continue };
        let text = text.trim_start_matches('\u{feff}');
        let wanted = read(&seed.bytes).unwrap().contents;
        for to_bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            let marked = utf_16(&format!("\u{feff}{text}"), to_bytes);
            assert_eq!(read(&marked).unwrap().contents, wanted, "{}", seed.name);
            let bare = utf_16(text, to_bytes);
            if text.starts_with(['{', '<', '[']) {
                assert_eq!(read(&bare).unwrap().contents, wanted, "{}", seed.name);
                // Half of a character.
                assert_ne!(code(&bare[..bare.len() - 1]), "read", "{}", seed.name);
            } else {
                assert_eq!(code(&bare), "feeds.document_unknown_format", "{}", seed.name);
            }
        }
        // Half of a pair.
        let lone = [utf_16(&format!("\u{feff}{text}"), u16::to_le_bytes), vec![0x00, 0xd8]].concat();
        assert_eq!(code(&lone), "feeds.document_wrong_encoding", "{}", seed.name);
    }
}

#[test]
fn a_mark_or_other_ends_of_lines_change_nothing() {
    for seed in texts() {
        let Ok(text) = std::str::from_utf8(&seed.bytes) else { continue };
        let wanted = read(&seed.bytes).unwrap().contents;
        let text = text.trim_start_matches('\u{feff}');
        assert_eq!(read(format!("\u{feff}{text}").as_bytes()).unwrap().contents, wanted, "{}", seed.name);
        if !text.contains("-----BEGIN PGP") {
            let windows = text.replace("\r\n", "\n").replace('\n', "\r\n");
            let contents = read(windows.as_bytes()).unwrap().contents;
            assert_eq!(contents.patches, wanted.patches, "{}", seed.name);
            assert_eq!(contents.links, wanted.links, "{}", seed.name);
        }
    }
}

#[test]
fn a_web_page_is_told_apart_from_a_document() {
    for page in [
        "<!DOCTYPE html>\n<html><head><title>503</title></head><body>busy</body></html>",
        "<html><body><p>sign in<br></body></html>",
        "\u{feff}\n<!doctype HTML><HTML></HTML>",
    ] {
        let error = read(page.as_bytes()).unwrap_err();
        assert_eq!(error.code(), "feeds.document_unknown_format");
        assert!(error.to_string().contains("a web page"), "{error}");
    }
    for other in ["{\"error\": \"not found\"}", "404 page not found\n", "[]", "null", "{}"] {
        assert_eq!(code(other.as_bytes()), "feeds.document_unknown_format", "{other}");
    }
}
