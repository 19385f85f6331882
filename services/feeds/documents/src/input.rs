//! The bytes of a document on their way to its parser: decompressed, as UTF-8, and never more than the limits.

use crate::DocumentError;
use crate::limits::{
    DECODED_BYTES_MAX, DECODED_RATIO_FREE_BYTES, DECODED_RATIO_MAX, DECODER_MEMORY_BYTES_MAX, HEAD_BYTES,
    RECORD_BYTES_MAX,
};
use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE};
use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::rc::Rc;

/// How the bytes were compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    None,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
    Zip,
}

impl Packing {
    /// By the first bytes, never by a name.
    pub(crate) fn of(magic: &[u8]) -> Self {
        if magic.starts_with(&[0x1f, 0x8b]) {
            Self::Gzip
        } else if magic.starts_with(b"BZh") {
            Self::Bzip2
        } else if magic.starts_with(&[0xfd, b'7', b'z', b'X', b'Z', 0]) {
            Self::Xz
        } else if magic.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Self::Zstd
        } else if magic.starts_with(b"PK\x03\x04") || magic.starts_with(b"PK\x05\x06") {
            Self::Zip
        } else {
            Self::None
        }
    }

    /// The bytes as they were before they were compressed.
    pub(crate) fn unpacked<'a>(self, packed: impl BufRead + 'a) -> Result<Box<dyn Read + 'a>, DocumentError> {
        Ok(match self {
            Self::None | Self::Zip => Box::new(packed),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(packed)),
            Self::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(
                    DECODER_MEMORY_BYTES_MAX,
                    liblzma::stream::CONCATENATED,
                )
                .map_err(io::Error::from)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(packed, stream))
            }
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
                decoder.window_log_max(DECODER_MEMORY_BYTES_MAX.ilog2())?;
                Box::new(decoder)
            }
        })
    }
}

/// Bytes that were read so far, shared by the reader that counts and the parser that marks where a record begins.
#[derive(Debug, Clone)]
pub(crate) struct Progress(Rc<Counts>);

#[derive(Debug)]
struct Counts {
    total: Cell<u64>,
    marked: Cell<u64>,
    record_max: Cell<u64>,
}

impl Progress {
    fn new() -> Self {
        let record_max = Cell::new(RECORD_BYTES_MAX);
        Self(Rc::new(Counts { total: Cell::new(0), marked: Cell::new(0), record_max }))
    }

    /// A new record begins: it may be as long as a record may be.
    pub(crate) fn mark(&self) {
        self.0.marked.set(self.0.total.get());
    }

    /// Bytes of text so far, for formats that limit a whole document.
    pub(crate) fn read_so_far(&self) -> u64 {
        self.0.total.get()
    }

    /// Another limit for the records of this document, where its format has a reason.
    pub(crate) fn limit_records(&self, bytes: u64) {
        self.0.record_max.set(bytes);
    }

    fn advance(&self, bytes: usize) -> Result<(), DocumentError> {
        let total = self.0.total.get() + bytes as u64;
        self.0.total.set(total);
        let limit = self.0.record_max.get();
        // The buffers in between read ahead, so a record may seem that much longer.
        if total - self.0.marked.get() > limit + 4 * BUFFER_BYTES as u64 {
            return Err(DocumentError::RecordTooLarge { limit });
        }
        Ok(())
    }
}

/// Bytes read at once.
const BUFFER_BYTES: usize = 64 << 10;

/// A document's text.
pub(crate) struct Input<'a> {
    text: BufReader<Box<dyn Read + 'a>>,
    pub(crate) progress: Progress,
}

impl<'a> Input<'a> {
    /// The text of a document of `packed_bytes` bytes, and the first part of it.
    pub(crate) fn open(
        unpacked: Box<dyn Read + 'a>,
        packed_bytes: u64,
    ) -> Result<(Vec<u8>, Self), DocumentError> {
        let progress = Progress::new();
        let most = DECODED_BYTES_MAX.min((packed_bytes * DECODED_RATIO_MAX).max(DECODED_RATIO_FREE_BYTES));
        let mut bytes = Bounded { inner: unpacked, left: most, most };
        let mut start = Vec::new();
        (&mut bytes).take(START_BYTES).read_to_end(&mut start)?;
        if start.is_empty() {
            return Err(DocumentError::Empty);
        }
        let (encoding, mark_bytes) = encoding_of(&start);
        let rest = Cursor::new(start.split_off(mark_bytes)).chain(bytes);
        let mut text: Box<dyn Read + 'a> =
            if encoding == UTF_8 { Box::new(rest) } else { Box::new(Transcoded::new(encoding, rest)) };
        let mut head = Vec::new();
        (&mut text).take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        let whole = Cursor::new(head.clone()).chain(text);
        // Only now: the beginning of what is no text at all is looked at as well.
        let whole = Checked { inner: whole, open: Vec::new(), read: 0 };
        let counted = Counted { inner: whole, progress: progress.clone() };
        let text = BufReader::with_capacity(BUFFER_BYTES, Box::new(counted) as Box<dyn Read + 'a>);
        Ok((head, Self { text, progress }))
    }

    /// The whole text, for formats whose documents are small.
    pub(crate) fn read_whole(mut self, limit: u64) -> Result<String, DocumentError> {
        self.progress.limit_records(u64::MAX / 2);
        let mut bytes = Vec::new();
        (&mut self.text).take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(DocumentError::TooLarge { limit });
        }
        String::from_utf8(bytes).map_err(|error| DocumentError::WrongEncoding {
            encoding: UTF_8.name().to_owned(),
            reason: format!("byte {} is none", error.utf8_error().valid_up_to()),
        })
    }

