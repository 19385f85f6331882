//! Signatures (`OpenPGP`) of repositories: who signed a text, if it is somebody of a keyring.
//!
//! Trust is the keyring's: whoever keeps it decides which keys are in it. There is no clock here, so when a signature was
//! made and until when it and its key count is told, not judged; only a signature that was made after its key expired is
//! refused.

pub(crate) mod clearsigned;
mod keyring;

pub use keyring::kept_keyring;

use crate::DocumentError;
use chrono::{DateTime, TimeDelta, Utc};
use pgp::composed::{Deserializable, DetachedSignature, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::ser::Serialize;
use pgp::types::{Duration, Fingerprint, KeyDetails, PublicParams, Timestamp, VerifyingKey};

/// Bytes of a signed text: `Release` of Debian's unstable release has 2 MiB.
const TEXT_BYTES_MAX: usize = 8 << 20;
/// Bytes of the signatures of one text: Debian's have three, of below 1 KiB each.
const SIGNATURES_BYTES_MAX: usize = 64 << 10;
/// Signatures of one text.
const SIGNATURES_MAX: usize = 16;
/// Bytes of a keyring: that of all of Debian's archives has some 60 KiB.
const KEYRING_BYTES_MAX: usize = 4 << 20;

/// A text, and who signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What was signed, and nothing else.
    pub text: Vec<u8>,
    /// The signer's primary key, lowercase hex.
    pub fingerprint: String,
    /// When it was signed, in the signer's words.
    pub signed_at: Option<DateTime<Utc>>,
    /// From when on the signature does not count any more, where the signer set such a time.
    pub expires_at: Option<DateTime<Utc>>,
    /// From when on the key that made it does not count any more, where its owner set such a time.
    pub key_expires_at: Option<DateTime<Utc>>,
}

/// Verifies a text with its signature around it (`InRelease`). One good signature of a key in the keyring is enough.
///
/// The keyring holds certificates, armoured or not. Nothing may be outside of the signature.
pub fn verify_clearsigned(document: &[u8], keyring: &[u8]) -> Result<Verified, DocumentError> {
    bounded("text", document, TEXT_BYTES_MAX + SIGNATURES_BYTES_MAX)?;
    let document = std::str::from_utf8(document)
        .map_err(|error| not_authentic(format!("the text is not UTF-8: {error}")))?;
    let signed = clearsigned::Signed::of(document)
        .map_err(|error| not_authentic(error.to_string()))?
        .ok_or_else(|| not_authentic("there is no signature"))?;
    // The last line's end belongs to the signature, not to the text.
    let hashed = signed.text.strip_suffix('\n').unwrap_or(&signed.text);
    let who =
        verified_signer(hashed.as_bytes(), signed.signature.as_bytes(), keyring, &[SignatureType::Text])?;
    Ok(who.of(signed.text.into_bytes()))
}

/// Verifies a text whose signature is a file of its own (`Release` and `Release.gpg`), armoured or not.
pub fn verify_detached(text: &[u8], signature: &[u8], keyring: &[u8]) -> Result<Verified, DocumentError> {
    bounded("text", text, TEXT_BYTES_MAX)?;
    let who = verified_signer(text, signature, keyring, &[SignatureType::Binary, SignatureType::Text])?;
    Ok(who.of(text.to_vec()))
}

fn not_authentic(reason: impl Into<String>) -> DocumentError {
    DocumentError::NotAuthentic { reason: crate::text::clipped(&reason.into()) }
}

fn bounded(what: &str, bytes: &[u8], most: usize) -> Result<(), DocumentError> {
    if bytes.len() > most {
        return Err(not_authentic(format!("the {what} has more than {most} bytes")));
    }
    Ok(())
}

/// Who made a good signature.
struct Signer {
    fingerprint: Fingerprint,
    signed_at: Option<Timestamp>,
    expires_after: Option<Duration>,
    key_expires_at: Option<DateTime<Utc>>,
}

impl Signer {
    fn of(self, text: Vec<u8>) -> Verified {
        let signed_at = self.signed_at.and_then(|at| instant(at.as_secs()));
        let after = self.expires_after.map(Duration::as_secs).filter(|seconds| *seconds > 0);
        let expires_at = signed_at.zip(after).and_then(|(at, after)| at.checked_add_signed(seconds(after)));
        let (fingerprint, key_expires_at) = (self.fingerprint.to_string(), self.key_expires_at);
        Verified { text, fingerprint, signed_at, expires_at, key_expires_at }
    }
}

