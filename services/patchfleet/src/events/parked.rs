//! What a person decides about events that a consumer could not handle.

use super::paper::{self, Paper};
use anyhow::{Context, bail};
use eventstore::Database;
use kernel::{EventId, Scope};
use messaging::{
    Broker,
    parked::{self, Filter, Page, Parked, Retried},
};
use serde_json::json;
use uuid::Uuid;

/// Events read at a time.
const PAGE: i64 = 500;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// What is parked, the oldest first, with the reason.
    List(Which),
    /// One parked event: why, how often it was tried, and what it says.
    Show {
        /// The consumer that parked it.
        consumer: String,
        /// The event's id.
        event_id: Uuid,
    },
    /// Hand an event back to its consumer, once the reason is gone.
    ///
    /// Nothing can be done twice by it: the consumer's own note decides. A consumer that is not running takes it at its
    /// next start.
    Retry {
        #[command(flatten)]
        one_or_all: OneOrAll,
    },
    /// Decide that an event will never be handled. The decision is kept with your name and reason.
    Drop {
        /// The consumer that parked it.
        consumer: String,
        /// The event's id.
        event_id: Uuid,
        /// Who decides.
        #[arg(long, value_name = "NAME")]
        by: String,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(clap::Args)]
pub(crate) struct Which {
    /// Only what this consumer parked, for example alerts.raising.
    #[arg(long, value_name = "NAME")]
    consumer: Option<String>,
    /// Only events of this type.
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Those that were dropped as well.
    #[arg(long)]
    dropped: bool,
}

#[derive(clap::Args)]
pub(crate) struct OneOrAll {
    /// The consumer that parked it.
    consumer: String,
    /// The event's id.
    #[arg(required_unless_present = "all")]
    event_id: Option<Uuid>,
    /// Everything that this consumer parked.
    #[arg(long, conflicts_with = "event_id")]
    all: bool,
}

impl Command {
    pub(crate) async fn run(
        self,
        database: &Database,
        broker: &Broker,
        scope: &Scope,
        paper: Paper,
    ) -> anyhow::Result<()> {
        match self {
            Self::List(which) => list(database, scope, which, paper).await,
            Self::Show { consumer, event_id } => show(database, scope, &consumer, event_id, paper).await,
            Self::Retry { one_or_all } => retry(database, broker, scope, one_or_all, paper).await,
            Self::Drop { consumer, event_id, by, reason } => {
                if by.trim().is_empty() || reason.trim().is_empty() {
                    bail!("--by and --reason say who decided and why; they may not be empty");
                }
                parked::drop(database, scope, &consumer, EventId(event_id), &by, &reason).await?;
                answer(paper, &consumer, event_id, "dropped", None)
            }
        }
    }
}

async fn list(database: &Database, scope: &Scope, which: Which, paper: Paper) -> anyhow::Result<()> {
    let filter = Filter { consumer: which.consumer, event_type: which.event_type, dropped: which.dropped };
    let found = all(database, scope, &filter).await?;
    if paper.json {
        return found.iter().try_for_each(|parked| paper::json_line(&as_json(parked)));
    }
    if found.is_empty() {
        return paper::line("nothing is parked");
    }
    let rows = found.iter().map(|parked| {
        vec![
            parked.consumer.clone(),
            parked.event_id.to_string(),
            parked.seq.map_or_else(|| "-".to_owned(), |seq| seq.to_string()),
            parked.event_type.clone(),
            parked.attempts.to_string(),
            parked.parked_at.format("%Y-%m-%d %H:%M:%S").to_string(),
            match &parked.dropped {
                None => parked.reason.clone(),
                Some(dropped) => format!("{} (dropped by {}: {})", parked.reason, dropped.by, dropped.reason),
            },
        ]
    });
    paper::table(&["consumer", "event id", "position", "event", "attempts", "parked (UTC)", "reason"], rows)
}

