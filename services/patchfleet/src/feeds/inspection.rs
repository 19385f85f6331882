//! What a document holds: a table for people, one object for machines.

use anyhow::Context;
use chrono::NaiveDate;
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use feeds_documents::contents::Contents;
use feeds_documents::openpgp::Verified;
use feeds_documents::{Document, Options, read};
use kernel::{FeedId, Refused};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Lines of what was left out that are shown to people.
const LEFT_OUT_SHOWN_MAX: usize = 10;

pub(super) fn run(path: &Path, signer: Option<&Verified>, as_json: bool) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    // Nothing is kept: the feed and the day are those of nobody.
    let options =
        Options { feed_id: FeedId(uuid::Uuid::nil()), received_on: NaiveDate::default(), figures: true };
    let document = read(file, options)
        .map_err(|refusal| anyhow::anyhow!("{}: {refusal} ({})", path.display(), refusal.code()))?;
    let text = if as_json {
        let mut figures = document.to_json();
        figures.extend(signer.map(|signer| ("signed_by".to_owned(), signer.fingerprint.clone().into())));
        serde_json::to_string(&figures)?
    } else {
        for_people(&document, signer)
    };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

fn for_people(document: &Document, signer: Option<&Verified>) -> String {
    let contents = &document.contents;
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(["", document.format.word()]);
    for (name, value) in signer.map(about_signature).unwrap_or_default() {
        table.add_row([name.to_owned(), value]);
    }
    for (name, value) in about(contents) {
        table.add_row([name.to_owned(), value]);
    }
    for (name, value) in document.figures.to_json() {
        table.add_row([name.replace('_', " "), shown(&value)]);
    }
    let mut text = table.to_string();
    let left_out = contents.quarantined_count();
    if left_out > 0 {
        // Writing to a String does not fail.
        let _ = write!(text, "\n{left_out} records were left out:");
        for reason in contents.quarantined.iter().take(LEFT_OUT_SHOWN_MAX) {
            text.push_str("\n  ");
            text.push_str(reason);
        }
        if left_out > LEFT_OUT_SHOWN_MAX {
            text.push_str("\n  …");
        }
    }
    text
}

/// Who signed it, and how long that counts.
fn about_signature(signer: &Verified) -> Vec<(&'static str, String)> {
    let mut rows = vec![("signed by", signer.fingerprint.clone())];
    for (name, at) in [
        ("signed at", signer.signed_at),
        ("signature counts until", signer.expires_at),
        ("key counts until", signer.key_expires_at),
    ] {
        rows.extend(at.map(|at| (name, at.format("%Y-%m-%d %H:%M UTC").to_string())));
    }
    rows
}

/// What the catalogue would get.
fn about(contents: &Contents) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    if let Some(id) = &contents.document_id {
        rows.push(("document", id.clone()));
    }
    if let Some(date) = contents.document_date {
        rows.push(("dated", date.format("%Y-%m-%d %H:%M UTC").to_string()));
    }
    for (name, count) in [
        ("→ patches", contents.patches.len()),
        ("→ vulnerabilities", contents.vulnerabilities.len()),
        ("→ ratings of vulnerabilities", contents.ratings.len()),
        ("→ withdrawn", contents.withdrawn.len()),
        ("→ further documents", contents.links.len()),
    ] {
        if count > 0 {
            rows.push((name, count.to_string()));
        }
    }
    rows
}

/// A figure in one line: of a list its size and ends, of a tally its words.
fn shown(value: &Value) -> String {
    match value {
        Value::Object(list) if list.contains_key("sha256") => {
            let text = |key: &str| list.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let count = list.get("count").and_then(Value::as_u64).unwrap_or_default();
            match count {
                0 => "none".to_owned(),
                1 => text("first"),
                _ => format!("{count}: {} … {}", text("first"), text("last")),
            }
        }
        Value::Object(tally) => {
            let words = tally.iter().map(|(word, count)| {
                if word.is_empty() { format!("(none) {count}") } else { format!("{word} {count}") }
            });
            words.collect::<Vec<_>>().join(", ")
        }
        Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(", "),
        Value::String(text) => text.clone(),
        Value::Null => "not said".to_owned(),
        other @ (Value::Bool(_) | Value::Number(_)) => other.to_string(),
    }
}
