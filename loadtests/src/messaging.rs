//! Relay, consumers and rebuilds: against the broker alone, with the same bytes on the same node.

mod bare;
mod latency;
mod ours;
mod rebuild;

use crate::{
    eventstore::fill,
    machine,
    options::Options,
    report::{Figure, Goal, Progress, Report},
    rounds::{Samples, per_second},
    server::{Place, Server},
    statistics::{Spread, percentile_ms},
};
use anyhow::{Context, Result};
use bare::Message;
use ours::{AtWork, GROUPS, Keeper, PREFETCH};
use sqlx::Connection;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use testkit::TestBroker;

/// What is to be reached of what the broker does without us.
const SHARE: f64 = 0.7;

/// A light view, in events per second.
const REBUILD_RATE: f64 = 50_000.0;

/// Measures what the options ask for.
pub async fn run(options: &Options) -> Result<Report> {
    let mut report = Report::begin("messaging", options);
    let server = Server::new(&options.database_url, options.own_server)?;
    report.conditions.servers.insert("PostgreSQL".to_owned(), server.describe().await?);
    let version =
        machine::broker_version(&options.amqp_url).context("the broker does not tell its version")?;
    report.conditions.servers.insert("RabbitMQ".to_owned(), format!("{version}, one node, quorum queues"));
    report.notes.extend(NOTES.map(str::to_owned));
    let progress = Progress::of(2 + options.rounds() as u64 + 5);
    let done = measure(options, &server, &progress, &mut report).await;
    progress.end();
    server.clear().await?;
    done.map(|()| report)
}

const NOTES: [&str; 6] = [
    "Ours and bare take turns in every round; a ratio is the median of the rounds' ratios. A round before the first only warms up.",
    "Bare means lapin alone: it publishes the very messages of the relay, mandatory, with 1,000 unconfirmed at once (as the relay), to the same exchange and queue, and consumes with the same prefetch of 256 and one acknowledgement for 100.",
    "The consumer keeps one row a meter with one statement a batch, its inbox row in the same transaction. The queue is full when it begins; rates are from its first event to its last commit.",
    "The pipeline begins with stored events without positions, and ends when the consumer has committed the last: sequencer, relay, broker, consumer. Bare, a publisher and a consumer work at the same time.",
    "A latency ends when the consumer is handed the event; ours begins when the append has answered, the bare one before the message is sent.",
    "PostgreSQL keeps what it has acknowledged (fsync on).",
];

struct Bench<'a> {
    options: &'a Options,
    server: &'a Server,
    progress: &'a Progress,
    /// Events with positions, of which nothing is published.
    sequenced: Place,
    /// The same without positions.
    unsequenced: Place,
    /// No events at all.
    empty: Place,
    count: usize,
}

async fn measure(options: &Options, server: &Server, progress: &Progress, report: &mut Report) -> Result<()> {
    let count = options.messages();
    progress.step(&format!("storing {count} events"));
    let empty = server.create("empty").await?;
    empty.run(ours::TABLES).await?;
    let unsequenced = server.copy(&empty, "unsequenced").await?;
    fill::store_all(&unsequenced, count as u64, |text| progress.note(text)).await?;
    let sequenced = server.copy(&unsequenced, "sequenced").await?;
    fill::sequence(&sequenced, count as u64, |text| progress.note(text)).await?;
    server.settle().await?;
    let bench = Bench { options, server, progress, sequenced, unsequenced, empty, count };

    progress.step("taking samples of the relay's messages");
    let messages = ours::sample(&bench.sequenced, server, &bench.empty, count).await?;
    let mut samples = Samples::default();
    for round in 0..=options.rounds() {
        progress.step(&format!("round {round} of {}", options.rounds()));
        // The first one only warms up.
        let mut ignored = Samples::default();
        bench.round(&messages, if round == 0 { &mut ignored } else { &mut samples }, round % 2 == 1).await?;
    }
    bench.throughput(&samples, report);
    if options.wants("latency") {
        bench.latencies(&messages, report).await?;
    }
    if options.wants("rebuild") {
        bench.rebuilds(report).await?;
    }
    Ok(())
}

