//! Writes to standard output: tables and lines for people, JSON lines for machines.

use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use kernel::Envelope;
use serde::Serialize;
use std::io::{self, Write};

/// How a command answers.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Paper {
    /// One JSON object a line instead of a table.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// One object as one line.
pub(crate) fn json_line(value: &impl Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// One line of text.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// A table with these headings.
pub(crate) fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> anyhow::Result<()> {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header(headings);
    for row in rows {
        table.add_row(row);
    }
    line(&table.to_string())
}

/// The headings of [`brief`].
pub(crate) fn brief_heading() -> String {
    format!("{:>9}  {:<23}  {:<38} {:<44} {}", "position", "recorded (UTC)", "event", "stream@version", "by")
}

/// An event in one line.
pub(crate) fn brief(event: &Envelope) -> String {
    format!(
        "{:>9}  {}  {:<38} {:<44} {}",
        event.seq,
        event.recorded_at.format("%Y-%m-%d %H:%M:%S%.3f"),
        event.event_type,
        format!("{}@{}", event.stream_id, event.version),
        actor(event),
    )
}

/// `user 0b54…`, `system alerts`.
fn actor(event: &Envelope) -> String {
    let kind = match event.actor.kind {
        kernel::ActorKind::User => "user",
        kernel::ActorKind::Agent => "agent",
        kernel::ActorKind::Rule => "rule",
        kernel::ActorKind::System => "system",
    };
    format!("{kind} {}", event.actor.id)
}

/// Everything about one event.
pub(crate) fn whole(event: &Envelope) -> anyhow::Result<()> {
    let id = |id: Option<uuid::Uuid>| id.map_or_else(|| "-".to_owned(), |id| id.to_string());
    let mut rows = vec![
        ("position", event.seq.to_string()),
        ("event", format!("{} (shape {})", event.event_type, event.schema_version)),
        ("event id", event.event_id.to_string()),
        ("stream", format!("{} {}@{}", event.stream, event.stream_id, event.version)),
        ("partner", event.tenant.partner_id.to_string()),
        ("customer", id(event.tenant.customer_id.map(|id| id.0))),
        ("occurred", event.occurred_at.to_rfc3339()),
        ("recorded", event.recorded_at.to_rfc3339()),
        ("by", actor(event)),
        ("command", event.command_id.to_string()),
        ("correlation", event.correlation_id.to_string()),
        ("caused by", id(event.causation_id.map(|id| id.0))),
        ("trace", event.traceparent.clone().unwrap_or_else(|| "-".to_owned())),
    ];
    if let Some(person) = &event.actor.on_behalf_of {
        rows.push(("on behalf of", person.clone()));
    }
    for (name, value) in rows {
        line(&format!("{name:<13}{value}"))?;
    }
    line(&serde_json::to_string_pretty(&event.payload)?)
}
