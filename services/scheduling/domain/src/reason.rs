//! What a failure says: never empty, and never longer than a person reads.

/// Characters kept of what a package manager said; dpkg's longest useful complaints are near 1,000.
const REASON_CHARS_MAX: usize = 2_000;
/// Characters kept of a failure class; the known ones are near 20.
const CLASS_CHARS_MAX: usize = 64;

/// The reason, trimmed and bounded, with words of our own where the agent gave none.
pub(crate) fn reason(given: &str) -> String {
    bounded(given, REASON_CHARS_MAX, "the agent gave no reason")
}

/// The failure class, with `other` where the agent gave none.
pub(crate) fn class(given: &str) -> String {
    bounded(given, CLASS_CHARS_MAX, "other")
}

fn bounded(given: &str, chars: usize, otherwise: &str) -> String {
    let given = given.trim();
    if given.is_empty() { otherwise.to_owned() } else { given.chars().take(chars).collect() }
}

#[cfg(test)]
mod tests {
    use super::{CLASS_CHARS_MAX, REASON_CHARS_MAX, class, reason};

    #[test]
    fn a_blank_reason_becomes_words_of_our_own() {
        assert_eq!(reason(" \n"), "the agent gave no reason");
        assert_eq!(class(""), "other");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(reason(&"é".repeat(REASON_CHARS_MAX + 1)), "é".repeat(REASON_CHARS_MAX));
        assert_eq!(class(&"x".repeat(CLASS_CHARS_MAX + 1)).len(), CLASS_CHARS_MAX);
    }

    #[test]
    fn a_given_reason_is_kept() {
        assert_eq!(reason("disk full\n"), "disk full");
    }
}
