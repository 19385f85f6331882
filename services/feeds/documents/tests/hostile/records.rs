//! Records whose values are there to hurt: ids that are paths or books, days that never were, the same thing twice.

use super::check::{check, read};
use super::is_written_as;
use super::seeds::{self, Seed};
use feeds_documents::contents::Contents;
use kernel::Refused;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Ids that a document names: of itself, of patches, of vulnerabilities.
fn ids(contents: &Contents) -> BTreeSet<String> {
    let patches = contents.patches.iter().map(|patch| patch.vendor_patch_id.clone());
    let cves = contents.vulnerabilities.iter().map(|facts| facts.cve.clone());
    let packages = contents.patches.iter().flat_map(|patch| &patch.targets).filter_map(|target| {
        let target = serde_json::to_value(target).unwrap();
        ["package", "source", "component", "kb"]
            .iter()
            .find_map(|name| Some(target[name].as_str()?.to_owned()))
    });
    contents.document_id.clone().into_iter().chain(patches).chain(cves).chain(packages).collect()
}

/// The text as a value inside of the document.
fn written(seed: &Seed, text: &str) -> String {
    if is_written_as(seed, "json") {
        serde_json::to_string(text).unwrap().trim_matches('"').to_owned()
    } else if is_written_as(seed, "xml") {
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        text.replace('\n', "&#10;").replace('\u{1b}', "&#27;")
    } else {
        text.to_owned()
    }
}

#[test]
fn an_id_that_is_a_path_or_a_book_is_harmless() {
    let book = "A".repeat(1 << 20);
    let evil = [
        "../../etc/passwd",
        "C:\\Windows\\x",
        "/dev/null",
        "a\0b",
        "a\nb",
        "\u{1b}[31mred",
        "\u{202e}txt",
        "'; DROP TABLE patches; --",
        "<script>alert(1)</script>",
        "%00%2e%2e/",
        "",
        " ",
        book.as_str(),
    ];
    for seed in seeds::all() {
        let Ok(text) = String::from_utf8(seed.bytes.clone()) else { continue };
        let contents = read(&seed.bytes).unwrap().contents;
        for (number, id) in ids(&contents).into_iter().take(6).enumerate() {
            // One book of a document is enough to read.
            for evil in evil.iter().copied().filter(|evil| number == 0 || evil.len() < 100) {
                let changed = text.replace(&id, &written(&seed, evil));
                if let Ok(document) = read(changed.as_bytes()) {
                    check(&document);
                    let bytes = format!("{:?}", document.contents).len();
                    assert!(bytes < 600_000, "{}: {id} became {bytes} bytes", seed.name);
                }
            }
        }
    }
}

#[test]
fn a_day_that_never_was_is_no_day() {
    let forms = |text: &str| -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        let bytes = text.as_bytes();
        for at in 0..bytes.len().saturating_sub(10) {
            let is_digit = |offset: usize| bytes[at + offset].is_ascii_digit();
            let is_day = [0, 1, 2, 3, 5, 6, 8, 9].into_iter().all(is_digit)
                && bytes[at + 4] == b'-'
                && bytes[at + 7] == b'-';
            if is_day && (at == 0 || !bytes[at - 1].is_ascii_digit()) {
                found.push((at, 10));
            }
        }
        found
    };
    for seed in seeds::all() {
        let Ok(text) = String::from_utf8(seed.bytes.clone()) else { continue };
        for day in [
            "0000-00-00",
            "0001-01-01",
            "9999-12-31",
            "99999-01-01",
            "-2024-01-01",
            "2024-02-30",
            "2024-13-01",
            "",
        ] {
            let mut changed = text.clone();
            for (at, length) in forms(&text).into_iter().rev() {
                changed.replace_range(at..at + length, day);
            }
            // Seconds since 1970, and years of texts.
            let changed = changed.replace("2026 ", "9999 ").replace("2023 ", "0000 ");
            if let Ok(document) = read(changed.as_bytes()) {
                check(&document);
            }
        }
        for number in ["99999999999999999999", "-1", "1e300", "9223372036854775807", "0.5"] {
            let changed: Vec<&str> = text.split_inclusive(|c: char| !c.is_ascii_digit()).collect();
            let of_ten = |piece: &&str| piece.trim_end_matches(|c: char| !c.is_ascii_digit()).len() == 10;
            let changed: String =
                changed
                    .iter()
                    .map(|piece| {
                        if of_ten(piece) { format!("{number}{}", &piece[10..]) } else { (*piece).to_owned() }
                    })
                    .collect();
            if let Ok(document) = read(changed.as_bytes()) {
                check(&document);
            }
        }
    }
}

