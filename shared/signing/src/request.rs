//! Requests of an agent, signed and checked.

use crate::parse;
use base64::{Engine, prelude::BASE64_STANDARD};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// Name of the header with the body's digest (RFC 9530).
pub const HEADER_CONTENT_DIGEST: &str = "content-digest";
/// Name of the header that says what is signed (RFC 9421).
pub const HEADER_SIGNATURE_INPUT: &str = "signature-input";
/// Name of the header with the signature (RFC 9421).
pub const HEADER_SIGNATURE: &str = "signature";
/// Bytes of the shortest nonce: 16 characters of base64 are 96 bits.
pub const NONCE_BYTES_MIN: usize = 16;
/// Bytes of the longest nonce; a UUID has 36.
pub const NONCE_BYTES_MAX: usize = 64;

/// Bytes of a key id; a UUID has 36.
const KEYID_BYTES_MAX: usize = 64;
/// Bytes of one of the three headers; ours have about 200.
const HEADER_BYTES_MAX: usize = 512;
const LABEL: &str = "pf";
const COMPONENTS: &str = r#"("@method" "@path" "@query" "content-digest")"#;

/// The signed parts of a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestParts<'a> {
    /// `GET`, `POST`.
    pub method: &'a str,
    /// As on the wire, percent-encoded.
    pub path: &'a str,
    /// As on the wire, without the question mark; empty if there is none.
    pub query: &'a str,
    /// Empty if there is none.
    pub body: &'a [u8],
}

/// The three headers of a signed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderValues {
    /// `Content-Digest`
    pub content_digest: String,
    /// `Signature-Input`
    pub signature_input: String,
    /// `Signature`
    pub signature: String,
}

/// Why a request is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// One of the headers is not there.
    #[error("the header {header} is not there")]
    Missing {
        /// Which.
        header: &'static str,
    },
    /// A header is not of our profile.
    #[error("the header {header} cannot be read: {detail}")]
    Malformed {
        /// Which.
        header: &'static str,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// The body is not the one that was signed.
    #[error("the body does not have the digest that was signed")]
    DigestMismatch,
    /// Made too long ago, or in the future.
    #[error("the signature was made {seconds} s from now; allowed are {allowed} s")]
    Expired {
        /// Distance from now.
        seconds: u64,
        /// Allowed distance.
        allowed: u64,
    },
    /// Not by this key, or not for this request.
    #[error("the signature is not by the device's key for this request")]
    Invalid,
}

impl SignatureError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "agent.signature_missing",
            Self::Malformed { .. } => "agent.signature_malformed",
            Self::DigestMismatch => "agent.digest_mismatch",
            Self::Expired { .. } => "agent.signature_expired",
            Self::Invalid => "agent.signature_invalid",
        }
    }
}

/// Writes the `Content-Digest` of a body.
pub fn content_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", BASE64_STANDARD.encode(Sha256::digest(body)))
}

