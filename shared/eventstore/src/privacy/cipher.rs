//! One person's key, and what it does to a text: XChaCha20-Poly1305 with a random nonce.

use super::PrivacyError;
use base64::{Engine, engine::general_purpose::STANDARD};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use kernel::SubjectId;
use rand::TryRng;
use zeroize::Zeroizing;

/// Bytes of a key, of persons and of the one that wraps theirs.
pub(super) const KEY_BYTES: usize = 32;

/// Long enough that random ones never meet (2^96 texts before it becomes thinkable).
const NONCE_BYTES: usize = 24;

/// The first byte of everything sealed, and part of what is authenticated.
const FORMAT: u8 = 1;

/// Texts are filled up to a multiple of this, so that their length does not outlive them: `Al` and `Alexandra` look alike.
const BLOCK_BYTES: usize = 32;

/// Ends the text before the filling (ISO/IEC 7816-4).
const END_OF_TEXT: u8 = 0x80;

/// A person's key in the clear. Never leaves the process, and is wiped after use.
pub(super) struct SubjectKey(Zeroizing<[u8; KEY_BYTES]>);

impl SubjectKey {
    /// A new one.
    pub(super) fn generate() -> Result<Self, PrivacyError> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        random(bytes.as_mut())?;
        Ok(Self(bytes))
    }

    pub(super) fn from_bytes(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// The ciphertext of a text about `subject_id`, in base64; another one each time.
    pub(super) fn seal(&self, subject_id: SubjectId, text: &str) -> Result<String, PrivacyError> {
        let mut filled = Zeroizing::new(text.as_bytes().to_vec());
        filled.push(END_OF_TEXT);
        let length = filled.len().next_multiple_of(BLOCK_BYTES);
        filled.resize(length, 0);
        Ok(STANDARD.encode(encrypt(&self.0, &about("text", subject_id), &filled)?))
    }

    /// The text again.
    pub(super) fn open(&self, subject_id: SubjectId, sealed: &str) -> Result<String, PrivacyError> {
        let changed = || PrivacyError::ChangedText { subject_id };
        let bytes = STANDARD.decode(sealed).map_err(|_no_base64| changed())?;
        let filled = decrypt(&self.0, &about("text", subject_id), &bytes).ok_or_else(changed)?;
        let end = filled.iter().rposition(|byte| *byte == END_OF_TEXT).ok_or_else(changed)?;
        String::from_utf8(filled[..end].to_vec()).map_err(|_no_text| changed())
    }
}

/// What is authenticated beside a ciphertext: what it is, and whose.
pub(super) fn about(what: &str, subject_id: SubjectId) -> Vec<u8> {
    [b"patchfleet ", what.as_bytes(), b"\0", subject_id.0.as_bytes()].concat()
}

/// Format, nonce, ciphertext with its tag.
pub(super) fn encrypt(key: &[u8; KEY_BYTES], about: &[u8], bytes: &[u8]) -> Result<Vec<u8>, PrivacyError> {
    let mut nonce = [0; NONCE_BYTES];
    random(&mut nonce)?;
    let cipher = XChaCha20Poly1305::new(key.into());
    let aad = [&[FORMAT], about].concat();
    #[expect(clippy::expect_used, reason = "the cipher's only limit is 256 GiB")]
    let sealed = cipher
        .encrypt(&XNonce::from(nonce), Payload { msg: bytes, aad: &aad })
        .expect("a name is shorter than 256 GiB");
    Ok([&[FORMAT], nonce.as_slice(), &sealed].concat())
}

/// The bytes again; none if anything about them is not as it was.
pub(super) fn decrypt(key: &[u8; KEY_BYTES], about: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (format, sealed) = sealed.split_first()?;
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    if *format != FORMAT {
        return None;
    }
    let cipher = XChaCha20Poly1305::new(key.into());
    let aad = [&[FORMAT], about].concat();
    let opened = cipher.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &aad });
    opened.ok().map(Zeroizing::new)
}

fn random(bytes: &mut [u8]) -> Result<(), PrivacyError> {
    rand::rngs::SysRng.try_fill_bytes(bytes).map_err(|error| PrivacyError::Random(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::{KEY_BYTES, STANDARD, SubjectKey, about, decrypt, encrypt};
    use crate::PrivacyError;
    use base64::Engine;
    use kernel::SubjectId;
    use proptest::prelude::{any, proptest};
    use uuid::Uuid;

    const ALICE: SubjectId = SubjectId(Uuid::from_u128(1));
    const BOB: SubjectId = SubjectId(Uuid::from_u128(2));

    proptest! {
        #[test]
        fn any_text_comes_back_and_looks_different_each_time(text in any::<String>()) {
            let key = SubjectKey::generate().unwrap();
            let (once, again) = (key.seal(ALICE, &text).unwrap(), key.seal(ALICE, &text).unwrap());
            assert_ne!(once, again);
            assert_eq!(key.open(ALICE, &once).unwrap(), text);
            assert_eq!(key.open(ALICE, &again).unwrap(), text);
        }

        #[test]
        fn a_text_with_any_changed_byte_is_refused(text in any::<String>(), at in any::<usize>(), bit in 0_u8..8) {
            let key = SubjectKey::generate().unwrap();
            let mut sealed = STANDARD.decode(key.seal(ALICE, &text).unwrap()).unwrap();
            let at = at % sealed.len();
            sealed[at] ^= 1 << bit;
            let refused = key.open(ALICE, &STANDARD.encode(sealed)).unwrap_err();
            assert!(matches!(refused, PrivacyError::ChangedText { subject_id: ALICE }), "{refused}");
        }
    }

    #[test]
    fn a_text_opens_with_its_own_persons_key_only() {
        let (key, other) = (SubjectKey::generate().unwrap(), SubjectKey::generate().unwrap());
        let sealed = key.seal(ALICE, "Alice").unwrap();
        for refused in [key.open(BOB, &sealed), other.open(ALICE, &sealed), key.open(ALICE, &sealed[..40])] {
            assert!(refused.is_err());
        }
        assert!(other.open(ALICE, "no base64!").unwrap_err().to_string().contains(&ALICE.to_string()));
    }

    #[test]
    fn short_texts_have_one_length() {
        let key = SubjectKey::generate().unwrap();
        let lengths =
            ["", "Al", "Alexandra Maria Müller-Schmidt"].map(|text| key.seal(ALICE, text).unwrap().len());
        assert_eq!(lengths, [lengths[0]; 3]);
        assert!(key.seal(ALICE, &"x".repeat(32)).unwrap().len() > lengths[0]);
    }

    #[test]
    fn what_is_sealed_for_one_purpose_is_nothing_for_another() {
        let key = [7; KEY_BYTES];
        let sealed = encrypt(&key, &about("text", ALICE), b"x").unwrap();
        assert!(decrypt(&key, &about("key", ALICE), &sealed).is_none());
        assert!(decrypt(&key, &about("text", ALICE), &[]).is_none());
        assert_eq!(decrypt(&key, &about("text", ALICE), &sealed).unwrap().as_slice(), b"x");
    }
}
