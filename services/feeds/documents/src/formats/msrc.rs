//! Microsoft's monthly CVRF v3 document, as XML or JSON.
//!
//! The document lists vulnerabilities, each with the fixes per product. A device installs a KB: so the document is
//! turned around, one patch per KB with all the vulnerabilities it closes.

mod json;
mod xml;

use crate::contents::Contents;
use crate::dates;
use crate::head::Head;
use crate::identity::{self, Vendor};
use crate::input::Input;
use crate::limits::{PATCH_CVES_MAX, PATCH_TARGETS_MAX, RECORDS_MAX};
use crate::reading::Reading;
use crate::text::{clipped, is_cve, is_plain};
use crate::{DocumentError, Format};
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use contracts::feeds::PatchFacts;
use contracts::{Cadence, DevicePlatform, FixTarget, OsRelease, RebootBehaviour};
use feeds_domain::severity;
use kernel::FeedId;
use std::collections::{BTreeMap, BTreeSet};

/// The largest month is below 20 MiB.
const MONTH_BYTES_MAX: u64 = 64 << 20;

/// Whether a document begins like Microsoft's CVRF: Red Hat and SUSE published CVRF as well, of another shape.
pub(crate) fn is_xml(head: &Head) -> bool {
    head.root().is_some_and(|(name, _)| name == "cvrfdoc")
        && (head.text().contains("microsoft.com") || !head.text().contains("DocumentPublisher"))
}

/// The same, as JSON.
pub(crate) fn is_json(head: &Head) -> bool {
    ["DocumentTitle", "DocumentTracking", "ProductTree"].iter().any(|key| head.has(1, key))
}

/// The part of the document that matters here, whichever way it is written.
#[derive(Debug, Default, PartialEq)]
struct Month {
    initial_release: Option<DateTime<Utc>>,
    current_release: Option<DateTime<Utc>>,
    /// Product id to name.
    products: BTreeMap<String, String>,
    advisories: Vec<Advisory>,
}

#[derive(Debug, Default, PartialEq)]
struct Advisory {
    /// `CVE-2024-20674` or `ADV200013`.
    id: String,
    /// Severity words, each for these products; none named means all.
    severities: Vec<(Vec<String>, String)>,
    /// Vendor fixes only.
    fixes: Vec<Fix>,
}

#[derive(Debug, Default, PartialEq)]
struct Fix {
    description: String,
    products: Vec<String>,
    /// The document's own spelling.
    supercedence: String,
    restart_required: String,
    fixed_build: String,
    sub_type: String,
}

pub(crate) fn read(format: Format, input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    let text = input.read_whole(MONTH_BYTES_MAX)?;
    let mut month = if format == Format::MsrcCvrfJson { json::read(&text)? } else { xml::read(&text)? };
    if month.advisories.len() > RECORDS_MAX {
        return Err(DocumentError::TooManyRecords { limit: RECORDS_MAX });
    }
    let contents = &mut reading.contents;
    contents.records = month.advisories.len();
    month.products.retain(|product, name| {
        let plain = is_plain(name);
        if !plain {
            contents.quarantine(format!("product {product:?}: {name:?} cannot be a name"));
        }
        plain
    });
    let found = match month.initial_release.or(month.current_release) {
        Some(released) => patches(&month, released.date_naive(), reading.feed_id, contents),
        None if month.advisories.is_empty() => Vec::new(),
        None => return Err(DocumentError::malformed("no release date in DocumentTracking")),
    };
    contents.document_date = month.current_release.or(month.initial_release);
    for patch in found {
        contents.patch(patch)?;
    }
    Ok(())
}

/// What the document says of one KB, collected over its vulnerabilities.
#[derive(Default)]
struct Update<'a> {
    /// Product name to the build after the update.
    products: BTreeMap<&'a str, &'a str>,
    cves: BTreeSet<&'a str>,
    advisories: BTreeSet<&'a str>,
    severities: BTreeSet<&'a str>,
    supersedes: BTreeSet<String>,
    restarts: BTreeSet<RestartWord>,
    sub_types: BTreeSet<&'a str>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum RestartWord {
    No,
    Maybe,
    Yes,
}

