//! The keys that wrap the keys of persons: the present one, and those before it.

use super::{
    PrivacyError,
    cipher::{KEY_BYTES, SubjectKey, about, decrypt, encrypt},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use kernel::SubjectId;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Bytes of a key's name: enough to tell a handful of keys apart.
const KEY_ID_BYTES: usize = 8;

/// What wraps the keys of persons. It comes from the settings and is never stored.
#[derive(Clone)]
pub struct Keyring {
    /// The present one first.
    keys: Arc<[WrappingKey]>,
}

struct WrappingKey {
    id: [u8; KEY_ID_BYTES],
    key: Zeroizing<[u8; KEY_BYTES]>,
}

impl Keyring {
    /// `present` wraps; `previous` ones only unwrap. Each is the base64 of 32 random bytes.
    pub fn new<'a>(present: &str, previous: impl IntoIterator<Item = &'a str>) -> Result<Self, PrivacyError> {
        let mut keys = vec![WrappingKey::read("privacy.key", present)?];
        for text in previous {
            keys.push(WrappingKey::read("privacy.previous_keys", text)?);
        }
        Ok(Self { keys: keys.into() })
    }

    /// A person's key as it is stored: which key wraps it, and the ciphertext.
    pub(super) fn wrap(&self, subject_id: SubjectId, key: &SubjectKey) -> Result<Vec<u8>, PrivacyError> {
        let present = self.present();
        let wrapped = encrypt(&present.key, &about("key", subject_id), key.bytes())?;
        Ok([present.id.as_slice(), &wrapped].concat())
    }

    /// A person's key in the clear.
    pub(super) fn unwrap(&self, subject_id: SubjectId, wrapped: &[u8]) -> Result<SubjectKey, PrivacyError> {
        let changed = || PrivacyError::ChangedKey { subject_id };
        let (id, wrapped) = wrapped.split_first_chunk::<KEY_ID_BYTES>().ok_or_else(changed)?;
        let by = self
            .keys
            .iter()
            .find(|key| key.id == *id)
            .ok_or_else(|| PrivacyError::UnknownKey { subject_id, key_id: name(*id) })?;
        let bytes = decrypt(&by.key, &about("key", subject_id), wrapped).ok_or_else(changed)?;
        let key: &[u8; KEY_BYTES] = bytes.as_slice().try_into().map_err(|_other_length| changed())?;
        Ok(SubjectKey::from_bytes(Zeroizing::new(*key)))
    }

    /// How everything begins that the present key wraps.
    pub(super) fn prefix(&self) -> &[u8] {
        &self.present().id
    }

    fn present(&self) -> &WrappingKey {
        // `new` puts it there.
        &self.keys[0]
    }
}

impl WrappingKey {
    fn read(setting: &'static str, text: &str) -> Result<Self, PrivacyError> {
        let invalid = || PrivacyError::InvalidKey { setting };
        let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|_quotes| invalid())?);
        let key: &[u8; KEY_BYTES] = bytes.as_slice().try_into().map_err(|_other_length| invalid())?;
        let key = Zeroizing::new(*key);
        // One cannot get from the name to the key; whoever has the key can name it.
        let digest =
            Sha256::new().chain_update(b"patchfleet key id\0").chain_update(key.as_slice()).finalize();
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&digest[..KEY_ID_BYTES]);
        Ok(Self { id, key })
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| name(key.id))).finish()
    }
}

fn name(id: [u8; KEY_ID_BYTES]) -> String {
    format!("{:016x}", u64::from_be_bytes(id))
}

#[cfg(test)]
mod tests {
    use super::Keyring;
    use crate::privacy::{PrivacyError, cipher::SubjectKey};
    use base64::{Engine, engine::general_purpose::STANDARD};
    use kernel::SubjectId;
    use uuid::Uuid;

    const ALICE: SubjectId = SubjectId(Uuid::from_u128(1));
    const BOB: SubjectId = SubjectId(Uuid::from_u128(2));

    fn key(byte: u8) -> String {
        STANDARD.encode([byte; 32])
    }

    #[test]
    fn a_key_that_an_older_key_wrapped_still_opens() {
        let (old, new, other) = (key(1), key(2), key(3));
        let subject = SubjectKey::generate().unwrap();
        let wrapped = Keyring::new(&old, []).unwrap().wrap(ALICE, &subject).unwrap();
        let rotated = Keyring::new(&new, [other.as_str(), old.as_str()]).unwrap();
        assert_eq!(rotated.unwrap(ALICE, &wrapped).unwrap().bytes(), subject.bytes());
        assert!(rotated.wrap(ALICE, &subject).unwrap().starts_with(rotated.prefix()));
        assert!(!wrapped.starts_with(rotated.prefix()));
    }

    #[test]
    fn a_missing_key_is_named_and_a_changed_one_as_well() {
        let keyring = Keyring::new(&key(1), []).unwrap();
        let mut wrapped = keyring.wrap(ALICE, &SubjectKey::generate().unwrap()).unwrap();
        let stranger = Keyring::new(&key(2), []).unwrap();
        let refused = stranger.unwrap(ALICE, &wrapped).err().unwrap().to_string();
        let id = format!("{keyring:?}").replace(['[', ']', '"'], "");
        assert!(refused.contains(&id) && refused.contains("privacy.previous_keys"), "{refused}");
        assert!(matches!(keyring.unwrap(BOB, &wrapped), Err(PrivacyError::ChangedKey { subject_id: BOB })));
        *wrapped.last_mut().unwrap() ^= 1;
        assert!(matches!(keyring.unwrap(ALICE, &wrapped), Err(PrivacyError::ChangedKey { .. })));
        assert!(matches!(keyring.unwrap(ALICE, &[0]), Err(PrivacyError::ChangedKey { .. })));
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_quoted() {
        for text in ["", "hunter2", "aHVudGVyMg==", &key(1)[1..]] {
            let refused = Keyring::new(text, []).err().unwrap().to_string();
            assert!(refused.starts_with("privacy.key is not"), "{refused}");
            assert!(!refused.contains("hunter2") && !refused.contains("aHVudGVyMg"), "{refused}");
            let refused = Keyring::new(&key(1), [text]).err().unwrap().to_string();
            assert!(refused.starts_with("privacy.previous_keys is not"), "{refused}");
        }
    }
}
