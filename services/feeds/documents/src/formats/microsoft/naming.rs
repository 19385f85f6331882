//! Microsoft's names: KB numbers, builds, products and titles.

use crate::text::clipped;
use chrono::{Datelike, NaiveDate};
use std::collections::BTreeSet;

/// `5034123` or `KB5034123`; anything else is words.
pub(in crate::formats) fn kb_of(text: &str) -> Option<String> {
    let text = text.trim();
    let number = text.strip_prefix("KB").unwrap_or(text);
    ((5..=8).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit()))
        .then(|| format!("KB{number}"))
}

/// The KB numbers among other words: `4022173;SP81X86`, `3118389<br><br>4022173`.
pub(super) fn kbs_in(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter_map(kb_of)
}

/// `major.minor.build.revision`. The field also holds web addresses, package versions and dates.
fn build_numbers(text: &str) -> Option<[u32; 4]> {
    let mut parts = text.trim().split('.');
    let mut next = || parts.next()?.parse::<u32>().ok();
    let numbers = [next()?, next()?, next()?, next()?];
    parts.next().is_none().then_some(numbers)
}

pub(super) fn is_later_build(build: &str, known: &str) -> bool {
    build_numbers(build) > build_numbers(known)
}

/// The operating system of a product: `.NET … on Windows Server 2016` is a component on a platform.
pub(super) fn platform_of(product: &str) -> &str {
    product.rfind(" on Windows ").and_then(|at| product.get(at + " on ".len()..)).unwrap_or(product)
}

/// An update's title: its own, or what its titles have in common, or one that is made.
pub(super) fn title_of<'a>(
    kb: &str,
    released: NaiveDate,
    titles: &[String],
    sub_type: &str,
    products: impl Iterator<Item = &'a str>,
) -> String {
    let made = || {
        let kind = if sub_type.is_empty() { "Security Update" } else { sub_type };
        let (year, month) = (released.year(), released.month());
        format!("{year:04}-{month:02} {kind} for {} ({kb})", subject(products))
    };
    let own = match titles {
        [] => None,
        [title] => Some(title.clone()),
        // One title per processor, mostly.
        several => common_words(several.iter().map(String::as_str))
            .map(|words| if words.contains(kb) { words } else { format!("{words} ({kb})") }),
    };
    clipped(&own.unwrap_or_else(made))
}

/// What the update is for, short enough for a title.
fn subject<'a>(products: impl Iterator<Item = &'a str>) -> String {
    /// Names that are told in full.
    const NAMED_MAX: usize = 3;
    let names: BTreeSet<&str> = products.map(without_edition).collect();
    if let Some(common) = common_words(names.iter().copied()) {
        return common;
    }
    let first: Vec<&str> = names.iter().copied().take(NAMED_MAX).collect();
    match names.len() - first.len() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// The words with which all texts begin, where they are more than one.
fn common_words<'a>(mut texts: impl Iterator<Item = &'a str>) -> Option<String> {
    /// Words that a shortened name must not end with.
    const LOOSE_ENDS: &[&str] = &["Version", "version", "on", "AND", "and", "for"];
    let mut common: Vec<&str> = texts.next()?.split(' ').collect();
    for text in texts {
        let same = common.iter().zip(text.split(' ')).take_while(|(known, word)| *known == word).count();
        common.truncate(same);
    }
    while common.last().is_some_and(|word| LOOSE_ENDS.contains(word)) {
        common.pop();
    }
    (common.len() > 1).then(|| common.join(" "))
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

#[cfg(test)]
mod tests {
    use super::{build_numbers, kb_of, kbs_in, platform_of, subject};

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
    fn kb_numbers_are_found_among_service_packs_and_markup() {
        let found: Vec<String> = kbs_in("2883200;SP81X86, 3118389<br><br>KB4022173 2.41.0 None").collect();
        assert_eq!(found, ["KB2883200", "KB3118389", "KB4022173"]);
    }
}
