//! `cargo xtask bench`: servers of its own, then the measuring program, built as for production.

mod corpus;

use crate::{infra, infra::Infra, process::run_visible, progress::Progress, workspace};
use anyhow::Result;
use std::{path::Path, process::Command};

/// Optimised, but linked quickly.
const PROFILE: &str = "loadtest";

/// Documents of vendors, taken in by the program, and searches of what came of them.
const CORPUS: &str = "corpus";

/// Searches of a catalogue of 30,000 patches, by eight clients.
const CATALOGUE_SEARCH: &str = "catalogue-search";

/// A partner's roll-up over 1,000 customers and 100,000 devices, now and a year back.
const COMPLIANCE: &str = "compliance";

/// Benches that are tests of the gateway, left out of the others, with the module that each is in.
const OF_GATEWAY: [(&str, &str); 2] = [(CATALOGUE_SEARCH, "measure::"), (COMPLIANCE, "fleet::")];

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// `eventstore`, `messaging`, `feeds` or `applicability`, then its options (see `cargo xtask bench eventstore --help`);
    /// `catalogue-search`; `compliance`; or `corpus FOLDER`, with a folder of vendors' documents
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    arguments: Vec<String>,
}

/// Builds the program, starts servers that keep what they acknowledge, and measures.
pub(crate) fn run(options: &Options) -> Result<()> {
    let root = workspace::root()?;
    let progress = Progress::new();
    let first = options.arguments.first().map_or("", String::as_str);
    if let Some((_, module)) = OF_GATEWAY.iter().find(|(bench, _)| *bench == first) {
        return measure_gateway(&root, &progress, module);
    }
    if let Some((bench, rest)) = options.arguments.split_first()
        && bench == CORPUS
    {
        return corpus::run(&root, rest, &progress);
    }
    let step = progress.headline("building the bench");
    let mut cargo = Command::new(workspace::cargo());
    cargo.current_dir(&root).args(["build", "--quiet", "--profile", PROFILE, "--package", "loadtests"]);
    run_visible("cargo build", &mut cargo)?;
    step.done("is done");

    let program = workspace::debug_folder(&root).with_file_name(PROFILE).join("loadtests");
    let mut bench = Command::new(program);
    bench.current_dir(&root).args(&options.arguments);
    if options.arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        return run_visible("loadtests", &mut bench);
    }
    // Never on a given server: settings are changed, and databases come and go.
    let infra = Infra::start(&root, infra::Options::own_and_durable(), &progress)?;
    bench.arg("--own-server").envs(infra.test_variables());
    run_visible("loadtests", &mut bench)?;
    infra.check_alive()
}

/// The gateway measures itself: its tests know how to start it and to fill its views.
fn measure_gateway(root: &Path, progress: &Progress, module: &str) -> Result<()> {
    let infra = Infra::start(root, infra::Options::own_and_durable(), progress)?;
    let mut cargo = Command::new(workspace::cargo());
    cargo.current_dir(root).envs(infra.test_variables());
    cargo.args(["test", "--quiet", "--profile", PROFILE, "--package", "gateway", "--test", "api", module]);
    cargo.args(["--", "--ignored", "--nocapture"]);
    run_visible("cargo test", &mut cargo)?;
    infra.check_alive()
}
