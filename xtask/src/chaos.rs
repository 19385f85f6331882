//! `cargo xtask chaos`: breaks everything at random under load, then proves that nothing was lost and nothing doubled.

mod conditions;
mod course;
mod driver;
mod fleet;
mod outcome;
mod page;
mod plan;
mod strike;

use crate::{
    infra::{self, Infra},
    process,
    progress::Progress,
    services, stop, workspace,
};
use anyhow::{Context, Result, bail};
use conditions::Conditions;
use driver::Driver;
use fleet::Fleet;
use journeys::chaos::{Check, World};
use outcome::Outcome;
use std::{
    cell::RefCell,
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};
use strike::Struck;

/// Kills per minute unless a number is given: most of what is hit is back within two seconds.
const KILLS_PER_MINUTE: f64 = 13.0;

/// The load's beginning registers tenants over GraphQL.
const BEGIN_LIMIT: Duration = Duration::from_mins(2);

/// Longer than the last step of the retry queues, so that an event that waits there still counts as delivered late.
const QUIET_LIMIT: Duration = Duration::from_mins(7);

/// The rest of the judgement: last acknowledgements, and reading everything.
const JUDGEMENT_LIMIT: Duration = Duration::from_mins(5);

/// How it is run.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// How long the load lasts
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// What the run follows from: the same seed sends the same commands and strikes the same blows
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many kills [default: 13 per minute]
    #[arg(long)]
    kills: Option<u32>,
    /// Events that the commands write per second, on average
    #[arg(long, default_value_t = 130)]
    rate: u32,
    /// Scans that agents report per second, on average; each writes one event and one per patch that came or went
    #[arg(long, default_value_t = 6)]
    scans: u32,
    /// Commands under way at the same time
    #[arg(long, default_value_t = 24)]
    lanes: u32,
    /// Events that must have been stored per second, on average
    #[arg(long, default_value_t = 100)]
    at_least: u32,
    /// Build the programs for release
    #[arg(long)]
    release: bool,
    /// Run the database with settings that lose what was acknowledged: the run must then find violations
    #[arg(long)]
    forgetful: bool,
    /// Print the whole outcome as JSON
    #[arg(long)]
    json: bool,
    /// Write the whole outcome as JSON into this file
    #[arg(long)]
    out: Option<PathBuf>,
    /// Write the outcome and its course into this folder, and the page of all runs there anew
    #[arg(long)]
    save: Option<PathBuf>,
}

/// What happened under load.
struct Course {
    struck: Vec<Struck>,
    /// Events with a position, by the seconds since the load began.
    course: Vec<(f64, i64)>,
}

/// What is run.
struct Programs {
    patchfleet: PathBuf,
    driver: PathBuf,
}

impl Programs {
    fn build(root: &Path, release: bool, progress: &Progress) -> Result<Self> {
        // A test run has built them: it must not wait for its own build lock.
        if let Some(patchfleet) = std::env::var_os("PATCHFLEET_BIN").map(PathBuf::from) {
            return Ok(Self { driver: patchfleet.with_file_name("chaos"), patchfleet });
        }
        let step = progress.headline("building patchfleet and the load program");
        let mut cargo = Command::new(workspace::cargo());
        cargo.current_dir(root).args(["build", "--package", "patchfleet", "--package", "chaos"]);
        let debug = workspace::debug_folder(root);
        let folder = if release {
            cargo.arg("--release");
            debug.with_file_name("release")
        } else {
            debug
        };
        process::run_visible("cargo build", &mut cargo)?;
        step.done("is done");
        Ok(Self { patchfleet: folder.join("patchfleet"), driver: folder.join("chaos") })
    }
}

/// Runs it; an error names the seed.
pub(crate) fn run(options: &Options) -> Result<()> {
    let progress = Progress::new();
    let outcome = carry_out(options, &progress)
        .with_context(|| format!("chaos with seed {} could not be carried out", options.seed))?;
    let text = serde_json::to_string_pretty(&outcome)?;
    if let Some(file) = &options.out {
        std::fs::write(file, format!("{text}\n")).with_context(|| format!("writing {}", file.display()))?;
    }
    if let Some(folder) = &options.save {
        page::save(&outcome, folder)?;
    }
    if options.json {
        println!("{text}");
    } else {
        println!("{outcome}");
    }
    if !outcome.holds {
        bail!("chaos with seed {} found violations", options.seed);
    }
    Ok(())
}

