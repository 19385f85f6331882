//! The static part: format, lints, dependency rules, tidiness, generated files, licences.

pub(crate) mod dependencies;
pub(crate) mod tidy;

use crate::{
    docs,
    process::run_visible,
    progress::Progress,
    stop,
    workspace::{cargo, on_path},
};
use anyhow::{Result, bail};
use std::{path::Path, process::Command};

/// Runs every check, the cheap ones first, and fails at the end if one failed.
pub(crate) fn run(root: &Path, progress: &Progress) -> Result<()> {
    let clippy = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
    let checks: [(&str, &dyn Fn() -> Result<()>); 5] = [
        ("format", &|| call(root, &["fmt", "--all", "--check"])),
        ("dependency rules", &|| dependencies::check(root)),
        ("tidiness", &|| tidy::check(root)),
        ("generated files", &|| docs::check(root)),
        ("clippy", &|| call(root, &clippy)),
    ];
    let mut failed = Vec::new();
    for (name, check) in checks {
        stop::check()?;
        let step = progress.headline(name);
        match check() {
            Ok(()) => step.done("is fine"),
            Err(error) => {
                progress.line(&format!("{error:#}"));
                step.failed();
                failed.push(name);
            }
        }
    }
    if !licences(root, progress)? {
        failed.push("licences and sources");
    }
    if !failed.is_empty() {
        bail!("not in order: {}", failed.join(", "));
    }
    Ok(())
}

/// Repairs what a program can repair.
pub(crate) fn fix(root: &Path) -> Result<()> {
    let lenient = ["clippy", "--fix", "--allow-dirty", "--allow-staged", "--workspace", "--all-targets"];
    call(root, &lenient)?;
    call(root, &["fmt", "--all"])?;
    docs::write(root).map(|_| ())
}

fn licences(root: &Path, progress: &Progress) -> Result<bool> {
    let step = progress.headline("licences and sources");
    if on_path("cargo-deny").is_none() {
        step.skipped("skipped: install cargo-deny to check them");
        return Ok(true);
    }
    stop::check()?;
    let outcome = call(root, &["deny", "check", "licenses", "bans", "sources"]);
    let fine = outcome.is_ok();
    if fine {
        step.done("are fine");
    } else {
        step.failed();
    }
    Ok(fine)
}

fn call(root: &Path, arguments: &[&str]) -> Result<()> {
    let name = format!("cargo {}", arguments.first().unwrap_or(&""));
    run_visible(&name, Command::new(cargo()).current_dir(root).args(arguments))
}