fn patches(month: &Month, released: NaiveDate, feed_id: FeedId, contents: &mut Contents) -> Vec<PatchFacts> {
    let mut updates: BTreeMap<String, Update<'_>> = BTreeMap::new();
    // Edge, Office click-to-run, Mariner: their fixes have words where others have a KB. Counted, not listed one by one.
    let mut without_kb: BTreeMap<String, usize> = BTreeMap::new();
    let mut unknown_products: BTreeSet<(String, &str)> = BTreeSet::new();
    for advisory in &month.advisories {
        for fix in &advisory.fixes {
            let Some(kb) = kb_of(&fix.description) else {
                *without_kb.entry(clipped(fix.description.trim())).or_default() += 1;
                continue;
            };
            let update = updates.entry(kb.clone()).or_default();
            for product in &fix.products {
                let Some(name) = month.products.get(product) else {
                    unknown_products.insert((kb.clone(), product));
                    continue;
                };
                let build = update.products.entry(name).or_default();
                if is_later_build(&fix.fixed_build, build) {
                    *build = &fix.fixed_build;
                }
                update.severities.extend(
                    advisory
                        .severities
                        .iter()
                        .filter(|(products, _)| products.is_empty() || products.contains(product))
                        .map(|(_, word)| word.as_str()),
                );
            }
            if is_plain(&advisory.id) {
                update.advisories.insert(&advisory.id);
            }
            if is_cve(&advisory.id) {
                update.cves.insert(&advisory.id);
            }
            update.supersedes.extend(kb_of(&fix.supercedence).filter(|older| *older != kb));
            update.restarts.extend(restart_word(&fix.restart_required));
            update.sub_types.extend(Some(fix.sub_type.trim()).filter(|word| is_plain(word)));
        }
    }
    for (description, times) in without_kb {
        contents.quarantine(format!("{times} fixes {description:?} have no KB number"));
    }
    for (kb, product) in unknown_products {
        contents.quarantine(format!("{kb}: product {product:?} is not in the product tree"));
    }
    let mut patches = Vec::new();
    for (kb, update) in updates {
        if update.products.is_empty() {
            contents.quarantine(format!("{kb}: is for no known product"));
        } else if update.products.len() > PATCH_TARGETS_MAX || update.cves.len() > PATCH_CVES_MAX {
            contents
                .quarantine(format!("{kb}: more than {PATCH_TARGETS_MAX} products or {PATCH_CVES_MAX} CVEs"));
        } else {
            patches.push(facts(&kb, &update, released, feed_id));
        }
    }
    patches
}

fn facts(kb: &str, update: &Update<'_>, released: NaiveDate, feed_id: FeedId) -> PatchFacts {
    // One target per operating system: a component (`.NET … on Windows Server 2016`) is a target of its platform, and
    // its build is not the platform's.
    let mut builds: BTreeMap<&str, &str> = BTreeMap::new();
    for (product, build) in &update.products {
        let known = builds.entry(platform_of(product)).or_default();
        if platform_of(product) == *product && is_later_build(build, known) {
            *known = build;
        }
    }
    let (severity, vendor_severity) = severity::highest(update.severities.iter().copied());
    let sub_type = update.sub_types.first().copied().unwrap_or("Security Update");
    let mut advisories: Vec<String> = update.advisories.iter().map(|&id| id.to_owned()).collect();
    advisories.sort();
    PatchFacts {
        name: clipped(&format!(
            "{:04}-{:02} {sub_type} for {} ({kb})",
            released.year(),
            released.month(),
            subject(update.products.keys().copied())
        )),
        os_versions: builds.keys().map(|&os| os.to_owned()).collect(),
        vendor_severity: vendor_severity.to_owned(),
        severity,
        cves: update.cves.iter().map(|&cve| cve.to_owned()).collect(),
        targets: builds
            .iter()
            .map(|(&os, &build)| FixTarget::Kb {
                os: OsRelease { id: "windows".to_owned(), version: os.to_owned() },
                kb: kb.to_owned(),
                fixed_build: (!build.is_empty()).then(|| build.to_owned()),
            })
            .collect(),
        supersedes: update.supersedes.iter().cloned().collect(),
        reboot: reboot(&update.restarts),
        url: kb.strip_prefix("KB").map(|number| format!("https://support.microsoft.com/help/{number}")),
        advisories,
        cadence: Cadence::Monthly,
        ..identity::blank(
            feed_id,
            identity::patch_id_for_all(Vendor::Microsoft, kb),
            kb,
            DevicePlatform::Windows,
            released,
        )
    }
}

/// `5034123` or `KB5034123`; anything else is words.
fn kb_of(text: &str) -> Option<String> {
    let text = text.trim();
    let number = text.strip_prefix("KB").unwrap_or(text);
    ((5..=8).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit()))
        .then(|| format!("KB{number}"))
}

fn restart_word(text: &str) -> Option<RestartWord> {
    match text.trim().to_ascii_lowercase().as_str() {
        "yes" => Some(RestartWord::Yes),
        "maybe" => Some(RestartWord::Maybe),
        "no" => Some(RestartWord::No),
        _ => None,
    }
}

fn reboot(words: &BTreeSet<RestartWord>) -> RebootBehaviour {
    match (words.first(), words.last()) {
        (None, _) | (_, None) => RebootBehaviour::Unknown,
        (Some(RestartWord::Yes), Some(_)) => RebootBehaviour::Always,
        (Some(_), Some(RestartWord::No)) => RebootBehaviour::Never,
        // Products that disagree.
        (Some(_), Some(_)) => RebootBehaviour::Maybe,
    }
}

