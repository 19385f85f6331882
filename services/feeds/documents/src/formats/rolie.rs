//! A ROLIE feed of CSAF documents: where each is, and when it was last changed.

use crate::DocumentError;
use crate::contents::Link;
use crate::dates;
use crate::head::{Head, Kind};
use crate::input::Input;
use crate::json::{self, paths, paths::Take};
use crate::limits::RECORDS_MAX;
use crate::reading::Reading;
use crate::text::{clipped, is_reference};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Links of one entry: the document itself, its hash and its signature.
const ENTRY_LINKS_MAX: usize = 100;
/// Bytes of ids that figures may keep.
const IDS_BYTES_MAX: usize = 32 << 20;

/// Whether a document begins like one.
pub(crate) fn is(head: &Head) -> bool {
    head.kind == Kind::JsonObject
        && head.has(1, "feed")
        && (head.has(2, "entry") || head.has(2, "id") && head.has(2, "updated"))
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    #[serde(default)]
    updated: Option<String>,
    #[serde(default)]
    content: Option<Content>,
    #[serde(default, deserialize_with = "json::list::<_, _, ENTRY_LINKS_MAX>")]
    link: Vec<EntryLink>,
}

#[derive(Deserialize)]
struct Content {
    #[serde(default)]
    src: Option<String>,
}

#[derive(Deserialize)]
struct EntryLink {
    #[serde(default)]
    rel: Option<String>,
    href: String,
}

struct Feed<'a> {
    reading: &'a mut Reading,
    has_begun: bool,
    has_entries: bool,
    /// As the feed itself says.
    updated: Option<DateTime<Utc>>,
    newest: Option<DateTime<Utc>>,
    newest_text: Option<String>,
    /// How often each id occurs.
    ids: BTreeMap<String, usize>,
    ids_bytes: usize,
}

pub(crate) fn read(input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    reading.figures.lists(&["entry_ids"]);
    reading.figures.add("entries", 0);
    let mut feed = Feed {
        reading,
        has_begun: false,
        has_entries: false,
        updated: None,
        newest: None,
        newest_text: None,
        ids: BTreeMap::new(),
        ids_bytes: 0,
    };
    paths::read(input, &mut feed)?;
    if !feed.has_entries {
        return Err(DocumentError::malformed("the feed has no list of entries"));
    }
    let repeated = feed.ids.values().filter(|times| **times > 1).count();
    feed.reading.figures.set("duplicate_ids", repeated);
    feed.reading.figures.set("newest_updated", feed.newest_text);
    feed.reading.contents.document_date = feed.updated.or(feed.newest);
    Ok(())
}

impl paths::Paths for Feed<'_> {
    fn take(&self, path: &str) -> Take {
        match path {
            "feed" => Take::Object,
            "feed.entry" => Take::List,
            "feed.id" | "feed.updated" | "feed.entry[]" => Take::Whole,
            _ => Take::Skip,
        }
    }

    fn begin(&mut self, path: &str) -> Result<(), DocumentError> {
        let seen = if path == "feed" { &mut self.has_begun } else { &mut self.has_entries };
        if std::mem::replace(seen, true) {
            return Err(DocumentError::malformed(format!("`{path}` is there twice")));
        }
        Ok(())
    }

    fn end(&mut self, _path: &str) -> Result<(), DocumentError> {
        Ok(())
    }

    fn whole(&mut self, path: &str, value: &RawValue) -> Result<(), DocumentError> {
        if path == "feed.entry[]" {
            return self.entry(value);
        }
        let text: String =
            json::item(value).map_err(|reason| DocumentError::malformed(format!("{path}: {reason}")))?;
        if path == "feed.id" {
            self.reading.contents.document_id = Some(clipped(text.trim()));
            self.reading.figures.set("id", text);
        } else {
            self.updated = dates::instant(&text);
            self.reading.figures.set("updated", text);
        }
        Ok(())
    }

    fn mistyped(&mut self, path: &str, expected: &'static str) -> Result<(), DocumentError> {
        Err(DocumentError::malformed(format!("{path} is not {expected}")))
    }
}

impl Feed<'_> {
    fn entry(&mut self, value: &RawValue) -> Result<(), DocumentError> {
        let contents = &mut self.reading.contents;
        contents.records += 1;
        if contents.records > RECORDS_MAX {
            return Err(DocumentError::TooManyRecords { limit: RECORDS_MAX });
        }
        self.reading.figures.add("entries", 1);
        let entry: Entry = match json::item(value) {
            Ok(entry) => entry,
            Err(reason) => {
                contents.quarantine(format!("an entry: {reason}"));
                return Ok(());
            }
        };
        let updated = entry.updated.as_deref().and_then(dates::instant);
        self.newest = self.newest.max(updated);
        let own = entry.link.iter().find(|link| link.rel.as_deref() == Some("self"));
        let source = entry.content.as_ref().and_then(|content| content.src.as_deref());
        let shown = clipped(&entry.id);
        match source.or(own.map(|link| link.href.as_str())) {
            Some(href) if is_reference(href.trim()) => contents.link(Link { updated, ..Link::to(href) })?,
            Some(href) => {
                contents.quarantine(format!("entry {shown:?}: {href:?} is no address of a document"));
            }
            None => contents.quarantine(format!("entry {shown:?}: it says not where the document is")),
        }
        self.count(entry)
    }

    fn count(&mut self, entry: Entry) -> Result<(), DocumentError> {
        if !self.reading.figures.on() {
            return Ok(());
        }
        self.newest_text = self.newest_text.take().max(entry.updated);
        if let Some(times) = self.ids.get_mut(&entry.id) {
            *times += 1;
            return Ok(());
        }
        self.ids_bytes += entry.id.len();
        if self.ids_bytes > IDS_BYTES_MAX {
            return Err(DocumentError::RecordTooLarge { limit: IDS_BYTES_MAX as u64 });
        }
        self.reading.figures.list("entry_ids", entry.id.as_str());
        self.ids.insert(entry.id, 1);
        Ok(())
    }
}