/// Signs a request.
///
/// `nonce` and `keyid` are visible ASCII without quotes (a UUID, base64url); anything else gives headers that
/// [`Claim::read`] refuses.
pub fn sign(
    key: &SigningKey,
    request: RequestParts<'_>,
    created: i64,
    nonce: &str,
    keyid: &str,
) -> HeaderValues {
    let params = format!(r#"{COMPONENTS};created={created};nonce="{nonce}";keyid="{keyid}";alg="ed25519""#);
    let content_digest = content_digest(request.body);
    let signature = key.sign(profile_base(request, &content_digest, &params).as_bytes());
    HeaderValues {
        signature_input: format!("{LABEL}={params}"),
        signature: format!("{LABEL}=:{}:", BASE64_STANDARD.encode(signature.to_bytes())),
        content_digest,
    }
}

/// What a request's headers say of it, not yet checked.
#[derive(Debug, Clone)]
pub struct Claim {
    named: parse::Parameters,
    // The exact text, since it is signed itself.
    params: String,
    content_digest: String,
    signature: Signature,
}

impl Claim {
    /// Reads the three headers.
    pub fn read(
        content_digest: Option<&str>,
        signature_input: Option<&str>,
        signature: Option<&str>,
    ) -> Result<Self, SignatureError> {
        let content_digest = bounded(HEADER_CONTENT_DIGEST, content_digest)?;
        let input = bounded(HEADER_SIGNATURE_INPUT, signature_input)?;
        let signature = bounded(HEADER_SIGNATURE, signature)?;
        let malformed = |detail| SignatureError::Malformed { header: HEADER_SIGNATURE_INPUT, detail };
        let params = input
            .strip_prefix(LABEL)
            .and_then(|rest| rest.strip_prefix('='))
            .ok_or(malformed("the label is not pf"))?;
        let rest =
            params.strip_prefix(COMPONENTS).ok_or(malformed("other components than ours are signed"))?;
        let named = parse::parameters(rest).map_err(malformed)?;
        if !(NONCE_BYTES_MIN..=NONCE_BYTES_MAX).contains(&named.nonce.len()) {
            return Err(malformed("the nonce is not of 16 to 64 characters"));
        }
        if named.keyid.is_empty() || named.keyid.len() > KEYID_BYTES_MAX {
            return Err(malformed("the keyid is not of 1 to 64 characters"));
        }
        let signature = parse::signature(LABEL, signature)
            .and_then(|bytes| Signature::from_slice(&bytes).ok())
            .ok_or(SignatureError::Malformed {
                header: HEADER_SIGNATURE,
                detail: "not pf=: and the base64 of 64 bytes",
            })?;
        Ok(Self { named, params: params.to_owned(), content_digest: content_digest.to_owned(), signature })
    }

    /// Who claims to have signed: the device id.
    pub fn keyid(&self) -> &str {
        &self.named.keyid
    }

    /// Unique per request of a device; remembering it for twice the window is the server's business.
    pub fn nonce(&self) -> &str {
        &self.named.nonce
    }

    /// When it was signed, in Unix seconds of the device's clock.
    pub fn created(&self) -> i64 {
        self.named.created
    }

    /// Checks time, digest and signature, in the order of their cost.
    pub fn verify(
        &self,
        key: &VerifyingKey,
        request: RequestParts<'_>,
        now: i64,
        window_seconds: i64,
    ) -> Result<(), SignatureError> {
        let (seconds, allowed) = (now.abs_diff(self.named.created), window_seconds.unsigned_abs());
        if seconds > allowed {
            return Err(SignatureError::Expired { seconds, allowed });
        }
        if self.content_digest != content_digest(request.body) {
            return Err(SignatureError::DigestMismatch);
        }
        let base = profile_base(request, &self.content_digest, &self.params);
        key.verify_strict(base.as_bytes(), &self.signature).map_err(|_why| SignatureError::Invalid)
    }
}

fn bounded<'a>(header: &'static str, value: Option<&'a str>) -> Result<&'a str, SignatureError> {
    let value = value.ok_or(SignatureError::Missing { header })?;
    if value.len() <= HEADER_BYTES_MAX {
        Ok(value)
    } else {
        Err(SignatureError::Malformed { header, detail: "longer than 512 bytes" })
    }
}

fn profile_base(request: RequestParts<'_>, content_digest: &str, params: &str) -> String {
    // RFC 9421, 2.2.6 and 2.2.7: an empty path is "/", and the query has its question mark even when absent.
    let path = if request.path.is_empty() { "/" } else { request.path };
    let query = format!("?{}", request.query);
    signature_base(
        &[
            ("@method", request.method),
            ("@path", path),
            ("@query", &query),
            ("content-digest", content_digest),
        ],
        params,
    )
}

fn signature_base(components: &[(&str, &str)], params: &str) -> String {
    let mut base = String::new();
    for (name, value) in components {
        let _ = writeln!(base, "\"{name}\": {value}");
    }
    let _ = write!(base, "\"@signature-params\": {params}");
    base
}

#[cfg(test)]
mod tests;
