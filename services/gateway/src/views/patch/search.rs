//! Searching the catalogue: the one place where a statement is put together from what is asked for.
//!
//! Behind row-level security an index serves only operators that are leakproof: equality and order are, `ilike` and those
//! on arrays are not. So words are ranges of an index of words. A page is found in one of two ways: by what is rare (an
//! exact id, a rare word, what frequent words have in common), or by a walk along the order in which the page is shown.

mod statement;

use super::{PatchRow, words};
use crate::reading::View;
use chrono::{DateTime, NaiveDate, Utc};
use eventstore::{StoreError, Tx};
use sqlx::Row;
use std::sync::Arc;
use uuid::Uuid;

/// Patches of a word that are looked at one by one at once: fewer than a short walk passes.
const RARE_MAX: i64 = 200;

/// The same where the walk found too few: more than these cost what it costs to read all that the words have in common.
const UNCOMMON_MAX: i64 = 2_000;

/// Which patches are wanted. All that is said must be true of each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Search {
    /// Words that names and ids must have, each in full or the beginning of one.
    pub(crate) words: Option<Vec<String>>,
    pub(crate) patch_id: Option<Uuid>,
    pub(crate) vendor_patch_id: Option<String>,
    pub(crate) kb: Option<String>,
    pub(crate) cve: Option<String>,
    /// Words that a product must have, likewise.
    pub(crate) product: Option<Vec<String>>,
    pub(crate) platform: Option<&'static str>,
    pub(crate) severities: Option<Vec<&'static str>>,
    pub(crate) classifications: Option<Vec<&'static str>>,
    pub(crate) state: Option<&'static str>,
    pub(crate) kev: Option<bool>,
    pub(crate) out_of_band: Option<bool>,
    pub(crate) feed_id: Option<Uuid>,
    pub(crate) released_from: Option<NaiveDate>,
    pub(crate) released_to: Option<NaiveDate>,
}

/// The order of a list of patches. The last key is unique, so that a page begins where the one before ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    NewestRelease,
    NewestKnown,
    MostSevere,
}

impl Order {
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::NewestRelease => &["release_date", "seq"],
            Self::NewestKnown => &["seq"],
            Self::MostSevere => &["urgency", "release_date", "seq"],
        }
    }

    fn sql(self, of: &str) -> String {
        let keys: Vec<String> = self.keys().iter().map(|key| format!("{of}.{key} desc")).collect();
        keys.join(", ")
    }
}

/// Where a patch stands in every order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) urgency: i16,
    pub(crate) release_date: NaiveDate,
    pub(crate) seq: i64,
}

/// The catalogue of now, or as it was known at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edition {
    Now,
    At(DateTime<Utc>),
}

/// A patch that was found, with its place and, in the history, from and until when it was known to be so.
pub(crate) struct Found {
    pub(crate) place: Place,
    pub(crate) patch: PatchRow,
    pub(crate) known: Option<(DateTime<Utc>, Option<DateTime<Utc>>)>,
}

/// One text that must begin a word of a patch.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    table: &'static str,
    column: &'static str,
    prefix: String,
}

impl Search {
    fn terms(&self) -> Vec<Term> {
        let words = self.words.iter().flatten().map(|word| {
            // A vulnerability's id begins like no other word.
            if word.starts_with("cve-") {
                Term { table: "patch_cve", column: "cve", prefix: word.to_uppercase() }
            } else {
                Term { table: "patch_word", column: "word", prefix: word.clone() }
            }
        });
        let products = self.product.iter().flatten();
        let products =
            products.map(|word| Term { table: "patch_product_word", column: "word", prefix: word.clone() });
        words.chain(products).collect()
    }

    /// Whether a text was given in which nothing is left to look for.
    fn finds_nothing(&self) -> bool {
        [&self.words, &self.product].into_iter().flatten().any(Vec::is_empty)
    }

