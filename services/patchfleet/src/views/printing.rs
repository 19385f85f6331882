//! Writes to standard output what was found: tables for people, JSON lines for machines.

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use eventstore::{Checked, Difference, DifferenceKind, Overview, Projection, Rebuilt};
use serde_json::{Value, json};
use std::io::Write;
use std::time::Duration;

/// Characters of a value that are shown to people; machines get all of it.
const VALUE_SHOWN_MAX: usize = 60;

pub(super) fn list(views: &[Overview], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return views.iter().try_for_each(|view| {
            line(
                &json!({
                    "name": view.name,
                    "schema": view.schema,
                    "position": view.position,
                    "head": view.head,
                    "behind_events": view.head.0 - view.position.0,
                    "behind_seconds": view.behind.as_secs_f64(),
                    "rows": view.rows,
                    "beside": view.beside,
                })
                .to_string(),
            )
        });
    }
    let rows = views.iter().map(|view| {
        vec![
            view.name.to_owned(),
            view.position.to_string(),
            (view.head.0 - view.position.0).to_string(),
            duration(view.behind),
            view.rows.to_string(),
            view.beside.join(", "),
        ]
    });
    table(&["view", "position", "events behind", "time behind", "rows", "beside it"], rows)
}

pub(super) fn rebuilt(name: &str, rebuilt: &Rebuilt, as_json: bool) -> anyhow::Result<()> {
    let rate = rebuilt.events_per_second();
    if as_json {
        return line(
            &json!({
                "name": name,
                "position": rebuilt.position,
                "events": rebuilt.events,
                "events_per_second": rate.round(),
                "folding_seconds": rebuilt.folding.as_secs_f64(),
                "held_seconds": rebuilt.held.as_secs_f64(),
                "seconds": rebuilt.took.as_secs_f64(),
            })
            .to_string(),
        );
    }
    line(&format!(
        "{name} was rebuilt up to position {}: {} events in {} ({rate:.0} events/s), of which its follower waited for {}",
        rebuilt.position,
        rebuilt.events,
        duration(rebuilt.took),
        duration(rebuilt.held),
    ))
}

pub(super) fn checked(projection: &dyn Projection, checked: &Checked, as_json: bool) -> anyhow::Result<()> {
    let name = projection.name();
    if as_json {
        return line(
            &json!({
                "name": name,
                "position": checked.position,
                "differing": checked.differing(),
                "folding_seconds": checked.folding.as_secs_f64(),
                "held_seconds": checked.held.as_secs_f64(),
                "seconds": checked.took.as_secs_f64(),
                "tables": checked.tables,
            })
            .to_string(),
        );
    }
    let differing: Vec<_> = checked.tables.iter().filter(|found| found.differing > 0).collect();
    let rows: i64 = checked.tables.iter().map(|found| found.rows).sum();
    line(&format!(
        "{name}: {rows} rows in {} tables, compared at position {}: {}",
        checked.tables.len(),
        checked.position,
        if differing.is_empty() { "all are what the log says" } else { "some are not what the log says" },
    ))?;
    for found in differing {
        let rows = found.differences.iter().flat_map(|difference| difference_rows(found.table, difference));
        table(&["table", "row", "column", "live", "by the log"], rows)?;
        let told = i64::try_from(found.differences.len())?;
        if found.differing > told {
            line(&format!("… and {} more rows of {}", found.differing - told, found.table))?;
        }
    }
    Ok(())
}

fn difference_rows(table: &str, difference: &Difference) -> Vec<Vec<String>> {
    let key: Vec<String> =
        difference.key.iter().map(|(name, value)| format!("{name}={}", shown(value))).collect();
    let row = |column: &str, live: String, expected: String| {
        vec![table.to_owned(), key.join(" "), column.to_owned(), live, expected]
    };
    let (there, absent) = ("the row".to_owned(), "no such row".to_owned());
    match difference.kind {
        DifferenceKind::Missing => vec![row("", absent, there)],
        DifferenceKind::Unexpected => vec![row("", there, absent)],
        DifferenceKind::Changed => difference
            .columns
            .iter()
            .map(|column| row(&column.column, shown(&column.live), shown(&column.expected)))
            .collect(),
    }
}

pub(super) fn discarded(dropped: &[String], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return line(&json!({ "dropped": dropped }).to_string());
    }
    if dropped.is_empty() {
        return line("there was nothing to drop");
    }
    line(&format!("dropped {}", dropped.join(", ")))
}

/// A value as people read it.
fn shown(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if text.chars().count() <= VALUE_SHOWN_MAX {
        return text;
    }
    let start: String = text.chars().take(VALUE_SHOWN_MAX).collect();
    format!("{start}…")
}

fn duration(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        return format!("{} ms", duration.as_millis());
    }
    format!("{:.1} s", duration.as_secs_f64())
}

fn table(headings: &[&str], rows: impl Iterator<Item = Vec<String>>) -> anyhow::Result<()> {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(headings);
    table.add_rows(rows);
    line(&table.to_string())
}

fn line(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    Ok(writeln!(out, "{text}")?)
}
