//! Signatures of repositories are good only if a key of the keyring made them for exactly this text.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use base64::Engine;
use feeds_documents::openpgp::{Verified, kept_keyring, verify_clearsigned, verify_detached};
use feeds_documents::{DocumentError, Format, Options, read};
use kernel::{FeedId, Refused};
use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, DetachedSignature, DsaKeySize, KeyType, SecretKeyParamsBuilder,
    SignedPublicKey, SignedSecretKey, SubkeyParamsBuilder,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::ser::Serialize;
use pgp::types::{Duration, KeyDetails, Password, SigningKey, Timestamp};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

const RELEASE: &str = include_str!("documents/debian-release.txt");
/// 2026-10-01T00:00:00Z
const KEY_MADE: u32 = 1_790_812_800;
/// 2026-10-09T18:44:02Z
const SIGNED: u32 = 1_791_571_442;

fn key(seed: u64, user: &str, key_type: KeyType) -> SignedSecretKey {
    let mut subkey = SubkeyParamsBuilder::default();
    subkey.key_type(key_type.clone()).can_sign(true).created_at(Timestamp::from_secs(KEY_MADE));
    let mut params = SecretKeyParamsBuilder::default();
    params
        .key_type(key_type)
        .can_certify(true)
        .can_sign(true)
        .created_at(Timestamp::from_secs(KEY_MADE))
        .primary_user_id(user.to_owned())
        .subkey(subkey.build().unwrap());
    params.build().unwrap().generate(ChaCha20Rng::seed_from_u64(seed)).unwrap()
}

fn ada() -> SignedSecretKey {
    key(1, "Ada Wick <ada@example.org>", KeyType::Ed25519Legacy)
}

fn eve() -> SignedSecretKey {
    key(2, "Ada Wick <ada@example.org>", KeyType::Ed25519Legacy)
}

fn certificate(key: &SignedSecretKey) -> SignedPublicKey {
    SignedPublicKey::from(key.clone())
}

fn keyring(key: &SignedSecretKey) -> Vec<u8> {
    certificate(key).to_bytes().unwrap()
}

fn config(key: &impl SigningKey, kind: SignatureType, hash: HashAlgorithm, signed: u32) -> SignatureConfig {
    let mut config = SignatureConfig::v4(kind, key.algorithm(), hash);
    config.hashed_subpackets = [
        SubpacketData::SignatureCreationTime(Timestamp::from_secs(signed)),
        SubpacketData::IssuerFingerprint(key.fingerprint()),
        SubpacketData::SignatureExpirationTime(Duration::from_secs(3600)),
    ]
    .into_iter()
    .map(|data| Subpacket::regular(data).unwrap())
    .collect();
    config
}

fn clearsigned_as(key: &impl SigningKey, hash: HashAlgorithm, signed: u32, text: &str) -> String {
    let config = config(key, SignatureType::Text, hash, signed);
    let message = CleartextSignedMessage::new(text.trim_end(), config, key, &Password::empty()).unwrap();
    message.to_armored_string(ArmorOptions::default()).unwrap()
}

fn clearsigned(key: &impl SigningKey, text: &str) -> String {
    clearsigned_as(key, HashAlgorithm::Sha512, SIGNED, text)
}

fn detached(key: &impl SigningKey, text: &[u8]) -> DetachedSignature {
    let config = config(key, SignatureType::Binary, HashAlgorithm::Sha256, SIGNED);
    DetachedSignature::new(config.sign(key, &Password::empty(), text).unwrap())
}

