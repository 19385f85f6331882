//! Runs a bench and shows what it found; `cargo xtask bench` starts servers for it.

#![expect(clippy::print_stdout, reason = "a program for people at a terminal")]

use anyhow::{Context, Result};
use clap::Parser;
use loadtests::{eventstore, options::Options, report::Report};
use std::{fs, path::Path};

#[derive(Parser)]
#[command(
    name = "cargo xtask bench",
    about = "Measures the event backbone against the plainest way to do the same"
)]
enum Bench {
    /// Appends, order and followers against INSERT and COPY (parts: append, batch)
    Eventstore(Options),
}

fn main() -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("building the runtime")?;
    let (options, report) = match Bench::parse() {
        Bench::Eventstore(options) => {
            let report = runtime.block_on(eventstore::run(&options))?;
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
    let write = |end: &str, text: String| {
        let file = folder.join(format!("{}.{end}", report.bench));
        fs::write(&file, text).with_context(|| format!("writing {}", file.display()))
    };
    write("json", serde_json::to_string_pretty(report)? + "\n")?;
    write("md", report.markdown())
}
