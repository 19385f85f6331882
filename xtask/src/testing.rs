//! `cargo xtask test`: checks, servers, programs, then every test.

use crate::{
    checks, infra,
    infra::Infra,
    process::{RUN_FOLDER_VARIABLE, run_visible},
    progress::Progress,
    services::Programs,
    workspace,
};
use anyhow::{Context, Result};
use std::{env, path::Path, process::Command};

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// Leave out the checks
    #[arg(long)]
    no_check: bool,
    /// Only the tests of these crates
    #[arg(short, long = "package", value_name = "CRATE")]
    packages: Vec<String>,
    /// Only tests whose names contain one of these
    filters: Vec<String>,
    #[command(flatten)]
    infra: infra::Options,
}

/// Their tests start the programs instead of calling a library.
const STARTS_PROGRAMS: [&str; 1] = ["journeys"];

impl Options {
    fn choose_packages(&self, cargo: &mut Command) {
        if self.packages.is_empty() {
            cargo.arg("--workspace");
        }
        for package in &self.packages {
            cargo.args(["--package", package]);
        }
    }
}

/// Runs what the options ask for.
pub(crate) fn run(options: &Options) -> Result<()> {
    // Before a build replaces the file.
    let ourselves = env::current_exe().context("finding our own program")?;
    let root = workspace::root()?;
    let progress = Progress::new();
    if !options.no_check {
        checks::run(&root, &progress)?;
    }

    let step = progress.headline("building programs and tests");
    // In one call, so that the features of shared dependencies are the same for both and nothing is built twice.
    let mut build = cargo(&root, "build");
    build.args(["--bins", "--tests"]);
    if options.packages.iter().any(|package| STARTS_PROGRAMS.contains(&package.as_str())) {
        build.args(["--package", "patchfleet", "--package", "patchfleet-agent", "--package", "chaos"]);
    }
    options.choose_packages(&mut build);
    run_visible("cargo build", &mut build)?;
    step.done("is done");

    let infra = Infra::start(&root, options.infra, &progress)?;
    let programs = Programs::built(&root);
    let step = progress.headline("tests");
    let mut test = cargo(&root, "test");
    test.envs(infra.test_variables())
        .env("PATCHFLEET_BIN", &programs.patchfleet)
        .env("PATCHFLEET_BIN_AGENT", &programs.agent)
        .env("PATCHFLEET_XTASK", ourselves)
        // What a killed test leaves behind ends with the run.
        .env(RUN_FOLDER_VARIABLE, infra.folder());
    options.choose_packages(&mut test);
    // One failure must not hide the others.
    test.arg("--no-fail-fast").arg("--").args(&options.filters);
    run_visible("cargo test", &mut test)?;
    infra.check_alive()?;
    step.done("passed");
    Ok(())
}

fn cargo(root: &Path, task: &str) -> Command {
    let mut command = Command::new(workspace::cargo());
    command.current_dir(root).arg(task);
    command
}