impl Bench<'_> {
    /// Everything once, the other way round in every second round.
    async fn round(&self, messages: &Arc<[Message]>, samples: &mut Samples, reverse: bool) -> Result<()> {
        for ours in [reverse, !reverse] {
            if self.options.wants("relay") || self.options.wants("consumer") {
                self.one_after_the_other(messages, samples, ours).await?;
            }
            if self.options.wants("pipeline") {
                self.pipeline(messages, samples, ours).await?;
            }
        }
        Ok(())
    }

    fn rate(&self, took: Duration) -> f64 {
        per_second(self.count as u64, took)
    }

    /// Fills a queue, then empties it.
    async fn one_after_the_other(
        &self,
        messages: &Arc<[Message]>,
        samples: &mut Samples,
        ours: bool,
    ) -> Result<()> {
        let group = GROUPS[0];
        let broker = TestBroker::create().await;
        ours::declare(&self.empty, &broker, &[group]).await?;
        if !ours {
            self.progress.note("bare publishing");
            samples.record("bare publish", self.rate(bare::publish(broker.url(), messages.clone()).await?));
            self.progress.note("bare consuming");
            let took = bare::consume(broker.url(), group, PREFETCH, self.count, drop).await?;
            samples.record("bare consume", self.rate(took));
            return Ok(());
        }
        self.progress.note("the relay");
        let place = self.server.copy(&self.sequenced, "relay").await?;
        let database = place.database(8).await?;
        let mut owner = place.owner().await?;
        let mut at_work = AtWork::new();
        let started = Instant::now();
        at_work.relay(&database, &broker);
        ours::relayed(&mut owner, self.count).await?;
        samples.record("relay", self.rate(started.elapsed()));
        at_work.end().await;
        database.close().await;
        self.server.drop(&place).await?;

        self.progress.note("the consumer");
        let place = self.server.copy(&self.empty, "consumer").await?;
        let database = place.database(8).await?;
        let mut owner = place.owner().await?;
        let (mut at_work, keeper) = (AtWork::new(), Keeper::new(group));
        // The messages are of a log that this database has not: the consumer must begin below it, or it would read it
        // instead, and must not take a message in before the log reaches that far, or it would drop it.
        let mut held = owner.begin().await?;
        sqlx::query("lock table es.inbox in exclusive mode").execute(&mut *held).await?;
        at_work.consumer(&database, &broker, &keeper);
        ours::ready(&broker, group).await?;
        sqlx::query("update es.sequencer set seq = $1")
            .bind(i64::try_from(self.count)?)
            .execute(&mut *held)
            .await?;
        held.commit().await?;
        ours::kept(&mut owner, &keeper, self.count).await?;
        let first = keeper.progress().1.context("the consumer heard nothing")?;
        samples.record("consume", self.rate(first.elapsed()));
        at_work.end().await;
        database.close().await;
        self.server.drop(&place).await
    }

    /// Both ends at the same time.
    async fn pipeline(&self, messages: &Arc<[Message]>, samples: &mut Samples, ours: bool) -> Result<()> {
        let group = GROUPS[0];
        let broker = TestBroker::create().await;
        if !ours {
            self.progress.note("bare pipeline");
            ours::declare(&self.empty, &broker, &[group]).await?;
            let url = broker.url();
            let started = Instant::now();
            let (published, consumed) = tokio::join!(
                bare::publish(url.clone(), messages.clone()),
                bare::consume(url, group, PREFETCH, self.count, drop)
            );
            published.and(consumed)?;
            samples.record("bare pipeline", self.rate(started.elapsed()));
            return Ok(());
        }
        self.progress.note("the pipeline");
        let place = self.server.copy(&self.unsequenced, "pipeline").await?;
        let database = place.database(12).await?;
        let mut owner = place.owner().await?;
        let (mut at_work, keeper) = (AtWork::new(), Keeper::new(group));
        at_work.consumer(&database, &broker, &keeper);
        ours::ready(&broker, group).await?;
        let started = Instant::now();
        at_work.sequencer(&database);
        at_work.relay(&database, &broker);
        ours::kept(&mut owner, &keeper, self.count).await?;
        samples.record("pipeline", self.rate(started.elapsed()));
        at_work.end().await;
        database.close().await;
        self.server.drop(&place).await
    }

    fn throughput(&self, samples: &Samples, report: &mut Report) {
        let setting = format!("{} messages", self.count);
        for (part, what, ours, against, baseline) in [
            ("relay", "relay", "relay", "bare publishing", "bare publish"),
            ("consumer", "consumer with inbox and projection", "consume", "bare consuming", "bare consume"),
            (
                "pipeline",
                "store to committed projection",
                "pipeline",
                "bare publishing and consuming",
                "bare pipeline",
            ),
        ] {
            if self.options.wants(part) {
                let goal = Some(Goal::AtLeast(SHARE));
                report.figures.push(
                    Figure::alone(
                        "throughput",
                        what,
                        setting.clone(),
                        samples.spread(ours),
                        "events/s",
                        goal,
                    )
                    .against(
                        against,
                        samples.spread(baseline),
                        samples.ratio(ours, baseline),
                    ),
                );
            }
        }
    }

    async fn latencies(&self, messages: &Arc<[Message]>, report: &mut Report) -> Result<()> {
        let duration = Duration::from_secs(if self.options.quick { 2 } else { 20 });
        for groups in [1, GROUPS.len()] {
            self.progress.step(&format!("latency with {groups} consumer groups"));
            let place = self.server.copy(&self.empty, "latency").await?;
            let mut times = latency::ours(&place, groups, duration).await?;
            self.server.drop(&place).await?;
            let mut plain = latency::bare(&self.empty, messages, groups, duration).await?;
            let setting = format!(
                "{} events/s, {groups} consumer group{}",
                latency::RATE,
                if groups == 1 { "" } else { "s" }
            );
            for (share, what) in [(0.5, "commit to consumer, p50"), (0.99, "commit to consumer, p99")] {
                let one = |times: &mut [Duration]| Spread::of(&[percentile_ms(times, share)]);
                let (ours, theirs) = (one(&mut times), one(&mut plain));
                let goal = (share > 0.9).then_some(Goal::AtMost(50.0));
                let mut figure = Figure::alone("latency", what, setting.clone(), ours, "ms", goal);
                // The goal is a time, not a ratio.
                let met = figure.met;
                figure = figure.against("bare, ms", theirs, Spread::of(&[ours.median / theirs.median]));
                figure.met = met;
                report.figures.push(figure);
            }
        }
        Ok(())
    }

    async fn rebuilds(&self, report: &mut Report) -> Result<()> {
        self.progress.step("rebuilding a view");
        let place = self.server.copy(&self.sequenced, "rebuild").await?;
        rebuild::prepare(&place).await?;
        let (mut rates, mut held) = (Vec::new(), Vec::new());
        for round in 0..=self.options.rounds() {
            let (rate, held_ms) = rebuild::run(&place).await?;
            if round > 0 {
                rates.push(rate);
                held.push(held_ms);
            }
        }
        let setting = format!("{} events in the log", self.count);
        let figure = |what: &str, values: &[f64], unit, goal| {
            Figure::alone("rebuild", what, setting.clone(), Spread::of(values), unit, goal)
        };
        report.figures.push(figure("light view", &rates, "events/s", Some(Goal::AtLeast(REBUILD_RATE))));
        report.figures.push(figure("live view stood still for", &held, "ms", None));
        self.server.drop(&place).await
    }
}