    /// A page: what comes after `after`, `limit` patches at the most.
    pub(crate) async fn page(
        self: &Arc<Self>,
        view: &View,
        edition: Edition,
        order: Order,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Vec<Found>, StoreError> {
        if self.finds_nothing() {
            return Ok(Vec::new());
        }
        let mut tx = view.tx().await;
        let slice = Slice { edition, order, after, limit };
        let terms = self.terms();
        if let (Edition::Now, Some(lead)) = (edition, self.exact()) {
            return self.read(&mut tx, slice, &Way::Led(lead)).await;
        }
        if edition != Edition::Now || terms.is_empty() {
            return self.read(&mut tx, slice, &Way::Walk).await;
        }
        let (count, rarest) = rarest(&mut tx, &terms).await?;
        if count > RARE_MAX {
            let found = self.read(&mut tx, slice, &Way::ShortWalk).await?;
            if found.len() == limit {
                return Ok(found);
            }
        }
        // Frequent words, of which all together are not, or not here.
        let lead = if count > UNCOMMON_MAX { terms } else { vec![rarest] };
        self.read(&mut tx, slice, &Way::Led(Lead::Words(lead))).await
    }

    async fn read(&self, tx: &mut Tx, slice: Slice, way: &Way) -> Result<Vec<Found>, StoreError> {
        let mut query = statement::page(self, slice, way);
        // Not kept by the server: the plan is made for these very values, of which some are rare and some are not.
        let rows = query.build().persistent(false).fetch_all(&mut **tx).await?;
        rows.iter().map(|row| found(row, slice.edition)).collect()
    }

    /// How many patches there are.
    pub(crate) async fn count(&self, view: &View, edition: Edition) -> Result<i64, StoreError> {
        if self.finds_nothing() {
            return Ok(0);
        }
        let mut query = statement::count(self, edition);
        let mut tx = view.tx().await;
        Ok(query.build_query_scalar().persistent(false).fetch_one(&mut **tx).await?)
    }

    /// An exact id that leads to few patches, if there is one.
    fn exact(&self) -> Option<Lead> {
        let exact = [
            ("patch", "vendor_patch_id", &self.vendor_patch_id),
            ("patch_kb", "kb", &self.kb),
            ("patch_cve", "cve", &self.cve),
        ];
        let (table, column, value) = exact.into_iter().find(|(_, _, value)| value.is_some())?;
        Some(Lead::Exact { table, column, value: value.clone()? })
    }
}

/// The word that the fewest patches have, and how many these are, counted no further than one above `UNCOMMON_MAX`.
async fn rarest(tx: &mut Tx, terms: &[Term]) -> Result<(i64, Term), StoreError> {
    let mut query = statement::rarity(terms, UNCOMMON_MAX);
    let row = query.build().persistent(false).fetch_one(&mut **tx).await?;
    let mut rarest: Option<(i64, &Term)> = None;
    for (number, term) in terms.iter().enumerate() {
        let count: i64 = row.try_get(number)?;
        if rarest.is_none_or(|(fewest, _)| count < fewest) {
            rarest = Some((count, term));
        }
    }
    let (count, term) =
        rarest.ok_or_else(|| StoreError::Corrupt { what: "a search without words".into() })?;
    Ok((count, term.clone()))
}

/// The part of a list that a page shows.
#[derive(Debug, Clone, Copy)]
struct Slice {
    edition: Edition,
    order: Order,
    after: Option<Place>,
    limit: usize,
}

/// How the patches of a page are found.
enum Way {
    /// Along the order, until there are enough.
    Walk,
    /// Likewise, giving up soon: looking for words of each patch is dear where few have them all.
    ShortWalk,
    /// From what leads to few.
    Led(Lead),
}

/// What leads to few patches.
enum Lead {
    Exact {
        table: &'static str,
        column: &'static str,
        value: String,
    },
    /// The patches that have all of these words.
    Words(Vec<Term>),
}

fn found(row: &sqlx::postgres::PgRow, edition: Edition) -> Result<Found, StoreError> {
    let place = Place {
        urgency: row.try_get("urgency")?,
        release_date: row.try_get("release_date")?,
        seq: row.try_get("seq")?,
    };
    let known = match edition {
        Edition::Now => None,
        Edition::At(_) => Some((row.try_get("known_from")?, row.try_get("known_until")?)),
    };
    Ok(Found { place, patch: sqlx::FromRow::from_row(row)?, known })
}

/// Words of a text, if there are not too many.
pub(crate) fn searched(text: &str) -> Result<Vec<String>, TooMany> {
    let words = words::searched(text);
    if words.len() > words::SEARCHED_WORDS_MAX { Err(TooMany { words: words.len() }) } else { Ok(words) }
}

/// More words than a person looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a search has at most {} words, this one has {words}", words::SEARCHED_WORDS_MAX)]
pub(crate) struct TooMany {
    words: usize,
}
