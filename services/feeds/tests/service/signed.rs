//! Repositories whose list of files has to be signed by a key of the feed's keyring.

use crate::system::{System, operator, register};
use crate::vendor::{Files, Vendor, serve_files};
use contracts::feeds::FeedFormat::{Csaf, DebianRepository};
use contracts::feeds::{ChangeFeed, RegisterFeed, RepositorySignature, TestFeed};
use kernel::FeedId;
use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, DetachedSignature, KeyType, SecretKeyParamsBuilder,
    SignedPublicKey, SignedSecretKey,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::types::{Duration, KeyDetails, Password, Timestamp};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};
use testkit::id;

/// 2020-01-01T00:00:00Z
const KEY_MADE: u32 = 1_577_836_800;
const SIGNED: u32 = KEY_MADE + 86_400;

const PACKAGES: &str = "Package: greeter\nVersion: 2.0-1\nArchitecture: amd64\nFilename: pool/greeter.deb\n\
    Size: 1337\nSHA256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n";

fn key(seed: u64) -> SignedSecretKey {
    let mut params = SecretKeyParamsBuilder::default();
    params
        .key_type(KeyType::Ed25519Legacy)
        .can_certify(true)
        .can_sign(true)
        .created_at(Timestamp::from_secs(KEY_MADE))
        .primary_user_id("Ada Wick <ada@example.org>".to_owned());
    params.build().unwrap().generate(ChaCha20Rng::seed_from_u64(seed)).unwrap()
}

fn keyring(key: &SignedSecretKey) -> String {
    SignedPublicKey::from(key.clone()).to_armored_string(ArmorOptions::default()).unwrap()
}

fn config(key: &SignedSecretKey, kind: SignatureType, lasts: Option<u32>) -> SignatureConfig {
    let mut config = SignatureConfig::v4(kind, key.primary_key.algorithm(), HashAlgorithm::Sha512);
    config.hashed_subpackets = [
        Some(SubpacketData::SignatureCreationTime(Timestamp::from_secs(SIGNED))),
        Some(SubpacketData::IssuerFingerprint(key.fingerprint())),
        lasts.map(|seconds| SubpacketData::SignatureExpirationTime(Duration::from_secs(seconds))),
    ]
    .into_iter()
    .flatten()
    .map(|data| Subpacket::regular(data).unwrap())
    .collect();
    config
}

fn clearsigned_for(key: &SignedSecretKey, text: &str, lasts: Option<u32>) -> String {
    let config = config(key, SignatureType::Text, lasts);
    let message =
        CleartextSignedMessage::new(text.trim_end(), config, &key.primary_key, &Password::empty()).unwrap();
    message.to_armored_string(ArmorOptions::default()).unwrap()
}

fn clearsigned(key: &SignedSecretKey, text: &str) -> String {
    clearsigned_for(key, text, None)
}

fn detached(key: &SignedSecretKey, text: &str) -> String {
    let config = config(key, SignatureType::Binary, None);
    let signature = config.sign(&key.primary_key, &Password::empty(), text.as_bytes()).unwrap();
    DetachedSignature::new(signature).to_armored_string(ArmorOptions::default()).unwrap()
}

/// The list of a repository with one file; `more` are further fields.
fn release(more: &str) -> String {
    let hash = Sha256::digest(PACKAGES).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    format!(
        "Origin: Lanternia\nSuite: stable\nCodename: wick\nDate: Wed, 01 Jan 2020 12:00:00 UTC\n{more}\
         Architectures: amd64\nComponents: main\nSHA256:\n {hash} {} main/binary-amd64/Packages\n",
        PACKAGES.len()
    )
}

struct Repository {
    files: Files,
    vendor: Vendor,
}

impl Repository {
    async fn of(files: &[(&str, String)]) -> Self {
        let all = Files::default();
        let vendor = serve_files(&all).await;
        let repository = Self { files: all, vendor };
        repository.put("main/binary-amd64/Packages", PACKAGES);
        for (name, content) in files {
            repository.put(name, content);
        }
        repository
    }

