//! A Debian repository's `Release`, or `InRelease`, which is the same with its signature around it.
//!
//! Whether the signature is good is for [`crate::openpgp`] to say. Here an `InRelease` file is refused if anything in it
//! is outside of the signature.

use crate::DocumentError;
use crate::contents::{Contents, Link};
use crate::dates::rfc2822;
use crate::deb822::Paragraph;
use crate::figures::Figures;
use crate::head::{Head, Kind};
use crate::input::Input;
use crate::openpgp::clearsigned::{self, Signed};
use crate::reading::Reading;
use crate::text::is_reference;
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// Debian's unstable release lists its files in 2 MiB.
const RELEASE_BYTES_MAX: u64 = 8 << 20;
/// Files of one release: Debian's unstable one has some 10,000.
const FILES_MAX: usize = 100_000;

/// Whether a document begins like one.
pub(crate) fn is(head: &Head) -> bool {
    if head.kind != Kind::Text {
        return false;
    }
    let text = clearsigned::inside_of(head.text()).unwrap_or(head.text());
    let first = Paragraph::first_of(text);
    let has = |names: &[&str]| names.iter().any(|name| first.get(name).is_some());
    let names_files = has(&["SHA256", "MD5Sum", "SHA1", "SHA512"]);
    let names_release = has(&["Suite", "Codename", "Archive"]);
    let names_parts = has(&["Components", "Component", "Architectures", "Architecture"]);
    !has(&["Package", "Source"]) && (has(&["Date"]) && names_files || names_release && names_parts)
}

pub(crate) fn read(input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    let Reading { contents, figures, .. } = reading;
    let text = input.read_whole(RELEASE_BYTES_MAX)?;
    let signed = Signed::of(&text)?;
    let release = Paragraph::only_of(signed.as_ref().map_or(&text, |signed| &signed.text))?;
    count(figures, &release, signed.is_some());
    contents.document_date = date(&release, "Date", contents);
    contents.valid_until = date(&release, "Valid-Until", contents);
    let files = files(&release, contents)?;
    contents.records = files.len();
    packages_indexes(files).into_iter().try_for_each(|file| contents.link(file))
}

fn count(figures: &mut Figures, release: &Paragraph, is_signed: bool) {
    figures.set("clearsigned", is_signed);
    for (figure, field) in [
        ("origin", "Origin"),
        ("suite", "Suite"),
        ("codename", "Codename"),
        ("date", "Date"),
        ("valid_until", "Valid-Until"),
    ] {
        figures.set(figure, release.get(field).map(str::to_owned));
    }
    for (figure, field) in [("architectures", "Architectures"), ("components", "Components")] {
        let words = release.get(field).unwrap_or_default().split_whitespace().map(str::to_owned);
        figures.set(figure, words.collect::<Vec<_>>());
    }
    for (figure, field) in [("md5_files", "MD5Sum"), ("sha256_files", "SHA256")] {
        figures.set(figure, lines(release, field).count());
    }
}

fn date(release: &Paragraph, field: &str, contents: &mut Contents) -> Option<DateTime<Utc>> {
    let text = release.get(field)?;
    let date = rfc2822(text);
    if date.is_none() {
        contents.quarantine(format!("{field} {text:?} is not a date"));
    }
    date
}

fn lines<'a>(release: &'a Paragraph, field: &str) -> impl Iterator<Item = &'a str> {
    release.get(field).unwrap_or_default().split('\n').filter(|line| !line.trim().is_empty())
}

/// The files with a SHA-256; those with an MD5 sum alone could be anybody's.
fn files(release: &Paragraph, contents: &mut Contents) -> Result<Vec<Link>, DocumentError> {
    let mut files = Vec::new();
    for line in lines(release, "SHA256") {
        if files.len() >= FILES_MAX {
            return Err(DocumentError::TooManyRecords { limit: FILES_MAX });
        }
        match file(line) {
            Some(file) => files.push(file),
            None => contents.quarantine(format!("SHA256 {line:?} is not a hash, a size and a path")),
        }
    }
    Ok(files)
}

/// ` 3b5d…  1337 main/binary-amd64/Packages.xz`
fn file(line: &str) -> Option<Link> {
    let mut words = line.split_whitespace();
    let (hash, size, path) = (words.next()?, words.next()?, words.next()?);
    let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    // The path is put behind the repository's address: it must not lead out of it.
    let stays_inside = is_reference(path) && !path.contains([':', '?', '#', '%']) && !path.contains("//");
    let size_bytes = size.bytes().all(|byte| byte.is_ascii_digit()).then(|| size.parse().ok())??;
    (is_hash && stays_inside && words.next().is_none()).then(|| Link {
        href: path.to_owned(),
        updated: None,
        size_bytes: Some(size_bytes),
        sha256: Some(hash.to_ascii_lowercase()),
    })
}

/// How a `Packages` file may be compressed, the best first. A list names all of them; the plain one is mostly not there.
const PACKINGS: [&str; 5] = [".xz", ".zst", ".gz", ".bz2", ""];

/// One link for each `Packages` that lists anything, to its smallest form.
fn packages_indexes(files: Vec<Link>) -> Vec<Link> {
    let mut indexes: BTreeMap<String, (usize, Link)> = BTreeMap::new();
    let mut empty = BTreeSet::new();
    for file in files {
        let Some((index, rank)) = packages_index(&file.href) else { continue };
        if index == file.href && file.size_bytes == Some(0) {
            empty.insert(index.to_owned());
            continue;
        }
        let index = index.to_owned();
        match indexes.get_mut(&index) {
            Some(best) if best.0 <= rank => {}
            Some(best) => *best = (rank, file),
            None => {
                indexes.insert(index, (rank, file));
            }
        }
    }
    indexes.into_iter().filter(|(index, _)| !empty.contains(index)).map(|(_, (_, link))| link).collect()
}

/// The path of a `Packages` file without its packing, and the packing's rank.
fn packages_index(path: &str) -> Option<(&str, usize)> {
    PACKINGS.iter().enumerate().find_map(|(rank, packing)| {
        let index = path.strip_suffix(packing)?;
        (index.rsplit('/').next() == Some("Packages")).then_some((index, rank))
    })
}
