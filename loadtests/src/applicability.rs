//! What a new advisory and a changed scan cost over a fleet: the running service against fleets of several sizes with as
//! many distinct inventories.

mod agent;
mod fleet;

use crate::{
    eventstore::fill,
    options::Options,
    report::{Figure, Goal, Progress, Report},
    rounds::{Samples, per_second},
    server::{Place, Server},
};
use ::eventstore::{Sequencer, Store, Target};
use ::messaging::{Broker, Relay};
use agent::Agent;
use anyhow::{Context, Result, bail};
use contracts::feeds::{PatchEvent, PatchPublished};
use kernel::{Actor, Cause, CommandId, CorrelationId, Journal, Scope, StreamId, Tenant};
use runtime::{Lifecycle, Settings};
use sqlx::PgConnection;
use std::{
    convert::Infallible,
    time::{Duration, Instant},
};
use testkit::TestBroker;
use uuid::Uuid;

/// From the advisory's commit to the findings of every inventory that it touches.
const EVALUATED_MS: f64 = 2_000.0;
/// From the request of a changed scan to its answer.
const SCAN_MS: f64 = 5.0;
/// Scans of one device.
const SCANS: usize = 200;
const SCANS_QUICK: usize = 20;
/// How long one fleet may take to be told of one advisory.
const PATIENCE: Duration = Duration::from_mins(30);
/// How often the database is asked how far it is: far below what is measured.
const LOOK: Duration = Duration::from_millis(2);

const NOTES: [&str; 5] = [
    "The service runs as in production, with sequencer, relay and broker in the same process; the fleet is put into its tables beforehand. Every inventory has 300 packages (Debian 12), the catalogue five older advisories for each of them, which all devices have installed.",
    "The advisory is for a package that every inventory holds below the fixed version: all devices change. Evaluated: from its commit until the findings of all distinct inventories are in devices.judgement, which together with the index of devices by inventory is the list of devices that change; the time includes sequencer, relay and broker. Counted: one query that counts the devices of that list.",
    "Told: one event per device is appended and committed, 250 devices in one transaction; from evaluated until the last one. This grows with devices, as a delta per device is the design.",
    "A changed scan: a signed HTTP request with an inventory that nobody has reported before (one package of 300 differs), from the first byte sent until the answer; checked, stored, judged by the whole catalogue, and appended. Two commits.",
    "Memory is the peak of resident memory of the process (service, sequencer, relay and the bench itself), PostgreSQL not included; it was reset before each measurement where the kernel allows it.",
];

/// Measures what the options ask for.
pub async fn run(options: &Options) -> Result<Report> {
    let mut report = Report::begin("applicability", options);
    let server = Server::new(&options.database_url, options.own_server)?;
    report.conditions.servers.insert("PostgreSQL".to_owned(), server.describe().await?);
    report.notes.extend(NOTES.map(str::to_owned));
    let sizes = options.devices();
    let progress = Progress::of(sizes.len() as u64);
    let mut done = Ok(());
    for devices in sizes {
        progress.step(&format!("{devices} devices"));
        done = fleet_of(devices, options, &server, &progress, &mut report).await;
        if done.is_err() {
            break;
        }
    }
    progress.end();
    server.clear().await?;
    done.map(|()| report)
}

/// The vendors' stream of facts.
struct Vendors;

impl Journal for Vendors {
    const STREAM: &'static str = "loadtests.vendors";
    type Event = PatchEvent;
}

/// A service with a fleet.
struct Running {
    lifecycle: Lifecycle,
    store: Store,
    owner: PgConnection,
    base: String,
    _broker: TestBroker,
}

async fn fleet_of(
    devices: u64,
    options: &Options,
    server: &Server,
    progress: &Progress,
    report: &mut Report,
) -> Result<()> {
    let place = server.create(&format!("fleet{devices}")).await?;
    fleet::fill(&place, devices, options.inventories(), |text| progress.note(text)).await?;
    fill::sequence(&place, devices, |text| progress.note(text)).await?;
    fleet::skip_what_is_stored(&place).await?;
    server.settle().await?;
    let mut running = Running::start(&place).await?;
    let setting = format!("{devices} devices, {} inventories", options.inventories());
    if options.wants("advisory") {
        progress.note("a new advisory");
        advisory(&mut running, devices, options, &setting, progress, report).await?;
    }
    if options.wants("scan") {
        progress.note("changed scans");
        scans(&running, options, &setting, report).await?;
    }
    running.lifecycle.shutdown(Duration::from_mins(1)).await.map_err(|late| anyhow::anyhow!("{late:?}"))?;
    drop(running);
    server.drop(&place).await
}

