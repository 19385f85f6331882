//! The few structured fields (RFC 8941) of the profile, read strictly.

use base64::{Engine, prelude::BASE64_STANDARD};

/// The members of one signature's parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameters {
    pub(crate) created: i64,
    pub(crate) nonce: String,
    pub(crate) keyid: String,
}

/// Reads `;created=…;nonce="…";keyid="…";alg="ed25519"` in any order, each once, nothing else.
pub(crate) fn parameters(text: &str) -> Result<Parameters, &'static str> {
    let (mut created, mut nonce, mut keyid, mut alg) = (None, None, None, None);
    let mut rest = text;
    while let Some(tail) = rest.strip_prefix(';') {
        let (name, tail) = tail.split_once('=').ok_or("a parameter has no value")?;
        if name == "created" {
            let end = tail.find(';').unwrap_or(tail.len());
            fill(&mut created, integer(&tail[..end])?)?;
            rest = &tail[end..];
        } else {
            let (value, tail) = quoted(tail)?;
            match name {
                "nonce" => fill(&mut nonce, value)?,
                "keyid" => fill(&mut keyid, value)?,
                "alg" => fill(&mut alg, value)?,
                _ => return Err("a parameter is not one of created, nonce, keyid, alg"),
            }
            rest = tail;
        }
    }
    if !rest.is_empty() {
        return Err("something follows the parameters");
    }
    if alg != Some("ed25519") {
        return Err("alg is not ed25519");
    }
    Ok(Parameters {
        created: created.ok_or("created is not there")?,
        nonce: nonce.ok_or("nonce is not there")?.to_owned(),
        keyid: keyid.ok_or("keyid is not there")?.to_owned(),
    })
}

/// Reads `pf=:<base64>:`.
pub(crate) fn signature(label: &str, text: &str) -> Option<Vec<u8>> {
    let inner = text.strip_prefix(label)?.strip_prefix("=:")?.strip_suffix(':')?;
    BASE64_STANDARD.decode(inner).ok()
}

fn fill<T>(slot: &mut Option<T>, value: T) -> Result<(), &'static str> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err("a parameter is there twice"),
    }
}

fn integer(text: &str) -> Result<i64, &'static str> {
    // RFC 8941 allows 15 digits; a sign would be a time before 1970.
    let digits = !text.is_empty() && text.len() <= 15 && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or("created is not a number")
}

fn quoted(text: &str) -> Result<(&str, &str), &'static str> {
    let inner = text.strip_prefix('"').ok_or("a text has no quotes")?;
    let (value, rest) = inner.split_once('"').ok_or("a text has no end")?;
    if plain(value) { Ok((value, rest)) } else { Err("a text holds other than visible ASCII") }
}

/// Visible ASCII without quote and backslash: such a text is its own quoted form.
pub(crate) fn plain(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
}
