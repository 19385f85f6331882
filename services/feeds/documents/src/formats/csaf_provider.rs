//! What a CSAF provider says of itself (`provider-metadata.json`), and where its documents are listed.

use crate::DocumentError;
use crate::contents::Link;
use crate::dates;
use crate::head::{Head, Kind};
use crate::input::Input;
use crate::json;
use crate::reading::Reading;
use crate::text::clipped;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Places of one provider: real ones have a folder and a feed per traffic light colour.
const DISTRIBUTIONS_MAX: usize = 1_000;

/// Whether a document begins like one.
pub(crate) fn is(head: &Head) -> bool {
    head.kind == Kind::JsonObject
        && head.has(1, "canonical_url")
        && (head.has(1, "distributions") || head.has(1, "metadata_version"))
}

#[derive(Deserialize)]
struct Provider {
    canonical_url: String,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    last_updated: Option<String>,
    #[serde(default, deserialize_with = "json::list::<_, _, DISTRIBUTIONS_MAX>")]
    distributions: Vec<Distribution>,
    #[serde(default)]
    public_openpgp_keys: Option<Vec<IgnoredAny>>,
}

#[derive(Deserialize)]
struct Distribution {
    #[serde(default)]
    directory_url: Option<String>,
    #[serde(default)]
    rolie: Option<Rolie>,
}

#[derive(Deserialize)]
struct Rolie {
    #[serde(default, deserialize_with = "json::list::<_, _, DISTRIBUTIONS_MAX>")]
    feeds: Vec<Feed>,
}

#[derive(Deserialize)]
struct Feed {
    url: String,
}

pub(crate) fn read(input: Input<'_>, reading: &mut Reading) -> Result<(), DocumentError> {
    let provider: Provider = json::value(input)?;
    let figures = &mut reading.figures;
    figures.set("canonical_url", provider.canonical_url.as_str());
    figures.set("role", provider.role.as_deref());
    figures.set("distributions", provider.distributions.len());
    figures.set("keys", provider.public_openpgp_keys.as_ref().map_or(0, Vec::len));
    let contents = &mut reading.contents;
    contents.document_id = Some(clipped(provider.canonical_url.trim()));
    contents.document_date = provider.last_updated.as_deref().and_then(dates::instant);
    contents.records = provider.distributions.len();
    for distribution in &provider.distributions {
        let feeds = distribution.rolie.as_ref().map(|rolie| rolie.feeds.as_slice()).unwrap_or_default();
        // The standard says what a folder of documents must have.
        let folder = distribution.directory_url.as_deref().map(str::trim);
        let changes = folder.map(|folder| format!("{}/changes.csv", folder.trim_end_matches('/')));
        for href in feeds.iter().map(|feed| feed.url.as_str()).chain(changes.as_deref()) {
            contents.link(Link::to(href))?;
        }
    }
    Ok(())
}
