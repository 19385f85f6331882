//! Searching the catalogue: the one place where a statement is put together from what is asked for.
//!
//! Behind row-level security an index serves only operators that are leakproof: equality and order are, `ilike` and those
//! on arrays are not. So words are ranges of an index of words. A page is found in one of two ways: by what is rare (an
//! exact id, or the word that the fewest patches have), or by a walk along the order in which the page is shown.

use super::{PatchRow, words};
use crate::reading::View;
use crate::reading::list::offered;
use chrono::{DateTime, NaiveDate, Utc};
use eventstore::{StoreError, Tx};
use sqlx::{Postgres, QueryBuilder, Row};
use std::sync::Arc;
use uuid::Uuid;

/// What a word leads to at the most for being looked at one by one; what more patches have is met soon on a walk.
const RARE_MAX: i64 = 1_000;

/// Above every text that begins with another one, in the order of bytes.
const LAST_CHARACTER: char = '\u{10ffff}';

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
        let lead = match edition {
            Edition::Now => self.lead(&mut tx).await?,
            Edition::At(_) => None,
        };
        let mut query = QueryBuilder::new("");
        if let Some(lead) = &lead {
            lead.push(&mut query);
        }
        query.push("select ").push(columns(edition));
        push_kev(&mut query, edition);
        query.push(" from (select ").push(key(edition)).push(", t.urgency, t.release_date, t.seq");
        push_from(&mut query, edition, lead.is_some());
        self.push_conditions(&mut query, edition, Probe::EachPatch);
        push_after(&mut query, order, after);
        query.push(" order by ").push(order.sql("t")).push(" limit ");
        query.push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
        query.push(") f join ").push(table(edition)).push(" t on ").push(match edition {
            Edition::Now => "t.patch_id = f.patch_id",
            Edition::At(_) => "t.patch_id = f.patch_id and t.changed = f.changed",
        });
        query.push(" order by ").push(order.sql("f"));
        // Not kept by the server: the plan is made for these very values, of which some are rare and some are not.
        let rows = query.build().persistent(false).fetch_all(&mut **tx).await?;
        rows.iter().map(|row| found(row, edition)).collect()
    }

    /// How many patches there are.
    pub(crate) async fn count(&self, view: &View, edition: Edition) -> Result<i64, StoreError> {
        if self.finds_nothing() {
            return Ok(0);
        }
        let mut query = QueryBuilder::new("select count(*)");
        push_from(&mut query, edition, false);
        self.push_conditions(&mut query, edition, Probe::AllAtOnce);
        let mut tx = view.tx().await;
        Ok(query.build_query_scalar().persistent(false).fetch_one(&mut **tx).await?)
    }

    /// What leads to few patches, if anything that is asked for does.
    async fn lead(&self, tx: &mut Tx) -> Result<Option<Lead>, StoreError> {
        let exact = [
            ("patch", "vendor_patch_id", &self.vendor_patch_id),
            ("patch_kb", "kb", &self.kb),
            ("patch_cve", "cve", &self.cve),
        ];
        for (table, column, value) in exact {
            if let Some(value) = value {
                return Ok(Some(Lead::Exact { table, column, value: value.clone() }));
            }
        }
        let terms = self.terms();
        if terms.is_empty() {
            return Ok(None);
        }
        let mut query = QueryBuilder::new("");
        for (number, Term { table, column, prefix }) in terms.iter().enumerate() {
            query.push(if number == 0 { "select " } else { ", " });
            query.push("(select count(*) from (select from views.").push(table);
            query.push(" w where ");
            push_range(&mut query, column, prefix);
            query.push(" limit ").push(RARE_MAX + 1).push(") c)");
        }
        let row = query.build().persistent(false).fetch_one(&mut **tx).await?;
        let mut rarest: Option<(i64, Term)> = None;
        for (number, term) in terms.into_iter().enumerate() {
            let count: i64 = row.try_get(number)?;
            if count <= RARE_MAX && rarest.as_ref().is_none_or(|(fewest, _)| count < *fewest) {
                rarest = Some((count, term));
            }
        }
        Ok(rarest.map(|(_, term)| Lead::Word(term)))
    }

    fn push_conditions(&self, query: &mut QueryBuilder<Postgres>, edition: Edition, probe: Probe) {
        query.push(" where ").push(offered!());
        push_equal(query, " and t.patch_id = ", self.patch_id);
        push_equal(query, " and t.vendor_patch_id = ", self.vendor_patch_id.clone());
        push_equal(query, " and t.platform = ", self.platform);
        push_equal(query, " and t.state = ", self.state);
        push_equal(query, " and t.feed_id = ", self.feed_id);
        push_equal(query, " and t.release_date >= ", self.released_from);
        push_equal(query, " and t.release_date <= ", self.released_to);
        for (column, wanted) in [("severity", &self.severities), ("classification", &self.classifications)] {
            if let Some(wanted) = wanted {
                query.push(" and t.").push(column).push(" = any(").push_bind(wanted.clone()).push(")");
            }
        }
        match self.out_of_band {
            Some(true) => drop(query.push(" and t.out_of_band is not null")),
            Some(false) => drop(query.push(" and t.out_of_band is null")),
            None => {}
        }
        match edition {
            Edition::Now => self.push_conditions_of_now(query, probe),
            Edition::At(at) => self.push_conditions_of_history(query, at),
        }
    }

    fn push_conditions_of_now(&self, query: &mut QueryBuilder<Postgres>, probe: Probe) {
        match self.kev {
            Some(true) => drop(query.push(" and t.is_kev")),
            Some(false) => drop(query.push(" and not t.is_kev")),
            None => {}
        }
        for (table, column, value) in [("patch_kb", "kb", &self.kb), ("patch_cve", "cve", &self.cve)] {
            if let Some(value) = value {
                query
                    .push(" and exists (select from views.")
                    .push(table)
                    .push(" w where w.patch_id = t.patch_id and w.");
                query.push(column).push(" = ").push_bind(value.clone()).push(")");
            }
        }
        for Term { table, column, prefix } in self.terms() {
            match probe {
                // `limit` keeps it what it is written as: one look for each patch that is met.
                Probe::EachPatch => {
                    query.push(" and (select true from views.").push(table);
                    query.push(" w where w.patch_id = t.patch_id and ");
                    push_range(query, column, &prefix);
                    query.push(" limit 1)");
                }
                Probe::AllAtOnce => {
                    query
                        .push(" and t.patch_id in (select w.patch_id from views.")
                        .push(table)
                        .push(" w where ");
                    push_range(query, column, &prefix);
                    query.push(")");
                }
            }
        }
    }

    /// The history has no indexes of words: it is asked seldom, and holds more of everything.
    fn push_conditions_of_history(&self, query: &mut QueryBuilder<Postgres>, at: DateTime<Utc>) {
        query.push(" and t.known_from <= ").push_bind(at);
        query.push(" and (t.known_until is null or t.known_until > ").push_bind(at).push(")");
        if let Some(kev) = self.kev {
            query.push(if kev { " and " } else { " and not " });
            push_listed(query, at);
        }
        for (column, value) in [("kbs", &self.kb), ("cves", &self.cve)] {
            if let Some(value) = value {
                query.push(" and ").push_bind(value.clone()).push(" = any(t.").push(column).push(")");
            }
        }
        for Term { table, prefix, .. } in self.terms() {
            query.push(" and exists (select from unnest(t.").push(match table {
                "patch_cve" => "cves",
                "patch_product_word" => "product_words",
                _ => "words",
            });
            query.push(") as w (word) where ");
            push_range(query, "word", &prefix);
            query.push(")");
        }
    }
}

