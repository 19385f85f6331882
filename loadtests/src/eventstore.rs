//! The store: appends against the plainest INSERT and COPY, and how soon an event has its place in the log.

pub(crate) mod fill;
mod order;
mod race;
mod reading;
mod writers;

use crate::{
    options::Options,
    report::{Figure, Goal, Progress, Report},
    rounds::{Field, Samples, alternate},
    server::{Durability, Place, Server},
    statistics::Spread,
};
use anyhow::Result;
use order::Load;
use std::time::Duration;
use writers::Way;

/// Beyond this many writers a batch only waits for its turn.
const BATCH_WRITERS_MAX: u32 = 8;

/// The seed of the racing writers' pauses.
const SEED: u64 = 20_261_121;

/// Measures what the options ask for.
pub async fn run(options: &Options) -> Result<Report> {
    let mut report = Report::begin("eventstore", options);
    let server = Server::new(&options.database_url, options.own_server)?;
    report.conditions.servers.insert("PostgreSQL".to_owned(), server.describe().await?);
    let bench = Bench { options, server, progress: Progress::of(steps(options)) };
    let done = bench.run(&mut report).await;
    bench.progress.end();
    bench.server.clear().await?;
    report.notes.extend(NOTES.map(str::to_owned));
    done.map(|()| report)
}

const NOTES: [&str; 7] = [
    "Contenders take turns in every round; a ratio is the median of the rounds' ratios. One round before the first only warms up.",
    "All write the same bytes through the same client library, each writer on one connection, each event or batch in a committed transaction of its own, with the same session limits.",
    "A plain INSERT goes into a copy of the event table with its columns, defaults, indexes and partitions, but without policies and triggers; a raw one into a table whose only index is its key.",
    "`append` is the store's statement in a partner's scope as the service's role; `command` is `Store::execute` through the pool: load the stream, decide, append; `record` is `Store::record` through the pool, with the key of its command. A stream has twenty events.",
    "Stored events were made by INSERT … SELECT and given their positions by the sequencer's own function in larger steps. In the baseline's copy they have the same keys but no payload, which saves disk and changes no index.",
    "fsync off also turns synchronous commits and full page images off. Everything was written out before each of the two.",
    "A latency is taken by an observer that looks every millisecond, and includes its own delay.",
];

fn steps(options: &Options) -> u64 {
    let each = options.writers().len() as u64 * 2 + 4;
    let durabilities = if options.own_server { 2 } else { 1 };
    options.stored().len() as u64 + each * durabilities
}

struct Bench<'a> {
    options: &'a Options,
    server: Server,
    progress: Progress,
}

/// Databases with events in them: the first for most of the parts, the second for the comparison of sizes.
type Filled = Vec<(u64, Place)>;

