//! `patchfleet restore`: makes a restored database go on.

use anyhow::Context;
use runtime::Settings;
use secrecy::ExposeSecret;

/// Begins a generation of the log, and says what that meant.
pub(crate) async fn run(settings: &Settings) -> anyhow::Result<()> {
    let url = settings.database.migration_url.as_ref().unwrap_or(&settings.database.url);
    let restored = eventstore::restore(url.expose_secret())
        .await
        .context("making the restored log go on (docs/runbooks/restore.md)")?;
    if restored.begun {
        tracing::info!(
            log.generation = restored.generation,
            events.given = restored.given,
            "the log goes on in this cluster; events that had no position have one now"
        );
    } else {
        tracing::info!(
            log.generation = restored.generation,
            "the log is at home in this cluster: nothing was to do"
        );
    }
    Ok(())
}
