//! How agents sign their requests and how the server signs their jobs: Ed25519, without any input or output.
//!
//! Requests carry HTTP Message Signatures (RFC 9421) in the one profile that `contracts::agent` describes, so
//! there is nothing to negotiate and everything else is refused. The general crates for that RFC bring several
//! more curves and a second Ed25519 with lax verification into the agent; the profile itself is a page.

mod job;
mod key;
mod parse;
mod request;

pub use job::{JobError, sign_job, verify_job};
pub use key::{InvalidKey, public_key, public_key_text};
pub use request::{
    Claim, HEADER_CONTENT_DIGEST, HEADER_SIGNATURE, HEADER_SIGNATURE_INPUT, HeaderValues, NONCE_BYTES_MAX,
    NONCE_BYTES_MIN, RequestParts, SignatureError, content_digest, sign,
};
