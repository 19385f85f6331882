//! SHA-256 that can be continued elsewhere: a file's parts come one by one, to any process, over days.

use sha2::digest::common::hazmat::SerializableState;
use sha2::{Digest, Sha256};
use web::ApiError;

/// The hash after what came so far.
pub(super) fn resumed(state: Option<&[u8]>) -> Result<Sha256, ApiError> {
    let Some(state) = state else { return Ok(Sha256::new()) };
    let broken = || ApiError::internal(std::io::Error::other("the kept state of a hash cannot be read"));
    let state = state.try_into().map_err(|_why| broken())?;
    Sha256::deserialize(&state).map_err(|_why| broken())
}

/// What has to be kept to go on.
pub(super) fn kept(hash: &Sha256) -> Vec<u8> {
    hash.serialize().to_vec()
}

/// Lowercase hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::{hex, kept, resumed};
    use sha2::{Digest, Sha256};

    #[test]
    fn a_hash_that_is_continued_is_that_of_the_whole() {
        let whole: Vec<u8> = (0..1_000_u32).flat_map(u32::to_le_bytes).collect();
        for cut in [0, 1, 63, 64, 65, 3_999] {
            let mut first = resumed(None).unwrap();
            first.update(&whole[..cut]);
            let mut second = resumed(Some(&kept(&first))).unwrap();
            second.update(&whole[cut..]);
            assert_eq!(hex(&second.finalize()), hex(&Sha256::digest(&whole)), "{cut}");
        }
    }

    #[test]
    fn what_is_no_state_is_refused() {
        assert!(resumed(Some(b"no")).is_err());
    }
}
