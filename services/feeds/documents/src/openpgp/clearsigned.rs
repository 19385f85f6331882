//! The text inside of an OpenPGP clear signature, without a look at the signature itself.

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
pub(super) fn inside_of(head: &str) -> Option<&str> {
    let after = head.strip_prefix(BEGIN)?;
    let (_, text) = after.split_once("\n\n").or_else(|| after.split_once("\n\r\n"))?;
    Some(text)
}

/// The signed text, with plain line ends; none for a document that has no signature in it.
pub(super) fn text_of(document: &str) -> Result<Option<String>, DocumentError> {
    let Some(rest) = document.strip_prefix(BEGIN) else { return Ok(None) };
    let mut signed = String::with_capacity(document.len());
    let mut place = Place::Headers;
    for (at, line) in rest.lines().enumerate() {
        let line = line.trim_end_matches([' ', '\t', '\r']);
        place = match place {
            // The rest of the first line.
            Place::Headers if at == 0 && line.is_empty() => Place::Headers,
            Place::Headers if at > 0 && line.is_empty() => Place::Text,
            Place::Headers if at > 0 && line.starts_with("Hash:") => Place::Headers,
            Place::Headers => return Err(DocumentError::malformed(format!("{line:?} is not signed"))),
            Place::Text if line == SIGNATURE => Place::Signature,
            Place::Text => {
                // A line that begins with a dash is signed without the dash and blank before it.
                let unescaped = line.strip_prefix("- ").unwrap_or(line);
                if line.starts_with('-') && unescaped.len() == line.len() {
                    return Err(DocumentError::malformed(format!("{line:?} is neither text nor signature")));
                }
                signed.push_str(unescaped);
                signed.push('\n');
                Place::Text
            }
            Place::Signature if line == END => Place::Behind,
            Place::Signature => Place::Signature,
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
