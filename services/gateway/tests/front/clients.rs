//! Other people's programs against the front: the audits of `graphql-http`, the clients `graphql-ws` and
//! `graphql-sse`. Skipped with a message where Node.js or the packages cannot be had.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use gateway::front::Limits;
use serde_json::{Value, json};

use crate::api::Api;

const FILES: [&str; 4] = ["package.json", "package-lock.json", "audit.mjs", "clients.mjs"];

/// Starting Node.js alone takes seconds on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// The folder with the scripts and their packages, installed once.
static PACKAGES: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("graphql-audit");
    std::fs::create_dir_all(&folder).unwrap();
    for file in FILES {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audit").join(file);
        std::fs::copy(source, folder.join(file)).unwrap();
    }
    let install = Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder).output();
    let install = install.map_err(|error| format!("npm cannot be run: {error}"))?;
    if !install.status.success() {
        return Err(format!("npm ci: {}", String::from_utf8_lossy(&install.stderr).trim()));
    }
    Ok(folder)
});

/// Runs a script and reads the object it prints; `None` where it cannot be run here.
async fn run(script: &str, url: String) -> Option<Value> {
    let folder = match PACKAGES.as_ref() {
        Ok(folder) => folder,
        Err(reason) => {
            eprintln!("skipped {script}: {reason}");
            return None;
        }
    };
    let mut command = tokio::process::Command::new("node");
    let output = command.arg(script).arg(url).current_dir(folder).kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, output).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    Some(serde_json::from_str(&text).unwrap_or_else(|_| panic!("{script} printed {text} and {complaint}")))
}

#[actix_web::test]
async fn all_audits_of_graphql_over_http_pass() {
    let api = Api::start().await;
    if let Some(audited) = run("audit.mjs", api.url()).await {
        assert_eq!(audited, json!({ "ok": 61, "failed": [] }));
    }
}

#[actix_web::test]
async fn the_clients_graphql_ws_and_graphql_sse_and_code_generators_are_served() {
    let api = Api::start().await;
    let Some(told) = run("clients.mjs", api.url()).await else { return };
    let expected = json!({
        "subscription": [{ "countTo": 1 }, { "countTo": 2 }, { "countTo": 3 }],
        "query": [{ "caller": "alice" }],
        "mutation": [{ "record": "recorded x" }],
        "refused": ["graphql.validation"],
        "cancelled": { "endless": "alice" },
    });
    let introspected = json!({ "type": "Int!", "depth": Limits::default().depth });
    assert_eq!(told, json!({ "introspected": introspected, "socket": expected, "sse": expected }));
    api.until_followed(0).await;
}