fn instant(seconds: u32) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(i64::from(seconds), 0)
}

fn seconds(seconds: u32) -> TimeDelta {
    TimeDelta::seconds(i64::from(seconds))
}

fn verified_signer(
    text: &[u8],
    signatures: &[u8],
    keyring: &[u8],
    types: &[SignatureType],
) -> Result<Signer, DocumentError> {
    let signatures = signatures_in(signatures)?;
    let certificates = certificates_in(keyring)?;
    let mut reasons = Vec::new();
    for signature in &signatures {
        match signer_of(signature, text, &certificates, types) {
            Ok(signer) => return Ok(signer),
            Err(reason) => reasons.push(reason),
        }
    }
    reasons.dedup();
    Err(not_authentic(if reasons.is_empty() {
        "there is no signature".to_owned()
    } else {
        reasons.join("; ")
    }))
}

fn signatures_in(bytes: &[u8]) -> Result<Vec<Signature>, DocumentError> {
    bounded("signature", bytes, SIGNATURES_BYTES_MAX)?;
    let unreadable =
        |error: pgp::errors::Error| not_authentic(format!("the signature cannot be read: {error}"));
    let (signatures, _) = DetachedSignature::from_reader_many_buf(bytes).map_err(unreadable)?;
    let signatures =
        signatures.take(SIGNATURES_MAX).map(|signature| Ok(signature.map_err(unreadable)?.signature));
    signatures.collect()
}

const ARMOUR: &[u8] = b"-----BEGIN PGP PUBLIC KEY BLOCK-----";

/// All certificates of a keyring, which may be several armoured ones behind each other.
fn certificates_in(keyring: &[u8]) -> Result<Vec<SignedPublicKey>, DocumentError> {
    bounded("keyring", keyring, KEYRING_BYTES_MAX)?;
    let unreadable =
        |error: pgp::errors::Error| not_authentic(format!("the keyring cannot be read: {error}"));
    let starts: Vec<usize> = if keyring.first().is_some_and(|byte| byte & 0x80 != 0) {
        vec![0]
    } else {
        keyring
            .windows(ARMOUR.len())
            .enumerate()
            .filter(|(_, part)| *part == ARMOUR)
            .map(|(at, _)| at)
            .collect()
    };
    let mut certificates = Vec::new();
    for (index, &start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).copied().unwrap_or(keyring.len());
        let block = keyring.get(start..end).unwrap_or_default();
        let (read, _) = SignedPublicKey::from_reader_many_buf(block).map_err(unreadable)?;
        for certificate in read {
            certificates.push(certificate.map_err(unreadable)?);
        }
    }
    if certificates.is_empty() {
        return Err(not_authentic("there is no key in the keyring"));
    }
    Ok(certificates)
}

/// The certificate that a good signature was made with, or why it is not good.
fn signer_of(
    signature: &Signature,
    text: &[u8],
    certificates: &[SignedPublicKey],
    types: &[SignatureType],
) -> Result<Signer, String> {
    let config = signature.config().ok_or("a signature is of an unknown version")?;
    if !types.contains(&config.typ()) {
        return Err(format!("a signature is of the type {:?}", config.typ()));
    }
    if !is_strong(config.hash_alg) {
        return Err(format!("a signature is over {}, which can be forged", config.hash_alg));
    }
    let issuers: Vec<String> = signature
        .issuer_fingerprint()
        .iter()
        .map(ToString::to_string)
        .chain(signature.issuer_key_id().iter().map(ToString::to_string))
        .collect();
    let Some(issuer) = issuers.first() else {
        return Err("a signature does not say whose it is".to_owned());
    };
    let is_issuer = |key: &dyn KeyDetails| {
        issuers.contains(&key.fingerprint().to_string()) || issuers.contains(&key.legacy_key_id().to_string())
    };
    for certificate in certificates {
        let primary = &certificate.primary_key;
        let verified = if is_issuer(primary) {
            may_sign(certificate, signature).and_then(|until| good(signature, primary, text).map(|()| until))
        } else if let Some(subkey) = certificate.public_subkeys.iter().find(|subkey| is_issuer(&subkey.key)) {
            may_sign(certificate, signature)
                .and_then(|until| Ok(earlier(until, subkey_may_sign(certificate, subkey, signature)?)))
                .and_then(|until| good(signature, &subkey.key, text).map(|()| until))
        } else {
            continue;
        };
        return verified.map(|key_expires_at| Signer {
            key_expires_at,
            fingerprint: primary.fingerprint(),
            signed_at: signature.created(),
            expires_after: signature.signature_expiration_time(),
        });
    }
    Err(format!("{issuer} is not in the keyring"))
}

