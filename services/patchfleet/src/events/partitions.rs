//! Old events: out of the database into a file, and back.

use super::paper::{self, Paper};
use eventstore::{
    Database, Exported, Partition, attach_partition, detach_partition, drop_partition, export_partition,
    partitions, unreadable_streams, verify_export,
};
use indicatif::{ProgressBar, ProgressStyle};
use kernel::Scope;
use serde_json::json;
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Every partition with what it holds, and where the file of an exported one is.
    List,
    /// Write a full partition to a file: one JSON line for each event, with everything that is stored of it.
    Export {
        /// The partition, as the list names it.
        part: String,
        /// The folder for the file, which must be one that is backed up.
        #[arg(long, value_name = "FOLDER")]
        to: PathBuf,
    },
    /// Compare a partition with its file, and say how many streams need the partition.
    Verify {
        /// The partition.
        part: String,
    },
    /// Take an exported partition out of the log. Its table stays, set aside, until it is dropped.
    ///
    /// Refused where the file does not hold the same, where anybody still has to read the events, and where streams would
    /// become unreadable: their aggregates could not be commanded any more.
    Detach {
        /// The partition.
        part: String,
        /// So many streams may become unreadable; `verify` says how many would.
        #[arg(long, value_name = "STREAMS", default_value_t = 0)]
        accept_unreadable: i64,
    },
    /// Drop the table of a partition that was taken out. From then on only its file holds the events.
    Drop {
        /// The partition.
        part: String,
    },
    /// Bring a partition back into the log, from its table or from its file.
    Attach {
        /// The partition.
        part: String,
        /// Where the file is now, if it was moved.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

impl Command {
    /// `owner` is the URL of the tables' owner.
    pub(crate) async fn run(self, database: &Database, owner: &str, paper: Paper) -> anyhow::Result<()> {
        match self {
            Self::List => list(database, paper).await,
            Self::Export { part, to } => {
                let bar = bar("writing events");
                let exported =
                    export_partition(database, &part, &to, |events| bar.set_position(events)).await;
                bar.finish_and_clear();
                told(paper, &part, "exported", Some(&exported?), None)
            }
            Self::Verify { part } => {
                let bar = bar("comparing events");
                let exported = verify_export(database, &part, |events| bar.set_position(events)).await;
                bar.finish_and_clear();
                let streams = unreadable_streams(database, &part).await?;
                told(paper, &part, "the same", Some(&exported?), Some(streams))
            }
            Self::Detach { part, accept_unreadable } => {
                let bar = bar("comparing events");
                let progress = |events| bar.set_position(events);
                let exported = detach_partition(database, owner, &part, accept_unreadable, progress).await;
                bar.finish_and_clear();
                told(paper, &part, "detached", Some(&exported?), None)
            }
            Self::Drop { part } => {
                drop_partition(database, owner, &part).await?;
                told(paper, &part, "dropped", None, None)
            }
            Self::Attach { part, file } => {
                let bar = bar("loading events");
                let progress = |events| bar.set_position(events);
                let attached = attach_partition(database, owner, &part, file.as_deref(), progress).await;
                bar.finish_and_clear();
                attached?;
                told(paper, &part, "attached", None, None)
            }
        }
    }
}

async fn list(database: &Database, paper: Paper) -> anyhow::Result<()> {
    let found = partitions(database, &Scope::Platform).await?;
    if paper.json {
        return found.iter().try_for_each(|partition| paper::json_line(&as_json(partition)));
    }
    let rows = found.iter().map(|partition| {
        vec![
            partition.part.clone(),
            format!("{} to {}", partition.from_pos, partition.until_pos - 1),
            partition.events.to_string(),
            format!("{:.1} MB", megabytes(partition.bytes)),
            partition.file.clone().unwrap_or_else(|| "-".to_owned()),
            state(partition).to_owned(),
        ]
    });
    paper::table(&["partition", "arrival places", "events", "size", "file", "state"], rows)
}

#[expect(clippy::cast_precision_loss, reason = "a size for people, to one digit")]
fn megabytes(bytes: i64) -> f64 {
    bytes as f64 / 1e6
}

fn state(partition: &Partition) -> &'static str {
    match (partition.dropped_at, partition.detached_at, &partition.file) {
        (Some(_), ..) => "in its file only",
        (None, Some(_), _) => "set aside",
        (None, None, Some(_)) => "in the log, exported",
        (None, None, None) => "in the log",
    }
}

fn as_json(partition: &Partition) -> serde_json::Value {
    json!({
        "partition": partition.part,
        "from_place": partition.from_pos,
        "until_place": partition.until_pos,
        "events": partition.events,
        "bytes": partition.bytes,
        "file": partition.file,
        "file_bytes": partition.file_bytes,
        "sha256": partition.sha256,
        "detached_at": partition.detached_at,
        "dropped_at": partition.dropped_at,
    })
}

/// What was done.
fn told(
    paper: Paper,
    part: &str,
    outcome: &str,
    exported: Option<&Exported>,
    unreadable: Option<i64>,
) -> anyhow::Result<()> {
    if paper.json {
        return paper::json_line(&json!({
            "partition": part,
            "outcome": outcome,
            "file": exported.map(|exported| &exported.file),
            "sha256": exported.map(|exported| &exported.sha256),
            "bytes": exported.map(|exported| exported.bytes),
            "events": exported.map(|exported| exported.events),
            "streams_unreadable_without": unreadable,
        }));
    }
    paper::line(&format!("{part}: {outcome}"))?;
    if let Some(exported) = exported {
        paper::line(&format!(
            "{} events in {}, SHA-256 {}",
            exported.events,
            exported.file.display(),
            exported.sha256
        ))?;
    }
    if let Some(streams) = unreadable {
        paper::line(&format!("{streams} streams cannot be loaded without it"))?;
    }
    Ok(())
}

/// Invisible where standard error is no terminal.
fn bar(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(what);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {human_pos} ({per_sec})") {
        bar.set_style(style);
    }
    bar
}
