//! From bytes to facts.

use crate::contents::Contents;
use crate::figures::Figures;
use crate::head::Head;
use crate::input::{Input, Packing};
use crate::limits::HEAD_BYTES;
use crate::{DocumentError, Format, formats, zipped};
use chrono::NaiveDate;
use kernel::FeedId;
use std::io::{BufReader, Read, Seek, SeekFrom};

/// What a document cannot say about itself, and what is wanted of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The feed that the document came through.
    pub feed_id: FeedId,
    /// Day on which it arrived: that of publication where the document does not say any.
    pub received_on: NaiveDate,
    /// Whether figures are counted.
    pub figures: bool,
}

/// A document that was read to its end.
#[derive(Debug)]
pub struct Document {
    /// How it is written.
    pub format: Format,
    /// What it says.
    pub contents: Contents,
    /// Counts of what it holds, where they were wanted.
    pub figures: Figures,
}

impl Document {
    /// Format and figures as one JSON object.
    pub fn to_json(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut all = self.figures.to_json();
        all.insert("format".to_owned(), self.format.word().into());
        all
    }
}

/// What a parser fills.
#[derive(Debug)]
pub(crate) struct Reading {
    /// The feed that the document came through.
    pub(crate) feed_id: FeedId,
    /// Day on which the document arrived; a patch dated by it has `is_dated: false`.
    pub(crate) received_on: NaiveDate,
    pub(crate) contents: Contents,
    pub(crate) figures: Figures,
}

/// Reads a document, whatever its format.
pub fn read(mut source: impl Read + Seek, options: Options) -> Result<Document, DocumentError> {
    let bytes = source.seek(SeekFrom::End(0))?;
    source.rewind()?;
    let mut magic = [0; 8];
    let got = read_up_to(&mut source, &mut magic)?;
    source.rewind()?;
    let packing = Packing::of(magic.get(..got).unwrap_or_default());
    let mut reading = Reading {
        feed_id: options.feed_id,
        received_on: options.received_on,
        contents: Contents::default(),
        figures: Figures::new(options.figures),
    };
    if packing == Packing::Zip {
        let format = zipped::read(source, bytes, &mut reading)?;
        reading.contents.close();
        return Ok(Document { format, contents: reading.contents, figures: reading.figures });
    }
    let unpacked = packing.unpacked(BufReader::with_capacity(1 << 16, source))?;
    let (head, input) = Input::open(unpacked, bytes)?;
    let format = format_of(&Head::new(&head))?;
    drop(head);
    formats::read(format, input, &mut reading)?;
    reading.contents.close();
    Ok(Document { format, contents: reading.contents, figures: reading.figures })
}

/// Tells the format of a document by its first bytes, as it is told when all of it is read: [`HEAD_BYTES`] are enough.
pub fn detect(head: &[u8]) -> Result<Format, DocumentError> {
    let packing = Packing::of(head);
    if packing == Packing::Zip {
        return zipped::detect(head);
    }
    let mut unpacked = packing.unpacked(head)?;
    let mut start = Vec::new();
    // Where compressed bytes break off, what came before is there.
    let broken_off = unpacked.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut start).err();
    drop(unpacked);
    if let Some(error) = broken_off.filter(|_| start.is_empty() && !head.is_empty()) {
        return Err(error.into());
    }
    let (start, _) = Input::open(Box::new(start.as_slice()), head.len() as u64)?;
    format_of(&Head::new(&start))
}

fn format_of(head: &Head) -> Result<Format, DocumentError> {
    if head.text().trim().is_empty() {
        return Err(DocumentError::Empty);
    }
    Format::of(head).ok_or_else(|| DocumentError::UnknownFormat { looks_like: head.looks_like() })
}

fn read_up_to(source: &mut impl Read, buffer: &mut [u8]) -> Result<usize, DocumentError> {
    let mut read = 0;
    while let Some(free) = buffer.get_mut(read..).filter(|free| !free.is_empty()) {
        match source.read(free)? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}
