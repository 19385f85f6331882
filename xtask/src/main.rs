//! What people do with this repository: `cargo xtask up`, `demo`, `test`, `check`, `fix`, `docs`.

#![expect(clippy::print_stdout, reason = "a program for people at a terminal")]
#![expect(clippy::disallowed_methods, reason = "a launcher reads its environment and the machine's clock")]

mod bench;
mod chaos;
mod checks;
mod demo;
mod docs;
mod infra;
mod process;
mod progress;
mod services;
mod stop;
mod testing;
mod workspace;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use infra::{Infra, control};
use progress::Progress;
use services::System;
use std::{fmt::Write, path::PathBuf, process::ExitCode, time::Duration};

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
    /// Start PostgreSQL, RabbitMQ and every service; print the URLs; serve until Ctrl-C
    Up(services::Options),
    /// Start everything as `up` does, tell the story from feed to proof, print a summary
    Demo(demo::Options),
    /// Run the checks, then every test against a private PostgreSQL and RabbitMQ
    Test(testing::Options),
    /// Check format, lints, dependency rules, tidiness, generated files, licences
    Check,
    /// Repair format, lints and generated files as far as a program can
    Fix,
    /// Write the generated references
    Docs {
        /// Only fail if one differs
        #[arg(long)]
        check: bool,
    },
    /// Measure the event backbone against the plainest way to do the same: `eventstore`, `messaging`
    Bench(bench::Options),
    /// Kill services, database and broker at random under load, then prove that nothing was lost or doubled
    Chaos(chaos::Options),
    /// Start only PostgreSQL and RabbitMQ, write the variables that tests read, serve until Ctrl-C
    Infra {
        /// Where the variables are written, as a shell reads them [default: .dev/env]
        #[arg(long)]
        env_file: Option<PathBuf>,
        #[command(flatten)]
        infra: infra::Options,
    },
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
        Task::Up(options) => up(options),
        Task::Demo(options) => demo::run(options),
        Task::Test(options) => testing::run(&options),
        Task::Check => checks::run(&workspace::root()?, &Progress::new()),
        Task::Fix => checks::fix(&workspace::root()?),
        Task::Docs { check: true } => docs::check(&workspace::root()?),
        Task::Docs { check: false } => {
            for name in docs::write(&workspace::root()?)? {
                println!("wrote {name}");
            }
            Ok(())
        }
        Task::Bench(options) => bench::run(&options),
        Task::Chaos(options) => chaos::run(&options),
        Task::Infra { env_file, infra } => serve_infra(env_file, infra),
        Task::InfraRestart { server, kill, down_for_ms } => {
            let took = control::request_restart(server, kill, Duration::from_millis(down_for_ms))?;
            println!("restarted in {:.1} s", took.as_secs_f64());
            Ok(())
        }
        Task::InfraSelftest(options) => test_infra(options),
    }
}

fn up(options: services::Options) -> Result<()> {
    let mut system = System::start(&workspace::root()?, options, &[], &Progress::new())?;
    demo::print_access(&system, &[]);
    println!("Ctrl-C ends everything");
    system.serve()
}

fn serve_infra(env_file: Option<PathBuf>, options: infra::Options) -> Result<()> {
    let root = workspace::root()?;
    let infra = Infra::start(&root, options, &Progress::new())?;
    let mut lines = String::new();
    for (name, value) in infra.test_variables() {
        _ = writeln!(lines, "export {name}='{value}'");
    }
    let file = env_file.unwrap_or_else(|| root.join(".dev/env"));
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

#[cfg(test)]
mod tests {
    use super::Arguments;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Arguments::command().debug_assert();
    }
}
