//! Microsoft's index of months.

use crate::DocumentError;
use crate::contents::Link;
use crate::dates;
use crate::head::{Head, Kind};
use crate::input::Input;
use crate::json::{self, Fields, Shape};
use crate::reading::Reading;
use crate::text::is_reference;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Months in an index: ten years are some 130.
const MONTHS_MAX: usize = 10_000;

/// Whether a document begins like one.
pub(crate) fn is(head: &Head) -> bool {
    let names_months = head.has(3, "CvrfUrl") || head.text().contains("$metadata#Updates\"");
    head.kind == Kind::JsonObject && head.has(1, "value") && names_months
}

pub(crate) fn read(input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    let mut index = Index { reading, ids: Vec::new() };
    json::fields(input, &mut index)?;
    let Index { reading, ids } = index;
    reading.figures.set("documents", reading.contents.records);
    reading.figures.set("ids", ids);
    Ok(())
}

struct Index<'a> {
    reading: &'a mut Reading,
    ids: Vec<Value>,
}

#[derive(Deserialize)]
struct Month {
    #[serde(rename = "ID")]
    id: Option<String>,
    #[serde(rename = "CurrentReleaseDate")]
    current_release_date: Option<String>,
    #[serde(rename = "CvrfUrl")]
    cvrf_url: Option<String>,
}

impl Fields for Index<'_> {
    fn shape(&self, field: &str) -> Shape {
        match field {
            "value" => Shape::Items,
            "@odata.nextLink" => Shape::Whole,
            _ => Shape::Skip,
        }
    }

    fn whole(&mut self, _: &str, value: &RawValue) -> Result<(), DocumentError> {
        super::microsoft::link_next_page(value, &mut self.reading.contents)
    }

    fn item(&mut self, _: &str, key: Option<&str>, value: &RawValue) -> Result<(), DocumentError> {
        let contents = &mut self.reading.contents;
        if key.is_some() {
            return Err(DocumentError::malformed("value is not a list"));
        }
        contents.records += 1;
        if contents.records > MONTHS_MAX {
            return Err(DocumentError::TooManyRecords { limit: MONTHS_MAX });
        }
        let month: Month = match json::item(value) {
            Ok(month) => month,
            Err(reason) => {
                contents.quarantine(format!("a month cannot be read: {reason}"));
                return Ok(());
            }
        };
        if self.reading.figures.on() {
            self.ids.push(month.id.clone().map_or(Value::Null, Value::from));
        }
        let updated = month.current_release_date.as_deref().and_then(dates::instant);
        contents.document_date = contents.document_date.max(updated);
        match month.cvrf_url.as_deref().map(str::trim).filter(|href| is_reference(href)) {
            Some(href) => contents.link(Link { updated, ..Link::to(href) })?,
            None => contents.quarantine(format!("month {:?} has no address", month.id.unwrap_or_default())),
        }
        Ok(())
    }
}
