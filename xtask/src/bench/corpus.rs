//! `cargo xtask bench corpus FOLDER`: a folder of vendors' documents taken in twice by the program as a person would, then
//! searches of the catalogue that came of it.

use super::PROFILE;
use crate::infra;
use crate::process::{Running, output_of, run_visible};
use crate::progress::Progress;
use crate::services::{self, Programs, System};
use crate::{stop, workspace};
use anyhow::{Context, Result, bail, ensure};
use contracts::Service;
use journeys::api::{Api, Issuer};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How often the memory of the importing program is looked at; Linux keeps the peak, so only the last moments are missed.
const LOOK: Duration = Duration::from_millis(20);

/// All events of the import in the views.
const VIEWS_LIMIT: Duration = Duration::from_mins(5);

/// What one import came to.
struct Import {
    seconds: f64,
    peak_mebibytes: u64,
    events: u64,
}

/// Takes in, twice, and searches.
pub(super) fn run(root: &Path, arguments: &[String], progress: &Progress) -> Result<()> {
    let Some((folder, rest)) = arguments.split_first() else {
        bail!("say which folder of documents: cargo xtask bench corpus FOLDER");
    };
    let folder = PathBuf::from(folder).canonicalize().with_context(|| format!("looking for {folder}"))?;
    let step = progress.headline("building patchfleet and the bench");
    let mut cargo = Command::new(workspace::cargo());
    cargo.current_dir(root).args(["build", "--quiet", "--profile", PROFILE]);
    cargo.args(["--package", "loadtests", "--package", "patchfleet", "--package", "patchfleet-agent"]);
    run_visible("cargo build", &mut cargo)?;
    step.done("is done");

    let built = workspace::debug_folder(root).with_file_name(PROFILE);
    let programs = Programs { patchfleet: built.join("patchfleet"), agent: built.join("patchfleet-agent") };
    let system = System::start_with(
        programs,
        root,
        services::Options::any_ports(infra::Options::own_and_durable()),
        &[],
        progress,
    )?;
    let mut notes = Vec::new();
    for which in ["first", "second"] {
        let step = progress.step(&format!("{which} import"));
        let import = take_in(&system, &folder)?;
        let Import { seconds, peak_mebibytes, events } = import;
        let told = format!("{seconds:.1} s, {events} events, peak {peak_mebibytes} MiB");
        step.done(&told);
        notes.push(format!("The {which} import of the folder: {told}."));
        ensure!(which == "first" || events == 0, "the second import wrote {events} events");
    }

    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("building a runtime")?;
    let token = runtime.block_on(until_shown(&system))?;
    let mut bench = Command::new(built.join("loadtests"));
    bench.current_dir(root).arg("catalogue").args(rest);
    bench.args(["--url", &format!("{}/graphql", system.url(Service::Gateway))]);
    for note in &notes {
        bench.args(["--note", note]);
    }
    bench.env("PATCHFLEET_BENCH_TOKEN", token).envs(system.infra.test_variables());
    run_visible("loadtests", &mut bench)?;
    system.infra.check_alive()
}

/// One run of `patchfleet feeds import`, with what it wrote.
fn take_in(system: &System, folder: &Path) -> Result<Import> {
    let before = written(system)?;
    let log = system.infra.folder().join("import.log");
    let begun = Instant::now();
    let mut command = system.program();
    let mut running =
        Running::start("patchfleet feeds import", command.args(["feeds", "import"]).arg(folder), &log)?;
    let mut peak_mebibytes = 0;
    // Documents of no known format are refused by name, which is no failure of the others.
    while running.ended()?.is_none() {
        peak_mebibytes = peak_mebibytes.max(peak_memory(running.pid()));
        if stop::requested() {
            bail!("stopped by a signal");
        }
        std::thread::sleep(LOOK);
    }
    Ok(Import { seconds: begun.elapsed().as_secs_f64(), peak_mebibytes, events: written(system)? - before })
}

fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = peak.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or_default() >> 10
}

/// Events in the log.
fn written(system: &System) -> Result<u64> {
    let mut command = system.program();
    let told = output_of(command.args(["events", "--all-tenants", "stats", "--json"]))?;
    let told: Value = serde_json::from_str(&told).context("reading what `events stats` says")?;
    told["events"].as_u64().with_context(|| format!("`events stats` counts no events: {told}"))
}

/// Waits until the views have all of it; answers with a token to search with.
async fn until_shown(system: &System) -> Result<String> {
    let issuer =
        Issuer { url: system.url(Service::Tenancy).to_owned(), client_secret: system.client_secret.clone() };
    let http = journeys::api::client()?;
    let api = Api::sign_in(&http, system.url(Service::Gateway), &issuer, system.operator).await?;
    let deadline = Instant::now() + VIEWS_LIMIT;
    let events = written(system)?;
    loop {
        let answer = api.query("{ position }", Value::Null).await?;
        if answer["position"].as_str().and_then(|text| text.parse().ok()).or(answer["position"].as_u64())
            >= Some(events)
        {
            return Ok(api.token().to_owned());
        }
        ensure!(
            Instant::now() < deadline,
            "the views are at {answer} of {events} events after {VIEWS_LIMIT:?}"
        );
        tokio::time::sleep(LOOK).await;
    }
}