impl Running {
    async fn start(place: &Place) -> Result<Self> {
        let broker = TestBroker::create().await;
        let settings = Settings::from_variables([
            ("PATCHFLEET__DATABASE__URL", place.service_url()),
            ("PATCHFLEET__BROKER__URL", broker.url()),
            ("PATCHFLEET__SERVICES__DEVICES__LISTEN", "127.0.0.1:0".to_owned()),
            // One device asks as often as it can here.
            ("PATCHFLEET__DEVICES__REQUESTS_PER_SECOND", "100000".to_owned()),
            ("PATCHFLEET__DEVICES__REQUESTS_BURST", "100000".to_owned()),
            // Nobody in the fleet checks in, and nobody is to be missed for it.
            ("PATCHFLEET__DEVICES__OFFLINE_AFTER_SECONDS", "86400".to_owned()),
        ])?;
        let lifecycle = Lifecycle::new();
        let database = place.database(8).await?;
        let (sequencer, stop) = (Sequencer::new(database.clone()), lifecycle.stop.clone());
        lifecycle.spawn("sequencer", async move {
            sequencer.run(stop).await;
            Ok::<_, Infallible>(())
        });
        let (relay, stop) =
            (Relay::new(database.clone(), Broker::new(broker.url(), "loadtests")), lifecycle.stop.clone());
        lifecycle.spawn("relay", async move {
            relay.run(stop).await;
            Ok::<_, Infallible>(())
        });
        let address = devices::run(&settings, &lifecycle).await?;
        Ok(Self {
            lifecycle,
            store: Store::new(database),
            owner: place.owner().await?,
            base: format!("http://{address}"),
            _broker: broker,
        })
    }

    /// Publishes an advisory for a package that everybody has too old; answers with its patch.
    async fn publish(&self, number: u64) -> Result<()> {
        let id = Uuid::new_v4();
        let cause = Cause {
            command_id: CommandId(id),
            correlation_id: CorrelationId(id),
            causation_id: None,
            actor: Actor::system("feeds"),
            traceparent: None,
        };
        let target = Target {
            scope: &Scope::Platform,
            tenant: Tenant::PLATFORM,
            stream_id: StreamId(id),
            cause: &cause,
            occurred_at: None,
        };
        let published = PatchPublished { patch: fleet::advisory(number) };
        self.store.record::<Vendors>(target, &[published.into()]).await?;
        Ok(())
    }

