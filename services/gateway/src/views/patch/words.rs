//! What a patch is found by: words in lower case, and how a search is cut into the same.

use contracts::feeds::PatchFacts;
use contracts::{FixTarget, Severity};
use std::collections::BTreeSet;

/// Longer words are no words of a person's search; what begins like one still finds it.
const WORD_CHARACTERS_MAX: usize = 64;

/// Words of one search: each is a look at an index.
pub(crate) const SEARCHED_WORDS_MAX: usize = 8;

/// Products of one patch that it is found by: a document may name every package of a distribution.
const PRODUCT_WORDS_MAX: usize = 1_000;

/// What a search for text looks at; vulnerabilities have a table of their own.
pub(super) fn of_text(patch: &PatchFacts) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for text in [&patch.name, &patch.vendor_patch_id].into_iter().chain(&patch.advisories) {
        add_words(&mut words, text);
    }
    words.extend(kbs(patch).iter().filter_map(|kb| word(kb)));
    words
}

/// What a search for a product looks at.
pub(super) fn of_products(patch: &PatchFacts) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for text in &patch.os_versions {
        add_words(&mut words, text);
    }
    for target in &patch.targets {
        if words.len() >= PRODUCT_WORDS_MAX {
            break;
        }
        match target {
            FixTarget::SourcePackage { source: package, .. } | FixTarget::BinaryPackage { package, .. } => {
                words.extend(word(package));
            }
            FixTarget::OemComponent { vendor, component, .. } => {
                add_words(&mut words, vendor);
                add_words(&mut words, component);
            }
            // Its product is among the versions of the operating system.
            FixTarget::Kb { .. } => {}
        }
    }
    words
}

/// The KB numbers of a patch.
pub(super) fn kbs(patch: &PatchFacts) -> BTreeSet<String> {
    let kbs = patch.targets.iter().filter_map(|target| match target {
        FixTarget::Kb { kb, .. } => Some(kb.to_uppercase()),
        FixTarget::SourcePackage { .. }
        | FixTarget::BinaryPackage { .. }
        | FixTarget::OemComponent { .. } => None,
    });
    kbs.collect()
}

/// The severity as a number, in the order of urgency.
pub(super) fn urgency(severity: Severity) -> i16 {
    match severity {
        Severity::Unknown => 0,
        Severity::None => 1,
        Severity::Low => 2,
        Severity::Medium => 3,
        Severity::High => 4,
        Severity::Critical => 5,
    }
}

/// The words of a search: all of them must begin a word of what is found. None where the text is empty.
pub(crate) fn searched(text: &str) -> Vec<String> {
    let words: BTreeSet<String> = text.split_whitespace().filter_map(word).collect();
    words.into_iter().collect()
}

/// Words as they are written (`dsa-5380-1`), and their parts (`5380`): people remember either.
fn add_words(words: &mut BTreeSet<String>, text: &str) {
    for written in text.split_whitespace().filter_map(word) {
        words.extend(written.split(|c: char| !c.is_alphanumeric()).filter_map(word));
        words.insert(written);
    }
}

/// A word without what is around it; none if nothing is left.
fn word(text: &str) -> Option<String> {
    let bare = text.trim_matches(|c: char| !c.is_alphanumeric());
    // No text in the database holds U+0000.
    let word: String = bare.to_lowercase().chars().filter(|c| *c != '\0').take(WORD_CHARACTERS_MAX).collect();
    (!word.is_empty()).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::{add_words, searched};
    use std::collections::BTreeSet;

    fn words(text: &str) -> Vec<String> {
        let mut words = BTreeSet::new();
        add_words(&mut words, text);
        words.into_iter().collect()
    }

    #[test]
    fn a_word_is_found_as_it_is_written_and_by_its_parts() {
        assert_eq!(words("DSA-5380-1"), ["1", "5380", "dsa", "dsa-5380-1"]);
        assert_eq!(
            words("2024-01 Update (KB5034123), x64-based"),
            ["01", "2024", "2024-01", "based", "kb5034123", "update", "x64", "x64-based"]
        );
        assert_eq!(words(" -- "), Vec::<String>::new());
    }

    #[test]
    fn a_search_keeps_its_words_as_they_are_written() {
        assert_eq!(searched("  DSA-5380  (greeter) gree\0ter "), ["dsa-5380", "greeter"]);
        assert_eq!(searched("50%"), ["50"]);
        assert_eq!(searched("%"), Vec::<String>::new());
        assert_eq!(searched(&"ä".repeat(100)), ["ä".repeat(64)]);
    }
}
