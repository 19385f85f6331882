//! An export of a WSUS server: PowerShell's CLIXML, one object per file of an update.
//!
//! ```text
//! <Objs><Obj><MS>
//!   <S N="KBNumber">5012170</S> <S N="UpdateId">…</S> <S N="UpdateOS">Windows 11</S> <S N="UpdateArch">x64</S> …
//! ```
//! A KB has an update for each processor and edition, and an update has a file for each component that may be there: all
//! of them are one patch, for all of their products. A device downloads what fits it, so the largest file is the size.

use super::microsoft::{Days, Restart, Statement, Updates};
use crate::DocumentError;
use crate::dates;
use crate::figures::Figures;
use crate::head::Head;
use crate::input::Input;
use crate::limits::RECORDS_MAX;
use crate::reading::Reading;
use crate::text::is_plain;
use crate::xml::{Node, Tree, Xml};
use contracts::Classification;

/// Whether a document begins like one. Other things are exported as CLIXML as well.
pub(crate) fn is(head: &Head) -> bool {
    head.root().is_some_and(|(name, _)| name == "Objs")
        && ["UpdateId", "KBNumber"].iter().all(|property| head.text().contains(property))
}

pub(crate) fn read(input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    let mut xml = Xml::new(input);
    let mut updates = Updates::default();
    begin(&mut reading.figures);
    while let Some(node) = xml.next()? {
        let Node::Open(element) = node else { continue };
        match (xml.depth(), element.name.as_str()) {
            (1, "Objs") => {}
            (1, other) => {
                return Err(DocumentError::malformed(format!("its root is {other:?} and not \"Objs\"")));
            }
            (2, "Obj") => {
                let tree = xml.tree(element)?;
                reading.contents.records += 1;
                if reading.contents.records > RECORDS_MAX {
                    return Err(DocumentError::TooManyRecords { limit: RECORDS_MAX });
                }
                let properties = Properties::of(&tree);
                count(&mut reading.figures, &properties);
                update(&properties, reading, &mut updates)?;
            }
            (_, _) => xml.skip()?,
        }
    }
    updates.finish(reading, Days::OfAnyChange, None, None)
}

/// The properties of an object: `<S N="KBNumber">5012170</S>`.
struct Properties<'a>(Vec<&'a Tree>);

impl<'a> Properties<'a> {
    fn of(object: &'a Tree) -> Self {
        Self(object.child("MS").map_or_else(Vec::new, |members| members.children.iter().collect()))
    }

    /// The text of a property as it is written; of several with the same name, the last one.
    fn raw(&self, name: &str) -> &'a str {
        let found = self.0.iter().rfind(|property| property.attribute("N") == Some(name));
        found.map_or("", |property| property.text.as_str())
    }

    fn text(&self, name: &str) -> &'a str {
        self.raw(name).trim()
    }
}

fn update(
    properties: &Properties<'_>,
    reading: &mut Reading,
    updates: &mut Updates,
) -> Result<(), DocumentError> {
    let contents = &mut reading.contents;
    let number = properties.text("KBNumber");
    let id = properties.text("UpdateId");
    if properties.text("IsLatestRevision").eq_ignore_ascii_case("false") {
        contents.quarantine(format!("{number} {id}: there is a later revision of it"));
        return Ok(());
    }
    let product = product(properties);
    let expired = properties.text("PublicationState").eq_ignore_ascii_case("expired");
    if !expired && !is_plain(&product) {
        contents.quarantine(format!("{number} {id}: {product:?} cannot be a product"));
        return Ok(());
    }
    let created = dates::instant(properties.text("CreationDate"));
    contents.document_date = contents.document_date.max(created);
    updates.add(&Statement {
        fix: number,
        products: &[&product],
        severities: &[properties.text("MsrcSeverity")],
        restart: restart(properties),
        title: properties.text("Title"),
        classification: Some(classification(properties.text("UpdateClassificationTitle"))),
        released: created.map(|created| created.date_naive()),
        size_bytes: properties.text("Size").parse().ok(),
        expired,
        ..Statement::default()
    })
}

/// The product as Microsoft's security documents call it, so that both are for the same devices.
fn product(properties: &Properties<'_>) -> String {
    let (os, build) = (properties.text("UpdateOS"), properties.text("UpdateBuild"));
    if os.is_empty() {
        return properties.text("Category").to_owned();
    }
    if os.starts_with("Windows Server") {
        return os.to_owned();
    }
    let version = match (os, build) {
        // The first ones are named without a version there.
        (_, "" | "1507") => String::new(),
        ("Windows 11", "21H2") => " version 21H2".to_owned(),
        (_, build) => format!(" Version {build}"),
    };
    let processor = match properties.text("UpdateArch").to_ascii_lowercase().as_str() {
        "x64" | "amd64" => " for x64-based Systems",
        "x86" => " for 32-bit Systems",
        "arm64" => " for ARM64-based Systems",
        _ => "",
    };
    format!("{os}{version}{processor}")
}

fn restart(properties: &Properties<'_>) -> Option<Restart> {
    let told = Restart::from_word(properties.text("RebootBehavior"));
    told.or_else(|| properties.raw("Description").contains("may have to restart").then_some(Restart::Maybe))
}

fn classification(title: &str) -> Classification {
    match title.to_ascii_lowercase().as_str() {
        "security updates" => Classification::Security,
        "critical updates" => Classification::Critical,
        "drivers" | "driver sets" => Classification::Driver,
        "definition updates" => Classification::Definition,
        "feature packs" | "upgrades" => Classification::Feature,
        "service packs" | "update rollups" => Classification::ServicePack,
        _ => Classification::Other,
    }
}

fn begin(figures: &mut Figures) {
    figures.lists(&["kbs", "update_ids"]);
    figures.tallies(&[
        "severity",
        "is_superseded",
        "has_superseded_updates",
        "classification",
        "arch",
        "os_build",
    ]);
    figures.add("updates", 0);
    figures.add("size_sum", 0);
}

fn count(figures: &mut Figures, properties: &Properties<'_>) {
    if !figures.on() {
        return;
    }
    figures.add("updates", 1);
    figures.add("size_sum", properties.text("Size").parse().unwrap_or_default());
    for (list, name) in [("kbs", "KBNumber"), ("update_ids", "UpdateId")] {
        let text = properties.raw(name);
        if !text.is_empty() {
            figures.list(list, text);
        }
    }
    for (tally, name) in [
        ("severity", "MsrcSeverity"),
        ("is_superseded", "IsSuperseded"),
        ("has_superseded_updates", "HasSupersededUpdates"),
        ("classification", "UpdateClassificationTitle"),
        ("arch", "UpdateArch"),
        ("os_build", "UpdateBuild"),
    ] {
        figures.tally(tally, properties.raw(name));
    }
}
