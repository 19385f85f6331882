//! Lenovo's catalogue: for each model with its machine types, the newest BIOS and the driver packs by release of Windows.
//!
//! ```text
//! <Model name="ThinkPad X"><Types><Type>20AB</Type></Types>
//!   <BIOS version="N2ET40W" date="2024-04-25" crc="…SHA-256…">https://…/n2e40w.exe</BIOS>
//!   <SCCM os="win10" version="22H2" date="2024-02-20" crc="…">https://…/tp_x_w1064_22h2.exe</SCCM>
//! ```
//! A file that several models share is one patch, under the file's name. Packs have no version of their own, but a date;
//! their `version` is that of Windows, `*` for any.

use crate::DocumentError;
use crate::dates::day;
use crate::figures::Figures;
use crate::head::Head;
use crate::identity::{self, Vendor};
use crate::input::Input;
use crate::limits::PATCH_TARGETS_MAX;
use crate::reading::Reading;
use crate::text::{clipped, is_plain, web_address};
use crate::xml::{Node, Tree, Xml};
use chrono::NaiveDate;
use contracts::feeds::PatchFacts;
use contracts::{Classification, DevicePlatform, FixTarget};
use kernel::FeedId;
use std::collections::{BTreeMap, BTreeSet};

const ROOT: &str = "ModelList";
const VENDOR: &str = "Lenovo";
/// Machine types times releases of Windows of all files: the real catalogue has some 15,000.
const TARGETS_MAX: usize = 200_000;

/// Whether a document begins like one.
pub(crate) fn is(head: &Head) -> bool {
    head.root().is_some_and(|(name, _)| name == ROOT)
}

pub(crate) fn read(input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    let feed_id = reading.feed_id;
    let Reading { contents, figures, .. } = reading;
    figures.lists(&["machine_types", "distinct_urls"]);
    figures.tallies(&["driver_pack_os"]);
    for name in ["models", "bios", "driver_packs", "bios_without_date"] {
        figures.add(name, 0);
    }
    let mut files: BTreeMap<String, File> = BTreeMap::new();
    let mut targets = 0;
    let mut xml = Xml::new(input);
    while let Some(node) = xml.next()? {
        let Node::Open(element) = node else { continue };
        if xml.depth() == 1 {
            if element.name != ROOT {
                return Err(DocumentError::malformed(format!("its root is <{}>", element.name)));
            }
        } else if element.name == "Model" {
            let model = xml.tree(element)?;
            if figures.on() {
                count(&model, figures);
            }
            let names = names(&model);
            for (kind, entry) in model.children.iter().filter_map(|entry| Some((kind(entry.name())?, entry)))
            {
                contents.records += 1;
                match Offer::of(entry, kind) {
                    Ok(offer) => targets += offer.join(&mut files, kind, &names),
                    Err(reason) => {
                        let model = model.attribute("name").unwrap_or_default();
                        contents.quarantine(format!("{model}: {}: {reason}", entry.name()));
                    }
                }
                if targets > TARGETS_MAX {
                    return Err(DocumentError::TooManyRecords { limit: TARGETS_MAX });
                }
            }
        } else {
            xml.skip()?;
        }
    }
    contents.document_date = files.values().map(|file| file.newest).max().map(crate::dates::midnight);
    for (name, file) in files {
        match file.facts(&name, feed_id) {
            Ok(patch) => contents.patch(patch)?,
            Err(reason) => contents.quarantine(format!("{name}: {reason}")),
        }
    }
    Ok(())
}

/// What an element offers: in words, and its classification.
struct Kind {
    words: &'static str,
    classification: Classification,
}

fn kind(element: &str) -> Option<&'static Kind> {
    const BIOS: Kind = Kind { words: "BIOS", classification: Classification::Firmware };
    const PACK: Kind = Kind { words: "driver pack", classification: Classification::Driver };
    const GRAPHICS: Kind = Kind { words: "graphics driver", classification: Classification::Driver };
    const APPS: Kind = Kind { words: "hardware support apps", classification: Classification::Driver };
    match element {
        "BIOS" => Some(&BIOS),
        "SCCM" => Some(&PACK),
        "GFX" => Some(&GRAPHICS),
        "HSA" => Some(&APPS),
        _ => None,
    }
}

/// One entry of one model.
struct Offer<'a> {
    url: &'a str,
    file: &'a str,
    date: NaiveDate,
    /// Of the BIOS itself.
    version: Option<&'a str>,
    /// Windows as the component needs it: none for a BIOS.
    system: String,
}

