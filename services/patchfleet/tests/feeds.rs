//! `patchfleet feeds` as people use it: without a server, and against a real database.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedPublicKey, SignedSecretKey,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::ser::Serialize;
use pgp::types::{KeyDetails, Password, Timestamp};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use testkit::{TestBroker, TestDatabase};

/// Small documents of every format, written for the tests of the parsers.
fn documents() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../feeds/documents/tests/documents"))
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_patchfleet"));
    command.arg("feeds").args(arguments).env_clear().current_dir(documents());
    command
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_document_is_inspected_without_settings_or_server() {
    let seen = program(&["inspect", "msrc-cvrf-xml.xml"]).output().unwrap();
    assert!(seen.status.success(), "{}", err(&seen));
    let table = out(&seen);
    for wanted in ["msrc-cvrf-xml", "2026-Oct", "→ patches", "kbs"] {
        assert!(table.contains(wanted), "{wanted} is not in\n{table}");
    }

    let seen = program(&["inspect", "msrc-cvrf-xml.xml", "--json"]).output().unwrap();
    let figures: Value = serde_json::from_str(&out(&seen)).unwrap();
    assert_eq!((&figures["format"], &figures["document_id"]), (&"msrc-cvrf-xml".into(), &"2026-Oct".into()));
    assert_eq!(figures["kbs"]["sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn a_document_that_nobody_can_read_is_refused_with_its_code() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content, code) in [
        ("page.json", "<html><p>Please sign in</p></html>", "feeds.document_unknown_format"),
        (
            "cut.json",
            "{\"title\": \"x\", \"catalogVersion\": \"1\", \"vulnerabilities\": [{\"cveID\": ",
            "feeds.document_",
        ),
        ("empty.xml", " \n", "feeds.document_empty"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let refused = program(&["inspect", path.to_str().unwrap()]).output().unwrap();
        assert!(!refused.status.success());
        assert!(err(&refused).contains(code), "{name}: {}", err(&refused));
        assert_eq!(out(&refused), "");
    }
    let missing = program(&["inspect", "no-such-file"]).output().unwrap();
    assert!(err(&missing).contains("opening no-such-file"), "{}", err(&missing));
}

fn certificate_of(seed: u64) -> SignedSecretKey {
    let mut params = SecretKeyParamsBuilder::default();
    params
        .key_type(KeyType::Ed25519Legacy)
        .can_certify(true)
        .can_sign(true)
        .created_at(Timestamp::from_secs(1_577_836_800))
        .primary_user_id("Ada Wick <ada@example.org>".to_owned());
    params.build().unwrap().generate(ChaCha20Rng::seed_from_u64(seed)).unwrap()
}

#[test]
fn who_signed_a_repository_is_said_if_it_is_somebody_of_the_keyring() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let release = std::fs::read_to_string(documents().join("debian-release.txt")).unwrap();
    let (ada, eve) = (certificate_of(1), certificate_of(2));
    for (name, key) in [("ada.gpg", &ada), ("eve.gpg", &eve)] {
        std::fs::write(at(name), SignedPublicKey::from(key.clone()).to_bytes().unwrap()).unwrap();
    }
    let mut config =
        SignatureConfig::v4(SignatureType::Text, ada.primary_key.algorithm(), HashAlgorithm::Sha512);
    config.hashed_subpackets = [
        SubpacketData::SignatureCreationTime(Timestamp::from_secs(1_577_923_200)),
        SubpacketData::IssuerFingerprint(ada.fingerprint()),
    ]
    .into_iter()
    .map(|data| Subpacket::regular(data).unwrap())
    .collect();
    let signed =
        CleartextSignedMessage::new(release.trim_end(), config, &ada.primary_key, &Password::empty())
            .unwrap();
    std::fs::write(at("InRelease"), signed.to_armored_string(ArmorOptions::default()).unwrap()).unwrap();

    let seen =
        program(&["inspect", &at("InRelease"), "--keyring", &at("ada.gpg"), "--json"]).output().unwrap();
    let figures: Value = serde_json::from_str(&out(&seen)).unwrap();
    assert_eq!(figures["signed_by"], ada.fingerprint().to_string());
    let seen = program(&["inspect", &at("InRelease"), "--keyring", &at("ada.gpg")]).output().unwrap();
    assert!(out(&seen).contains("2020-01-02 00:00 UTC"), "{}{}", out(&seen), err(&seen));
    let refused = program(&["inspect", &at("InRelease"), "--keyring", &at("eve.gpg")]).output().unwrap();
    assert!(!refused.status.success());
    assert!(err(&refused).contains("feeds.document_not_authentic"), "{}", err(&refused));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_taken_in_once_and_the_second_time_is_no_news() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let import = |json: bool| {
        let mut command = program(&["import", "."]);
        if json {
            command.arg("--json");
        }
        command
            .env("PATCHFLEET__DATABASE__URL", database.service_url())
            .env("PATCHFLEET__BROKER__URL", broker.url())
            .output()
            .unwrap()
    };
    let count = async || -> i64 {
        let mut owner = database.owner().await;
        sqlx::query_scalar("select count(*) from es.event").fetch_one(&mut owner).await.unwrap()
    };
    let first = import(false);
    // Two issues of the same documents in two formats: the second one of a kind may be an older one, and is refused.
    for line in err(&first).lines().filter(|line| line.starts_with("refused: ")) {
        assert!(line.contains("older than") || line.contains("replaced by another issue"), "{line}");
    }
    assert!(out(&first).contains("MsrcCvrf"), "{}{}", out(&first), err(&first));
    let before = count().await;
    assert!(before > 50, "{before} events");

    let second = import(true);
    assert_eq!(count().await, before, "{}", out(&second));
    let reports: Vec<Value> = out(&second).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(reports.len() > 10);
    for report in reports {
        let counts = &report["report"];
        for news in ["published", "revised", "withdrawn", "vulnerabilities"] {
            assert_eq!(counts[news], 0, "{report}");
        }
    }
}

/// A key pair of RFC 8032, 7.1, as `openssl genpkey` and `openssl pkey -pubout` write them, and another public key.
const PRIVATE: &str = "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g";
const PUBLIC: &str = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const ANOTHER: &str = "MCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=";

fn write_key(path: &Path, kind: &str, body: &str) {
    std::fs::write(path, format!("-----BEGIN {kind} KEY-----\n{body}\n-----END {kind} KEY-----\n")).unwrap();
}

/// A site with a database and a broker of its own, and a folder where documents are kept.
struct Site {
    database: TestDatabase,
    broker: TestBroker,
    archive: tempfile::TempDir,
}

impl Site {
    async fn new() -> Self {
        let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
        Self { database, broker, archive: tempfile::tempdir().unwrap() }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        program(arguments)
            .env("PATCHFLEET__DATABASE__URL", self.database.service_url())
            .env("PATCHFLEET__BROKER__URL", self.broker.url())
            .env("PATCHFLEET__FEEDS__ARCHIVE_FOLDER", self.archive.path())
            .output()
            .unwrap()
    }

    async fn column(&self, query: &'static str) -> Vec<String> {
        sqlx::query_scalar(query).fetch_all(&mut self.database.owner().await).await.unwrap()
    }

    async fn events(&self) -> Vec<String> {
        self.column("select event_type from es.event order by 1").await
    }

    async fn patches(&self) -> Vec<String> {
        self.column(
            "select patch_id || ' ' || state || ' ' || (facts - 'feed_id')::text from feeds.patch order by 1",
        )
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_site_exports_another_takes_in_once_and_nothing_that_was_tampered_with() {
    let (here, there) = (Site::new().await, Site::new().await);
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (bundle, key, trusted, another) =
        (at("bundle"), at("key.pem"), at("key.pub.pem"), at("other.pub.pem"));
    write_key(Path::new(&key), "PRIVATE", PRIVATE);
    write_key(Path::new(&trusted), "PUBLIC", PUBLIC);
    write_key(Path::new(&another), "PUBLIC", ANOTHER);

    let nothing = here.run(&["export", "--to", &bundle, "--key", &key]);
    assert!(!nothing.status.success());
    assert!(!Path::new(&bundle).exists(), "{}", err(&nothing));
    let taken = here.run(&["import", "msrc-cvrf-xml.xml", "debian-dsa-list.txt", "kev-json.json"]);
    assert!(taken.status.success(), "{}", err(&taken));
    let exported = here.run(&["export", "--to", &bundle, "--key", &key]);
    assert!(exported.status.success(), "{}", err(&exported));
    assert!(err(&exported).contains("3 documents of 3 feeds"), "{}", err(&exported));
    let again = here.run(&["export", "--to", &bundle, "--key", &key]);
    assert!(!again.status.success(), "a bundle that is there is not written over");

    // Somebody on the way changes a byte, cuts it, or has made it.
    let good = std::fs::read(&bundle).unwrap();
    let mut changed = good.clone();
    changed[good.len() / 2] ^= 1;
    for (name, bytes, trust) in [
        ("changed", changed.as_slice(), &trusted),
        ("cut", &good[..good.len() - 100], &trusted),
        ("foreign", good.as_slice(), &another),
    ] {
        std::fs::write(at(name), bytes).unwrap();
        let refused = there.run(&["import-bundle", &at(name), "--trust", trust]);
        assert!(!refused.status.success(), "{name}");
        assert!(err(&refused).contains("bundle"), "{name}: {}", err(&refused));
        assert_eq!(there.events().await, [""; 0], "{name}");
    }

    let imported = there.run(&["import-bundle", &bundle, "--trust", &trusted, "--json"]);
    assert!(imported.status.success(), "{}", err(&imported));
    let reports: Vec<Value> =
        out(&imported).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(reports.len(), 3, "{reports:?}");
    assert!(!here.patches().await.is_empty());
    assert_eq!(there.patches().await, here.patches().await);
    let before = there.events().await;
    let imported = there.run(&["import-bundle", &bundle, "--trust", &trusted]);
    assert!(imported.status.success(), "{}", err(&imported));
    assert_eq!(there.events().await, before, "the second time is no news");
}
