//! What people do with this repository: `cargo xtask up`, `demo`, `test`, `check`, `fix`, `docs`.

#![expect(clippy::print_stdout, reason = "a program for people at a terminal")]

mod infra;
mod process;
mod progress;
mod stop;
mod workspace;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use infra::{Infra, control};
use progress::Progress;
use std::{process::ExitCode, time::Duration};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "Develops, tests and shows Patchfleet",
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Start only PostgreSQL and RabbitMQ, print the variables that tests read, serve until Ctrl-C
    Infra(infra::Options),
    /// Restart a server of the run that `PATCHFLEET_INFRA_STATE` names
    #[command(hide = true)]
    InfraRestart {
        server: control::Server,
        /// End it at once, as a crash would
        #[arg(long)]
        kill: bool,
        /// How long it stays away
        #[arg(long, default_value_t = 0)]
        down_for_ms: u64,
    },
    /// Start, restart and stop both servers
    #[command(hide = true)]
    InfraSelftest(infra::Options),
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if stop::requested() => {
            eprintln!("stopped");
            // What a shell reports for a program that Ctrl-C ended.
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    stop::listen()?;
    match task {
        Task::Infra(options) => serve_infra(options),
        Task::InfraRestart { server, kill, down_for_ms } => {
            let took = control::request_restart(server, kill, Duration::from_millis(down_for_ms))?;
            println!("restarted in {:.1} s", took.as_secs_f64());
            Ok(())
        }
        Task::InfraSelftest(options) => test_infra(options),
    }
}

fn serve_infra(options: infra::Options) -> Result<()> {
    let root = workspace::root()?;
    let infra = Infra::start(&root, options, &Progress::new())?;
    let lines: String =
        infra.test_variables().iter().map(|(name, value)| format!("export {name}='{value}'\n")).collect();
    let file = root.join(".dev/env");
    infra::write_private(&file, &lines)?;
    println!("{lines}# also in {}; Ctrl-C ends both servers", file.display());
    while !stop::requested() {
        infra.check_alive()?;
        std::thread::sleep(Duration::from_millis(200));
    }
    _ = std::fs::remove_file(file);
    Ok(())
}

fn test_infra(options: infra::Options) -> Result<()> {
    let infra = Infra::start(&workspace::root()?, options, &Progress::new())?;
    for (name, value) in infra.test_variables() {
        println!("{name}={value}");
    }
    let started = std::time::Instant::now();
    infra.restart_database().context("restarting the database")?;
    println!("database restarted after {:.1} s", started.elapsed().as_secs_f64());
    infra.restart_broker().context("restarting the broker")?;
    println!("broker restarted after {:.1} s", started.elapsed().as_secs_f64());
    infra.check_alive()
}
