//! Microsoft's monthly CVRF v3 document, as XML or JSON.
//!
//! The document lists vulnerabilities, each with the fixes per product. A device installs a KB: so the document is
//! turned around, one patch per KB with all the vulnerabilities it closes.

mod json;
mod xml;

use crate::document::{
    Context, DocumentError, PATCH_CVES_MAX, PATCH_TARGETS_MAX, ParsedDocument, Quarantine, RECORDS_MAX,
    clipped, is_cve, is_plain,
};
use crate::severity;
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Utc};
use contracts::feeds::PatchFacts;
use contracts::{Classification, DevicePlatform, FixTarget, NAMESPACE, OsRelease, RebootBehaviour};
use kernel::PatchId;
use std::collections::{BTreeMap, BTreeSet};

/// Whether a text begins like Microsoft's CVRF: Red Hat and SUSE published CVRF as well, of another shape.
pub(crate) fn is_month(head: &str) -> bool {
    xml::is_cvrf(head) && (head.contains("microsoft.com") || !head.contains("DocumentPublisher"))
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

pub(crate) fn parse(text: &str, context: &Context) -> Result<ParsedDocument, DocumentError> {
    let mut month = if text.trim_start().starts_with('{') { json::read(text)? } else { xml::read(text)? };
    if month.advisories.len() > RECORDS_MAX {
        return Err(DocumentError::TooManyRecords { limit: RECORDS_MAX });
    }
    let mut quarantine = Quarantine::default();
    month.products.retain(|product, name| {
        let plain = is_plain(name);
        if !plain {
            quarantine.add(format!("product {product:?}: {name:?} cannot be a name"));
        }
        plain
    });
    let patches = match month.initial_release.or(month.current_release) {
        Some(released) => patches(&month, released.date_naive(), context, &mut quarantine),
        None if month.advisories.is_empty() => Vec::new(),
        None => {
            return Err(DocumentError::Malformed {
                reason: "no release date in DocumentTracking".to_owned(),
            });
        }
    };
    Ok(ParsedDocument {
        document_date: month.current_release.or(month.initial_release),
        patches,
        ratings: Vec::new(),
        quarantined: quarantine.into_reasons(),
    })
}

/// What the document says of one KB, collected over its vulnerabilities.
#[derive(Default)]
struct Update<'a> {
    /// Product name to the build after the update.
    products: BTreeMap<&'a str, &'a str>,
    cves: BTreeSet<&'a str>,
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

fn patches(
    month: &Month,
    released: NaiveDate,
    context: &Context,
    quarantine: &mut Quarantine,
) -> Vec<PatchFacts> {
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
            if is_cve(&advisory.id) {
                update.cves.insert(&advisory.id);
            }
            update.supersedes.extend(kb_of(&fix.supercedence).filter(|older| *older != kb));
            update.restarts.extend(restart_word(&fix.restart_required));
            update.sub_types.extend(Some(fix.sub_type.trim()).filter(|word| is_plain(word)));
        }
    }
    for (description, times) in without_kb {
        quarantine.add(format!("{times} fixes {description:?} have no KB number"));
    }
    for (kb, product) in unknown_products {
        quarantine.add(format!("{kb}: product {product:?} is not in the product tree"));
    }
    let mut patches = Vec::new();
    for (kb, update) in updates {
        if update.products.is_empty() {
            quarantine.add(format!("{kb}: is for no known product"));
        } else if update.products.len() > PATCH_TARGETS_MAX || update.cves.len() > PATCH_CVES_MAX {
            quarantine.add(format!("{kb}: more than {PATCH_TARGETS_MAX} products or {PATCH_CVES_MAX} CVEs"));
        } else {
            patches.push(facts(&kb, &update, released, context));
        }
    }
    patches
}

fn facts(kb: &str, update: &Update<'_>, released: NaiveDate, context: &Context) -> PatchFacts {
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
    PatchFacts {
        patch_id: PatchId::derived(NAMESPACE, &format!("microsoft/{kb}")),
        feed_id: context.feed_id,
        vendor_patch_id: kb.to_owned(),
        name: clipped(&format!(
            "{:04}-{:02} {sub_type} for {} ({kb})",
            released.year(),
            released.month(),
            subject(update.products.keys().copied())
        )),
        platform: DevicePlatform::Windows,
        os_versions: builds.keys().map(|&os| os.to_owned()).collect(),
        vendor_severity: vendor_severity.to_owned(),
        severity,
        classification: Classification::Security,
        release_date: released,
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

/// Dates come with and without `Z`; the year 1 stands for none.
fn date_of(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    let date = DateTime::parse_from_rfc3339(text)
        .map(|date| date.with_timezone(&Utc))
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").map(|date| date.and_utc()))
        .ok()?;
    (1990..3000).contains(&date.year()).then_some(date)
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