/// How words are looked for.
#[derive(Debug, Clone, Copy)]
enum Probe {
    /// For each patch that everything else is true of: a page stops early.
    EachPatch,
    /// All patches of a word: a count meets every one.
    AllAtOnce,
}

/// What leads to few patches.
enum Lead {
    Exact { table: &'static str, column: &'static str, value: String },
    Word(Term),
}

impl Lead {
    fn push(&self, query: &mut QueryBuilder<Postgres>) {
        query.push("with lead as materialized (select distinct w.patch_id from views.");
        match self {
            Self::Exact { table, column, value } => {
                query.push(table).push(" w where w.").push(column).push(" = ").push_bind(value.clone());
            }
            Self::Word(Term { table, column, prefix }) => {
                query.push(table).push(" w where ");
                push_range(query, column, prefix);
            }
        }
        query.push(") ");
    }
}

fn table(edition: Edition) -> &'static str {
    match edition {
        Edition::Now => "views.patch",
        Edition::At(_) => "views.patch_version",
    }
}

fn key(edition: Edition) -> &'static str {
    match edition {
        Edition::Now => "t.patch_id",
        Edition::At(_) => "t.patch_id, t.changed",
    }
}

fn columns(edition: Edition) -> &'static str {
    match edition {
        Edition::Now => super::columns!(),
        Edition::At(_) => concat!(super::columns!(), ", t.known_from, t.known_until"),
    }
}

fn push_kev(query: &mut QueryBuilder<Postgres>, edition: Edition) {
    match edition {
        Edition::Now => drop(query.push(", t.is_kev")),
        Edition::At(at) => {
            query.push(", ");
            push_listed(query, at);
            query.push(" as is_kev");
        }
    }
}

fn push_listed(query: &mut QueryBuilder<Postgres>, at: DateTime<Utc>) {
    query.push("exists (select from views.kev_period k where k.cve = any(t.cves) and k.listed_from <= ");
    query.push_bind(at).push(" and (k.listed_until is null or k.listed_until > ").push_bind(at).push("))");
}

fn push_from(query: &mut QueryBuilder<Postgres>, edition: Edition, led: bool) {
    query.push(" from ").push(table(edition)).push(" t");
    if led {
        query.push(" join lead l on l.patch_id = t.patch_id");
    }
}

fn push_equal<T>(query: &mut QueryBuilder<Postgres>, text: &str, value: Option<T>)
where
    T: for<'q> sqlx::Encode<'q, Postgres> + sqlx::Type<Postgres> + Send + 'static,
{
    if let Some(value) = value {
        query.push(text).push_bind(value);
    }
}

fn push_range(query: &mut QueryBuilder<Postgres>, column: &str, prefix: &str) {
    query.push("w.").push(column).push(" collate \"C\" >= ").push_bind(prefix.to_owned());
    query.push(" and w.").push(column).push(" collate \"C\" < ");
    query.push_bind(format!("{prefix}{LAST_CHARACTER}"));
}

fn push_after(query: &mut QueryBuilder<Postgres>, order: Order, after: Option<Place>) {
    let Some(place) = after else { return };
    let keys: Vec<String> = order.keys().iter().map(|key| format!("t.{key}")).collect();
    query.push(" and (").push(keys.join(", ")).push(") < (");
    match order {
        Order::NewestKnown => {}
        Order::NewestRelease => drop(query.push_bind(place.release_date).push(", ")),
        Order::MostSevere => {
            query.push_bind(place.urgency).push(", ").push_bind(place.release_date).push(", ");
        }
    }
    query.push_bind(place.seq).push(")");
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