impl<'a> Offer<'a> {
    fn of(entry: &'a Tree, kind: &Kind) -> Result<Self, String> {
        let url = entry.text.trim();
        if url.is_empty() {
            return Err("it offers no file".to_owned());
        }
        let file = url.rsplit('/').next().unwrap_or_default();
        let file = file.rsplit_once('.').map_or(file, |(name, _)| name);
        if web_address(url).is_none() || !is_plain(file) {
            return Err(format!("{url:?} is no address of a file"));
        }
        let date = entry.attribute("date").unwrap_or_default();
        let date = day(date, &["%Y-%m-%d", "%Y%m%d"]).ok_or_else(|| format!("{date:?} is no day"))?;
        let version = entry.attribute("version").unwrap_or_default().trim();
        if !is_plain(version) {
            return Err("it has no version".to_owned());
        }
        let is_bios = kind.classification == Classification::Firmware;
        let system = if is_bios { String::new() } else { windows(entry.attribute("os"), version) };
        Ok(Self { url, file, date, version: is_bios.then_some(version), system })
    }

    /// Joins the file's other entries; answers how many targets that adds.
    fn join(
        self,
        files: &mut BTreeMap<String, File>,
        kind: &'static Kind,
        names: &BTreeSet<String>,
    ) -> usize {
        let file = files.entry(self.file.to_owned()).or_insert_with(|| File {
            kind,
            url: self.url.to_owned(),
            first: self.date,
            newest: self.date,
            version: String::new(),
            places: BTreeSet::new(),
        });
        file.first = file.first.min(self.date);
        file.newest = file.newest.max(self.date);
        if let Some(version) = self.version.filter(|version| *version > file.version.as_str()) {
            version.clone_into(&mut file.version);
        }
        let before = file.places.len();
        file.places.extend(names.iter().map(|name| (self.system.clone(), name.clone())));
        file.places.len() - before
    }
}

/// `Windows 10 22H2`
fn windows(os: Option<&str>, version: &str) -> String {
    let os = os.unwrap_or_default().trim();
    let name = match os.to_ascii_lowercase().strip_prefix("win") {
        Some(number) if is_plain(number) => format!("Windows {number}"),
        Some(_) | None => clipped(os),
    };
    if version == "*" { name } else { format!("{name} {version}") }
}

/// A file and all that it is for.
struct File {
    kind: &'static Kind,
    url: String,
    first: NaiveDate,
    newest: NaiveDate,
    /// Of a BIOS; empty for a pack.
    version: String,
    /// Release of Windows and machine type.
    places: BTreeSet<(String, String)>,
}

impl File {
    fn facts(self, name: &str, feed_id: FeedId) -> Result<PatchFacts, String> {
        if self.places.len() > PATCH_TARGETS_MAX {
            return Err(format!("it is for more than {PATCH_TARGETS_MAX} machine types"));
        }
        let version = if self.version.is_empty() { self.first.to_string() } else { self.version };
        let systems: BTreeSet<String> = self
            .places
            .iter()
            .map(|(system, _)| system.clone())
            .filter(|system| !system.is_empty())
            .collect();
        let words = self.kind.words;
        let targets = self.places.into_iter().map(|(system, machine)| FixTarget::OemComponent {
            os: identity::os("windows", &system),
            vendor: VENDOR.to_owned(),
            component: format!("{machine} {words}"),
            fixed_version: version.clone(),
        });
        Ok(PatchFacts {
            name: clipped(&format!("{VENDOR} {words} {version} ({name})")),
            os_versions: systems.into_iter().collect(),
            classification: self.kind.classification,
            targets: targets.collect(),
            url: Some(self.url),
            version: Some(version.clone()),
            ..identity::blank(
                feed_id,
                identity::patch_id_for_all(Vendor::Lenovo, name),
                name,
                DevicePlatform::Windows,
                self.first,
            )
        })
    }
}

/// Machine types of a model, which is what a device reports; its name where it has none.
fn names(model: &Tree) -> BTreeSet<String> {
    let types = model.child("Types").into_iter().flat_map(|types| types.all("Type"));
    let mut names: BTreeSet<String> =
        types.map(|machine| machine.text.trim()).filter(|name| is_plain(name)).map(str::to_owned).collect();
    if names.is_empty() {
        names.extend(model.attribute("name").map(str::trim).filter(|name| is_plain(name)).map(str::to_owned));
    }
    names
}

fn count(model: &Tree, figures: &mut Figures) {
    figures.add("models", 1);
    model.walk(&mut |element| {
        if element.name() == "Type" {
            figures.list("machine_types", element.text.as_str());
        }
    });
    for entry in &model.children {
        match entry.name() {
            "BIOS" => {
                figures.add("bios", 1);
                let has_date = entry.attribute("date").is_some_and(|date| !date.is_empty());
                figures.add("bios_without_date", u64::from(!has_date));
            }
            "SCCM" => {
                figures.add("driver_packs", 1);
                figures.tally("driver_pack_os", entry.attribute("os").unwrap_or_default());
            }
            _ => continue,
        }
        let url = entry.text.trim();
        if !url.is_empty() {
            figures.list("distinct_urls", url);
        }
    }
}
