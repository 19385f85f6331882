//! The profile against the RFC's own example, against itself, and against tampering.

use super::{Claim, HeaderValues, RequestParts, SignatureError, sign, signature_base};
use base64::{Engine, prelude::BASE64_STANDARD};
use ed25519_dalek::pkcs8::DecodePrivateKey;
use ed25519_dalek::{Signer, SigningKey};
use proptest::prelude::*;

const NOW: i64 = 1_800_000_000;
const NONCE: &str = "0123456789abcdef0123";
const KEYID: &str = "0195f3a0-0000-7000-8000-000000000001";

fn key() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

fn post(body: &[u8]) -> RequestParts<'_> {
    RequestParts { method: "POST", path: "/agent/v1/scans", query: "a=1", body }
}

fn signed() -> HeaderValues {
    sign(&key(), post(b"{}"), NOW, NONCE, KEYID)
}

fn check(headers: &HeaderValues, request: RequestParts<'_>, now: i64) -> Result<(), SignatureError> {
    Claim::read(Some(&headers.content_digest), Some(&headers.signature_input), Some(&headers.signature))?
        .verify(&key().verifying_key(), request, now, 300)
}

#[test]
fn the_base_and_the_signature_are_those_of_rfc_9421_b_2_6() {
    let key = SigningKey::from_pkcs8_pem(
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n-----END PRIVATE KEY-----\n",
    )
    .unwrap();
    let base = signature_base(
        &[
            ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
            ("@method", "POST"),
            ("@path", "/foo"),
            ("@authority", "example.com"),
            ("content-type", "application/json"),
            ("content-length", "18"),
        ],
        r#"("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#,
    );
    assert_eq!(
        BASE64_STANDARD.encode(key.sign(base.as_bytes()).to_bytes()),
        "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
    );
}

#[test]
fn the_headers_have_the_profiles_form() {
    let headers = signed();
    assert_eq!(
        headers.signature_input,
        format!(
            r#"pf=("@method" "@path" "@query" "content-digest");created=1800000000;nonce="{NONCE}";keyid="{KEYID}";alg="ed25519""#
        )
    );
    assert_eq!(headers.content_digest, "sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:");
    let claim =
        Claim::read(Some(&headers.content_digest), Some(&headers.signature_input), Some(&headers.signature))
            .unwrap();
    assert_eq!((claim.keyid(), claim.nonce(), claim.created()), (KEYID, NONCE, NOW));
}

#[test]
fn a_request_without_body_and_query_is_signed_too() {
    let request = RequestParts { method: "GET", path: "/agent/v1/jobs", query: "", body: b"" };
    let headers = sign(&key(), request, NOW, NONCE, KEYID);
    assert_eq!(check(&headers, request, NOW), Ok(()));
}

#[test]
fn every_changed_part_of_the_request_is_refused() {
    let headers = signed();
    assert_eq!(check(&headers, post(b"{}"), NOW), Ok(()));
    for (changed, code) in [
        (RequestParts { method: "PUT", ..post(b"{}") }, "agent.signature_invalid"),
        (RequestParts { path: "/agent/v1/scan", ..post(b"{}") }, "agent.signature_invalid"),
        (RequestParts { query: "a=2", ..post(b"{}") }, "agent.signature_invalid"),
        (RequestParts { query: "", ..post(b"{}") }, "agent.signature_invalid"),
        (post(b"{} "), "agent.digest_mismatch"),
        (post(b""), "agent.digest_mismatch"),
    ] {
        assert_eq!(check(&headers, changed, NOW).unwrap_err().code(), code, "{changed:?}");
    }
}

#[test]
fn another_devices_key_is_refused() {
    let headers = sign(&SigningKey::from_bytes(&[8; 32]), post(b"{}"), NOW, NONCE, KEYID);
    assert_eq!(check(&headers, post(b"{}"), NOW), Err(SignatureError::Invalid));
}