/// The document with everything in it twice.
fn doubled(seed: &Seed) -> Option<String> {
    let text = String::from_utf8(seed.bytes.clone()).ok()?;
    if is_written_as(seed, "json") {
        let mut value: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).ok()?;
        double(&mut value);
        return Some(value.to_string());
    }
    if is_written_as(seed, "xml") {
        let root =
            text.match_indices('<').map(|(at, _)| at).find(|at| !text[at + 1..].starts_with(['?', '!']))?;
        let start = root + text[root..].find('>')? + 1;
        let end = text.rfind("</")?;
        return Some(format!("{}{}{}", &text[..end], &text[start..end], &text[end..]));
    }
    Some(format!("{text}{text}"))
}

fn double(value: &mut Value) {
    match value {
        Value::Array(list) => {
            list.iter_mut().for_each(double);
            let again = list.clone();
            list.extend(again);
        }
        Value::Object(fields) => fields.values_mut().for_each(double),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn what_is_there_twice_is_told_once() {
    let mut read_so_far = 0;
    for seed in seeds::all() {
        let Some(doubled) = doubled(&seed) else { continue };
        let once = read(&seed.bytes).unwrap().contents;
        // A list that counts its own records refuses others.
        let Ok(twice) = read(doubled.as_bytes()) else { continue };
        check(&twice);
        read_so_far += 1;
        let ids = |contents: &Contents| {
            contents.patches.iter().map(|patch| patch.patch_id).collect::<BTreeSet<_>>()
        };
        assert_eq!(ids(&twice.contents), ids(&once), "{}", seed.name);
    }
    assert!(read_so_far > 20, "{read_so_far}");
}

#[test]
fn updates_that_replace_each_other_are_told_as_they_are() {
    let row = |kb: &str, older: &str| {
        json!({"articleName": kb, "supercedence": older, "product": "Windows 11", "platform": "Windows 11",
            "releaseDate": "2031-03-11T08:00:00Z", "severity": "Critical", "cveNumber": "CVE-2031-1001"})
    };
    let circle = json!({"value": [row("5090001", "5090002"), row("5090002", "5090003"), row("5090003", "5090001"),
        row("5090004", "5090004")]});
    let document = read(circle.to_string().as_bytes()).unwrap();
    check(&document);
    let replaced: Vec<(&str, Vec<&str>)> = document
        .contents
        .patches
        .iter()
        .map(|patch| (patch.vendor_patch_id.as_str(), patch.supersedes.iter().map(String::as_str).collect()))
        .collect();
    assert_eq!(
        replaced,
        [
            ("KB5090001", vec!["KB5090002"]),
            ("KB5090002", vec!["KB5090003"]),
            ("KB5090003", vec!["KB5090001"]),
            ("KB5090004", vec![])
        ]
    );
}

#[test]
fn numbers_beyond_all_measure_are_refused_or_left_out() {
    for seed in seeds::all() {
        let Ok(text) = String::from_utf8(seed.bytes.clone()) else { continue };
        for number in [
            "18446744073709551615",
            "-9223372036854775809",
            "340282366920938463463374607431768211456",
            "1e309",
            "NaN",
        ] {
            for (at, _) in text.char_indices().filter(|(_, c)| c.is_ascii_digit()).step_by(11) {
                let end = at + text[at..].bytes().take_while(u8::is_ascii_digit).count();
                let changed = format!("{}{number}{}", &text[..at], &text[end..]);
                match read(changed.as_bytes()) {
                    Ok(document) => check(&document),
                    Err(error) => assert!(error.code().starts_with("feeds.document_"), "{error}"),
                }
            }
        }
    }
}
