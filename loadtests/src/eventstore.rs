//! The store: appends against the plainest INSERT and COPY, and how soon an event has its place in the log.

mod fill;
mod writers;

use crate::{
    options::Options,
    report::{Figure, Goal, Progress, Report},
    rounds::{Field, Samples, alternate},
    server::{Durability, Place, Server},
};
use anyhow::Result;
use writers::Way;

/// The parts, as `--only` names them.
pub const PARTS: [&str; 2] = ["append", "batch"];

/// Measures what the options ask for.
pub async fn run(options: &Options) -> Result<Report> {
    let mut report = Report::begin("eventstore", options);
    let server = Server::new(&options.database_url)?;
    report.conditions.servers.insert("PostgreSQL".to_owned(), server.describe().await?);
    let bench = Bench { options, server, progress: Progress::of(20) };
    let done = bench.run(&mut report).await;
    bench.progress.end();
    done.map(|()| report)
}

struct Bench<'a> {
    options: &'a Options,
    server: Server,
    progress: Progress,
}

impl Bench<'_> {
    async fn run(&self, report: &mut Report) -> Result<()> {
        let sizes = self.options.stored();
        let mut filled = Vec::new();
        for stored in &sizes {
            self.progress.step(&format!("filling a database with {stored} events"));
            let place = self.server.create(&format!("bench_{stored}")).await?;
            fill::add_baselines(&place).await?;
            fill::fill(&place, *stored, |text| self.progress.note(text)).await?;
            filled.push((*stored, place));
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
                if self.options.wants("batch") && writers <= 8 {
                    self.batches(report, durability, writers, &filled).await?;
                }
            }
        }
        for (_, place) in &filled {
            self.server.drop(&place.name).await?;
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
        filled: &[(u64, Place)],
    ) -> Result<()> {
        const PART: &str = "single appends";
        let Some((stored, template)) = filled.first() else { return Ok(()) };
        let setting = format!("{}, {}", durability.name(), plural(writers));
        self.progress.step(&format!("appends, {setting}"));
        let turn = self.options.turn();
        let small = self.server.copy(template, "bench_small").await?;
        let open = self.server.copy(template, "bench_open").await?;
        fill::drop_policies(&open).await?;
        let mut field: Field = vec![
            ("append", Way::Append(1).crew(&small, writers, turn).await?),
            ("plain", Way::Plain.crew(&small, writers, turn).await?),
            ("raw", Way::Raw.crew(&small, writers, turn).await?),
            ("open", Way::Append(1).crew(&open, writers, turn).await?),
            ("execute", Way::Execute(1).crew(&small, writers, turn).await?),
        ];
        if let Some((_, large)) = filled.get(1) {
            field.push(("large", Way::Append(1).crew(large, writers, turn).await?));
            field.push(("large plain", Way::Plain.crew(large, writers, turn).await?));
        }
        let samples = alternate(field, self.options.rounds(), &self.progress).await?;
        let raw_goal = if writers > 8 { 0.5 } else { 0.55 };
        let at = |count: u64| format!("{setting}, {} M stored", millions(count));
        let mut add = |what: &str, setting: String, ours, against, baseline, goal: Option<f64>| {
            report.figures.push(
                Figure::alone(PART, what, setting, samples.spread(ours), "events/s", goal.map(Goal::AtLeast))
                    .against(against, samples.spread(baseline), samples.ratio(ours, baseline)),
            );
        };
        add("append", at(*stored), "append", "plain INSERT, same table", "plain", Some(0.8));
        add("append", at(*stored), "append", "raw INSERT, one index", "raw", Some(raw_goal));
        add("append", at(*stored), "append", "append without policies", "open", Some(0.8));
        add("command (load, decide, append)", at(*stored), "execute", "raw INSERT, one index", "raw", None);
        if let Some((stored, _)) = filled.get(1) {
            add("append", at(*stored), "large", "append at the smaller size", "append", Some(0.9));
            add("append", at(*stored), "large", "plain INSERT, same table", "large plain", Some(0.8));
        }
        self.server.drop("bench_small").await?;
        self.server.drop("bench_open").await
    }

    async fn batches(
        &self,
        report: &mut Report,
        durability: Durability,
        writers: u32,
        filled: &[(u64, Place)],
    ) -> Result<()> {
        const PART: &str = "batches";
        let Some((stored, template)) = filled.first() else { return Ok(()) };
        let setting = format!("{}, {}, {} M stored", durability.name(), plural(writers), millions(*stored));
        self.progress.step(&format!("batches, {setting}"));
        let turn = self.options.turn();
        let small = self.server.copy(template, "bench_small").await?;
        let field: Field = vec![
            ("append 10", Way::Append(10).crew(&small, writers, turn).await?),
            ("append 100", Way::Append(100).crew(&small, writers, turn).await?),
            ("copy 100", Way::Copy(100).crew(&small, writers, turn).await?),
            ("copy 5000", Way::Copy(5_000).crew(&small, writers, turn).await?),
        ];
        let samples: Samples = alternate(field, self.options.rounds(), &self.progress).await?;
        for (ours, against, baseline, goal) in [
            ("append 10", "COPY, 5,000 rows a transaction", "copy 5000", 0.25),
            ("append 100", "COPY, 100 rows a transaction", "copy 100", 0.5),
            ("append 100", "COPY, 5,000 rows a transaction", "copy 5000", 0.5),
        ] {
            report.figures.push(
                Figure::alone(
                    PART,
                    ours,
                    &setting,
                    samples.spread(ours),
                    "events/s",
                    Some(Goal::AtLeast(goal)),
                )
                .against(against, samples.spread(baseline), samples.ratio(ours, baseline)),
            );
        }
        self.server.drop("bench_small").await
    }
}

fn plural(writers: u32) -> String {
    if writers == 1 { "1 writer".to_owned() } else { format!("{writers} writers") }
}

fn millions(count: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for reading")]
    let millions = count as f64 / 1e6;
    format!("{millions}")
}
