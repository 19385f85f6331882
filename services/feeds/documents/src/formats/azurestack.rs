//! Azure Stack's list of updates, as its update resource provider answers it (`Get-AzsUpdate`).
//!
//! The list is that of one system: what it says of the progress there is no news of the patch, except that its publisher
//! recalled it. Real systems give `0001-01-01` as the date, but every version names its month: `1.2008.25.114` is of
//! August 2020, `1.0.180305.1` of 5 March 2018.

use crate::DocumentError;
use crate::contents::{Link, Withdrawal};
use crate::dates::{instant, midnight};
use crate::head::{Head, Kind};
use crate::identity::{self, Vendor};
use crate::input::Input;
use crate::json::{self, Fields, Shape};
use crate::reading::Reading;
use crate::text::{clipped, is_plain, web_address};
use chrono::NaiveDate;
use contracts::feeds::PatchFacts;
use contracts::{Cadence, Classification, DevicePlatform, FixTarget, OutOfBandReason};
use kernel::FeedId;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Updates of one system: some ten a year.
const UPDATES_MAX: usize = 10_000;
/// What a megabyte is to the provider.
const MEGABYTE: f64 = 1_048_576.0;

/// Whether a document begins like one.
pub(crate) fn is(head: &Head) -> bool {
    let providers = ["Microsoft.Update.Admin", "Microsoft.AzureStackHCI"];
    head.kind == Kind::JsonObject
        && head.has(1, "value")
        && head.has(3, "properties")
        && providers.iter().any(|provider| head.text().contains(provider))
}

pub(crate) fn read(input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    reading.figures.tallies(&["states"]);
    let mut list = List { reading, columns: Columns::default() };
    json::fields(input, &mut list)?;
    let List { reading, columns } = list;
    let Reading { contents, figures, .. } = reading;
    contents.document_date = contents.patches.iter().map(|patch| patch.release_date).max().map(midnight);
    figures.set("items", contents.records);
    figures.set("names", columns.names);
    figures.set("versions", columns.versions);
    figures.set("size_mb", columns.sizes);
    figures.set("min_version", columns.min_versions);
    figures.set("min_oem", columns.min_oem_versions);
    Ok(())
}

struct List<'r> {
    reading: &'r mut Reading,
    columns: Columns,
}

/// Figures that are lists in the document's order.
#[derive(Default)]
struct Columns {
    names: Vec<Value>,
    versions: Vec<Value>,
    sizes: Vec<Value>,
    min_versions: Vec<Value>,
    min_oem_versions: Vec<Value>,
}

#[derive(Deserialize)]
struct Update {
    #[serde(default)]
    name: String,
    #[serde(default)]
    properties: Properties,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Properties {
    display_name: Option<String>,
    update_name: Option<String>,
    description: Option<String>,
    state: Option<String>,
    version: Option<String>,
    publisher: Option<String>,
    package_type: Option<String>,
    package_size_in_mb: Option<serde_json::Number>,
    kb_link: Option<String>,
    release_link: Option<String>,
    min_version_required: Option<String>,
    min_oem_version_required: Option<String>,
    date_available: Option<String>,
    #[serde(deserialize_with = "json::list::<_, _, 100>")]
    prerequisites: Vec<Prerequisite>,
}

/// Another package that must be there first.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Prerequisite {
    package_name: Option<String>,
}

impl Fields for List<'_> {
    fn shape(&self, field: &str) -> Shape {
        match field {
            "value" => Shape::Items,
            "nextLink" => Shape::Whole,
            _ => Shape::Skip,
        }
    }

    fn whole(&mut self, _: &str, value: &RawValue) -> Result<(), DocumentError> {
        let link: Option<String> = json::item(value).map_err(DocumentError::malformed)?;
        link.map_or(Ok(()), |href| self.reading.contents.link(Link::to(&href)))
    }

    fn item(&mut self, _: &str, _: Option<&str>, value: &RawValue) -> Result<(), DocumentError> {
        let feed_id = self.reading.feed_id;
        let contents = &mut self.reading.contents;
        contents.records += 1;
        if contents.records > UPDATES_MAX {
            return Err(DocumentError::TooManyRecords { limit: UPDATES_MAX });
        }
        let update: Update = match json::item(value) {
            Ok(update) => update,
            Err(reason) => {
                contents.quarantine(format!("update {}: {reason}", contents.records));
                return Ok(());
            }
        };
        if self.reading.figures.on() {
            let properties = &update.properties;
            self.reading.figures.tally("states", properties.state.as_deref().unwrap_or_default());
            self.columns.names.push(update.name.as_str().into());
            self.columns.versions.push(properties.version.clone().into());
            self.columns.sizes.push(properties.package_size_in_mb.clone().map_or(Value::Null, Value::Number));
            self.columns.min_versions.push(properties.min_version_required.clone().into());
            self.columns.min_oem_versions.push(properties.min_oem_version_required.clone().into());
        }
        let contents = &mut self.reading.contents;
        // `redmond/Microsoft1.2008.25.114`: the system's location does not belong to the update's name.
        let id = update.name.rsplit('/').next().unwrap_or_default().trim();
        if !is_plain(id) {
            contents.quarantine(format!("update {}: {:?} is no name", contents.records, update.name));
            return Ok(());
        }
        let state = update.properties.state.as_deref().unwrap_or_default();
        if ["Recalled", "Invalid"].iter().any(|withdrawn| state.eq_ignore_ascii_case(withdrawn)) {
            return contents.withdraw(Withdrawal {
                vendor: Vendor::AzureStack,
                vendor_patch_id: id.to_owned(),
                reason: clipped(state),
            });
        }
        match update.properties.facts(id, feed_id) {
            Ok(patch) => contents.patch(patch),
            Err(reason) => {
                contents.quarantine(format!("{id}: {reason}"));
                Ok(())
            }
        }
    }
}