    /// The next line without its end, or none; each line is a record. `line` is overwritten.
    pub(crate) fn next_line(&mut self, line: &mut String) -> Result<bool, DocumentError> {
        self.progress.mark();
        let read = self.next_piece(line)?;
        while line.ends_with(['\n', '\r']) {
            line.pop();
        }
        Ok(read)
    }

    /// The next line with its end, or none; a record of several lines marks its own beginning.
    pub(crate) fn next_piece(&mut self, line: &mut String) -> Result<bool, DocumentError> {
        line.clear();
        let read = self.text.read_line(line)?;
        Ok(read > 0)
    }
}

impl Read for Input<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.text.read(buf)
    }
}

impl BufRead for Input<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.text.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.text.consume(amount);
    }
}

/// Enough to see a byte order mark and an XML declaration.
const START_BYTES: u64 = 1 << 10;

/// The encoding that the first bytes claim, and the length of their byte order mark.
fn encoding_of(start: &[u8]) -> (&'static Encoding, usize) {
    if let Some(found) = Encoding::for_bom(start) {
        return found;
    }
    // Without a mark, a `<` or `{` with a zero byte beside it can only be UTF-16.
    match start {
        [b'<' | b'{' | b'[', 0, ..] => return (UTF_16LE, 0),
        [0, b'<' | b'{' | b'[', ..] => return (UTF_16BE, 0),
        _ => {}
    }
    (declared(start).unwrap_or(UTF_8), 0)
}

/// The encoding that an XML declaration names: `<?xml version="1.0" encoding="ISO-8859-1"?>`.
fn declared(start: &[u8]) -> Option<&'static Encoding> {
    let text = start.trim_ascii_start();
    let declaration = text.strip_prefix(b"<?xml")?;
    let end = declaration.windows(2).position(|pair| pair == b"?>")?;
    let declaration = std::str::from_utf8(declaration.get(..end)?).ok()?;
    let value = declaration.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| ['"', '\''].contains(c))?;
    let label = value.get(1..)?.split(quote).next()?;
    // A text that we could read so far is not UTF-16, whatever it says of itself.
    Encoding::for_label(label.as_bytes()).filter(|encoding| encoding.is_ascii_compatible())
}

/// Refuses more bytes than a document may have.
struct Bounded<R> {
    inner: R,
    left: u64,
    most: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.left = self.left.checked_sub(read as u64).ok_or(if self.most == DECODED_BYTES_MAX {
            DocumentError::TooLarge { limit: DECODED_BYTES_MAX }
        } else {
            DocumentError::Bomb { limit: DECODED_RATIO_MAX }
        })?;
        Ok(read)
    }
}

/// Counts for the limit of records.
struct Counted<R> {
    inner: R,
    progress: Progress,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.progress.advance(read)?;
        Ok(read)
    }
}

/// Refuses what is not UTF-8, wherever it is: parsers pass over what they do not want, and each would say it otherwise.
struct Checked<R> {
    inner: R,
    /// The beginning of a character that the last bytes were.
    open: Vec<u8>,
    read: u64,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        let bytes = buf.get(..read).unwrap_or_default();
        if self.open.is_empty() && bytes.is_ascii() {
            self.read += read as u64;
            return Ok(read);
        }
        self.open.extend_from_slice(bytes);
        let before = self.open.len();
        let wrong = match std::str::from_utf8(&self.open) {
            Ok(_) => {
                self.open.clear();
                None
            }
            Err(error) if error.error_len().is_none() && read > 0 => {
                self.open.drain(..error.valid_up_to());
                None
            }
            Err(error) => Some(error.valid_up_to()),
        };
        if let Some(at) = wrong {
            let at = self.read + (at + read).saturating_sub(before) as u64;
            let reason = format!("byte {at} is none");
            return Err(DocumentError::WrongEncoding { encoding: UTF_8.name().to_owned(), reason }.into());
        }
        self.read += read as u64;
        Ok(read)
    }
}

/// Text of another encoding as UTF-8.
struct Transcoded<R> {
    inner: R,
    encoding: &'static Encoding,
    decoder: Decoder,
    source: Vec<u8>,
    /// Decoded and not yet given away.
    ready: Cursor<Vec<u8>>,
    ended: bool,
}

impl<R: Read> Transcoded<R> {
    fn new(encoding: &'static Encoding, inner: R) -> Self {
        let decoder = encoding.new_decoder_without_bom_handling();
        Self { inner, encoding, decoder, source: Vec::new(), ready: Cursor::default(), ended: false }
    }

    fn decode_more(&mut self) -> io::Result<()> {
        let mut chunk = vec![0; BUFFER_BYTES / 4];
        let read = self.inner.read(&mut chunk)?;
        chunk.truncate(read);
        self.source.extend_from_slice(&chunk);
        self.ended = read == 0;
        let mut decoded = vec![0; self.source.len() * 4 + 16];
        let (result, consumed, written, replaced) =
            self.decoder.decode_to_utf8(&self.source, &mut decoded, self.ended);
        if replaced {
            let reason = "it holds a sequence that the encoding does not have".to_owned();
            return Err(
                DocumentError::WrongEncoding { encoding: self.encoding.name().to_owned(), reason }.into()
            );
        }
        debug_assert_eq!(result, CoderResult::InputEmpty, "four bytes are enough for any character");
        self.source.drain(..consumed);
        decoded.truncate(written);
        self.ready = Cursor::new(decoded);
        Ok(())
    }
}

impl<R: Read> Read for Transcoded<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.ready.read(buf)?;
            if read > 0 || self.ended || buf.is_empty() {
                return Ok(read);
            }
            self.decode_more()?;
        }
    }
}
