//! How much is in the log, and how far everybody is who reads it.

use super::paper::{self, Paper};
use eventstore::{Database, Follower, LogStats, Reader};
use kernel::Scope;
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};

pub(crate) async fn print(database: &Database, scope: &Scope, paper: Paper) -> anyhow::Result<()> {
    let stats = Reader::new(database.clone()).stats(scope).await?;
    if paper.json {
        return paper::json_line(&as_json(&stats));
    }
    paper::line(&format!("{} events in this scope; the log is at position {}", stats.events, stats.head))?;
    if let (Some(first), Some(last)) = (stats.first_at, stats.last_at) {
        paper::line(&format!("recorded from {} to {}", first.to_rfc3339(), last.to_rfc3339()))?;
    }
    let types = stats.by_type.into_iter().map(|(event_type, events)| vec![event_type, events.to_string()]);
    paper::table(&["event", "count"], types)?;
    let Some(machinery) = stats.machinery else { return Ok(()) };
    if machinery.restored {
        paper::line("this log was restored into another cluster: run `patchfleet restore`")?;
    }
    paper::line(&format!("{} committed events have no position yet", machinery.unsequenced))?;
    if let Some(fence) = &machinery.fence {
        let since = fence.age.map_or_else(String::new, |old| format!(", open for {}", age(old)));
        paper::line(&format!("the sequencer waits for {} ({}{since})", fence.application, fence.state))?;
    }
    let readers =
        [("relay", machinery.relays), ("consumer", machinery.consumers), ("view", machinery.followers)];
    let rows = readers.into_iter().flat_map(|(kind, readers)| {
        readers.into_iter().map(move |reader| {
            let (seq, behind) = (reader.seq.to_string(), reader.behind.to_string());
            vec![kind.to_owned(), reader.name, seq, behind, age(reader.waiting)]
        })
    });
    paper::table(&["reader", "name", "position", "behind", "waiting"], rows)
}

/// Seconds, to a tenth.
fn age(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

fn as_json(stats: &LogStats) -> serde_json::Value {
    let readers = |readers: &[Follower]| {
        let rows = readers.iter().map(|reader| {
            json!({
                "name": reader.name,
                "position": reader.seq,
                "behind": reader.behind,
                "waiting_seconds": reader.waiting.as_secs_f64(),
            })
        });
        rows.collect::<Vec<_>>()
    };
    json!({
        "head": stats.head,
        "events": stats.events,
        "first_at": stats.first_at,
        "last_at": stats.last_at,
        "by_type": stats.by_type.iter().cloned().collect::<BTreeMap<_, _>>(),
        "machinery": stats.machinery.as_ref().map(|machinery| json!({
            "generation": machinery.generation,
            "restored": machinery.restored,
            "unsequenced": machinery.unsequenced,
            "fence": machinery.fence.as_ref().map(|fence| json!({
                "age_seconds": fence.age.map(|age| age.as_secs_f64()),
                "pid": fence.pid,
                "application": fence.application,
                "state": fence.state,
            })),
            "relays": readers(&machinery.relays),
            "consumers": readers(&machinery.consumers),
            "views": readers(&machinery.followers),
        })),
    })
}
