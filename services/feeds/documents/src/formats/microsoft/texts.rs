//! Texts of which a document has many copies, kept once.

use crate::DocumentError;
use std::collections::HashMap;
use std::rc::Rc;

/// Bytes of all different texts of a document: products, advisories and titles of twenty years are below 4 MiB.
const TEXTS_BYTES_MAX: usize = 16 << 20;

/// A text that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TextId(u32);

/// Different texts.
#[derive(Debug, Default)]
pub(super) struct Texts {
    ids: HashMap<Rc<str>, TextId>,
    by_id: Vec<Rc<str>>,
    bytes: usize,
}

impl Texts {
    /// The one copy of a text.
    pub(super) fn id(&mut self, text: &str) -> Result<TextId, DocumentError> {
        if let Some(id) = self.ids.get(text) {
            return Ok(*id);
        }
        self.bytes += text.len();
        let next = u32::try_from(self.by_id.len()).ok().filter(|_| self.bytes <= TEXTS_BYTES_MAX);
        let Some(next) = next else {
            return Err(DocumentError::TooLarge { limit: TEXTS_BYTES_MAX as u64 });
        };
        let text: Rc<str> = text.into();
        self.by_id.push(text.clone());
        self.ids.insert(text, TextId(next));
        Ok(TextId(next))
    }

    /// The text of an id.
    pub(super) fn text(&self, id: TextId) -> &str {
        self.by_id.get(id.0 as usize).map_or("", |text| text)
    }
}
