//! The text inside of a clear signature, without a look at the signature itself.

use crate::DocumentError;

const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END: &str = "-----END PGP SIGNATURE-----";

/// Where a reader is in a signed document.
enum Place {
    /// `Hash: SHA512`
    Headers,
    Text,
    Signature,
    /// Nothing may be there.
    Behind,
}

/// The text of a document's beginning that looks signed; it may break off.
pub(crate) fn inside_of(head: &str) -> Option<&str> {
    let after = head.strip_prefix(BEGIN)?;
    let (_, text) = after.split_once("\n\n").or_else(|| after.split_once("\n\r\n"))?;
    Some(text)
}

/// A signed document in its two parts.
pub(crate) struct Signed {
    /// What was signed, with plain line ends.
    pub(crate) text: String,
    /// The signatures in their armour.
    pub(crate) signature: String,
}

impl Signed {
    /// The parts of a document; none where it has no signature around it. Whatever is outside of it is refused.
    pub(crate) fn of(document: &str) -> Result<Option<Self>, DocumentError> {
        let Some(rest) = document.strip_prefix(BEGIN) else { return Ok(None) };
        let mut signed = Self { text: String::new(), signature: String::new() };
        let mut place = Place::Headers;
        for (at, line) in rest.lines().enumerate() {
            // Blanks at the end of a line are not signed.
            let line = line.trim_end_matches([' ', '\t', '\r']);
            place = match place {
                // The rest of the first line.
                Place::Headers if at == 0 && line.is_empty() => Place::Headers,
                Place::Headers if at > 0 && line.is_empty() => Place::Text,
                Place::Headers if at > 0 && line.starts_with("Hash:") => Place::Headers,
                Place::Headers => return Err(DocumentError::malformed(format!("{line:?} is not signed"))),
                Place::Text if line == SIGNATURE => {
                    add(&mut signed.signature, line);
                    Place::Signature
                }
                Place::Text => {
                    add(&mut signed.text, unescaped(line)?);
                    Place::Text
                }
                Place::Signature => {
                    add(&mut signed.signature, line);
                    if line == END { Place::Behind } else { Place::Signature }
                }
                Place::Behind if line.trim().is_empty() => Place::Behind,
                Place::Behind => return Err(DocumentError::malformed("it goes on after its signature")),
            };
        }
        match place {
            Place::Behind => Ok(Some(signed)),
            Place::Headers | Place::Text | Place::Signature => {
                Err(DocumentError::truncated("the signature has no end"))
            }
        }
    }
}

fn add(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// A line that begins with a dash is written with a dash and a blank before it.
fn unescaped(line: &str) -> Result<&str, DocumentError> {
    match line.strip_prefix('-') {
        None => Ok(line),
        Some(rest) => rest
            .strip_prefix(' ')
            .ok_or_else(|| DocumentError::malformed(format!("{line:?} is neither text nor signature"))),
    }
}
