//! One severity scale for all vendors' words.

use contracts::Severity;

/// A vendor's word is a word, not prose.
const WORD_CHARS_MAX: usize = 64;

/// The place of a vendor's word on the one scale; anything unheard of is unknown, never guessed.
///
/// Debian marks urgencies that it took over from others with `**`: the word counts, the mark does not.
pub fn from_word(word: &str) -> Severity {
    match word.trim().trim_end_matches('*').trim_end().to_ascii_lowercase().as_str() {
        "critical" | "urgent" => Severity::Critical,
        "important" | "high" => Severity::High,
        "moderate" | "medium" => Severity::Medium,
        "low" => Severity::Low,
        "none" | "unimportant" => Severity::None,
        _ => Severity::Unknown,
    }
}

/// The vendor's word as it is kept, or nothing where it is no word at all.
pub fn word(text: &str) -> &str {
    let text = text.trim();
    if text.chars().count() <= WORD_CHARS_MAX { text } else { "" }
}

/// The word that ranks highest, with its place; of equal ones the first in the alphabet, so that order does not matter.
pub fn highest<'a>(words: impl IntoIterator<Item = &'a str>) -> (Severity, &'a str) {
    words
        .into_iter()
        .map(|text| (from_word(text), word(text)))
        .filter(|(severity, _)| *severity != Severity::Unknown)
        .max_by(|a, b| a.0.cmp(&b.0).then_with(|| b.1.cmp(a.1)))
        .unwrap_or((Severity::Unknown, ""))
}

#[cfg(test)]
mod tests {
    use super::{from_word, highest};
    use contracts::Severity;

    #[test]
    fn words_of_all_vendors_have_a_place() {
        for (words, severity) in [
            (&["Critical", "CRITICAL", " critical ", "urgent"][..], Severity::Critical),
            (&["Important", "high", "high**"], Severity::High),
            (&["Moderate", "medium", "medium**"], Severity::Medium),
            (&["Low", "low**"], Severity::Low),
            (&["None", "unimportant"], Severity::None),
            (
                &["", "Unspecified", "n/a", "not yet assigned", "end-of-life", "System.Object[]"],
                Severity::Unknown,
            ),
        ] {
            for word in words {
                assert_eq!(from_word(word), severity, "{word:?}");
            }
        }
    }

    #[test]
    fn the_highest_word_wins_and_no_word_stays_unknown() {
        assert_eq!(highest(["Low", "Important", "Moderate", "high"]), (Severity::High, "Important"));
        assert_eq!(highest(["", "Unspecified"]), (Severity::Unknown, ""));
        assert_eq!(highest([]), (Severity::Unknown, ""));
    }
}
