//! Words and ids in vendors' texts.

use crate::limits::TEXT_CHARS_MAX;

/// At most [`TEXT_CHARS_MAX`] characters of a text that people read, and U+FFFD for what cannot be printed or kept.
pub fn clipped(text: &str) -> String {
    let printable =
        |character: char| if character.is_control() { char::REPLACEMENT_CHARACTER } else { character };
    let mut characters = text.chars().map(printable);
    let mut kept: String = characters.by_ref().take(TEXT_CHARS_MAX).collect();
    if characters.next().is_some() {
        kept.push('…');
    }
    kept
}

/// Whether a text may serve as an id, version or name: not empty, not endless, nothing unprintable.
pub fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= TEXT_CHARS_MAX && !text.chars().any(char::is_control)
}

/// The address of a page, without blanks around it.
pub fn web_address(text: &str) -> Option<&str> {
    let text = text.trim();
    let begins_with =
        |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    let is_web = begins_with("https://") || begins_with("http://");
    (is_web && is_plain(text) && !text.contains(char::is_whitespace)).then_some(text)
}

/// Whether a text is a web address, or a path below the document's own folder: a document must not lead to other files
/// of whoever reads it.
pub fn is_reference(href: &str) -> bool {
    if !is_plain(href) || href.contains(char::is_whitespace) || href.contains('\\') {
        return false;
    }
    if web_address(href).is_some() {
        return true;
    }
    // `file:`, `data:`, `//host`, `/etc`
    let first = href.split('/').next().unwrap_or_default();
    !first.is_empty() && !first.contains(':') && href.split('/').all(|part| part != "..")
}

/// Whether a text is a CVE id and nothing else: `CVE-2023-1393`.
pub fn is_cve(text: &str) -> bool {
    cve_bytes(text.as_bytes()) == Some(text.len())
}

/// All CVE ids in a text, in its order, repeated ones included.
pub fn cves_in(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let at = rest.find("CVE-")?;
            let found = rest.get(at..)?;
            if let Some(length) = cve_bytes(found.as_bytes()) {
                let (cve, after) = found.split_at(length);
                rest = after;
                return Some(cve);
            }
            rest = found.get("CVE-".len()..)?;
        }
    })
}

/// Length of the CVE id that bytes begin with: four digits of a year, and four or more of a number.
fn cve_bytes(bytes: &[u8]) -> Option<usize> {
    /// The highest numbers assigned have seven digits; nobody needs more than a database can count.
    const DIGITS_MAX: usize = 19;
    let rest = bytes.strip_prefix(b"CVE-")?;
    let (year, rest) = rest.split_at_checked(4)?;
    let number = rest.strip_prefix(b"-")?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (year.iter().all(u8::is_ascii_digit) && (4..=DIGITS_MAX).contains(&number)).then_some(9 + number)
}

#[cfg(test)]
mod tests {
    use super::{clipped, cves_in, is_cve, is_reference};

    #[test]
    fn ids_are_found_in_prose() {
        let text = "fixes CVE-2019-5060, CVE-2019-10-x (CVE-2024-123456) CVE-CVE-2020-0001; cve-2021-1111";
        let found: Vec<&str> = cves_in(text).collect();
        assert_eq!(found, ["CVE-2019-5060", "CVE-2024-123456", "CVE-2020-0001"]);
    }

    #[test]
    fn an_id_is_an_id_and_nothing_else() {
        assert!(is_cve("CVE-1999-0710"));
        for text in
            ["", "CVE-1999-071", "CVE-1999-0710 ", "CVE-19999-0710", "CVE-1999-0710a", "CVE-١٩٩٩-0710"]
        {
            assert!(!is_cve(text), "{text:?}");
        }
    }

    #[test]
    fn a_clipped_text_says_that_it_goes_on() {
        assert_eq!(clipped("a\0b"), "a\u{fffd}b");
        assert_eq!(clipped(&"x".repeat(600)).chars().count(), 501);
    }

    #[test]
    fn a_reference_stays_below_its_list_or_goes_to_the_web() {
        for href in ["2024/rhsa-2024_0010.json", "https://example.org/a:1.json", "a..b.json"] {
            assert!(is_reference(href), "{href}");
        }
        for href in [
            "",
            "../a.json",
            "2024/../../a",
            "/etc/a.json",
            "file:///a",
            "//host/a",
            "a\\..\\b",
            "a b",
            "data:x",
            "suse:1.json",
        ] {
            assert!(!is_reference(href), "{href}");
        }
    }
}
