//! Cursors: a place in one list below one parent, signed, so that nobody can make one up.

use crate::errors::coded;
use async_graphql::Result;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

/// Bytes of the signature that a cursor carries: forging one is not worth 2^128 attempts.
const SIGNATURE_BYTES: usize = 16;

/// Keeps the key apart from everything else that is signed with the same secret.
const PURPOSE: &[u8] = b"patchfleet graphql cursor";

/// Makes and reads cursors.
#[derive(Clone)]
pub(crate) struct Cursors {
    key: Hmac<Sha256>,
}

impl Cursors {
    /// With a key derived from the secret that all gateways share.
    pub(crate) fn new(secret: &[u8]) -> Self {
        let derived = hmac(secret).chain_update(PURPOSE).finalize().into_bytes();
        Self { key: hmac(&derived) }
    }

    /// The cursor of the row at `seq`.
    pub(crate) fn write(&self, list: &str, parent: Uuid, seq: i64) -> String {
        self.write_keys(list, parent, [seq])
    }

    /// The cursor of the row with these keys, in a list that is not in the order of the log.
    pub(crate) fn write_keys<const N: usize>(&self, list: &str, parent: Uuid, keys: [i64; N]) -> String {
        let mut bytes: Vec<u8> = keys.into_iter().flat_map(i64::to_be_bytes).collect();
        let signature = self.signed(list, parent, &bytes).finalize().into_bytes();
        bytes.extend_from_slice(&signature[..SIGNATURE_BYTES]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place that a cursor of this list names.
    pub(crate) fn read(&self, list: &str, parent: Uuid, cursor: &str) -> Result<i64> {
        self.read_keys(list, parent, cursor).map(|[seq]| seq)
    }

    /// The keys that a cursor of this list names.
    pub(crate) fn read_keys<const N: usize>(
        &self,
        list: &str,
        parent: Uuid,
        cursor: &str,
    ) -> Result<[i64; N]> {
        self.keys(list, parent, cursor)
            .ok_or_else(|| coded("graphql.cursor_invalid", "the cursor is not one of this list"))
    }

    fn keys<const N: usize>(&self, list: &str, parent: Uuid, cursor: &str) -> Option<[i64; N]> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (keys, signature) = bytes.split_at_checked(N * size_of::<i64>())?;
        if signature.len() != SIGNATURE_BYTES {
            return None;
        }
        self.signed(list, parent, keys).verify_truncated_left(signature).ok()?;
        let (chunks, _) = keys.as_chunks();
        let keys: Vec<i64> = chunks.iter().map(|key| i64::from_be_bytes(*key)).collect();
        keys.try_into().ok()
    }

    fn signed(&self, list: &str, parent: Uuid, keys: &[u8]) -> Hmac<Sha256> {
        // The list's name has no NUL, so that no two places are signed alike.
        self.key
            .clone()
            .chain_update(list.as_bytes())
            .chain_update([0])
            .chain_update(parent.as_bytes())
            .chain_update(keys)
    }
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

#[cfg(test)]
mod tests {
    use super::Cursors;
    use uuid::Uuid;

    const PARENT: Uuid = Uuid::from_u128(1);

    fn code(read: async_graphql::Result<i64>) -> Option<String> {
        let extensions = read.err()?.extensions?;
        Some(extensions.get("code")?.to_string())
    }

    #[test]
    fn a_cursor_leads_back_to_its_place() {
        let cursors = Cursors::new(b"secret");
        let cursor = cursors.write("DEVICES", PARENT, 42);
        assert_eq!(cursors.read("DEVICES", PARENT, &cursor).unwrap(), 42);
    }

    #[test]
    fn a_cursor_with_several_keys_is_none_with_one() {
        let cursors = Cursors::new(b"secret");
        let cursor = cursors.write_keys("PATCHES", PARENT, [1, -2, 3]);
        assert_eq!(cursors.read_keys("PATCHES", PARENT, &cursor).unwrap(), [1, -2, 3]);
        assert!(cursors.read_keys::<2>("PATCHES", PARENT, &cursor).is_err());
        assert_eq!(
            code(cursors.read("PATCHES", PARENT, &cursor)).as_deref(),
            Some("\"graphql.cursor_invalid\"")
        );
    }

    #[test]
    fn a_cursor_of_another_list_parent_or_secret_is_none() {
        let cursors = Cursors::new(b"secret");
        let cursor = cursors.write("DEVICES", PARENT, 42);
        for read in [
            cursors.read("ALERTS", PARENT, &cursor),
            cursors.read("DEVICES", Uuid::from_u128(2), &cursor),
            Cursors::new(b"another secret").read("DEVICES", PARENT, &cursor),
            cursors.read("DEVICES", PARENT, ""),
            cursors.read("DEVICES", PARENT, "AAAAAAAAACo"),
            cursors.read("DEVICES", PARENT, &format!("{cursor}AAAA")),
            cursors.read("DEVICES", PARENT, "not base64!"),
        ] {
            assert_eq!(code(read).as_deref(), Some("\"graphql.cursor_invalid\""));
        }
    }
}