/// Every page of the list.
async fn all(database: &Database, scope: &Scope, filter: &Filter) -> anyhow::Result<Vec<Parked>> {
    let mut found = Vec::new();
    let mut page = Page { after: None, limit: PAGE };
    loop {
        let rows = parked::list(database, scope, filter, &page).await?;
        let Some(last) = rows.last() else { return Ok(found) };
        page.after = Some((last.parked_at, last.event_id));
        found.extend(rows);
    }
}

async fn show(
    database: &Database,
    scope: &Scope,
    consumer: &str,
    event_id: Uuid,
    paper: Paper,
) -> anyhow::Result<()> {
    let parked = parked::show(database, scope, consumer, EventId(event_id))
        .await?
        .with_context(|| format!("{consumer} has no parked event {event_id}"))?;
    if paper.json {
        return paper::json_line(&as_json(&parked));
    }
    paper::line(&format!("consumer     {}", parked.consumer))?;
    paper::line(&format!("reason       {}", parked.reason))?;
    paper::line(&format!("attempts     {}, parked {}", parked.attempts, parked.parked_at.to_rfc3339()))?;
    if let Some(dropped) = &parked.dropped {
        let at = dropped.at.to_rfc3339();
        paper::line(&format!("dropped      {at} by {}: {}", dropped.by, dropped.reason))?;
    }
    match (&parked.unreadable, parked.seq) {
        (Some(bytes), _) => paper::line(&format!("message      {}", String::from_utf8_lossy(bytes))),
        (None, Some(seq)) => {
            let reader = eventstore::Reader::new(database.clone());
            match super::looking::at(&reader, scope, seq).await? {
                Some(event) => paper::whole(&event),
                None => paper::line(&format!("position     {seq}")),
            }
        }
        (None, None) => Ok(()),
    }
}

async fn retry(
    database: &Database,
    broker: &Broker,
    scope: &Scope,
    which: OneOrAll,
    paper: Paper,
) -> anyhow::Result<()> {
    let consumer = which.consumer;
    let ids = if let Some(event_id) = which.event_id {
        vec![event_id]
    } else {
        let filter = Filter { consumer: Some(consumer.clone()), ..Filter::default() };
        let found = all(database, scope, &filter).await?;
        // A message that is no event can only be dropped.
        found.iter().filter(|parked| parked.seq.is_some()).map(|parked| parked.event_id.0).collect()
    };
    if ids.is_empty() && !paper.json {
        return paper::line(&format!("{consumer} has nothing parked that can be handled"));
    }
    for event_id in ids {
        let (outcome, because) =
            match parked::retry(database, broker, scope, &consumer, EventId(event_id)).await? {
                Retried::Sent => ("sent", None),
                Retried::Remembered { because } => ("remembered", Some(because.to_string())),
            };
        answer(paper, &consumer, event_id, outcome, because)?;
    }
    Ok(())
}

/// What became of one event.
fn answer(
    paper: Paper,
    consumer: &str,
    event_id: Uuid,
    outcome: &str,
    because: Option<String>,
) -> anyhow::Result<()> {
    if paper.json {
        return paper::json_line(
            &json!({ "consumer": consumer, "event_id": event_id, "outcome": outcome, "because": because }),
        );
    }
    let because = because.map(|why| format!("; the consumer takes it later, for {why}")).unwrap_or_default();
    paper::line(&format!("{event_id} of {consumer}: {outcome}{because}"))
}

fn as_json(parked: &Parked) -> serde_json::Value {
    json!({
        "consumer": parked.consumer,
        "event_id": parked.event_id,
        "position": parked.seq,
        "event_type": parked.event_type,
        "partner_id": parked.tenant.partner_id,
        "customer_id": parked.tenant.customer_id,
        "reason": parked.reason,
        "attempts": parked.attempts,
        "parked_at": parked.parked_at,
        "unreadable": parked.unreadable.as_deref().map(String::from_utf8_lossy),
        "dropped": parked.dropped.as_ref().map(|dropped| json!({
            "at": dropped.at,
            "by": dropped.by,
            "reason": dropped.reason,
        })),
    })
}
