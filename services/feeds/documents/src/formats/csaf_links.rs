//! Links to CSAF documents, however many a list names: bounded, and never out of the place that publishes them.

use crate::DocumentError;
use crate::contents::{Contents, Link};
use crate::text::is_plain;
use chrono::{DateTime, Utc};

/// Links of one document: Red Hat's list of changes has some 300,000.
const LINKS_MAX: usize = 500_000;
/// Bytes of all of them.
const LINKS_BYTES_MAX: usize = 40 << 20;

/// How much a list named so far.
#[derive(Default)]
pub(super) struct Links {
    count: usize,
    bytes: usize,
}

impl Links {
    /// Takes in a link; the inner error is a reason for quarantine.
    pub(super) fn add(
        &mut self,
        contents: &mut Contents,
        href: &str,
        updated: Option<DateTime<Utc>>,
    ) -> Result<Result<(), String>, DocumentError> {
        self.count(href)?;
        let href = href.trim();
        if !is_reference(href) {
            return Ok(Err(format!("{href:?} is no address of a document")));
        }
        contents.links.push(Link { href: href.to_owned(), updated, size_bytes: None, sha256: None });
        Ok(Ok(()))
    }

    /// Counts one that is not taken in.
    pub(super) fn count(&mut self, href: &str) -> Result<(), DocumentError> {
        self.count += 1;
        self.bytes += href.len();
        if self.count > LINKS_MAX {
            return Err(DocumentError::TooManyRecords { limit: LINKS_MAX });
        }
        if self.bytes > LINKS_BYTES_MAX {
            return Err(DocumentError::RecordTooLarge { limit: LINKS_BYTES_MAX as u64 });
        }
        Ok(())
    }
}

/// A web address, or a path below the document's own folder: a list must not lead to other files of whoever reads it.
fn is_reference(href: &str) -> bool {
    if !is_plain(href) || href.contains(char::is_whitespace) || href.contains('\\') {
        return false;
    }
    if href.starts_with("https://") || href.starts_with("http://") {
        return true;
    }
    // `file:`, `data:`, `//host`, `/etc`
    let first = href.split('/').next().unwrap_or_default();
    !first.is_empty() && !first.contains(':') && href.split('/').all(|part| part != "..")
}

#[cfg(test)]
mod tests {
    use super::is_reference;

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
