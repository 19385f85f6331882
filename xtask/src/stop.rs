//! Ctrl-C, SIGTERM and SIGHUP ask for an orderly end: a flag that every wait looks at.

use anyhow::{Context, Result, bail};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};
use tokio::signal::unix::{SignalKind, signal};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// How often a wait looks again. Short enough not to be felt, long enough to cost nothing.
const POLL: Duration = Duration::from_millis(25);

/// Starts to listen for the three signals.
pub(crate) fn listen() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .context("building the runtime that listens for signals")?;
    let (mut interrupt, mut terminate, mut hangup) = {
        let _inside = runtime.enter();
        (
            signal(SignalKind::interrupt()).context("listening for SIGINT")?,
            signal(SignalKind::terminate()).context("listening for SIGTERM")?,
            signal(SignalKind::hangup()).context("listening for SIGHUP")?,
        )
    };
    thread::spawn(move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                }
                REQUESTED.store(true, Ordering::SeqCst);
            }
        });
    });
    Ok(())
}

/// Whether an end was asked for.
pub(crate) fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

/// Fails when an end was asked for.
pub(crate) fn check() -> Result<()> {
    if requested() {
        bail!("stopped by a signal");
    }
    Ok(())
}

/// Waits until `ready` answers true. Fails on its error, on a signal, and after `limit`.
pub(crate) fn wait_until(what: &str, limit: Duration, mut ready: impl FnMut() -> Result<bool>) -> Result<()> {
    let started = Instant::now();
    loop {
        check()?;
        if ready()? {
            return Ok(());
        }
        if started.elapsed() > limit {
            bail!("{what} was not ready after {} s", limit.as_secs());
        }
        thread::sleep(POLL);
    }
}

/// Waits for a signal without holding a thread.
pub(crate) async fn requested_async() {
    while !requested() {
        tokio::time::sleep(POLL).await;
    }
}
