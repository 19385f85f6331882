//! The load of `cargo xtask chaos` and the judgement afterwards. Standard input open: load; closed: end and verify.

#![expect(clippy::print_stdout, reason = "its lines are read by `cargo xtask chaos`")]

mod agents;
mod consumers;
mod load;
mod plan;
mod probe;
mod quiet;
mod send;
mod sightings;
mod standstill;
mod verify;

use anyhow::{Context, Result};
use journeys::chaos::{Check, Progress, Report, Said, World};
use load::Load;
use probe::Probe;
use quiet::Outlook;
use sqlx::{Connection, PgConnection};
use standstill::Standstill;
use std::{collections::BTreeMap, process::ExitCode, sync::atomic::Ordering, time::Duration};
use tokio_util::sync::CancellationToken;

/// How often progress is told.
const TELL_PAUSE: Duration = Duration::from_secs(1);

/// How long commands under way may take to be acknowledged after everything is up again.
const LAST_ANSWERS_LIMIT: Duration = Duration::from_mins(2);

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chaos: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn run() -> Result<bool> {
    let file = std::env::args().nth(1).context("call it with the file that describes the world")?;
    let text = std::fs::read_to_string(&file).with_context(|| format!("reading {file}"))?;
    let world: World = serde_json::from_str(&text).with_context(|| format!("understanding {file}"))?;

    let documents = world.folder.join("documents");
    std::fs::create_dir_all(&documents).context("making the folder of documents")?;
    std::fs::write(documents.join(plan::DOCUMENT), agents::advisories()).context("writing a document")?;

    let probe_stop = CancellationToken::new();
    let (probe, listening) = Probe::begin(&world.amqp_url, probe_stop.clone()).await?;
    let mut listeners = tokio::task::JoinSet::new();
    listeners.spawn(listening);
    let load = Load::begin(&world).await?;
    say(&Said::Ready);
    let events_before = stored(&world.database_url).await?;

    let standstill = until_told(&world, &load, &probe).await;
    let report = finish(&world, load, &probe, events_before, standstill.longest).await?;
    probe_stop.cancel();
    listeners.join_all().await;
    let holds = report.holds();
    say(&Said::Report(report));
    Ok(holds)
}

fn say(said: &Said) {
    // Only a type that cannot be written as JSON fails, and then the other side waits in vain and says so.
    if let Ok(line) = serde_json::to_string(said) {
        println!("{line}");
    }
}

/// Tells progress until standard input is closed; answers with the longest time without a new position.
async fn until_told(world: &World, load: &Load, probe: &Probe) -> Standstill {
    let (told, mut end) = tokio::sync::oneshot::channel::<()>();
    // A thread, since reading standard input holds one.
    std::thread::spawn(move || {
        _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop(told);
    });
    let mut standstill = Standstill::new(&world.database_url);
    let mut ticks = tokio::time::interval(TELL_PAUSE);
    loop {
        tokio::select! {
            _ = &mut end => return standstill,
            () = standstill.look() => {}
            _ = ticks.tick() => say(&Said::Progress(Progress {
                stored: standstill.seq,
                acknowledged: load.ledger.count(),
                failed_attempts: load.sender.failures().values().sum(),
                probed: probe.count(),
            })),
        }
    }
}

/// Events in the table: what was stored a moment ago may have no position yet.
async fn stored(database_url: &str) -> Result<i64> {
    let mut database = PgConnection::connect(database_url).await.context("asking the database")?;
    let events = sqlx::query_scalar("select count(*) from es.event").fetch_one(&mut database).await?;
    database.close().await?;
    Ok(events)
}

/// The servers with their versions.
async fn servers(world: &World, http: &reqwest::Client) -> Result<BTreeMap<String, String>> {
    let mut database = PgConnection::connect(&world.database_url).await.context("asking the database")?;
    let database: String =
        sqlx::query_scalar("select current_setting('server_version')").fetch_one(&mut database).await?;
    let overview: serde_json::Value = http
        .get(format!("{}/api/overview", world.amqp_admin_url))
        .send()
        .await
        .context("asking the broker for its version")?
        .json()
        .await?;
    let broker = overview["rabbitmq_version"].as_str().unwrap_or("of unknown version").to_owned();
    Ok(BTreeMap::from([("PostgreSQL".to_owned(), database), ("RabbitMQ".to_owned(), broker)]))
}

async fn finish(
    world: &World,
    mut load: Load,
    probe: &Probe,
    events_before: i64,
    longest_standstill: Duration,
) -> Result<Report> {
    let doing = |what: &str| say(&Said::Doing { what: what.to_owned() });
    doing("waiting for the last acknowledgements");
    load.end(LAST_ANSWERS_LIMIT).await?;
    let load_seconds = load.begun.elapsed().as_secs_f64();
    let events = stored(&world.database_url).await?;

    doing("waiting until nothing is under way");
    let http = runtime::http::internal_client(Duration::from_secs(10)).context("making an HTTP client")?;
    let outlook = Outlook {
        database_url: &world.database_url,
        amqp_url: &world.amqp_url,
        admin_url: &world.amqp_admin_url,
        http: &http,
        probe,
    };
    let since = tokio::time::Instant::now();
    let limit = Duration::from_secs(world.quiet_within_seconds);
    let mut quiet =
        Check::new("everything becomes quiet: cursors at the head, queues empty, nothing set aside");
    quiet.looked_at = 1;
    for open in outlook.until_quiet(limit).await {
        quiet.violate(open);
    }
    let quiet_after_seconds = since.elapsed().as_secs_f64();

    doing("comparing what was acknowledged, stored, published and handled");
    let (all, mut checks) = verify::verify(world, &http, &load.ledger, probe).await?;
    checks.push(quiet);
    let ledger = &load.ledger;
    Ok(Report {
        seed: world.seed,
        servers: servers(world, &http).await?,
        load_seconds,
        load_events: events - events_before,
        events: all,
        commands: ledger.count(),
        over_graphql: ledger.over_graphql.load(Ordering::Relaxed),
        scans: ledger.scans.load(Ordering::Relaxed),
        failed_attempts: load.sender.failures(),
        repeated_on_purpose: ledger.again_on_purpose.load(Ordering::Relaxed),
        answered_as_repeated: load.sender.repeated.load(Ordering::Relaxed),
        longest_standstill_seconds: longest_standstill.as_secs_f64(),
        duplicates: send::lock(&probe.seen).duplicates,
        quiet_after_seconds,
        checks,
    })
}