/// What a package is, by the publisher's words.
struct Package {
    classification: Classification,
    cadence: Cadence,
    out_of_band: Option<OutOfBandReason>,
    component: &'static str,
}

impl Properties {
    fn facts(self, id: &str, feed_id: FeedId) -> Result<PatchFacts, String> {
        let version = self.version.as_deref().unwrap_or_default().trim();
        if !is_plain(version) {
            return Err("it has no version".to_owned());
        }
        let link = self.kb_link.as_deref().unwrap_or_default();
        let released = self.date_available.as_deref().and_then(instant).map(|date| date.date_naive());
        let released = released.or_else(|| month_of_version(version)).or_else(|| month_of_link(link));
        let released = released.ok_or("it has no date, and its version names no month")?;
        let publisher = self.publisher.as_deref().map(str::trim).filter(|name| is_plain(name));
        let publisher = publisher.unwrap_or("Microsoft");
        let name = [&self.display_name, &self.update_name, &self.description];
        let name = name.into_iter().flatten().map(|name| name.trim()).find(|name| !name.is_empty());
        let name = name.unwrap_or(id);
        let kind = self.kind(name);
        let urls = [&self.kb_link, &self.release_link].into_iter().flatten();
        let url = urls.into_iter().find_map(|url| web_address(url));
        Ok(PatchFacts {
            name: clipped(name),
            os_versions: vec!["Azure Stack".to_owned()],
            classification: kind.classification,
            cadence: kind.cadence,
            out_of_band: kind.out_of_band,
            targets: vec![FixTarget::OemComponent {
                os: identity::os("azurestack", ""),
                vendor: publisher.to_owned(),
                component: kind.component.to_owned(),
                fixed_version: version.to_owned(),
            }],
            url: url.map(str::to_owned),
            version: Some(version.to_owned()),
            size_bytes: self.package_size_in_mb.as_ref().and_then(bytes),
            prerequisites: self.prerequisites(id, publisher, version),
            ..identity::blank(
                feed_id,
                identity::patch_id_for_all(Vendor::AzureStack, id),
                id,
                DevicePlatform::Windows,
                released,
            )
        })
    }

    fn kind(&self, name: &str) -> Package {
        let package = self.package_type.as_deref().unwrap_or_default().to_ascii_lowercase();
        if package.contains("oem") || package.contains("partner") || package.contains("sbe") {
            return Package {
                classification: Classification::Firmware,
                cadence: Cadence::Unscheduled,
                out_of_band: None,
                component: "OEM package",
            };
        }
        if package.contains("hotfix") || name.to_ascii_lowercase().contains("hotfix") {
            return Package {
                classification: Classification::Critical,
                cadence: Cadence::OutOfBand,
                out_of_band: Some(OutOfBandReason::NotSaid),
                component: "Infrastructure",
            };
        }
        Package {
            classification: Classification::System,
            cadence: Cadence::Regular,
            out_of_band: None,
            component: "Infrastructure",
        }
    }

    /// An update's name is its publisher and its version, so the least version that is required names an update as well.
    fn prerequisites(&self, id: &str, publisher: &str, version: &str) -> Vec<String> {
        let prefix = id.strip_suffix(version).unwrap_or(publisher);
        let least = self.min_version_required.as_deref().map(str::trim).filter(|least| is_plain(least));
        let mut all: Vec<String> = least.map(|least| format!("{prefix}{least}")).into_iter().collect();
        let packages = self.prerequisites.iter().filter_map(|other| other.package_name.as_deref());
        all.extend(packages.map(str::trim).filter(|name| is_plain(name)).map(str::to_owned));
        all.sort();
        all.dedup();
        all
    }
}

fn bytes(megabytes: &serde_json::Number) -> Option<u64> {
    let megabytes = megabytes.as_f64().filter(|size| (0.0..1e9).contains(size))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is below 10^15")]
    let bytes = (megabytes * MEGABYTE).round() as u64;
    (bytes > 0).then_some(bytes)
}

/// `1.2008.25.114` and `1.0.180305.1`
fn month_of_version(version: &str) -> Option<NaiveDate> {
    version.split('.').skip(1).find_map(day_of_digits)
}

/// `…?view=azs-2008`
fn month_of_link(link: &str) -> Option<NaiveDate> {
    let view = link.split_once("view=azs-")?.1;
    let view = view.split(|character: char| !character.is_ascii_alphanumeric()).next()?;
    day_of_digits(view.trim_start_matches(|character: char| !character.is_ascii_digit()))
}

/// Year, month and perhaps day, two digits each.
fn day_of_digits(digits: &str) -> Option<NaiveDate> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let two = |at: usize| digits.get(at..at + 2)?.parse::<u32>().ok();
    let day = match digits.len() {
        4 => 1,
        6 => two(4)?,
        _ => return None,
    };
    let year = 2000 + i32::try_from(two(0)?).ok()?;
    // The first release was in 2017.
    NaiveDate::from_ymd_opt(year, two(2)?, day).filter(|_| (2017..2060).contains(&year))
}
