//! Names that people give to things.

/// Characters of a name at the most: longer ones break every table that shows them.
const NAME_MAX: usize = 200;

/// A name that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} must have 1 to {NAME_MAX} characters without control characters, and has {length}")]
pub struct InvalidText {
    /// Which field.
    pub field: &'static str,
    /// How long it is.
    pub length: usize,
}

/// Refuses what cannot be a name.
pub(crate) fn check_name(field: &'static str, text: &str) -> Result<(), InvalidText> {
    let length = text.chars().count();
    if text.trim().is_empty() || length > NAME_MAX || text.chars().any(char::is_control) {
        return Err(InvalidText { field, length });
    }
    Ok(())
}
