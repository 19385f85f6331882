//! Keyrings as people hand them over, brought into the form in which they are kept.

use super::{ARMOUR, certificates_in};
use crate::DocumentError;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use pgp::composed::ArmorOptions;

/// Certificates of one keyring: that of all of Debian's archives has some 10.
const CERTIFICATES_MAX: usize = 200;

/// All certificates of a keyring, each armoured. It comes armoured itself, or as Base64 of the binary form.
///
/// They are written anew, so that nothing but public certificates is kept, whatever else the text holds.
pub fn kept_keyring(text: &str) -> Result<String, String> {
    if text.contains("PRIVATE KEY BLOCK") {
        return Err("it holds a private key".to_owned());
    }
    let binary;
    let bytes = if text.as_bytes().windows(ARMOUR.len()).any(|part| part == ARMOUR) {
        text.as_bytes()
    } else {
        let packed: String = text.split_whitespace().collect();
        binary = BASE64_STANDARD
            .decode(packed)
            .map_err(|error| format!("it is neither armoured nor Base64: {error}"))?;
        &binary
    };
    let certificates = certificates_in(bytes).map_err(|error| {
        if let DocumentError::NotAuthentic { reason } = error { reason } else { error.to_string() }
    })?;
    if certificates.len() > CERTIFICATES_MAX {
        return Err(format!("it holds more than {CERTIFICATES_MAX} certificates"));
    }
    let mut kept = String::new();
    for certificate in certificates {
        let armoured = certificate.to_armored_string(ArmorOptions::default());
        kept.push_str(&armoured.map_err(|error| format!("a certificate cannot be written: {error}"))?);
    }
    Ok(kept)
}
