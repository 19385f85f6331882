//! Shows how a fold gets on: a bar with rate and remaining time on a terminal, now and then a line anywhere else.

use eventstore::{Progress, Stage};
use indicatif::{ProgressBar, ProgressStyle};
use kernel::Position;
use std::{
    io::IsTerminal,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Between two lines, where there is no terminal.
const LINE_PAUSE: Duration = Duration::from_secs(5);

const BAR: &str = "{prefix} {wide_bar} {human_pos} of {human_len} events, {per_sec}, {eta} left";

/// Whoever watches; writes to standard error, so that the answer can be piped.
pub(crate) struct Watching {
    name: &'static str,
    bar: Option<ProgressBar>,
    seen: Mutex<Seen>,
}

struct Seen {
    stage: Option<Stage>,
    /// Where and when the folding began: a resumed one is not credited with what was there.
    began: Option<(Position, Instant)>,
    told_at: Instant,
}

impl Watching {
    pub(crate) fn begin(name: &'static str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(0);
            if let Ok(style) = ProgressStyle::with_template(BAR) {
                bar.set_style(style);
            }
            bar
        });
        Self { name, bar, seen: Mutex::new(Seen { stage: None, began: None, told_at: Instant::now() }) }
    }

    /// Hears of progress.
    pub(crate) fn told(&self, progress: Progress) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let new_stage = seen.stage.replace(progress.stage) != Some(progress.stage);
        match (&self.bar, progress.stage) {
            (Some(bar), Stage::Folding) => {
                if new_stage {
                    bar.set_position(count(progress.position));
                    bar.reset_elapsed();
                    bar.reset_eta();
                    bar.set_prefix(format!("{}: {}", self.name, text(progress.stage)));
                }
                bar.set_length(count(progress.target));
                bar.set_position(count(progress.position));
            }
            (Some(bar), _) => {
                if new_stage {
                    bar.suspend(|| self.line(text(progress.stage)));
                }
            }
            (None, Stage::Folding) => {
                let (from, since) = *seen.began.get_or_insert((progress.position, Instant::now()));
                if seen.told_at.elapsed() >= LINE_PAUSE {
                    seen.told_at = Instant::now();
                    self.line(&folding(progress, from, since.elapsed()));
                }
            }
            (None, _) => {
                if new_stage {
                    self.line(text(progress.stage));
                }
            }
        }
    }

    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self, text: &str) {
        eprintln!("{}: {text}", self.name);
    }
}

fn count(position: Position) -> u64 {
    u64::try_from(position.0).unwrap_or(0)
}

fn text(stage: Stage) -> &'static str {
    match stage {
        Stage::Preparing => "makes the tables",
        Stage::Folding => "folds the log",
        Stage::Switching => "takes the place of the live one",
        Stage::Comparing => "compares every row",
        Stage::Cleaning => "drops what is not needed any more",
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "for people, who need no more than three digits"
)]
fn folding(progress: Progress, from: Position, took: Duration) -> String {
    let (at, of) = (count(progress.position), count(progress.target).max(1));
    let rate = (at - count(from).min(at)) as f64 / took.as_secs_f64().max(0.001);
    let left = (of.saturating_sub(at) as f64 / rate.max(0.001)) as u64;
    format!("{at} of {of} events ({} %), {rate:.0} events/s, about {left} s left", at * 100 / of)
}

#[cfg(test)]
mod tests {
    use super::folding;
    use eventstore::{Progress, Stage};
    use kernel::Position;
    use std::time::Duration;

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long_still() {
        let progress = Progress { stage: Stage::Folding, position: Position(300), target: Position(1_000) };
        assert_eq!(
            folding(progress, Position(100), Duration::from_secs(4)),
            "300 of 1000 events (30 %), 50 events/s, about 14 s left"
        );
    }
}