    fn put(&self, name: &str, content: &str) {
        self.files.lock().unwrap().insert(format!("/dists/wick/{name}"), content.to_owned());
    }

    fn source(&self) -> String {
        format!("{}/dists/wick/", self.vendor.url)
    }
}

async fn register_trusting(system: &System, source: &str, keyring: &str) -> FeedId {
    let keyring = Some(keyring.to_owned());
    let command = RegisterFeed { keyring, ..register(DebianRepository, source) };
    system.send(&operator(), command, id()).await.unwrap().answer
}

async fn documents(system: &System) -> Vec<String> {
    system.column("select name from feeds.document order by name").await
}

/// What a server has under which path.
type Served = Vec<(&'static str, String)>;

#[tokio::test]
async fn a_repository_signed_by_a_key_of_the_keyring_is_taken_in_and_its_signer_is_named() {
    let system = System::start().await;
    let ada = key(1);
    let in_one = [("InRelease", clearsigned(&ada, &release("")))];
    let in_two = [("Release", release("")), ("Release.gpg", detached(&ada, &release("")))];
    for files in [&in_one[..], &in_two] {
        let repository = Repository::of(files).await;
        let feed_id = register_trusting(&system, &repository.source(), &keyring(&ada)).await;
        let looked = system.send(&operator(), TestFeed { feed_id }, id()).await.unwrap().answer;
        assert!(looked.reachable, "{looked:?}");
        let report = system.sync(feed_id).await.answer;
        assert_eq!((report.documents, report.refused.len()), (2, 0), "{report:?}");
        let Some(RepositorySignature::Verified { fingerprint, signed_at }) = report.signature else {
            panic!("{report:?}")
        };
        assert_eq!(fingerprint, ada.fingerprint().to_string());
        assert_eq!(signed_at.unwrap().to_rfc3339(), "2020-01-02T00:00:00+00:00");
        let before = system.events().await.len();
        let again = system.sync(feed_id).await.answer;
        assert_eq!(again.documents, 1, "what the list says has not changed is not asked for");
        assert_eq!(system.events().await.len(), before);
    }
    let completed = system.facts("FeedSyncCompleted").await;
    assert_eq!(completed[1]["signature"]["kind"], "verified");
    system.stop().await;
}

#[tokio::test]
async fn a_repository_that_nobody_of_the_keyring_signed_fails_and_changes_nothing() {
    let system = System::start().await;
    let (ada, eve) = (key(1), key(2));
    let signed = clearsigned(&ada, &release(""));
    let old = release("Valid-Until: Sat, 01 Feb 2020 12:00:00 UTC\n");
    let cases: Vec<(Served, &str, &str)> = vec![
        (
            vec![("InRelease", signed.replace("Suite: stable", "Suite: sTable"))],
            "feeds.document_not_authentic",
            "it is not the text that",
        ),
        (
            vec![("InRelease", clearsigned(&eve, &release("")))],
            "feeds.document_not_authentic",
            "is not in the keyring",
        ),
        (vec![("InRelease", release(""))], "feeds.document_not_authentic", "there is no signature"),
        (
            vec![("Release", release("Label: x\n")), ("Release.gpg", detached(&ada, &release("")))],
            "feeds.document_not_authentic",
            "it is not the text that",
        ),
        (vec![("Release", release(""))], "feeds.signature_missing", "the repository is not signed"),
        (
            vec![("InRelease", clearsigned_for(&ada, &release(""), Some(3600)))],
            "feeds.signature_expired",
            "does not count any more since 2020-01-02 01:00:00 UTC",
        ),
        (
            vec![("InRelease", clearsigned(&ada, &old))],
            "feeds.release_outdated",
            "was to be believed until 2020-02-01 12:00:00 UTC",
        ),
    ];
    let count = cases.len();
    for (files, code, reason) in cases {
        let repository = Repository::of(&files).await;
        let feed_id = register_trusting(&system, &repository.source(), &keyring(&ada)).await;
        assert_eq!(system.refusal(feed_id).await, code);
        let failed = system.facts("FeedSyncFailed").await.pop().unwrap();
        assert_eq!((&failed["code"], &failed["feed_id"]), (&code.into(), &feed_id.to_string().into()));
        assert!(failed["reason"].as_str().unwrap().contains(reason), "{failed}");
        let asked = repository.vendor.requests();
        assert!(!asked.iter().any(|head| head.contains("packages")), "{asked:?}");
    }
    assert_eq!(system.facts("FeedSyncFailed").await.len(), count);
    assert_eq!(system.facts("FeedSyncCompleted").await.len(), 0);
    assert!(documents(&system).await.is_empty());
    system.stop().await;
}

#[tokio::test]
async fn a_file_that_is_not_what_the_verified_list_says_fails_the_reading_and_is_not_taken_in() {
    let system = System::start().await;
    let ada = key(1);
    let repository = Repository::of(&[("InRelease", clearsigned(&ada, &release("")))]).await;
    repository.put("main/binary-amd64/Packages", &PACKAGES.replace("greeter", "grifter"));
    let feed_id = register_trusting(&system, &repository.source(), &keyring(&ada)).await;
    assert_eq!(system.refusal(feed_id).await, "feeds.document_not_authentic");
    let failed = system.facts("FeedSyncFailed").await;
    let reason = failed[0]["reason"].as_str().unwrap();
    assert!(reason.contains("/Packages: its SHA-256 is"), "{reason}");
    assert_eq!(documents(&system).await, [""], "the list alone");
    // As it was published.
    repository.put("main/binary-amd64/Packages", PACKAGES);
    assert_eq!(system.sync(feed_id).await.answer.documents, 2);
    system.stop().await;
}

#[tokio::test]
async fn without_a_keyring_the_history_says_that_nobody_looked_at_the_signature() {
    let system = System::start().await;
    let (ada, eve) = (key(1), key(2));
    let repository = Repository::of(&[("InRelease", clearsigned(&eve, &release("")))]).await;
    let source = format!("{}InRelease", repository.source());
    let feed_id = system.register(DebianRepository, &source).await;
    let report = system.sync(feed_id).await.answer;
    assert_eq!((report.documents, report.signature), (2, Some(RepositorySignature::NotVerified)));

    // The same bytes do not pass once a keyring is there, although they were taken in before.
    let change = |keyring: String| ChangeFeed {
        feed_id,
        name: "A vendor".to_owned(),
        source: source.clone(),
        schedule: None,
        publisher: None,
        keyring: Some(keyring),
    };
    system.send(&operator(), change(keyring(&ada)), id()).await.unwrap();
    assert_eq!(system.refusal(feed_id).await, "feeds.document_not_authentic");
    system.send(&operator(), change(keyring(&ada) + &keyring(&eve)), id()).await.unwrap();
    system.sync(feed_id).await;
    let kinds: Vec<_> = system
        .facts("FeedSyncCompleted")
        .await
        .iter()
        .map(|fact| fact["signature"]["kind"].clone())
        .collect();
    assert_eq!(kinds, ["not_verified", "verified"]);
    system.stop().await;
}

#[tokio::test]
async fn a_keyring_that_nothing_can_be_verified_with_is_refused() {
    let system = System::start().await;
    let ada = key(1);
    let private = ada.to_armored_string(ArmorOptions::default()).unwrap();
    for (format, keyring, code) in [
        (DebianRepository, "hello".to_owned(), "feeds.feed_keyring_invalid"),
        (DebianRepository, private, "feeds.feed_keyring_invalid"),
        (Csaf, keyring(&ada), "feeds.feed_keyring_unused"),
    ] {
        let command = RegisterFeed { keyring: Some(keyring), ..register(format, "https://deb.example/") };
        let refused = system.send(&operator(), command, id()).await.unwrap_err();
        assert_eq!((refused.status, refused.code.as_str()), (422, code));
        assert!(!refused.to_string().contains("BEGIN PGP"), "{refused}");
    }
    system.stop().await;
}
