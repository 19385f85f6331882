//! A CSAF provider's list of changes (`changes.csv`): path and time of each document, without a header.
//!
//! A list of deletions (`deletions.csv`) looks the same: whoever fetched it knows which of the two it is.

use super::csaf_links::Links;
use crate::DocumentError;
use crate::dates;
use crate::head::{Head, Kind};
use crate::input::Input;
use crate::limits::RECORDS_MAX;
use crate::reading::Reading;
use crate::text::clipped;
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
        && row.get(0).is_some_and(|path| path.trim().ends_with(".json"))
        && row.get(1).and_then(dates::instant).is_some()
}

pub(crate) fn read(input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    reading.figures.lists(&["paths"]);
    reading.figures.add("rows", 0);
    let progress = input.progress.clone();
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(input);
    let mut row = StringRecord::new();
    let mut links = Links::default();
    let contents = &mut reading.contents;
    // A row that cannot be read is left out, but not the last one: there the list was cut.
    let mut unreadable: Option<String> = None;
    loop {
        progress.mark();
        if !reader.read_record(&mut row)? {
            break;
        }
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
        let updated = row.get(1).and_then(dates::instant);
        if row.len() != 2 || updated.is_none() {
            unreadable = Some(format!("row {}: no path and time: {}", contents.records, clipped(path)));
            continue;
        }
        match links.add(contents, path, updated)? {
            Ok(()) => reading.figures.list("paths", path),
            Err(reason) => contents.quarantine(format!("row {}: {reason}", contents.records)),
        }
        contents.document_date = contents.document_date.max(updated);
    }
    match unreadable {
        Some(reason) => Err(DocumentError::truncated(reason)),
        None => Ok(()),
    }
}
