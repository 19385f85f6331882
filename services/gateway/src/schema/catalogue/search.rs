//! Searching the catalogue, of now or of some time.

use crate::errors::{coded, failed};
use crate::reading::{Seen, View};
use crate::schema::connection::{ConnectionOf, Counted, Total, page_size};
use crate::schema::global_id::{GlobalId, Kind};
use crate::views::patch::PatchRow;
use crate::views::patch::search::{Edition, Found, Order, Place, Search, searched};
use crate::words::{Classification, DevicePlatform, PatchState, Severity, name};
use async_graphql::connection::Edge;
use async_graphql::{Enum, ID, InputObject, OutputType, Result};
use chrono::{Datelike, NaiveDate};
use std::sync::Arc;
use uuid::Uuid;

/// Longer than any vendor's title of a patch.
const TEXT_CHARACTERS_MAX: usize = 200;

/// Which patches are wanted. All that is given must be true of each.
#[derive(InputObject, Default)]
pub(crate) struct PatchSearch {
    /// Words of names, vendor ids, advisories and CVE ids, in any order; the beginning of each is enough. At most eight.
    text: Option<String>,
    /// The vendor's own id, exactly.
    vendor_patch_id: Option<String>,
    /// A KB number, with or without `KB`.
    kb: Option<String>,
    /// A CVE id.
    cve: Option<String>,
    /// Words of a product that it is for: an operating system's version, a package, a component; likewise.
    product: Option<String>,
    severities: Option<Vec<Severity>>,
    platform: Option<DevicePlatform>,
    classifications: Option<Vec<Classification>>,
    /// Whether one of its vulnerabilities is known to be exploited.
    kev: Option<bool>,
    state: Option<PatchState>,
    released_from: Option<NaiveDate>,
    /// The last day that is wanted.
    released_to: Option<NaiveDate>,
    feed_id: Option<ID>,
    /// Whether it came outside of the regular cycle.
    out_of_band: Option<bool>,
}

/// The order of a list of patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Enum)]
pub(crate) enum PatchOrder {
    /// By the day of publication, newest first.
    #[default]
    NewestRelease,
    /// By when it became known here, newest first.
    NewestKnown,
    /// By severity, the most severe first; within one severity newest first.
    MostSevere,
}

impl From<PatchOrder> for Order {
    fn from(order: PatchOrder) -> Self {
        match order {
            PatchOrder::NewestRelease => Self::NewestRelease,
            PatchOrder::NewestKnown => Self::NewestKnown,
            PatchOrder::MostSevere => Self::MostSevere,
        }
    }
}

impl PatchSearch {
    /// With the arguments that were there before the search had fields.
    pub(crate) fn and(self, platform: Option<DevicePlatform>, severities: Option<Vec<Severity>>) -> Self {
        Self { platform: self.platform.or(platform), severities: self.severities.or(severities), ..self }
    }

    fn wanted(self) -> Result<Search> {
        let feed_id = match self.feed_id {
            None => None,
            Some(id) => match GlobalId::read(&id) {
                Some(GlobalId { kind: Kind::Feed, id }) => Some(id),
                Some(_) | None => return Err(coded("graphql.id_invalid", "feedId is not a feed id")),
            },
        };
        Ok(Search {
            patch_id: None,
            words: words("text", self.text)?,
            vendor_patch_id: exact("vendorPatchId", self.vendor_patch_id)?,
            kb: exact("kb", self.kb)?.map(|kb| full_kb(&kb)),
            cve: exact("cve", self.cve)?.map(|cve| cve.to_uppercase()),
            product: words("product", self.product)?,
            platform: self.platform.map(name),
            severities: self.severities.map(|words| words.into_iter().map(name).collect()),
            classifications: self.classifications.map(|words| words.into_iter().map(name).collect()),
            state: self.state.map(name),
            kev: self.kev,
            out_of_band: self.out_of_band,
            feed_id,
            released_from: self.released_from,
            released_to: self.released_to,
        })
    }
}

