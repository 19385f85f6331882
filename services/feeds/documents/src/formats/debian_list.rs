//! Debian's advisory list (`DSA/list`, `DLA/list`): line text, newest advisory first.
//!
//! ```text
//! [29 Mar 2023] DSA-5380-1 xorg-server - security update
//!         {CVE-2023-1393}
//!         [bullseye] - xorg-server 2:1.20.11-1+deb11u6
//! ```
//! An advisory that fixes two releases is two patches: a device needs the one of its own release.

mod figures;

use crate::DocumentError;
use crate::contents::Contents;
use crate::dates::{day, midnight};
use crate::head::{Head, Kind};
use crate::identity::{self, Vendor};
use crate::input::Input;
use crate::limits::{PATCH_CVES_MAX, PATCH_TARGETS_MAX, RECORDS_MAX};
use crate::reading::Reading;
use crate::text::{clipped, is_cve, is_plain};
use chrono::NaiveDate;
use contracts::feeds::PatchFacts;
use contracts::{DevicePlatform, FixTarget, OsRelease, Severity, VersionOrder};
use debversion::Version;
use feeds_domain::severity;
use kernel::FeedId;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use versions::is_later;

/// Debian's whole history is below 2 MiB.
const LIST_BYTES_MAX: u64 = 8 << 20;

/// Whether a document begins like an advisory list.
pub(crate) fn is(head: &Head) -> bool {
    // One unprintable character in some title makes it no other document.
    matches!(head.kind, Kind::Text | Kind::Binary) && header(head.first_line()).is_some()
}

/// An advisory as it is written.
struct Advisory<'a> {
    date: NaiveDate,
    id: &'a str,
    title: &'a str,
    cves: BTreeSet<&'a str>,
    /// Codename to what is fixed there.
    fixes: BTreeMap<&'a str, Release<'a>>,
}

#[derive(Default)]
struct Release<'a> {
    /// Source package to first good version.
    sources: BTreeMap<&'a str, &'a str>,
    /// Urgencies: `- courier 0.47-4sarge3 (bug #320290; medium)`.
    urgencies: BTreeSet<&'a str>,
}

pub(crate) fn read(input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    let text = input.read_whole(LIST_BYTES_MAX)?;
    // A list cut in the middle of a line would give a wrong version, which is worse than none.
    if !text.ends_with('\n') {
        return Err(DocumentError::truncated("the last line has no end"));
    }
    if reading.figures.on() {
        figures::count(&text, &mut reading.figures);
    }
    let mut list = List { reading, ids: HashSet::new(), open: None, newest: None, unreadable: 0 };
    for (at, line) in text.lines().enumerate() {
        list.line(line, at + 1)?;
    }
    list.close()?;
    let List { reading, newest, unreadable, .. } = list;
    let contents = &mut reading.contents;
    if contents.records == 0 || unreadable > contents.records + 10 {
        let advisories = contents.records;
        return Err(DocumentError::malformed(format!(
            "{advisories} advisories and {unreadable} unreadable lines"
        )));
    }
    contents.document_date = newest.map(midnight);
    link_supersedence(&mut contents.patches)
}

/// A list while it is read: each advisory becomes patches when the next one begins.
struct List<'a, 'r> {
    reading: &'r mut Reading,
    ids: HashSet<&'a str>,
    /// The advisory whose lines are read. After an unreadable head there is none: its lines must not be taken for the
    /// advisory before it.
    open: Option<Advisory<'a>>,
    newest: Option<NaiveDate>,
    /// Lines that were none of the things that lines are.
    unreadable: usize,
}

