//! CSV read as a stream: rows, by the names of their columns where they have some, and whether the last one is complete.

use crate::DocumentError;
use crate::input::{Input, Progress};
use csv::StringRecord;
use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// Rows, below a header or without one.
pub(crate) struct Rows<'a> {
    reader: csv::Reader<Watched<'a>>,
    header: StringRecord,
    progress: Progress,
    seen: Rc<Seen>,
    /// The last row had fewer fields than there are columns.
    is_short: bool,
}

/// What can be said of the text without reading it as rows.
#[derive(Default)]
struct Seen {
    last: Cell<u8>,
    in_quotes: Cell<bool>,
}

impl<'a> Rows<'a> {
    /// Rows below a header.
    pub(crate) fn new(input: Input<'a>) -> Result<Self, DocumentError> {
        let mut rows = Self::open(input, true);
        rows.header = rows.reader.headers()?.clone();
        Ok(rows)
    }

    /// Rows of which already the first one counts.
    pub(crate) fn without_header(input: Input<'a>) -> Self {
        Self::open(input, false)
    }

    fn open(input: Input<'a>, has_header: bool) -> Self {
        let progress = input.progress.clone();
        let seen = Rc::new(Seen::default());
        let watched = Watched { input, seen: Rc::clone(&seen) };
        let reader = csv::ReaderBuilder::new().has_headers(has_header).flexible(true).from_reader(watched);
        Self { reader, header: StringRecord::new(), progress, seen, is_short: false }
    }

    /// Names of the columns.
    pub(crate) fn header(&self) -> impl Iterator<Item = &str> {
        self.header.iter()
    }

    /// Where a column is.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column.trim() == name)
    }

    /// The next row; none at the end of a document that is complete, as far as CSV can tell. `row` is overwritten.
    pub(crate) fn next(&mut self, row: &mut StringRecord) -> Result<bool, DocumentError> {
        self.progress.mark();
        if self.reader.read_record(row)? {
            self.is_short = row.len() < self.header.len();
            return Ok(true);
        }
        if self.is_short && !self.ends_with_a_line() {
            return Err(DocumentError::truncated("the last row has too few columns"));
        }
        if self.seen.in_quotes.get() && (self.is_short || !self.ends_with_a_line()) {
            return Err(DocumentError::truncated("a quoted text has no end"));
        }
        Ok(false)
    }

    /// Whether a row has a field for every column.
    pub(crate) fn is_complete(&self, row: &StringRecord) -> bool {
        row.len() >= self.header.len()
    }

    /// Whether the last line that was read has an end.
    pub(crate) fn ends_with_a_line(&self) -> bool {
        matches!(self.seen.last.get(), b'\n' | b'\r')
    }
}

struct Watched<'a> {
    input: Input<'a>,
    seen: Rc<Seen>,
}

impl Read for Watched<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buf)?;
        let bytes = buf.get(..read).unwrap_or_default();
        if let Some(last) = bytes.last() {
            self.seen.last.set(*last);
            // A quote inside of quotes is written twice, so that it does not change the outcome.
            let odd = bytes.iter().fold(false, |odd, byte| odd ^ (*byte == b'"'));
            self.seen.in_quotes.set(self.seen.in_quotes.get() ^ odd);
        }
        Ok(read)
    }
}
