//! Dell's catalogue of driver packs: one pack a release id, for some models and releases of Windows.

use crate::DocumentError;
use crate::dates::instant;
use crate::figures::Figures;
use crate::head::Head;
use crate::identity::{self, Vendor};
use crate::input::Input;
use crate::limits::PATCH_TARGETS_MAX;
use crate::reading::Reading;
use crate::text::{clipped, is_plain, web_address};
use crate::xml::{Node, Tree, Xml};
use contracts::feeds::PatchFacts;
use contracts::{Classification, DevicePlatform, FixTarget};
use kernel::FeedId;
use std::collections::BTreeSet;

const ROOT: &str = "DriverPackManifest";
const VENDOR: &str = "Dell";
/// Models times operating systems of all packs: the real catalogue has some 2,500.
const TARGETS_MAX: usize = 200_000;

/// Whether a document begins like one.
pub(crate) fn is(head: &Head) -> bool {
    head.root().is_some_and(|(name, _)| name == ROOT)
}

pub(crate) fn read(input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    let feed_id = reading.feed_id;
    let Reading { contents, figures, .. } = reading;
    figures.lists(&["release_ids", "models"]);
    figures.tallies(&["os_codes"]);
    figures.add("size_sum", 0);
    let mut dates: Option<(String, String)> = None;
    let mut targets = 0;
    let mut xml = Xml::new(input);
    while let Some(node) = xml.next()? {
        let Node::Open(element) = node else { continue };
        if xml.depth() == 1 {
            if element.name != ROOT {
                return Err(DocumentError::malformed(format!("its root is <{}>", element.name)));
            }
            contents.document_id = element.attribute("version").map(clipped);
            contents.document_date = element.attribute("dateTime").and_then(instant);
            figures.set("catalog_version", element.attribute("version"));
            figures.set("catalog_date", element.attribute("dateTime"));
        } else if element.name == "DriverPackage" {
            let pack = xml.tree(element)?;
            contents.records += 1;
            if figures.on() {
                count(&pack, figures, &mut dates);
            }
            match facts(&pack, feed_id) {
                Ok(patch) => {
                    targets += patch.targets.len();
                    if targets > TARGETS_MAX {
                        return Err(DocumentError::TooManyRecords { limit: TARGETS_MAX });
                    }
                    contents.patch(patch)?;
                }
                Err(reason) => contents.quarantine(format!("pack {}: {reason}", contents.records)),
            }
        } else {
            xml.skip()?;
        }
    }
    figures.set("packages", contents.records);
    if let Some((first, last)) = dates {
        figures.set("date_min", first);
        figures.set("date_max", last);
    }
    Ok(())
}

fn facts(pack: &Tree, feed_id: FeedId) -> Result<PatchFacts, String> {
    let id = pack.attribute("releaseID").unwrap_or_default().trim();
    if !is_plain(id) {
        return Err("it has no release id".to_owned());
    }
    let date = pack.attribute("dateTime").unwrap_or_default();
    let date = instant(date).ok_or_else(|| format!("{id}: {date:?} is no date"))?;
    // `A01` is the version that Dell's people speak of; the vendor's `1.0` says little.
    let versions =
        ["dellVersion", "vendorVersion"].map(|name| pack.attribute(name).unwrap_or_default().trim());
    let version = versions.into_iter().find(|version| !version.is_empty()).unwrap_or_default();
    if !is_plain(version) {
        return Err(format!("{id}: it has no version"));
    }
    let systems = systems(pack);
    let models = models(pack);
    if models.is_empty() || systems.is_empty() {
        return Err(format!("{id}: it is for no model or no operating system"));
    }
    if systems.len().saturating_mul(models.len()) > PATCH_TARGETS_MAX {
        return Err(format!("{id}: it is for more than {PATCH_TARGETS_MAX} models and systems"));
    }
    let mut targets = Vec::new();
    for system in &systems {
        for model in &models {
            targets.push(FixTarget::OemComponent {
                os: identity::os("windows", system),
                vendor: VENDOR.to_owned(),
                component: format!("{model} driver pack"),
                fixed_version: version.to_owned(),
            });
        }
    }
    let name = display(pack.child("Name"));
    let url = pack.child("ImportantInfo").and_then(|info| info.attribute("URL")).and_then(web_address);
    Ok(PatchFacts {
        name: clipped(&format!("{} {version}", if name.is_empty() { id } else { name })),
        os_versions: systems.into_iter().collect(),
        classification: Classification::Driver,
        targets,
        url: url.map(str::to_owned),
        version: Some(version.to_owned()),
        size_bytes: pack.attribute("size").and_then(|size| size.trim().parse().ok()),
        ..identity::blank(
            feed_id,
            identity::patch_id_for_all(Vendor::Dell, id),
            id,
            DevicePlatform::Windows,
            date.date_naive(),
        )
    })
}

/// `Windows 10 x64`
fn systems(pack: &Tree) -> BTreeSet<String> {
    let Some(all) = pack.child("SupportedOperatingSystems") else { return BTreeSet::new() };
    all.all("OperatingSystem")
        .map(|system| {
            let name = display(Some(system));
            if name.is_empty() { system.attribute("osCode").unwrap_or_default().trim() } else { name }
        })
        .filter(|name| is_plain(name))
        .map(str::to_owned)
        .collect()
}

/// `OptiPlex 7010 (02C3)`: names alone are not unique, and the system's own number is what a device reports.
fn models(pack: &Tree) -> BTreeSet<String> {
    let Some(systems) = pack.child("SupportedSystems") else { return BTreeSet::new() };
    let mut models = BTreeSet::new();
    for model in systems.all("Brand").flat_map(|brand| brand.all("Model")) {
        let name = model.attribute("name").unwrap_or_default().trim();
        let name = if name.is_empty() { display(Some(model)) } else { name };
        let number = model.attribute("systemID").unwrap_or_default().trim();
        let model = if number.is_empty() { name.to_owned() } else { format!("{name} ({number})") };
        let model = model.trim();
        if is_plain(model) {
            models.insert(model.to_owned());
        }
    }
    models
}

fn display(element: Option<&Tree>) -> &str {
    element.map_or("", |element| element.text_of("Display"))
}

fn count(pack: &Tree, figures: &mut Figures, dates: &mut Option<(String, String)>) {
    figures.list("release_ids", pack.attribute("releaseID").unwrap_or_default());
    let size = pack.attribute("size").and_then(|size| size.trim().parse().ok());
    figures.add("size_sum", size.unwrap_or_default());
    pack.walk(&mut |element| match element.name() {
        "OperatingSystem" => figures.tally("os_codes", element.attribute("osCode").unwrap_or_default()),
        "Model" => figures.list("models", element.attribute("systemID").unwrap_or_default()),
        _ => {}
    });
    let date = pack.attribute("dateTime").unwrap_or_default();
    let (first, last) = dates.take().unwrap_or_else(|| (date.to_owned(), date.to_owned()));
    *dates = Some((first.min(date.to_owned()), last.max(date.to_owned())));
}