impl<'a> List<'a, '_> {
    fn line(&mut self, line: &'a str, number: usize) -> Result<(), DocumentError> {
        if line.trim().is_empty() {
            return Ok(());
        }
        if line.starts_with([' ', '\t']) {
            if let Some(advisory) = &mut self.open {
                let contents = &mut self.reading.contents;
                let before = contents.quarantined_count();
                detail(advisory, line.trim(), number, contents);
                self.unreadable += contents.quarantined_count() - before;
            }
            return Ok(());
        }
        self.close()?;
        let contents = &mut self.reading.contents;
        let Some((date, id, title)) = header(line) else {
            contents.quarantine(format!("line {number} is not an advisory: {line}"));
            self.unreadable += 1;
            return Ok(());
        };
        if !self.ids.insert(id) {
            contents.quarantine(format!("line {number}: {id} is here twice, the first one counts"));
            self.unreadable += 1;
            return Ok(());
        }
        if contents.records >= RECORDS_MAX {
            return Err(DocumentError::TooManyRecords { limit: RECORDS_MAX });
        }
        contents.records += 1;
        self.newest = self.newest.max(Some(date));
        self.open = Some(Advisory { date, id, title, cves: BTreeSet::new(), fixes: BTreeMap::new() });
        Ok(())
    }

    /// No more is said of the advisory.
    fn close(&mut self) -> Result<(), DocumentError> {
        let Some(advisory) = self.open.take() else { return Ok(()) };
        let Reading { contents, feed_id, .. } = &mut *self.reading;
        for (codename, release) in &advisory.fixes {
            match identity::debian(codename) {
                Some(os) => contents.patch(facts(&advisory, codename, &os, release, *feed_id))?,
                None => {
                    contents.quarantine(format!("{}: release {codename:?} is not known", advisory.id));
                }
            }
        }
        Ok(())
    }
}

/// `[29 Mar 2023] DSA-5380-1 xorg-server - security update`; ids before 2005 have no second number.
fn header(line: &str) -> Option<(NaiveDate, &str, &str)> {
    let (date, rest) = line.strip_prefix('[')?.split_once(']')?;
    let date = day(date, &["%d %b %Y"])?;
    let rest = rest.trim();
    let (id, title) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let numbers = id.strip_prefix("DSA-").or_else(|| id.strip_prefix("DLA-"))?;
    let (first, second) = numbers.split_once('-').unwrap_or((numbers, "1"));
    let is_number = |part: &str| (1..=9).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    (is_number(first) && is_number(second)).then_some((date, id, title.trim()))
}

/// A line below an advisory: its CVEs, a fix, or a note.
fn detail<'a>(advisory: &mut Advisory<'a>, line: &'a str, number: usize, contents: &mut Contents) {
    if let Some(ids) = line.strip_prefix('{') {
        let ids = ids.trim_end_matches('}').split_whitespace();
        for id in ids {
            if !is_cve(id) {
                // Old lists name candidates (`CAN-2004-0001`) and unnumbered issues; they identify nothing today.
                continue;
            }
            if advisory.cves.len() >= PATCH_CVES_MAX {
                contents.quarantine(format!(
                    "line {number}: {} has more than {PATCH_CVES_MAX} CVEs",
                    advisory.id
                ));
                return;
            }
            advisory.cves.insert(id);
        }
        return;
    }
    let Some((codename, rest)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
        if !line.starts_with("NOTE:") {
            contents.quarantine(format!("line {number}: neither a fix nor a note: {line}"));
        }
        return;
    };
    let mut words = rest.split_whitespace();
    let (Some("-"), Some(source), Some(version)) = (words.next(), words.next(), words.next()) else {
        contents.quarantine(format!("line {number}: a fix without package or version: {line}"));
        return;
    };
    // `<not-affected>`, `<unfixed>`, `<end-of-life>`: said, and nothing to install. `0` says the same.
    if version.starts_with('<') || version == "0" {
        return;
    }
    if !is_plain(source) || !is_plain(version) || version.parse::<Version>().is_err() {
        contents.quarantine(format!("line {number}: {version:?} is not a Debian version"));
        return;
    }
    let release = advisory.fixes.entry(codename).or_default();
    if release.sources.len() >= PATCH_TARGETS_MAX {
        contents.quarantine(format!(
            "line {number}: {} fixes more than {PATCH_TARGETS_MAX} packages",
            advisory.id
        ));
        return;
    }
    // Only some advisories tell an urgency, behind the version and among bug numbers.
    let remarks = rest.split_once('(').map_or("", |(_, remarks)| remarks.trim_end_matches(')'));
    let is_urgency = |word: &&str| severity::from_word(word) != Severity::Unknown;
    release.urgencies.extend(remarks.split(';').map(str::trim).filter(is_urgency));
    let best = release.sources.entry(source).or_insert(version);
    if is_later(VersionOrder::Dpkg, version, best) {
        *best = version;
    }
}

