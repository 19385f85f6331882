//! A CSAF provider's list of changes (`changes.csv`): path and time of each document, without a header.
//!
//! A list of deletions (`deletions.csv`) looks the same: whoever fetched it knows which of the two it is.

use crate::DocumentError;
use crate::contents::Link;
use crate::dates;
use crate::head::{Head, Kind};
use crate::input::Input;
use crate::limits::RECORDS_MAX;
use crate::reading::Reading;
use crate::rows::Rows;
use crate::text::{clipped, is_reference};
use chrono::DateTime;
use csv::{ReaderBuilder, StringRecord};

/// Whether a document begins like one.
pub(crate) fn is(head: &Head) -> bool {
    if head.kind != Kind::Text {
        return false;
    }
    let mut reader = ReaderBuilder::new().has_headers(false).from_reader(head.first_line().as_bytes());
    let mut row = StringRecord::new();
    reader.read_record(&mut row).is_ok_and(|any| any)
        && row.len() == 2
        && row.get(0).and_then(|path| path.trim().rsplit_once('.')).is_some_and(|(_, kind)| kind == "json")
        && row.get(1).and_then(dates::instant).is_some()
}

pub(crate) fn read(input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    reading.figures.lists(&["paths"]);
    reading.figures.add("rows", 0);
    let mut rows = Rows::without_header(input);
    let mut row = StringRecord::new();
    let contents = &mut reading.contents;
    // A row that cannot be read is left out, but not the last one: there the list was cut.
    let mut unreadable: Option<String> = None;
    let mut row_time = String::new();
    while rows.next(&mut row)? {
        if let Some(reason) = unreadable.take() {
            contents.quarantine(reason);
        }
        contents.records += 1;
        if contents.records > RECORDS_MAX {
            return Err(DocumentError::TooManyRecords { limit: RECORDS_MAX });
        }
        let path = row.get(0).unwrap_or_default();
        if contents.records == 1 {
            reading.figures.set("first", row.iter().collect::<Vec<_>>());
        }
        reading.figures.add("rows", 1);
        reading.figures.list("paths", path);
        row.get(1).unwrap_or_default().clone_into(&mut row_time);
        let updated = dates::instant(&row_time);
        if row.len() != 2 || updated.is_none() {
            unreadable = Some(format!("row {}: no path and time: {}", contents.records, clipped(path)));
            continue;
        }
        if is_reference(path.trim()) {
            contents.link(Link { updated, ..Link::to(path) })?;
        } else {
            contents.quarantine(format!("row {}: {path:?} is no address of a document", contents.records));
        }
        contents.document_date = contents.document_date.max(updated);
    }
    // What is left of a time that was cut is often a time as well; a whole one ends with its zone.
    let is_whole = DateTime::parse_from_rfc3339(row_time.trim()).is_ok();
    if unreadable.is_none() && !rows.ends_with_a_line() && !is_whole {
        unreadable = Some(format!("the last row ends at {}", clipped(&row_time)));
    }
    match unreadable {
        Some(reason) => Err(DocumentError::truncated(reason)),
        None => Ok(()),
    }
}