#[test]
fn every_changed_parameter_is_refused() {
    let good = signed();
    for (from, to, code) in [
        ("created=1800000000", "created=1800000001", "agent.signature_invalid"),
        (NONCE, "0123456789abcdef0124", "agent.signature_invalid"),
        (KEYID, "0195f3a0-0000-7000-8000-000000000002", "agent.signature_invalid"),
        ("ed25519", "hmac-sha256", "agent.signature_malformed"),
        ("pf=", "sig=", "agent.signature_malformed"),
        ("\"@path\" ", "", "agent.signature_malformed"),
        (";alg=\"ed25519\"", "", "agent.signature_malformed"),
        (";alg=", ";created=1;alg=", "agent.signature_malformed"),
        (";alg=", ";tag=\"x\";alg=", "agent.signature_malformed"),
        ("created=1800000000", "created=-1", "agent.signature_malformed"),
        ("created=1800000000", "created=9999999999999999", "agent.signature_malformed"),
        (NONCE, "short", "agent.signature_malformed"),
        (KEYID, "", "agent.signature_malformed"),
    ] {
        let bad = HeaderValues { signature_input: good.signature_input.replace(from, to), ..good.clone() };
        assert_ne!(bad, good);
        assert_eq!(check(&bad, post(b"{}"), NOW).unwrap_err().code(), code, "{}", bad.signature_input);
    }
}

#[test]
fn a_digest_swapped_together_with_the_body_is_refused() {
    let bad = HeaderValues { content_digest: super::content_digest(b"[]"), ..signed() };
    assert_eq!(check(&bad, post(b"[]"), NOW), Err(SignatureError::Invalid));
}

#[test]
fn old_and_future_signatures_are_expired() {
    assert_eq!(check(&signed(), post(b"{}"), NOW + 300), Ok(()));
    for now in [NOW + 301, NOW - 301, i64::MIN, i64::MAX] {
        assert_eq!(
            check(&signed(), post(b"{}"), now).unwrap_err().code(),
            "agent.signature_expired",
            "{now}"
        );
    }
}

#[test]
fn missing_and_oversized_headers_have_their_codes() {
    let good = signed();
    let (digest, input, signature) =
        (Some(&*good.content_digest), Some(&*good.signature_input), Some(&*good.signature));
    for (d, i, s) in [(None, input, signature), (digest, None, signature), (digest, input, None)] {
        assert_eq!(Claim::read(d, i, s).unwrap_err().code(), "agent.signature_missing");
    }
    let long = "x".repeat(513);
    for (d, i, s) in
        [(Some(&*long), input, signature), (digest, Some(&*long), signature), (digest, input, Some(&*long))]
    {
        assert_eq!(Claim::read(d, i, s).unwrap_err().code(), "agent.signature_malformed");
    }
}

proptest! {
    #[test]
    fn whatever_is_signed_verifies_and_one_flipped_bit_does_not(
        path in "/[a-z0-9/%._-]{0,40}",
        query in "[a-z0-9=&%]{0,40}",
        body in proptest::collection::vec(any::<u8>(), 0..200),
        created in 0i64..4_000_000_000,
        nonce in "[A-Za-z0-9_-]{16,64}",
        flip in any::<proptest::sample::Index>(),
    ) {
        let request = RequestParts { method: "POST", path: &path, query: &query, body: &body };
        let good = sign(&key(), request, created, &nonce, KEYID);
        prop_assert_eq!(check(&good, request, created), Ok(()));

        let mut raw = BASE64_STANDARD.decode(&good.signature[4..good.signature.len() - 1]).unwrap();
        let bit = flip.index(512);
        raw[bit / 8] ^= 1 << (bit % 8);
        let bad = HeaderValues { signature: format!("pf=:{}:", BASE64_STANDARD.encode(raw)), ..good };
        prop_assert_eq!(check(&bad, request, created), Err(SignatureError::Invalid));
    }

    #[test]
    fn no_header_text_makes_the_reader_panic(digest in ".{0,80}", input in ".{0,200}", signature in ".{0,120}") {
        prop_assert!(Claim::read(Some(&digest), Some(&input), Some(&signature)).is_err());
        let tail = format!("pf={}{input}", super::COMPONENTS);
        let _ = Claim::read(Some(&digest), Some(&tail), Some(&signature));
    }
}