/// `major.minor.build.revision`. The field also holds web addresses, package versions and dates.
fn build_numbers(text: &str) -> Option<[u32; 4]> {
    let mut parts = text.trim().split('.');
    let mut next = || parts.next()?.parse::<u32>().ok();
    let numbers = [next()?, next()?, next()?, next()?];
    parts.next().is_none().then_some(numbers)
}

fn is_later_build(build: &str, known: &str) -> bool {
    build_numbers(build) > build_numbers(known)
}

/// The operating system of a product: `.NET … on Windows Server 2016` is a component on a platform.
fn platform_of(product: &str) -> &str {
    product.rfind(" on Windows ").and_then(|at| product.get(at + " on ".len()..)).unwrap_or(product)
}

/// What the update is for, short enough for a title.
fn subject<'a>(products: impl Iterator<Item = &'a str>) -> String {
    /// Words that a shortened name must not end with.
    const LOOSE_ENDS: &[&str] = &["Version", "version", "on", "AND", "and", "for"];
    /// Names that are told in full.
    const NAMED_MAX: usize = 3;
    let names: BTreeSet<&str> = products.map(without_edition).collect();
    let mut common: Option<Vec<&str>> = None;
    for name in &names {
        let words: Vec<&str> = name.split(' ').collect();
        common = Some(match common {
            None => words,
            Some(known) => known.into_iter().zip(words).take_while(|(a, b)| a == b).map(|(a, _)| a).collect(),
        });
    }
    let mut common = common.unwrap_or_default();
    while common.last().is_some_and(|word| LOOSE_ENDS.contains(word)) {
        common.pop();
    }
    if common.len() > 1 {
        return common.join(" ");
    }
    let first: Vec<&str> = names.iter().copied().take(NAMED_MAX).collect();
    match names.len() - first.len() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// The product without its processor or installation kind.
fn without_edition(product: &str) -> &str {
    const EDITIONS: &[&str] = &[
        " (Server Core installation)",
        " for x64-based Systems",
        " for ARM64-based Systems",
        " for 32-bit Systems",
        " for Itanium-based Systems",
        " (32-bit edition)",
        " (64-bit edition)",
        " (32-bit editions)",
        " (64-bit editions)",
    ];
    let mut name = product;
    while let Some(shorter) = EDITIONS.iter().find_map(|edition| name.strip_suffix(edition)) {
        name = shorter;
    }
    name
}

fn date_of(text: &str) -> Option<DateTime<Utc>> {
    dates::instant(text)
}

#[cfg(test)]
mod tests {
    use super::{build_numbers, date_of, kb_of, platform_of, subject};

    #[test]
    fn only_numbers_are_kbs() {
        assert_eq!(kb_of(" 5034123 "), Some("KB5034123".to_owned()));
        assert_eq!(kb_of("KB5034123"), Some("KB5034123".to_owned()));
        for words in ["", "Release Notes", "Click to Run", "sqlite", "KB", "5034123;5034124", "١٢٣٤٥٦"]
        {
            assert_eq!(kb_of(words), None, "{words:?}");
        }
    }

    #[test]
    fn builds_compare_as_numbers_and_other_texts_are_no_builds() {
        assert!(build_numbers("10.0.22621.3007") > build_numbers("10.0.22621.963"));
        for text in
            ["1.001", "1.0.0b4", "5.15.145.2-1", "https://aka.ms/OfficeSecurityReleases", "1.2.3.4.5", ""]
        {
            assert_eq!(build_numbers(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_component_belongs_to_its_platform() {
        assert_eq!(
            platform_of(
                "Microsoft .NET Framework 3.5 AND 4.8 on Windows Server 2022 (Server Core installation)"
            ),
            "Windows Server 2022 (Server Core installation)"
        );
        assert_eq!(platform_of("Microsoft SharePoint Server 2019"), "Microsoft SharePoint Server 2019");
    }

    #[test]
    fn a_title_names_what_the_products_have_in_common() {
        assert_eq!(
            subject(
                [
                    "Windows 11 Version 22H2 for x64-based Systems",
                    "Windows 11 Version 22H2 for ARM64-based Systems",
                    "Windows 11 Version 23H2 for x64-based Systems"
                ]
                .into_iter()
            ),
            "Windows 11"
        );
        assert_eq!(
            subject(["Windows Server 2019", "Windows 10 Version 1809 for 32-bit Systems"].into_iter()),
            "Windows 10 Version 1809, Windows Server 2019"
        );
        assert_eq!(subject(["A", "B", "C", "D", "E"].into_iter()), "A, B, C and 2 more");
    }

    #[test]
    fn dates_come_with_and_without_zone() {
        assert_eq!(date_of("2024-01-09T08:00:00"), date_of("2024-01-09T08:00:00Z"));
        assert!(date_of("2024-01-09T08:00:00").is_some());
        assert_eq!(date_of("0001-01-01T00:00:00"), None);
        assert_eq!(date_of("soon"), None);
    }
}
