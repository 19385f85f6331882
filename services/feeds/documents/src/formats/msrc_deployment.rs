//! A page of Microsoft's table of deployments: one row per fix, product and vulnerability severity.

use super::microsoft::{self, Days, Restart, Statement, Updates};
use crate::DocumentError;
use crate::dates;
use crate::head::{Head, Kind};
use crate::input::Input;
use crate::json::{self, Fields, Shape};
use crate::reading::Reading;
use crate::text::is_plain;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Rows of a page: Microsoft gives 500 at once, and the whole table has some 200,000.
const ROWS_MAX: usize = 500_000;

/// Whether a document begins like one.
pub(crate) fn is(head: &Head) -> bool {
    let has_rows = head.has(3, "articleName") || head.text().contains("$metadata#deployment");
    head.kind == Kind::JsonObject && head.has(1, "value") && has_rows
}

pub(crate) fn read(input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    reading.figures.lists(&["kbs", "supersedence_links"]);
    reading.figures.tallies(&["severity", "reboot"]);
    reading.figures.set("odata_count", Value::Null);
    reading.figures.set("has_next", false);
    let mut page = Page { reading, updates: Updates::default() };
    json::fields(input, &mut page)?;
    let Page { reading, updates } = page;
    reading.figures.set("rows", reading.contents.records);
    updates.finish(reading, Days::OfPublication, None, None)
}

struct Page<'a> {
    reading: &'a mut Reading,
    updates: Updates,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    article_name: Option<String>,
    download_name: Option<String>,
    product: Option<String>,
    platform: Option<String>,
    reboot_required: Option<String>,
    release_date: Option<String>,
    release_number: Option<String>,
    severity: Option<String>,
    supercedence: Option<String>,
    fixed_build_number: Option<String>,
    cve_number: Option<String>,
}

impl Fields for Page<'_> {
    fn shape(&self, field: &str) -> Shape {
        match field {
            "value" => Shape::Items,
            "@odata.nextLink" | "@odata.count" => Shape::Whole,
            _ => Shape::Skip,
        }
    }

    fn whole(&mut self, field: &str, value: &RawValue) -> Result<(), DocumentError> {
        if field == "@odata.count" {
            self.reading.figures.set("odata_count", json::item::<Option<u64>>(value).unwrap_or_default());
            return Ok(());
        }
        self.reading.figures.set("has_next", true);
        microsoft::link_next_page(value, &mut self.reading.contents)
    }

    fn item(&mut self, _: &str, key: Option<&str>, value: &RawValue) -> Result<(), DocumentError> {
        let contents = &mut self.reading.contents;
        if key.is_some() {
            return Err(DocumentError::malformed("value is not a list"));
        }
        contents.records += 1;
        if contents.records > ROWS_MAX {
            return Err(DocumentError::TooManyRecords { limit: ROWS_MAX });
        }
        match json::item::<Row>(value) {
            Ok(row) => self.row(&row),
            Err(reason) => {
                contents.quarantine(format!("a deployment cannot be read: {reason}"));
                Ok(())
            }
        }
    }
}

impl Page<'_> {
    fn row(&mut self, row: &Row) -> Result<(), DocumentError> {
        self.count(row);
        let text = |text: &Option<String>| text.as_deref().unwrap_or_default().trim().to_owned();
        let product = match (text(&row.product), text(&row.platform)) {
            (component, platform) if platform.is_empty() || component.is_empty() || component == platform => {
                format!("{component}{}", if component.is_empty() { &platform } else { "" })
            }
            (component, platform) => format!("{component} on {platform}"),
        };
        let fix = text(&row.article_name);
        if !is_plain(&product) {
            let contents = &mut self.reading.contents;
            contents.quarantine(format!("{fix:?}: {product:?} cannot be a product"));
            return Ok(());
        }
        let released = row.release_date.as_deref().and_then(dates::instant);
        let contents = &mut self.reading.contents;
        contents.document_date = contents.document_date.max(released);
        self.updates.add(&Statement {
            fix: &fix,
            products: &[&product],
            build: &text(&row.fixed_build_number),
            advisories: row.cve_number.as_deref().map(str::trim).as_slice(),
            severities: &[&text(&row.severity)],
            supersedes: row.supercedence.as_deref().unwrap_or_default(),
            restart: Restart::from_word(&text(&row.reboot_required)),
            sub_type: &text(&row.download_name),
            released: released.map(|released| released.date_naive()),
            out_of_band: microsoft::is_out_of_band(&text(&row.release_number)),
            ..Statement::default()
        })
    }

    fn count(&mut self, row: &Row) {
        let figures = &mut self.reading.figures;
        if !figures.on() {
            return;
        }
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let article = text(&row.article_name);
        let older = text(&row.supercedence);
        figures.tally("severity", &text(&row.severity));
        figures.tally("reboot", &text(&row.reboot_required));
        if !older.is_empty() {
            figures.list("supersedence_links", format!("{older}>{article}"));
        }
        figures.list("kbs", article);
    }
}