/// The words of a text; none where it is empty.
fn words(field: &str, text: Option<String>) -> Result<Option<Vec<String>>> {
    match exact(field, text)? {
        Some(text) if !text.is_empty() => {
            let words = searched(&text);
            words.map(Some).map_err(|refusal| coded("graphql.input_invalid", format!("{field}: {refusal}")))
        }
        Some(_) | None => Ok(None),
    }
}

/// A text as the database can be asked for it.
fn exact(field: &str, text: Option<String>) -> Result<Option<String>> {
    let Some(text) = text else { return Ok(None) };
    // No text in the database holds U+0000, and it would refuse the question.
    let text = text.trim().replace('\0', "");
    let length = text.chars().count();
    if length > TEXT_CHARACTERS_MAX {
        let message = format!("{field} has {length} characters, at most {TEXT_CHARACTERS_MAX} are allowed");
        return Err(coded("graphql.input_invalid", message));
    }
    Ok(Some(text))
}

fn full_kb(kb: &str) -> String {
    let kb = kb.to_uppercase();
    if kb.starts_with("KB") { kb } else { format!("KB{kb}") }
}

/// A page of the catalogue of now.
pub(crate) async fn patches(
    view: &View,
    search: PatchSearch,
    order: PatchOrder,
    first: Option<i32>,
    after: Option<String>,
) -> Result<ConnectionOf<PatchRow>> {
    page(view, Edition::Now, search, order, (first, after), |found| Some(found.patch)).await
}

/// A page of an edition of the catalogue.
pub(super) async fn page<T: Sync>(
    view: &View,
    edition: Edition,
    search: PatchSearch,
    order: PatchOrder,
    (first, after): (Option<i32>, Option<String>),
    entry: impl Fn(Found) -> Option<T>,
) -> Result<ConnectionOf<T>>
where
    Seen<T>: OutputType,
{
    let limit = page_size(first)?;
    let (cursors, list, parent) = (view.cursors(), list(edition, order), parent(edition));
    let after = match after {
        Some(text) => Some(place(cursors.read_keys(list, parent, &text)?)?),
        None => None,
    };
    let search = Arc::new(search.wanted()?);
    let mut found = search.page(view, edition, order.into(), after, limit + 1).await.map_err(failed)?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let total = Total { view: view.clone(), of: Counted::Found { edition, search } };
    let mut connection = ConnectionOf::with_additional_fields(after.is_some(), has_more, total);
    for found in found {
        let cursor = cursors.write_keys(list, parent, keys(found.place));
        connection.edges.extend(entry(found).map(|row| Edge::new(cursor, view.seen(row))));
    }
    Ok(connection)
}

/// The name of the list that a cursor belongs to: another order is another list.
fn list(edition: Edition, order: PatchOrder) -> &'static str {
    match (edition, order) {
        (Edition::Now, PatchOrder::NewestRelease) => "PATCHES_NEWEST_RELEASE",
        (Edition::Now, PatchOrder::NewestKnown) => "PATCHES_NEWEST_KNOWN",
        (Edition::Now, PatchOrder::MostSevere) => "PATCHES_MOST_SEVERE",
        (Edition::At(_), PatchOrder::NewestRelease) => "PATCHES_AT_NEWEST_RELEASE",
        (Edition::At(_), PatchOrder::NewestKnown) => "PATCHES_AT_NEWEST_KNOWN",
        (Edition::At(_), PatchOrder::MostSevere) => "PATCHES_AT_MOST_SEVERE",
    }
}

/// A page of one time is followed by one of the same time.
fn parent(edition: Edition) -> Uuid {
    match edition {
        Edition::Now => Uuid::nil(),
        Edition::At(time) => Uuid::from_u64_pair(1, time.timestamp_micros().cast_unsigned()),
    }
}

fn keys(place: Place) -> [i64; 3] {
    [place.urgency.into(), place.release_date.num_days_from_ce().into(), place.seq]
}

fn place([urgency, days, seq]: [i64; 3]) -> Result<Place> {
    let invalid = || coded("graphql.cursor_invalid", "the cursor is not one of this list");
    let days = i32::try_from(days).ok().and_then(NaiveDate::from_num_days_from_ce_opt);
    Ok(Place {
        urgency: i16::try_from(urgency).map_err(|_beyond| invalid())?,
        release_date: days.ok_or_else(invalid)?,
        seq,
    })
}