fn carry_out(options: &Options, progress: &Progress) -> Result<Outcome> {
    let length = Duration::try_from_secs_f64(options.minutes * 60.0).context("reading the minutes")?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few hundred kills at most"
    )]
    let kills = options.kills.unwrap_or((options.minutes * KILLS_PER_MINUTE).ceil().max(1.0) as u32);
    let blows = plan::draw(options.seed, length, kills);

    let root = workspace::root()?;
    let conditions = Conditions::observe(&root);
    let programs = Programs::build(&root, options.release, progress)?;
    let servers = if options.forgetful {
        infra::Options::own_and_forgetful()
    } else {
        infra::Options::own_and_durable()
    };
    let infra = Infra::start(&root, servers, progress)?;
    let (client_secret, internal_secret) = (infra::secret()?, infra::secret()?);
    let ports = services::any_ports()?;
    let mut settings = services::settings(&infra, &ports, &client_secret)?;
    settings.insert("PATCHFLEET__INTERNAL__SECRET".to_owned(), internal_secret.clone());
    let documents = infra.folder().join("documents").display().to_string();
    settings.insert("PATCHFLEET__FEEDS__IMPORT_FOLDER".to_owned(), documents);
    let mut migrate = Command::new(&programs.patchfleet);
    migrate.arg("migrate").envs(&settings);
    process::run_logged("patchfleet migrate", &mut migrate, &infra.folder().join("migrate.log"))?;

    let step = progress.step("services");
    let fleet = Fleet::start(&programs.patchfleet, &infra, &settings, &ports, infra::free_ports()?)?;
    step.done(&format!("{} processes are ready", fleet.members.len()));
    let world = World {
        seed: options.seed,
        events_per_second: options.rate,
        scans_per_second: options.scans,
        lanes: options.lanes,
        database_url: infra.database_url.clone(),
        amqp_url: infra.amqp_url.clone(),
        amqp_admin_url: infra.amqp_admin_url.clone().context("the broker has no management API")?,
        services: fleet.urls(),
        internal_secret,
        client_secret,
        operator: services::OPERATOR.to_owned(),
        folder: infra.folder().to_owned(),
        // What a forgetful database has lost, nobody need wait for.
        quiet_within_seconds: if options.forgetful { 20 } else { QUIET_LIMIT.as_secs() },
    };
    let driver = Driver::start(&programs.driver, &world)?;
    driver.until_ready(BEGIN_LIMIT)?;

    let course = under_load(&fleet, &infra, &driver, &blows, length, progress)?;
    let step = progress.step("judgement");
    let report = driver
        .finish(QUIET_LIMIT + JUDGEMENT_LIMIT, |what| step.note(what))
        .with_context(|| format!("the logs are in {}", infra.folder().display()))?;
    step.done("is done");
    let step = progress.step("views");
    let mut checks = own_checks(&fleet);
    for view in VIEWS {
        step.note(&format!("comparing {view} with a fresh fold of the log"));
        checks.push(check_view(&programs.patchfleet, &settings, view)?);
    }
    step.done("are compared");
    let leaders = fleet.logged(LEADS).len();
    Ok(Outcome::new(options, conditions, course, report, checks, leaders))
}

/// What a backbone logs when it becomes the leader.
const LEADS: &str = "this process gives the events their positions";

/// Strikes the blows while the load goes on, for at least `length`.
fn under_load(
    fleet: &Fleet,
    infra: &Infra,
    driver: &Driver,
    blows: &[plan::Blow],
    length: Duration,
    progress: &Progress,
) -> Result<Course> {
    let course = RefCell::new(Vec::new());
    let bar = RefCell::new(progress.bar("chaos", length));
    let begun = Instant::now();
    let watch = || {
        driver.check_alive()?;
        if let Some(now) = driver.progress() {
            let text = format!(
                "{} events stored, {} commands acknowledged, {} attempts failed, {} events seen on the broker",
                now.stored, now.acknowledged, now.failed_attempts, now.probed
            );
            course.borrow_mut().push((begun.elapsed().as_secs_f64(), now.stored));
            bar.borrow_mut().at(begun.elapsed(), &text);
        }
        Ok(())
    };
    let tell = |struck: &Struck| progress.line(&outcome::line(struck));
    let struck = strike::strike(fleet, infra, blows, watch, tell)?;
    while begun.elapsed() < length {
        stop::check()?;
        watch()?;
        std::thread::sleep(Duration::from_millis(100));
    }
    bar.into_inner().done(&format!("{} blows were struck", struck.len()));
    Ok(Course { struck, course: course.into_inner() })
}

/// The projections of the log.
const VIEWS: [&str; 2] = ["views", "auditing.trail"];

/// Has the program compare a view with a fresh fold of the log.
fn check_view(program: &Path, settings: &BTreeMap<String, String>, view: &str) -> Result<Check> {
    let output = Command::new(program)
        .args(["views", "check", "--json", view])
        .envs(settings)
        .output()
        .with_context(|| format!("checking {view}"))?;
    let mut check = Check::new(&format!("the view {view} is what a fresh fold of the log gives"));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    for table in told["tables"].as_array().into_iter().flatten() {
        check.looked_at += table["rows"].as_u64().unwrap_or(0);
        for difference in table["differences"].as_array().into_iter().flatten() {
            check.violate(format!("{}: {difference}", table["table"]));
        }
    }
    if !output.status.success() && check.violations == 0 {
        let said = String::from_utf8_lossy(&output.stderr);
        check.violate(format!("`patchfleet views check {view}` ended with {}: {said}", output.status));
    }
    Ok(check)
}

/// What only the launcher can see.
fn own_checks(fleet: &Fleet) -> Vec<Check> {
    let mut alive = Check::new("no process ended by itself");
    alive.looked_at = fleet.members.len() as u64;
    for dead in fleet.dead() {
        alive.violate(dead);
    }
    let mut panics = Check::new("no process panicked");
    panics.looked_at = fleet.members.len() as u64;
    for line in fleet.logged("panicked at") {
        panics.violate(line);
    }
    vec![alive, panics]
}