impl Bench<'_> {
    async fn run(&self, report: &mut Report) -> Result<()> {
        self.server.require_room(self.options.stored().iter().sum()).await?;
        let mut filled = Filled::new();
        for stored in self.options.stored() {
            self.progress.step(&format!("filling a database with {stored} events"));
            let place = self.server.create(&format!("stored_{stored}")).await?;
            fill::add_baselines(&place).await?;
            fill::fill(&place, stored, |text| self.progress.note(text)).await?;
            filled.push((stored, place));
        }
        for durability in self.durabilities().await? {
            if self.options.own_server {
                self.server.set_durability(durability).await?;
            }
            self.server.settle().await?;
            for writers in self.options.writers() {
                if self.options.wants("append") {
                    self.appends(report, durability, writers, &filled).await?;
                }
                if self.options.wants("batch") && writers <= BATCH_WRITERS_MAX {
                    self.batches(report, durability, writers, &filled).await?;
                }
            }
            if self.options.wants("order") {
                self.order(report, durability, &filled).await?;
            }
            if self.options.wants("race") {
                self.race(report, durability).await?;
            }
        }
        if self.options.wants("reading") {
            self.reading(report, &filled).await?;
        }
        Ok(())
    }

    /// Both where the server is ours to change.
    async fn durabilities(&self) -> Result<Vec<Durability>> {
        Ok(if self.options.own_server {
            vec![Durability::Off, Durability::On]
        } else {
            vec![self.server.durability().await?]
        })
    }

    async fn appends(
        &self,
        report: &mut Report,
        durability: Durability,
        writers: u32,
        filled: &Filled,
    ) -> Result<()> {
        let Some((stored, template)) = filled.first() else { return Ok(()) };
        let setting = format!("{}, {}", durability.name(), plural(writers));
        self.progress.step(&format!("appends, {setting}"));
        let turn = self.options.turn();
        let small = self.server.copy(template, "small").await?;
        let open = self.server.copy(template, "open").await?;
        fill::drop_policies(&open).await?;
        let mut field: Field = vec![
            ("append", Way::Append(1).crew(&small, writers, turn).await?),
            ("plain", Way::Plain.crew(&small, writers, turn).await?),
            ("raw", Way::Raw.crew(&small, writers, turn).await?),
            ("open", Way::Append(1).crew(&open, writers, turn).await?),
            ("unscoped", Way::Unscoped.crew(&open, writers, turn).await?),
            ("execute", Way::Execute(1).crew(&small, writers, turn).await?),
            ("record", Way::Record.crew(&small, writers, turn).await?),
        ];
        if let Some((_, large)) = filled.get(1) {
            field.push(("large", Way::Append(1).crew(large, writers, turn).await?));
            field.push(("large plain", Way::Plain.crew(large, writers, turn).await?));
        }
        let samples = alternate(field, self.options.rounds(), &self.progress).await?;
        let raw_goal = if writers > 8 { 0.5 } else { 0.55 };
        let at = |count: u64| format!("{setting}, {} M stored", millions(count));
        let mut add = |what: &str, setting: String, ours, against, baseline, goal: Option<f64>| {
            report.figures.push(compared("append", what, setting, &samples, ours, against, baseline, goal));
        };
        add("append", at(*stored), "append", "plain INSERT, same table", "plain", Some(0.8));
        add("append", at(*stored), "append", "raw INSERT, one index", "raw", Some(raw_goal));
        add("append", at(*stored), "append", "append without policies", "open", Some(0.8));
        add("append", at(*stored), "append", "append without policies and scope", "unscoped", None);
        add("command", at(*stored), "execute", "raw INSERT, one index", "raw", None);
        add("record without a look", at(*stored), "record", "raw INSERT, one index", "raw", None);
        if let Some((stored, _)) = filled.get(1) {
            add("append", at(*stored), "large", "append at the smaller size", "append", Some(0.9));
            add("append", at(*stored), "large", "plain INSERT, same table", "large plain", Some(0.8));
        }
        self.server.drop(&small).await?;
        self.server.drop(&open).await
    }

    async fn batches(
        &self,
        report: &mut Report,
        durability: Durability,
        writers: u32,
        filled: &Filled,
    ) -> Result<()> {
        let Some((stored, template)) = filled.first() else { return Ok(()) };
        let setting = format!("{}, {}, {} M stored", durability.name(), plural(writers), millions(*stored));
        self.progress.step(&format!("batches, {setting}"));
        let turn = self.options.turn();
        let small = self.server.copy(template, "small").await?;
        let field: Field = vec![
            ("append 10", Way::Append(10).crew(&small, writers, turn).await?),
            ("append 100", Way::Append(100).crew(&small, writers, turn).await?),
            ("copy 100", Way::Copy(100).crew(&small, writers, turn).await?),
            ("copy 5000", Way::Copy(5_000).crew(&small, writers, turn).await?),
        ];
        let samples = alternate(field, self.options.rounds(), &self.progress).await?;
        for (ours, against, baseline, goal) in [
            ("append 10", "COPY, 5,000 rows a transaction", "copy 5000", 0.25),
            ("append 100", "COPY, 100 rows a transaction", "copy 100", 0.5),
            ("append 100", "COPY, 5,000 rows a transaction", "copy 5000", 0.5),
        ] {
            let setting = setting.clone();
            report.figures.push(compared(
                "batch",
                ours,
                setting,
                &samples,
                ours,
                against,
                baseline,
                Some(goal),
            ));
        }
        self.server.drop(&small).await
    }

    /// Commit to position, and the sequencer against the writers.
    async fn order(&self, report: &mut Report, durability: Durability, filled: &Filled) -> Result<()> {
        let Some((_, template)) = filled.first() else { return Ok(()) };
        let place = self.server.copy(template, "order").await?;
        let seconds = Duration::from_secs(if self.options.quick { 1 } else { 6 }).max(self.options.turn());
        for load in [Load::Steady(500), Load::Full(8), Load::Full(32)] {
            self.progress.step(&format!("commit to position, {}, {}", durability.name(), load.name()));
            let mut times = order::latency(&place, load, seconds).await?;
            report.figures.extend(order::latency_figures(load, durability.name(), &mut times));
        }
        let writers = 8;
        let setting = format!("{}, {}", durability.name(), plural(writers));
        self.progress.step(&format!("sequencer, {setting}"));
        let crew = Way::Append(1).crew(&place, writers, self.options.turn() * 2).await?;
        let (drained, written, ratio) = order::drain(&place, crew, self.options, &self.progress).await?;
        let figure =
            Figure::alone("order", "sequencer", setting, drained, "events/s", Some(Goal::AtLeast(3.0)))
                .against("append, the same events", written, ratio);
        report.figures.push(figure);
        self.server.drop(&place).await
    }

    async fn race(&self, report: &mut Report, durability: Durability) -> Result<()> {
        let setting = format!("{}, {} racing", durability.name(), plural(race::WRITERS));
        self.progress.step(&format!("followers, {setting}"));
        let place = self.server.create("race").await?;
        let duration = Duration::from_secs(if self.options.quick { 2 } else { 8 }).max(self.options.turn());
        for follower in race::run(&place, duration, SEED).await? {
            let ours = follower.name == "ours";
            let setting = format!("{setting}, {} events", follower.committed);
            let one = |count: usize| Spread::of(&[f64::from(u32::try_from(count).unwrap_or(u32::MAX))]);
            let missed = if ours { Goal::AtMost(0.0) } else { Goal::AtLeast(1.0) };
            let what = format!("missed by follower: {}", follower.name);
            report.figures.push(Figure::alone(
                "race",
                what,
                setting.clone(),
                one(follower.missed),
                "events",
                Some(missed),
            ));
            if ours {
                let goal = Some(Goal::AtMost(0.0));
                report.figures.push(Figure::alone(
                    "race",
                    "turned round in a stream",
                    setting,
                    one(follower.inversions),
                    "events",
                    goal,
                ));
            }
        }
        self.server.drop(&place).await
    }

    /// Pages of the log against those of a follower that misses events.
    async fn reading(&self, report: &mut Report, filled: &Filled) -> Result<()> {
        self.progress.step("pages of the log");
        let Some((stored, template)) = filled.first() else { return Ok(()) };
        let place = self.server.copy(template, "reading").await?;
        fill::add_followed(&place).await?;
        let turn = self.options.turn();
        let mut field: Field = vec![
            ("unfenced", Box::new(reading::Unfenced::new(&place, turn).await?)),
            ("small", Box::new(reading::Ordered::new(place.database(2).await?, turn))),
        ];
        if let Some((_, large)) = filled.get(1) {
            field.push(("large", Box::new(reading::Ordered::new(large.database(2).await?, turn))));
        }
        let samples = alternate(field, self.options.rounds(), &self.progress).await?;
        let setting = |count: u64| format!("pages of 500, {} M stored", millions(count));
        let against = "unfenced page by pos";
        let mut add = |ours, count| {
            let figure = compared(
                "reading",
                "page of the log",
                setting(count),
                &samples,
                ours,
                against,
                "unfenced",
                None,
            );
            report.figures.push(figure);
        };
        add("small", *stored);
        if let Some((stored, _)) = filled.get(1) {
            add("large", *stored);
        }
        self.server.drop(&place).await
    }
}

#[expect(clippy::too_many_arguments, reason = "a row of a table, in its order")]
fn compared(
    part: &'static str,
    what: &str,
    setting: String,
    samples: &Samples,
    ours: &str,
    against: &'static str,
    baseline: &str,
    goal: Option<f64>,
) -> Figure {
    Figure::alone(part, what, setting, samples.spread(ours), "events/s", goal.map(Goal::AtLeast)).against(
        against,
        samples.spread(baseline),
        samples.ratio(ours, baseline),
    )
}

fn plural(writers: u32) -> String {
    if writers == 1 { "1 writer".to_owned() } else { format!("{writers} writers") }
}

fn millions(count: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for reading")]
    let millions = count as f64 / 1e6;
    format!("{millions}")
}
