//! Paragraphs of fields, as Debian writes them (`deb-control(5)`): `Release`, `Packages`.

use crate::DocumentError;
use crate::input::Input;

/// Fields of one paragraph: real ones have some thirty.
const FIELDS_MAX: usize = 1_000;

/// One paragraph: names and values in the order of the document.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Paragraph {
    fields: Vec<(String, String)>,
}

impl Paragraph {
    /// The first one in a text that may break off, read as far as it can be.
    pub(crate) fn first_of(text: &str) -> Self {
        let mut paragraph = Self::default();
        for line in text.lines() {
            if paragraph.take(line) == Line::Separator && !paragraph.is_empty() {
                break;
            }
        }
        paragraph
    }

    /// The only one in a text: a second one is refused, for what is read must be what was meant.
    pub(crate) fn only_of(text: &str) -> Result<Self, DocumentError> {
        if !text.ends_with('\n') {
            return Err(DocumentError::truncated("the last line has no end"));
        }
        let (mut paragraph, mut has_ended) = (Self::default(), false);
        for line in text.lines() {
            match paragraph.take(line) {
                Line::Separator => has_ended = !paragraph.is_empty(),
                Line::Field if has_ended => {
                    return Err(DocumentError::malformed("it has a second paragraph"));
                }
                Line::Field => {}
                Line::Neither => {
                    return Err(DocumentError::malformed(format!("{line:?} belongs to no field")));
                }
            }
        }
        if paragraph.is_empty() {
            return Err(DocumentError::malformed("it has no field"));
        }
        Ok(paragraph)
    }

    /// A field's value; its lines are separated by line feeds. Of several the last one counts.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether there is no field.
    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Takes a line in, and says whether it is the one that ends the paragraph.
    pub(crate) fn take(&mut self, line: &str) -> Line {
        if line.trim_matches([' ', '\t']).is_empty() {
            return Line::Separator;
        }
        if line.trim().is_empty() {
            return Line::Field;
        }
        if let (Some(more), Some((_, value))) = (line.strip_prefix([' ', '\t']), self.fields.last_mut()) {
            value.push('\n');
            value.push_str(more);
            return Line::Field;
        }
        match line.split_once(':') {
            Some((name, value)) if self.fields.len() < FIELDS_MAX => {
                self.fields.push((name.to_owned(), value.trim().to_owned()));
                Line::Field
            }
            Some(_) | None => Line::Neither,
        }
    }
}

/// What a line is in a paragraph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// Part of it.
    Field,
    /// Its end.
    Separator,
    /// Nothing that belongs there.
    Neither,
}

/// A document of paragraphs.
pub(crate) struct Paragraphs<'a> {
    input: Input<'a>,
    line: String,
    /// Lines that belonged to no field.
    pub(crate) unreadable_lines: usize,
}

impl<'a> Paragraphs<'a> {
    pub(crate) fn new(input: Input<'a>) -> Self {
        Self { input, line: String::new(), unreadable_lines: 0 }
    }

    /// The next paragraph that has a field; none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Paragraph>, DocumentError> {
        self.input.progress.mark();
        let mut paragraph = Paragraph::default();
        while self.input.next_piece(&mut self.line)? {
            // What is cut in the middle of a line would give a wrong value, which is worse than none.
            let Some(line) = self.line.strip_suffix('\n') else {
                return Err(DocumentError::truncated("the last line has no end"));
            };
            match paragraph.take(line.trim_end_matches('\r')) {
                Line::Field => {}
                Line::Neither => self.unreadable_lines += 1,
                Line::Separator if paragraph.is_empty() => {}
                Line::Separator => break,
            }
        }
        Ok((!paragraph.is_empty()).then_some(paragraph))
    }
}
