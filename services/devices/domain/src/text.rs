//! Short texts that people write.

/// Whether a text has something to show, is not longer than `max` characters, and is all on one line: no control
/// characters, and no blanks around it, which nobody sees and which would make two names of one.
pub(crate) fn is_shown(text: &str, max: usize) -> bool {
    let length = text.chars().count();
    (1..=max).contains(&length) && text.trim().len() == text.len() && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::is_shown;

    #[test]
    fn what_is_empty_too_long_or_cannot_be_seen_is_not_shown() {
        assert!(is_shown("Zürich West", 11));
        for text in ["", " ", "a ", "\ta", "a\0b", "a\nb", "Zürich Westx"] {
            assert!(!is_shown(text, 11), "{text:?}");
        }
    }
}
