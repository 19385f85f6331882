//! Progress a person can watch: spinners on a terminal, plain lines anywhere else.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(100);

/// All that is going on at the moment.
#[derive(Clone)]
pub(crate) struct Progress {
    bars: Option<MultiProgress>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { bars: std::io::stderr().is_terminal().then(MultiProgress::new) }
    }

    /// Begins a step.
    pub(crate) fn step(&self, name: &str) -> Step {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("  {spinner} {prefix} {msg} ({elapsed})") {
                bar.set_style(style);
            }
            bar.set_prefix(name.to_owned());
            bar.enable_steady_tick(TICK);
            bar
        });
        Step { name: name.to_owned(), started: Instant::now(), progress: self.clone(), bar }
    }

    /// Begins something of a known length.
    pub(crate) fn bar(&self, name: &str, length: Duration) -> Bar {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new(millis(length)));
            if let Ok(style) = ProgressStyle::with_template("  {prefix} {wide_bar} {percent} %\n  {msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(name.to_owned());
            bar
        });
        let step = Step { name: name.to_owned(), started: Instant::now(), progress: self.clone(), bar };
        Bar { step, told: None }
    }

    /// Prints a line above the spinners.
    pub(crate) fn line(&self, text: &str) {
        match &self.bars {
            Some(bars) => _ = bars.println(text),
            None => eprintln!("{text}"),
        }
    }

    /// Begins a step whose program prints for itself, so that a spinner would be in its way.
    pub(crate) fn headline(&self, name: &str) -> Step {
        self.line(&format!("  → {name}"));
        Step { name: name.to_owned(), started: Instant::now(), progress: self.clone(), bar: None }
    }
}

/// How often a bar says something where it cannot be drawn.
const LINE_PAUSE: Duration = Duration::from_secs(15);

/// Something of a known length.
pub(crate) struct Bar {
    step: Step,
    told: Option<Instant>,
}

impl Bar {
    /// Says how far it is.
    pub(crate) fn at(&mut self, elapsed: Duration, text: &str) {
        match &self.step.bar {
            Some(bar) => {
                bar.set_position(millis(elapsed));
                bar.set_message(text.to_owned());
            }
            None if self.told.is_none_or(|told| told.elapsed() > LINE_PAUSE) => {
                self.step.note(&format!("{} s: {text}", elapsed.as_secs()));
                self.told = Some(Instant::now());
            }
            None => {}
        }
    }

    pub(crate) fn done(self, text: &str) {
        self.step.done(text);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Something that takes a while.
pub(crate) struct Step {
    name: String,
    started: Instant,
    progress: Progress,
    bar: Option<ProgressBar>,
}

impl Step {
    /// Says what is being done now.
    pub(crate) fn note(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None => self.progress.line(&format!("    {}: {text}", self.name)),
        }
    }

    /// Says how far it is; only where it does not fill a log.
    pub(crate) fn amount(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.to_owned());
        }
    }

    pub(crate) fn done(self, text: &str) {
        self.end('✓', text);
    }

    pub(crate) fn skipped(self, why: &str) {
        self.end('-', why);
    }

    pub(crate) fn failed(self) {
        self.end('✗', "failed");
    }

    fn end(self, mark: char, text: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let elapsed = self.started.elapsed().as_secs_f64();
        self.progress.line(&format!("  {mark} {} {text} ({elapsed:.1} s)", self.name));
    }
}
