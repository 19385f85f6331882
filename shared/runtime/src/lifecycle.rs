//! How a part of the program lives: tasks with names, one stop signal, one orderly end.

use std::fmt::Display;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks of one process part and the signal that ends them.
///
/// The first task that fails or panics is remembered and stops all others.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    /// Cancelled when the part is to stop.
    pub stop: CancellationToken,
    /// Everything that must have ended before the process may.
    pub tasks: TaskTracker,
    failure: Arc<Mutex<Option<Failure>>>,
}

/// Why a part did not end well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A task returned an error or panicked.
    #[error("task {task} ended: {reason}")]
    Task {
        /// Its name.
        task: String,
        /// What it said.
        reason: String,
    },
    /// Tasks were still at work when the deadline had passed.
    #[error("{running} tasks were still running after {deadline:?}")]
    Deadline {
        /// How many.
        running: usize,
        /// How long they had.
        deadline: Duration,
    },
}

impl Lifecycle {
    /// A part without tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `future` as the task `name`. Its error or panic is logged and stops the part.
    pub fn spawn<F, E>(&self, name: impl Into<String>, future: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let name = name.into();
        let lifecycle = self.clone();
        #[expect(
            clippy::disallowed_methods,
            reason = "the tracked task below waits for it and sees its panic"
        )]
        let work = tokio::spawn(future);
        self.tasks.spawn(async move {
            match work.await {
                Ok(Ok(())) => tracing::debug!(task.name = name, "task ended"),
                // The alternate form writes the whole chain of an `anyhow::Error`.
                Ok(Err(error)) => lifecycle.fail(name, format!("{error:#}")),
                Err(panic) => lifecycle.fail(name, panic.to_string()),
            }
        });
    }

    /// Stops the part on SIGTERM or SIGINT.
    pub fn on_signals(&self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                _ = terminate.recv() => tracing::info!("stopping on SIGTERM"),
                _ = interrupt.recv() => tracing::info!("stopping on SIGINT"),
                () = stop.cancelled() => {}
            }
            stop.cancel();
        });
        Ok(())
    }

    /// Waits for the stop signal.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Waits for the stop signal; whether it came before `pause` was over. For timers: `while !stopped_within(…)`.
    pub async fn stopped_within(&self, pause: Duration) -> bool {
        tokio::time::timeout(pause, self.stop.cancelled()).await.is_ok()
    }

    /// Tells every task to stop and waits for their end, at most `deadline`.
    pub async fn shutdown(&self, deadline: Duration) -> Result<(), Failure> {
        self.stop.cancel();
        self.tasks.close();
        let ended = tokio::time::timeout(deadline, self.tasks.wait()).await;
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        ended.map_err(|_elapsed| Failure::Deadline { running: self.tasks.len(), deadline })
    }

    /// The first failure of a task.
    pub fn failure(&self) -> Option<Failure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fail(&self, task: String, reason: String) {
        tracing::error!(task.name = task, error.message = reason, "task failed, stopping");
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(Failure::Task { task, reason });
        self.stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, Lifecycle};
    use std::time::Duration;

    const SOON: Duration = Duration::from_secs(5);

    const FINE: Result<(), std::io::Error> = Ok(());

    #[tokio::test]
    async fn tasks_end_when_the_part_is_told_to_stop() {
        let lifecycle = Lifecycle::new();
        let stop = lifecycle.stop.clone();
        lifecycle.spawn("waiter", async move {
            stop.cancelled().await;
            FINE
        });
        assert_eq!(lifecycle.shutdown(SOON).await, Ok(()));
    }

    #[tokio::test]
    async fn an_error_of_one_task_stops_the_part() {
        let lifecycle = Lifecycle::new();
        lifecycle.spawn("consumer", async { Err(std::io::Error::other("broker is gone")) });
        lifecycle.stopped().await;
        let failure = Failure::Task { task: "consumer".into(), reason: "broker is gone".into() };
        assert_eq!(lifecycle.shutdown(SOON).await, Err(failure));
    }

    #[tokio::test]
    async fn a_panic_of_one_task_stops_the_part() {
        let lifecycle = Lifecycle::new();
        lifecycle.spawn("projection", async {
            let nothing: Option<i32> = None;
            assert_eq!(nothing, Some(1));
            FINE
        });
        lifecycle.stopped().await;
        let failure = lifecycle.shutdown(SOON).await.unwrap_err();
        assert!(matches!(failure, Failure::Task { task, .. } if task == "projection"));
    }

    #[tokio::test]
    async fn a_task_that_does_not_stop_is_reported() {
        let lifecycle = Lifecycle::new();
        lifecycle.spawn("stubborn", async {
            std::future::pending::<()>().await;
            FINE
        });
        let deadline = Duration::from_millis(20);
        assert_eq!(lifecycle.shutdown(deadline).await, Err(Failure::Deadline { running: 1, deadline }));
    }

    #[tokio::test]
    async fn a_termination_signal_stops_the_part() {
        let lifecycle = Lifecycle::new();
        lifecycle.on_signals().unwrap();
        let own_process = std::process::id().to_string();
        let sent = std::process::Command::new("kill").args(["-TERM", &own_process]).status().unwrap();
        assert!(sent.success());
        lifecycle.stopped().await;
        assert_eq!(lifecycle.shutdown(SOON).await, Ok(()));
    }

    #[tokio::test]
    async fn a_pause_ends_early_when_the_part_stops() {
        let lifecycle = Lifecycle::new();
        assert!(!lifecycle.stopped_within(Duration::from_millis(1)).await);
        lifecycle.stop.cancel();
        assert!(lifecycle.stopped_within(Duration::from_hours(1)).await);
    }
}