    /// Waits for a state of the service's tables.
    async fn until(&mut self, what: &str, question: &'static str) -> Result<()> {
        let started = Instant::now();
        while !sqlx::query_scalar::<_, bool>(question).fetch_one(&mut self.owner).await? {
            if started.elapsed() > PATIENCE {
                bail!("{what}: not within {} minutes", PATIENCE.as_secs() / 60);
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    async fn changes(&mut self) -> Result<i64> {
        Ok(sqlx::query_scalar("select change from devices.catalogue").fetch_one(&mut self.owner).await?)
    }
}

/// That an advisory was taken in is seen by its judgements: they come with it in one transaction.
const EVALUATED: &str = "select exists (select from devices.judgement)
                        and not exists (select from devices.judgement where findings is null)";
const TOLD: &str = "select not exists (select from devices.judgement)";
const CHANGING: &str = "select count(*)
                          from devices.judgement j
                          join devices.device d on d.inventory_hash = j.hash and d.judged_change < j.change
                         where j.findings is not null";
const TOLD_EVENTS: &str = "select count(*) from es.event where event_type = 'devices.PatchFoundMissing'";

async fn advisory(
    running: &mut Running,
    devices: u64,
    options: &Options,
    setting: &str,
    progress: &Progress,
    report: &mut Report,
) -> Result<()> {
    let mut samples = Samples::default();
    let expected = i64::try_from(devices)?;
    for round in 0..=options.rounds() {
        progress.note(&format!("a new advisory, round {round} of {}", options.rounds()));
        let before = running.changes().await?;
        reset_peak();
        let started = Instant::now();
        running.publish(round as u64).await?;
        running.until("the inventories are judged", EVALUATED).await?;
        let evaluated = started.elapsed();
        let evaluated_mb = peak_mb()?;
        if running.changes().await? != before + 1 {
            bail!("more than one change was taken in");
        }
        let counting = Instant::now();
        let changing: i64 = sqlx::query_scalar(CHANGING).fetch_one(&mut running.owner).await?;
        let counted = counting.elapsed();
        if round == options.rounds() {
            let telling = Instant::now();
            running.until("the devices are told", TOLD).await?;
            let told = telling.elapsed();
            let events: i64 = sqlx::query_scalar(TOLD_EVENTS).fetch_one(&mut running.owner).await?;
            if events < expected {
                bail!("{events} of {devices} devices were told");
            }
            samples.record("told", milliseconds(told));
            samples.record("rate", per_second(devices, told));
            samples.record("told memory", peak_mb()?);
        } else {
            // Only the last one is told to the end; what is measured here is over.
            sqlx::raw_sql("delete from devices.judgement").execute(&mut running.owner).await?;
        }
        if round > 0 {
            // The worker has begun to tell meanwhile: at the most what it had in hand may be missing.
            if changing == 0 || changing > expected {
                bail!("{changing} devices change, {devices} should");
            }
            samples.record("evaluated", milliseconds(evaluated));
            samples.record("counted", milliseconds(counted));
            samples.record("evaluated memory", evaluated_mb);
        }
    }
    let alone = |what: &str, sample: &str, unit, goal| {
        Figure::alone("advisory", what, setting, samples.spread(sample), unit, goal)
    };
    report.figures.extend([
        alone("evaluated", "evaluated", "ms", Some(Goal::AtMost(EVALUATED_MS))),
        alone("devices that change, counted", "counted", "ms", None),
        alone("peak memory until evaluated", "evaluated memory", "MB", None),
        alone("told, every device", "told", "ms", None),
        alone("told", "rate", "devices/s", None),
        alone("peak memory until told", "told memory", "MB", None),
    ]);
    Ok(())
}

async fn scans(running: &Running, options: &Options, setting: &str, report: &mut Report) -> Result<()> {
    let agent = Agent::new(&running.base)?;
    let count = if options.quick { SCANS_QUICK } else { SCANS };
    let mut times = Vec::with_capacity(count);
    reset_peak();
    for number in 0..count + count / 10 {
        let body = Agent::changed_scan(number as u64)?;
        let started = Instant::now();
        agent.send(body).await.with_context(|| format!("scan {number}"))?;
        // The first ones only warm up.
        if number >= count / 10 {
            times.push(milliseconds(started.elapsed()));
        }
    }
    let memory = peak_mb()?;
    times.sort_by(f64::total_cmp);
    let mut samples = Samples::default();
    samples.record("median", at(&times, 0.5));
    samples.record("p99", at(&times, 0.99));
    samples.record("memory", memory);
    for (what, sample, unit, goal) in [
        ("a changed scan, median", "median", "ms", Some(Goal::AtMost(SCAN_MS))),
        ("a changed scan, p99", "p99", "ms", None),
        ("peak memory", "memory", "MB", None),
    ] {
        report.figures.push(Figure::alone("scan", what, setting, samples.spread(sample), unit, goal));
    }
    Ok(())
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a list of a few hundred"
)]
fn at(sorted: &[f64], share: f64) -> f64 {
    let place = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// Forgets the peak of memory so far, where the kernel allows it.
fn reset_peak() {
    _ = std::fs::write("/proc/self/clear_refs", "5");
}

#[expect(clippy::cast_precision_loss, reason = "kilobytes of a process")]
fn peak_mb() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status").context("reading the process's status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no peak of memory")?;
    let kilobytes: u64 =
        line.trim().trim_end_matches(" kB").trim().parse().context("reading the peak of memory")?;
    Ok(kilobytes as f64 / 1_000.0)
}
