//! `patchfleet feeds` as people use it: without a server, and against a real database.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use serde_json::Value;
use std::path::PathBuf;
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
