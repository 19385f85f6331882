//! The mechanism behind all services: one leader gives positions, one relay publishes, one process tidies up.

use contracts::Service;
use eventstore::{
    Database, Leadership, PARTITION_WIDTH, Sequencer, StoreError, ensure_partitions, prune_command_keys,
};
use foundation::Foundation;
use messaging::{Relay, prune_inbox};
use runtime::{Lifecycle, Settings, settings::Key};
use serde::Deserialize;
use std::{net::SocketAddr, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The section `backbone` of the settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct BackboneSettings {
    partition_width: i64,
    command_key_days: u64,
}

/// Every key of the section, for the reference of settings.
pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "backbone.partition_width",
        default: "10000000",
        doc: "How many events a new partition of the log takes. Only whole partitions can be exported and taken away; each one makes every look at the log a little slower.",
    },
    Key {
        name: "backbone.command_key_days",
        default: "30",
        doc: "For how long a command that was carried out without a look at its stream is recognised when it is repeated. Longer than any device or caller tries again.",
    },
];

impl Default for BackboneSettings {
    fn default() -> Self {
        Self { partition_width: PARTITION_WIDTH, command_key_days: 30 }
    }
}

impl BackboneSettings {
    fn read(settings: &Settings) -> anyhow::Result<Self> {
        let section: Self = settings.section("backbone")?;
        // Smaller ones fill up faster than they are made.
        anyhow::ensure!(
            section.partition_width >= 100_000,
            "backbone.partition_width must be at least 100000"
        );
        anyhow::ensure!(section.command_key_days >= 1, "backbone.command_key_days must be at least 1");
        Ok(section)
    }

    fn command_key_age(&self) -> Duration {
        Duration::from_secs(self.command_key_days.saturating_mul(24 * 60 * 60))
    }
}

/// Starts sequencer, relay and upkeep.
pub(crate) async fn run(settings: &Settings, lifecycle: &Lifecycle) -> anyhow::Result<SocketAddr> {
    let section = BackboneSettings::read(settings)?;
    let foundation = Foundation::lay(Service::Backbone, settings, lifecycle).await?;
    let (sequencer, stop) = (Sequencer::new(foundation.database.clone()), lifecycle.stop.clone());
    foundation.background("sequencer", async move { sequencer.run(stop).await });
    let relay = Relay::new(foundation.database.clone(), foundation.broker.clone());
    let stop = lifecycle.stop.clone();
    foundation.background("relay", async move { relay.run(stop).await });
    let (database, stop) = (foundation.database.clone(), lifecycle.stop.clone());
    let width = section.partition_width;
    foundation.background("partitions", async move { make_partitions(database, width, stop).await });
    let (database, stop) = (foundation.database.clone(), lifecycle.stop.clone());
    foundation.background("upkeep", async move { upkeep(database, section, stop).await });
    Ok(foundation.server().start(lifecycle)?)
}

/// Long before a partition in reserve could fill up.
const PARTITIONS_EVERY: Duration = Duration::from_secs(10);
/// Rows stay for an hour anyway.
const INBOX_EVERY: Duration = Duration::from_hours(1);
/// A day's keys go in many small transactions.
const COMMAND_KEYS_EVERY: Duration = Duration::from_hours(6);
/// How often it is seen whether something is due, and by a standby whether it may do it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Makes room for events ahead of them, apart from all other upkeep: without room nothing is recorded. Harmless when
/// several processes do it.
async fn make_partitions(database: Database, width: i64, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match ensure_partitions(&database, width).await {
            Ok(0) => {}
            Ok(made) => tracing::info!(partitions.made = made, "made room for more events"),
            Err(error) => complain(&error, "no room was made for more events, which will be tried again"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(PARTITIONS_EVERY) => {}
        }
    }
}

/// What the upkeep does.
#[derive(Debug, Clone, Copy)]
enum Job {
    PruneInbox,
    PruneCommandKeys,
}

const JOBS: [(Job, Duration); 2] =
    [(Job::PruneInbox, INBOX_EVERY), (Job::PruneCommandKeys, COMMAND_KEYS_EVERY)];

/// Keeps the tables in shape until `stop`, in one process of those that could.
async fn upkeep(database: Database, settings: BackboneSettings, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match Leadership::seek(&database, "backbone upkeep").await {
            Ok(Some(leadership)) => lead(leadership, &database, &settings, &stop).await,
            Ok(None) => {}
            Err(error) => complain(&error, "the upkeep has no database and will try again"),
        }
        pause(&stop).await;
    }
}

async fn lead(
    mut leadership: Leadership,
    database: &Database,
    settings: &BackboneSettings,
    stop: &CancellationToken,
) {
    let mut due = JOBS.map(|_| Instant::now());
    while !stop.is_cancelled() {
        for ((job, every), due) in JOBS.iter().zip(&mut due) {
            if Instant::now() < *due {
                continue;
            }
            *due = Instant::now() + *every;
            if let Err(error) = run_job(*job, database, settings).await {
                complain(&error, "a job of the upkeep did not get through and will be tried again");
            }
        }
        pause(stop).await;
        if leadership.confirm().await.is_err() {
            return;
        }
    }
}

async fn run_job(job: Job, database: &Database, settings: &BackboneSettings) -> Result<(), StoreError> {
    match job {
        Job::PruneInbox => {
            let pruned = prune_inbox(database).await?;
            tracing::debug!(rows.pruned = pruned, "pruned the inbox");
        }
        Job::PruneCommandKeys => {
            let pruned = prune_command_keys(database, settings.command_key_age()).await?;
            tracing::debug!(rows.pruned = pruned, "pruned the keys of commands");
        }
    }
    Ok(())
}

fn complain(error: &StoreError, what: &str) {
    let error: &(dyn std::error::Error + 'static) = error;
    tracing::warn!(error, "{what}");
}

async fn pause(stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(LOOK_EVERY) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{BackboneSettings, KEYS};
    use runtime::{Settings, settings::field_names};

    #[test]
    fn every_key_of_the_section_stands_in_the_reference() {
        let described: Vec<_> = KEYS.iter().map(|key| key.name.strip_prefix("backbone.").unwrap()).collect();
        assert_eq!(described, field_names::<BackboneSettings>());
        let defaults = BackboneSettings::default();
        let used = [defaults.partition_width.to_string(), defaults.command_key_days.to_string()];
        assert_eq!(KEYS.iter().map(|key| key.default.to_owned()).collect::<Vec<_>>(), used);
    }

    #[test]
    fn a_partition_must_not_fill_up_faster_than_the_next_one_is_made() {
        let read = |width: &str| {
            let variables = [("PATCHFLEET__BACKBONE__PARTITION_WIDTH", width)];
            BackboneSettings::read(&Settings::from_variables(variables).unwrap())
        };
        assert!(read("99999").is_err());
        assert_eq!(read("100000").unwrap().partition_width, 100_000);
    }
}
