//! Runs a bench and shows what it found; `cargo xtask bench` starts servers for it.

#![expect(clippy::print_stdout, reason = "a program for people at a terminal")]

use anyhow::{Context, Result};
use clap::Parser;
use loadtests::{
    applicability, catalogue, eventstore, feeds, messaging, options::Options, plot, report::Report,
};
use std::{fs, path::Path, process::ExitCode};

#[derive(Parser)]
#[command(
    name = "cargo xtask bench",
    about = "Measures the event backbone and the feeds against the plainest way to do the same, and applicability over fleets"
)]
enum Bench {
    /// Appends, order and followers against INSERT and COPY (parts: append, batch, order, race, reading)
    Eventstore(Options),
    /// Relay, consumers and rebuilds against bare publishing and consuming (parts: relay, consumer, pipeline, latency,
    /// rebuild)
    Messaging(Options),
    /// Vendors' documents: reading them, and taking them in (parts: month, fixes)
    Feeds(Options),
    /// Searches of the catalogue of a running program
    #[command(hide = true)]
    Catalogue {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        place: catalogue::Place,
    },
    /// A new advisory and a changed scan over fleets of several sizes (parts: advisory, scan)
    Applicability(Options),
}

fn main() -> ExitCode {
    match run(Bench::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(bench: Bench) -> Result<()> {
    // A slow statement is what is looked for here, not what is to be warned of.
    tracing_subscriber::fmt().with_env_filter("warn,sqlx=error").with_writer(std::io::stderr).init();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("building the runtime")?;
    let (options, report) = match bench {
        Bench::Eventstore(options) => {
            let report = runtime.block_on(eventstore::run(&options))?;
            (options, report)
        }
        Bench::Feeds(options) => {
            let report = runtime.block_on(feeds::run(&options))?;
            (options, report)
        }
        Bench::Applicability(options) => {
            let report = runtime.block_on(applicability::run(&options))?;
            (options, report)
        }
        Bench::Catalogue { options, place } => {
            let report = runtime.block_on(catalogue::run(&options, &place))?;
            (options, report)
        }
        Bench::Messaging(options) => {
            let report = runtime.block_on(messaging::run(&options))?;
            (options, report)
        }
    };
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", report.tables());
    }
    options.save.as_deref().map_or(Ok(()), |folder| save(&report, folder))
}

fn save(report: &Report, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let write = |name: &str, text: &str| {
        let file = folder.join(name);
        fs::write(&file, text).with_context(|| format!("writing {}", file.display()))
    };
    write(&format!("{}.json", report.bench), &(serde_json::to_string_pretty(report)? + "\n"))?;
    write(&format!("{}.md", report.bench), &report.markdown())?;
    plot::plots(report).iter().try_for_each(|(name, svg)| write(name, svg))
}
