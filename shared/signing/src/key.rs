//! Public keys as they travel: base64 of 32 bytes.

use base64::{Engine, prelude::BASE64_STANDARD};
use ed25519_dalek::VerifyingKey;

/// A text that is not a usable Ed25519 public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the base64 of a usable ed25519 public key")]
pub struct InvalidKey;

impl InvalidKey {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        "agent.key_invalid"
    }
}

/// Reads a public key; keys of small order, for which anybody can sign, are refused.
pub fn public_key(text: &str) -> Result<VerifyingKey, InvalidKey> {
    let mut bytes = [0u8; 32];
    // 44 characters are 33 bytes before padding is seen; the slice decoder wants room for them.
    let mut room = [0u8; 33];
    if text.len() != 44 || BASE64_STANDARD.decode_slice(text, &mut room) != Ok(32) {
        return Err(InvalidKey);
    }
    bytes.copy_from_slice(&room[..32]);
    VerifyingKey::from_bytes(&bytes).ok().filter(|key| !key.is_weak()).ok_or(InvalidKey)
}

/// Writes a public key.
pub fn public_key_text(key: &VerifyingKey) -> String {
    BASE64_STANDARD.encode(key.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{InvalidKey, public_key, public_key_text};
    use base64::{Engine, prelude::BASE64_STANDARD};
    use ed25519_dalek::SigningKey;

    #[test]
    fn a_key_survives_its_text_form() {
        let key = SigningKey::from_bytes(&[7; 32]).verifying_key();
        assert_eq!(public_key(&public_key_text(&key)), Ok(key));
    }

    #[test]
    fn weak_short_long_and_garbled_keys_are_refused() {
        // The neutral element: every signature by it would verify laxly.
        let mut neutral = [0u8; 32];
        neutral[0] = 1;
        for text in [
            BASE64_STANDARD.encode(neutral),
            BASE64_STANDARD.encode([7u8; 31]),
            BASE64_STANDARD.encode([7u8; 33]),
            "!".repeat(44),
            String::new(),
        ] {
            assert_eq!(public_key(&text), Err(InvalidKey), "{text}");
        }
    }
}