fn facts(
    advisory: &Advisory<'_>,
    codename: &str,
    os: &OsRelease,
    release: &Release<'_>,
    feed_id: FeedId,
) -> PatchFacts {
    let id = advisory.id;
    let os_version = &os.version;
    // Mostly there is no urgency: the tracker has more of them, and nobody guesses.
    let (severity, vendor_severity) = severity::highest(release.urgencies.iter().copied());
    // The list says nothing about restarting; the package does, when it is installed.
    PatchFacts {
        name: clipped(&format!("{} for Debian {os_version} ({id})", advisory.title)),
        os_versions: vec![format!("Debian {os_version} ({codename})")],
        vendor_severity: vendor_severity.to_owned(),
        severity,
        cves: advisory.cves.iter().map(|&cve| cve.to_owned()).collect(),
        targets: release
            .sources
            .iter()
            .map(|(source, version)| FixTarget::SourcePackage {
                os: os.clone(),
                source: (*source).to_owned(),
                fixed_version: (*version).to_owned(),
            })
            .collect(),
        url: Some(format!("https://security-tracker.debian.org/tracker/{id}")),
        advisories: vec![id.to_owned()],
        ..identity::blank(
            feed_id,
            identity::patch_id(Vendor::Debian, id, os),
            id,
            DevicePlatform::Linux,
            advisory.date,
        )
    }
}

/// Packages that are compared to tell what replaces what: Debian's whole history needs some 100,000.
const COMPARED_MAX: usize = 5_000_000;

/// A later advisory for the same packages of the same release replaces the one before it: apt offers only the newest version.
///
/// Only where it reaches every package of the older one, at the same version or above.
fn link_supersedence(patches: &mut [PatchFacts]) -> Result<(), DocumentError> {
    let mut order: Vec<usize> = (0..patches.len()).rev().collect();
    // The list is newest first; a stable sort by day keeps its order within a day.
    order.sort_by_key(|&at| patches[at].release_date);
    let mut latest: HashMap<String, usize> = HashMap::new();
    let mut compared = 0;
    for at in order {
        let versions: BTreeMap<String, &str> = packages(&patches[at]).collect();
        let before: BTreeSet<usize> = versions.keys().filter_map(|key| latest.get(key).copied()).collect();
        let mut replaced = BTreeSet::new();
        for old in before {
            compared += patches[old].targets.len();
            if compared > COMPARED_MAX {
                return Err(DocumentError::TooManyRecords { limit: COMPARED_MAX });
            }
            if reaches(&versions, &patches[old]) {
                replaced.insert(patches[old].vendor_patch_id.clone());
            }
        }
        let keys: Vec<String> = versions.into_keys().collect();
        patches[at].supersedes = replaced.into_iter().collect();
        latest.extend(keys.into_iter().map(|key| (key, at)));
    }
    Ok(())
}

fn reaches(newer: &BTreeMap<String, &str>, older: &PatchFacts) -> bool {
    packages(older).all(|(key, wanted)| newer.get(&key).is_some_and(|version| is_at_least(version, wanted)))
}

/// Release and source package, with the first good version.
fn packages(patch: &PatchFacts) -> impl Iterator<Item = (String, &str)> {
    patch.targets.iter().filter_map(|target| match target {
        FixTarget::SourcePackage { os, source, fixed_version } => {
            Some((format!("{} {source}", os.key()), fixed_version.as_str()))
        }
        FixTarget::Kb { .. } | FixTarget::BinaryPackage { .. } | FixTarget::OemComponent { .. } => None,
    })
}

/// Whether `version` is `wanted` or later, in Debian's order.
fn is_at_least(version: &str, wanted: &str) -> bool {
    match (version.parse::<Version>(), wanted.parse::<Version>()) {
        (Ok(version), Ok(wanted)) => version >= wanted,
        (Ok(_) | Err(_), Err(_)) | (Err(_), Ok(_)) => false,
    }
}