fn reason(outcome: Result<Verified, DocumentError>) -> String {
    match outcome {
        Err(error @ DocumentError::NotAuthentic { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_text_signed_by_a_key_of_the_keyring_is_authentic() {
    let document = clearsigned(&ada().primary_key, RELEASE);
    let verified = verify_clearsigned(document.as_bytes(), &keyring(&ada())).unwrap();
    assert_eq!(std::str::from_utf8(&verified.text).unwrap(), RELEASE);
    assert_eq!(verified.fingerprint, ada().fingerprint().to_string());
    assert_eq!(verified.signed_at.unwrap().to_rfc3339(), "2026-10-09T18:44:02+00:00");
    assert_eq!(verified.expires_at.unwrap().to_rfc3339(), "2026-10-09T19:44:02+00:00");
}

#[test]
fn a_signature_by_a_subkey_counts_as_one_by_its_owner() {
    let ada = ada();
    let document = clearsigned(&ada.secret_subkeys[0].key, RELEASE);
    let verified = verify_clearsigned(document.as_bytes(), &keyring(&ada)).unwrap();
    assert_eq!(verified.fingerprint, ada.fingerprint().to_string());
}

#[test]
fn a_signature_that_is_a_file_of_its_own_is_verified_armoured_or_not() {
    let signature = detached(&ada().primary_key, RELEASE.as_bytes());
    let armoured = signature.to_armored_bytes(ArmorOptions::default()).unwrap();
    for signature in [signature.to_bytes().unwrap(), armoured] {
        let verified = verify_detached(RELEASE.as_bytes(), &signature, &keyring(&ada())).unwrap();
        assert_eq!(verified.text, RELEASE.as_bytes());
        let changed = RELEASE.replace("wick-security", "wick-insecure");
        let outcome = verify_detached(changed.as_bytes(), &signature, &keyring(&ada()));
        assert!(reason(outcome).contains("it is not the text that"));
    }
}

#[test]
fn a_keyring_may_hold_several_certificates_armoured_or_not() {
    let document = clearsigned(&ada().primary_key, RELEASE);
    let armoured =
        |key: &SignedSecretKey| certificate(key).to_armored_string(ArmorOptions::default()).unwrap();
    let armoured = armoured(&eve()) + "\n" + &armoured(&ada());
    let binary = [keyring(&eve()), keyring(&ada())].concat();
    for keyring in [armoured.as_bytes(), &binary] {
        assert!(verify_clearsigned(document.as_bytes(), keyring).is_ok());
    }
}

#[test]
fn a_keyring_is_kept_as_armoured_certificates_and_nothing_else() {
    let armoured =
        |key: &SignedSecretKey| certificate(key).to_armored_string(ArmorOptions::default()).unwrap();
    let both = armoured(&eve()) + &armoured(&ada());
    let base64 = |bytes: &[u8]| base64::prelude::BASE64_STANDARD.encode(bytes);
    let mut broken_lines = base64(&[keyring(&eve()), keyring(&ada())].concat());
    broken_lines.insert(60, '\n');
    for given in [both.clone(), format!("Our keys:\n\n{both}"), broken_lines] {
        assert_eq!(kept_keyring(&given).unwrap(), both);
    }
    assert_eq!(kept_keyring(&both).unwrap(), both, "it is kept as it is");
    let document = clearsigned(&ada().primary_key, RELEASE);
    assert!(verify_clearsigned(document.as_bytes(), both.as_bytes()).is_ok());

    let private = ada().to_armored_string(ArmorOptions::default()).unwrap();
    for (given, expected) in [
        (both.clone() + &private, "it holds a private key"),
        (base64(&ada().to_bytes().unwrap()), "there is no key in the keyring"),
        ("hello".to_owned(), "neither armoured nor Base64"),
        (String::new(), "there is no key in the keyring"),
        (base64(b"hello"), "there is no key in the keyring"),
        (armoured(&ada()).replace("-----END", "----"), "the keyring cannot be read"),
    ] {
        let reason = kept_keyring(&given).unwrap_err();
        assert!(reason.contains(expected), "{expected}: {reason}");
    }
}

#[test]
fn it_is_told_until_when_a_key_counts() {
    let key = ada();
    let mut certificate = certificate(&key);
    let mut says =
        SignatureConfig::v4(SignatureType::Key, key.primary_key.algorithm(), HashAlgorithm::Sha256);
    says.hashed_subpackets = [
        // The newest of all that the owner says.
        SubpacketData::SignatureCreationTime(Timestamp::from_secs(u32::MAX)),
        SubpacketData::IssuerFingerprint(key.fingerprint()),
        SubpacketData::KeyExpirationTime(Duration::from_secs(30 * 86_400)),
    ]
    .into_iter()
    .map(|data| Subpacket::regular(data).unwrap())
    .collect();
    let says = says.sign_key(&key.primary_key, &Password::empty(), &certificate.primary_key).unwrap();
    certificate.details.direct_signatures.push(says);
    let ring = certificate.to_bytes().unwrap();
    for document in [clearsigned(&key.primary_key, RELEASE), clearsigned(&key.secret_subkeys[0].key, RELEASE)]
    {
        let verified = verify_clearsigned(document.as_bytes(), &ring).unwrap();
        assert_eq!(verified.key_expires_at.unwrap().to_rfc3339(), "2026-10-31T00:00:00+00:00");
    }
    let late = KEY_MADE + 30 * 86_400;
    let document = clearsigned_as(&key.primary_key, HashAlgorithm::Sha512, late, RELEASE);
    let reason = reason(verify_clearsigned(document.as_bytes(), &ring));
    assert!(reason.contains("when its key did not count"), "{reason}");
}

#[test]
fn one_good_signature_of_several_is_enough() {
    let text = RELEASE.trim_end();
    let (ada, eve) = (ada(), eve());
    let message = CleartextSignedMessage::new_many(text, |hashed| {
        let of = |key: &SignedSecretKey| {
            let config = config(&key.primary_key, SignatureType::Text, HashAlgorithm::Sha512, SIGNED);
            config.sign(&key.primary_key, &Password::empty(), hashed.as_bytes())
        };
        Ok(vec![of(&eve)?, of(&ada)?])
    })
    .unwrap();
    let document = message.to_armored_bytes(ArmorOptions::default()).unwrap();
    let verified = verify_clearsigned(&document, &keyring(&ada)).unwrap();
    assert_eq!(verified.fingerprint, ada.fingerprint().to_string());
}

#[test]
fn a_key_of_the_same_name_that_is_not_in_the_keyring_signs_nothing() {
    let document = clearsigned(&eve().primary_key, RELEASE);
    let reason = reason(verify_clearsigned(document.as_bytes(), &keyring(&ada())));
    assert!(reason.contains(&format!("{} is not in the keyring", eve().fingerprint())), "{reason}");
}

#[test]
fn a_changed_text_is_refused() {
    let document = clearsigned(&ada().primary_key, RELEASE);
    for (from, to) in
        [("Codename: wick", "Codename: wicK"), (" 4130 ", " 4131 "), ("Lanternia", "Lantern\u{ef}a")]
    {
        let changed = document.replacen(from, to, 1);
        assert_ne!(changed, document);
        let reason = reason(verify_clearsigned(changed.as_bytes(), &keyring(&ada())));
        assert!(reason.contains("it is not the text that"), "{reason}");
    }
}

#[test]
fn line_ends_and_blanks_before_them_are_not_signed() {
    let document = clearsigned(&ada().primary_key, RELEASE).replace('\n', " \t\r\n");
    let verified = verify_clearsigned(document.as_bytes(), &keyring(&ada())).unwrap();
    assert_eq!(std::str::from_utf8(&verified.text).unwrap(), RELEASE);
}

#[test]
fn a_line_that_begins_with_a_dash_is_read_as_it_was_signed() {
    let text = "Codename: wick\nDescription: a list\n -\n--- not a mark\n- - twice\n";
    let document = clearsigned(&ada().primary_key, text);
    let verified = verify_clearsigned(document.as_bytes(), &keyring(&ada())).unwrap();
    assert_eq!(std::str::from_utf8(&verified.text).unwrap(), text);
}

#[test]
fn nothing_may_be_outside_of_the_signature() {
    let document = clearsigned(&ada().primary_key, RELEASE);
    let begin = "-----BEGIN PGP SIGNED MESSAGE-----\n";
    for smuggled in [
        format!("Codename: other\n{document}"),
        format!("\n{document}"),
        format!("{document}Codename: other\n"),
        format!("{document}{document}"),
        document.replacen(begin, &format!("{begin}Codename: other\n"), 1),
        document.replacen(begin, &format!("{begin}Comment: other\n"), 1),
        document.replacen("\n\n", "\n\n-----BEGIN PGP SIGNATURE-----\n", 1),
    ] {
        let outcome = verify_clearsigned(smuggled.as_bytes(), &keyring(&ada()));
        assert!(!reason(outcome).contains("it is not the text that"), "{smuggled}");
        let format = read_release(smuggled.as_bytes());
        assert!(format.is_err(), "{smuggled}");
    }
}

fn read_release(bytes: &[u8]) -> Result<Format, DocumentError> {
    let options = Options {
        feed_id: FeedId(uuid::Uuid::nil()),
        received_on: chrono::NaiveDate::default(),
        figures: false,
    };
    read(std::io::Cursor::new(bytes), options).map(|document| document.format)
}

#[test]
fn a_signed_release_is_the_same_document_as_the_bare_one() {
    let options = Options {
        feed_id: FeedId(uuid::Uuid::nil()),
        received_on: chrono::NaiveDate::default(),
        figures: true,
    };
    let document = clearsigned(&ada().primary_key, RELEASE);
    let signed = read(std::io::Cursor::new(document.as_bytes()), options).unwrap();
    let bare = read(std::io::Cursor::new(RELEASE.as_bytes()), options).unwrap();
    assert_eq!((signed.format, &signed.contents), (Format::DebianRelease, &bare.contents));
    assert_eq!(signed.to_json()["clearsigned"], true);
    assert_eq!(bare.to_json()["clearsigned"], false);
}

#[test]
fn a_hash_that_can_be_forged_proves_nothing() {
    let strong = key(4, "Strong <strong@example.org>", KeyType::Rsa(2048));
    assert!(
        verify_clearsigned(clearsigned(&strong.primary_key, RELEASE).as_bytes(), &keyring(&strong)).is_ok()
    );
    for hash in [HashAlgorithm::Sha1, HashAlgorithm::Md5, HashAlgorithm::Sha224] {
        let document = clearsigned_as(&strong.primary_key, hash, SIGNED, RELEASE);
        let reason = reason(verify_clearsigned(document.as_bytes(), &keyring(&strong)));
        assert!(reason.contains("which can be forged"), "{hash}: {reason}");
    }
}

#[test]
fn a_key_of_an_algorithm_that_nobody_trusts_any_more_proves_nothing() {
    let weak = key(3, "Weak <weak@example.org>", KeyType::Dsa(DsaKeySize::B1024));
    let document = clearsigned(&weak.primary_key, RELEASE);
    let reason = reason(verify_clearsigned(document.as_bytes(), &keyring(&weak)));
    assert!(reason.contains("is too weak"), "{reason}");
}

#[test]
fn a_signature_from_before_its_key_is_refused() {
    let document = clearsigned_as(&ada().primary_key, HashAlgorithm::Sha512, KEY_MADE - 1, RELEASE);
    let reason = reason(verify_clearsigned(document.as_bytes(), &keyring(&ada())));
    assert!(reason.contains("when its key did not count"), "{reason}");
}

#[test]
fn a_key_that_was_revoked_signs_nothing() {
    let ada = ada();
    let document = clearsigned(&ada.primary_key, RELEASE);
    let mut certificate = certificate(&ada);
    let config = config(&ada.primary_key, SignatureType::KeyRevocation, HashAlgorithm::Sha256, SIGNED);
    let revocation = config.sign_key(&ada.primary_key, &Password::empty(), &certificate.primary_key).unwrap();
    certificate.details.revocation_signatures.push(revocation);
    let reason = reason(verify_clearsigned(document.as_bytes(), &certificate.to_bytes().unwrap()));
    assert!(reason.contains("was revoked"), "{reason}");
}

#[test]
fn a_subkey_that_its_certificate_did_not_sign_for_is_refused() {
    let (ada, eve) = (ada(), eve());
    let document = clearsigned(&eve.secret_subkeys[0].key, RELEASE);
    let mut forged = certificate(&ada);
    forged.public_subkeys.extend(certificate(&eve).public_subkeys);
    let reason = reason(verify_clearsigned(document.as_bytes(), &forged.to_bytes().unwrap()));
    assert!(reason.contains("does not belong to the certificate"), "{reason}");
}

#[test]
fn what_is_no_signature_or_no_keyring_is_refused() {
    let document = clearsigned(&ada().primary_key, RELEASE);
    let signature = detached(&ada().primary_key, RELEASE.as_bytes()).to_bytes().unwrap();
    for (document, keyring, expected) in [
        (RELEASE.as_bytes(), keyring(&ada()), "there is no signature"),
        (b"\xff\xfe", keyring(&ada()), "is not UTF-8"),
        (document.as_bytes(), Vec::new(), "there is no key in the keyring"),
        (document.as_bytes(), b"hello\n".to_vec(), "there is no key in the keyring"),
        (document.as_bytes(), signature.clone(), "keyring"),
        (&document.as_bytes()[..document.len() - 40], keyring(&ada()), "has no end"),
    ] {
        let reason = reason(verify_clearsigned(document, &keyring));
        assert!(reason.contains(expected), "{expected}: {reason}");
    }
    for signature in [&b""[..], b"hello\n", b"\xff", &signature[..signature.len() - 3]] {
        reason(verify_detached(RELEASE.as_bytes(), signature, &keyring(&ada())));
    }
    assert_eq!(
        verify_clearsigned(RELEASE.as_bytes(), &keyring(&ada())).unwrap_err().code(),
        "feeds.document_not_authentic"
    );
}

#[test]
fn no_changed_byte_of_document_or_keyring_makes_another_text_authentic() {
    let text = "Codename: wick\nDate: Fri, 09 Oct 2026 18:44:02 UTC\n";
    let document = clearsigned(&ada().primary_key, text).into_bytes();
    let ring = keyring(&ada());
    for at in 0..document.len() {
        for flip in [1, 0x20, 0x80] {
            let mut changed = document.clone();
            changed[at] ^= flip;
            if let Ok(verified) = verify_clearsigned(&changed, &ring) {
                assert_eq!(verified.text, text.as_bytes());
            }
        }
        assert!(verify_clearsigned(&document[..at], &ring).is_err() || at + 1 == document.len());
    }
    for at in 0..ring.len() {
        let mut changed = ring.clone();
        changed[at] ^= 0x11;
        let _ = verify_clearsigned(&document, &changed);
        let _ = verify_clearsigned(&document, &ring[..at]);
    }
}