/// Hashes for which nobody can make a second text.
fn is_strong(hash: HashAlgorithm) -> bool {
    matches!(
        hash,
        HashAlgorithm::Sha256
            | HashAlgorithm::Sha384
            | HashAlgorithm::Sha512
            | HashAlgorithm::Sha3_256
            | HashAlgorithm::Sha3_512
    )
}

fn good(signature: &Signature, key: &(impl VerifyingKey + Serialize), text: &[u8]) -> Result<(), String> {
    /// A number of 2048 bits with its length.
    const RSA_BYTES_MIN: usize = 2 + 2048 / 8;
    let name = key.legacy_key_id();
    let is_strong = if let PublicParams::RSA(numbers) = key.public_params() {
        numbers.write_len() >= RSA_BYTES_MIN
    } else {
        matches!(
            key.algorithm(),
            PublicKeyAlgorithm::ECDSA
                | PublicKeyAlgorithm::EdDSALegacy
                | PublicKeyAlgorithm::Ed25519
                | PublicKeyAlgorithm::Ed448
        )
    };
    if !is_strong {
        return Err(format!("the key {name} is too weak"));
    }
    // Why the numbers do not fit tells nobody anything.
    signature.verify(key, text).map_err(|_error| format!("it is not the text that {name} signed"))
}

/// The first of two times at which something ends, where it ends at all.
fn earlier(one: Option<DateTime<Utc>>, other: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    one.into_iter().chain(other).min()
}

/// Until when a certificate counts, if it counted when it signed: neither revoked nor expired.
fn may_sign(certificate: &SignedPublicKey, signature: &Signature) -> Result<Option<DateTime<Utc>>, String> {
    let primary = &certificate.primary_key;
    let name = primary.legacy_key_id();
    let details = &certificate.details;
    if details.revocation_signatures.iter().any(|revocation| revocation.verify_key(primary).is_ok()) {
        return Err(format!("the key {name} was revoked"));
    }
    let of_users = details.users.iter().flat_map(|user| {
        let is_own = |own: &&Signature| {
            own.verify_certification(primary, pgp::types::Tag::UserId, &user.id).is_ok()
                && own.is_certification()
        };
        user.signatures.iter().filter(is_own).collect::<Vec<_>>()
    });
    let direct = details.direct_signatures.iter().filter(|own| own.verify_key(primary).is_ok());
    let newest = of_users.chain(direct).max_by_key(|own| own.created().map(Timestamp::as_secs));
    let expires_after = newest.and_then(Signature::key_expiration_time);
    in_time(primary.created_at(), expires_after, signature)
}

/// Until when a subkey counts, if it is its certificate's, is for signing, and counted when it signed.
fn subkey_may_sign(
    certificate: &SignedPublicKey,
    subkey: &SignedPublicSubKey,
    signature: &Signature,
) -> Result<Option<DateTime<Utc>>, String> {
    let name = subkey.key.legacy_key_id();
    if subkey.signatures.iter().any(|own| own.typ() == Some(SignatureType::SubkeyRevocation)) {
        return Err(format!("the key {name} was revoked"));
    }
    subkey
        .verify_bindings(&certificate.primary_key)
        .map_err(|_error| format!("the key {name} does not belong to the certificate that it is in"))?;
    let newest = subkey.signatures.iter().max_by_key(|own| own.created().map(Timestamp::as_secs));
    if !newest.is_some_and(|own| own.key_flags().sign()) {
        return Err(format!("the key {name} is not for signing"));
    }
    in_time(subkey.key.created_at(), newest.and_then(Signature::key_expiration_time), signature)
}

fn in_time(
    created: Timestamp,
    after: Option<Duration>,
    signature: &Signature,
) -> Result<Option<DateTime<Utc>>, String> {
    let signed_at = signature.created().ok_or("a signature has no date")?;
    let after = after.map_or(0, Duration::as_secs);
    let expires_at = (after > 0).then(|| created.as_secs().saturating_add(after));
    if expires_at.is_some_and(|end| signed_at.as_secs() >= end) || signed_at < created {
        return Err("a signature was made when its key did not count".to_owned());
    }
    Ok(expires_at.and_then(instant))
}
