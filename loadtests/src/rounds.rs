//! Contenders take turns, so that a machine that slows down slows all of them.

use crate::{report::Progress, statistics::Spread};
use anyhow::{Context, Result};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// One way to do the work.
#[async_trait::async_trait]
pub(crate) trait Contender: Send {
    /// Works for a while; answers with events per second.
    async fn measure(&mut self) -> Result<f64>;
}

/// Does one unit of work after the other.
#[async_trait::async_trait]
pub(crate) trait Writer: Send {
    /// Answers with how many events were written.
    async fn write(&mut self) -> Result<u64>;
}

/// Writers that work at the same time, each on its own connection.
pub(crate) struct Crew {
    writers: Vec<Box<dyn Writer>>,
    duration: Duration,
}

impl Crew {
    /// Writers that work for `duration` a round.
    pub(crate) fn new(writers: Vec<Box<dyn Writer>>, duration: Duration) -> Self {
        Self { writers, duration }
    }
}

#[async_trait::async_trait]
impl Contender for Crew {
    async fn measure(&mut self) -> Result<f64> {
        let started = Instant::now();
        let deadline = started + self.duration;
        let mut working = JoinSet::new();
        for mut writer in self.writers.drain(..) {
            working.spawn(async move {
                let mut written = 0;
                while Instant::now() < deadline {
                    written += writer.write().await?;
                }
                anyhow::Ok((writer, written))
            });
        }
        let mut written = 0;
        while let Some(done) = working.join_next().await {
            let (writer, count) = done.context("a writer panicked")??;
            self.writers.push(writer);
            written += count;
        }
        Ok(per_second(written, started.elapsed()))
    }
}

/// A rate.
#[expect(clippy::cast_precision_loss, reason = "counts of a bench are far below 2^52")]
pub(crate) fn per_second(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}

/// What each contender reached in each round.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<(&'static str, Vec<f64>)>);

impl Samples {
    /// Adds what a contender reached in one more round.
    pub(crate) fn record(&mut self, name: &'static str, value: f64) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => self.0.push((name, vec![value])),
        }
    }

    /// What one contender reached.
    pub(crate) fn spread(&self, name: &str) -> Spread {
        Spread::of(self.of(name))
    }

    /// One contender against another, round by round.
    pub(crate) fn ratio(&self, name: &str, baseline: &str) -> Spread {
        let pairs = self.of(name).iter().zip(self.of(baseline));
        Spread::of(&pairs.map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>())
    }

    fn of(&self, name: &str) -> &[f64] {
        self.0.iter().find(|(known, _)| *known == name).map_or(&[], |(_, values)| values)
    }
}

/// Contenders by name.
pub(crate) type Field = Vec<(&'static str, Box<dyn Contender>)>;

/// Lets every contender work once per round, in turns that go forth and back; a first round only warms up.
pub(crate) async fn alternate(mut field: Field, rounds: usize, progress: &Progress) -> Result<Samples> {
    let mut samples = Samples::default();
    for round in 0..=rounds {
        let mut after = Field::with_capacity(field.len());
        for (name, mut contender) in field {
            progress.note(&format!("round {round} of {rounds}: {name}"));
            // As a task: the thread that waits for all of this is woken up at a price.
            let measured = tokio::spawn(async move { (contender.measure().await, contender) });
            let (reached, contender) = measured.await.with_context(|| format!("{name} panicked"))?;
            let reached = reached.with_context(|| format!("measuring {name}"))?;
            if round > 0 {
                samples.record(name, reached);
            }
            after.push((name, contender));
        }
        after.reverse();
        field = after;
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::Samples;

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_ratios() {
        let samples = Samples(vec![("ours", vec![10.0, 40.0, 9.0]), ("theirs", vec![20.0, 50.0, 10.0])]);
        let ratio = samples.ratio("ours", "theirs");
        assert!((ratio.median - 0.8).abs() < 1e-9 && (ratio.min - 0.5).abs() < 1e-9);
        assert!((ratio.max - 0.9).abs() < 1e-9);
    }
}
