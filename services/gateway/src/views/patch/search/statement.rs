//! The statements of a search, put together from what is asked for.

use super::{Edition, Lead, Order, Place, Search, Slice, Term, Way};
use crate::reading::list::offered;
use crate::views::patch;
use chrono::{DateTime, Utc};
use sqlx::{Postgres, QueryBuilder};

/// Above every text that begins with another one, in the order of bytes.
const LAST_CHARACTER: char = '\u{10ffff}';

/// Patches of a short walk: a page is filled by then if one in fifty has what is looked for, and reading what all words
/// have in common costs as much as looking for the words of some thousand.
const SHORT_WALK: i64 = 1_000;

type Statement = QueryBuilder<Postgres>;

/// A page's patches, each with its place.
pub(super) fn page(search: &Search, slice: Slice, way: &Way) -> Statement {
    let Slice { edition, order, after, limit } = slice;
    let mut query = QueryBuilder::new("");
    if let Way::Led(lead) = way {
        push_lead(&mut query, lead);
    }
    query.push("select ").push(columns(edition));
    push_kev(&mut query, edition);
    query.push(" from (select ").push(place(edition)).push(" from ");
    match way {
        Way::Walk => {
            query.push(table(edition)).push(" t where ");
            search.push_filters(&mut query, edition);
            push_after(&mut query, order, after);
            push_words(&mut query, edition, &search.terms());
        }
        Way::ShortWalk => {
            query.push("(select ").push(place(edition)).push(" from ").push(table(edition)).push(" t where ");
            search.push_filters(&mut query, edition);
            push_after(&mut query, order, after);
            query
                .push(" order by ")
                .push(order.sql("t"))
                .push(" limit ")
                .push(SHORT_WALK)
                .push(") t where true");
            push_words(&mut query, edition, &search.terms());
        }
        Way::Led(lead) => {
            // `offset 0` keeps it what it is written as: one look for each patch that the lead leads to.
            query.push("lead l cross join lateral (select ").push(place(edition));
            query.push(" from views.patch t where t.patch_id = l.patch_id and ");
            search.push_filters(&mut query, edition);
            push_after(&mut query, order, after);
            push_words(&mut query, edition, &search.terms_beside(lead));
            query.push(" offset 0) t");
        }
    }
    query.push(" order by ").push(order.sql("t")).push(" limit ");
    query.push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
    query.push(") f join ").push(table(edition)).push(" t on ").push(match edition {
        Edition::Now => "t.patch_id = f.patch_id",
        Edition::At(_) => "t.patch_id = f.patch_id and t.changed = f.changed",
    });
    query.push(" order by ").push(order.sql("f"));
    query
}

/// How many patches there are on all pages together.
pub(super) fn count(search: &Search, edition: Edition) -> Statement {
    let mut query = QueryBuilder::new("");
    let terms = search.terms();
    if edition == Edition::Now && !terms.is_empty() {
        push_lead(&mut query, &Lead::Words(terms));
        query.push("select count(*) from lead l join views.patch t on t.patch_id = l.patch_id where ");
        search.push_filters(&mut query, edition);
    } else {
        query.push("select count(*) from ").push(table(edition)).push(" t where ");
        search.push_filters(&mut query, edition);
        push_words(&mut query, edition, &terms);
    }
    query
}

/// How many patches have each word, counted no further than one above `max`.
pub(super) fn rarity(terms: &[Term], max: i64) -> Statement {
    let mut query = QueryBuilder::new("");
    for (number, Term { table, column, prefix }) in terms.iter().enumerate() {
        query.push(if number == 0 { "select " } else { ", " });
        query.push("(select count(*) from (select from views.").push(table).push(" w where ");
        push_range(&mut query, column, prefix);
        query.push(" limit ").push(max + 1).push(") c)");
    }
    query
}

impl Search {
    /// The words that patches are not known to have by what led to them.
    fn terms_beside(&self, lead: &Lead) -> Vec<Term> {
        let known = |term: &Term| match lead {
            Lead::Exact { .. } => false,
            Lead::Words(terms) => terms.contains(term),
        };
        self.terms().into_iter().filter(|term| !known(term)).collect()
    }

    /// What must be true of a patch `t`, apart from its words.
    fn push_filters(&self, query: &mut Statement, edition: Edition) {
        query.push(offered!());
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
            Edition::Now => self.push_filters_of_now(query),
            Edition::At(at) => self.push_filters_of_history(query, at),
        }
    }

    fn push_filters_of_now(&self, query: &mut Statement) {
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
    }

    fn push_filters_of_history(&self, query: &mut Statement, at: DateTime<Utc>) {
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
    }
}

/// That a patch `t` has these words.
fn push_words(query: &mut Statement, edition: Edition, terms: &[Term]) {
    for Term { table, column, prefix } in terms {
        match edition {
            Edition::Now => {
                // `limit` keeps it what it is written as: one look for each patch that is met.
                query.push(" and (select true from views.").push(table);
                query.push(" w where w.patch_id = t.patch_id and ");
                push_range(query, column, prefix);
                query.push(" limit 1)");
            }
            // No index leads to words of the history: it is asked seldom, and holds more of everything.
            Edition::At(_) => {
                query.push(" and exists (select from unnest(t.").push(match *table {
                    "patch_cve" => "cves",
                    "patch_product_word" => "product_words",
                    _ => "words",
                });
                query.push(") as w (word) where ");
                push_range(query, "word", prefix);
                query.push(")");
            }
        }
    }
}

fn push_lead(query: &mut Statement, lead: &Lead) {
    query.push("with lead as materialized (");
    match lead {
        Lead::Exact { table, column, value } => {
            query.push("select distinct w.patch_id from views.").push(table).push(" w where w.").push(column);
            query.push(" = ").push_bind(value.clone());
        }
        Lead::Words(terms) => {
            for (number, Term { table, column, prefix }) in terms.iter().enumerate() {
                // Several words that begin alike lead to a patch once: `intersect` sees to that as well.
                query.push(if number == 0 {
                    "select distinct w.patch_id"
                } else {
                    " intersect select w.patch_id"
                });
                query.push(" from views.").push(table).push(" w where ");
                push_range(query, column, prefix);
            }
        }
    }
    query.push(") ");
}

/// A patch's key and its place in every order.
fn place(edition: Edition) -> &'static str {
    match edition {
        Edition::Now => "t.patch_id, t.urgency, t.release_date, t.seq",
        Edition::At(_) => "t.patch_id, t.changed, t.urgency, t.release_date, t.seq",
    }
}

fn table(edition: Edition) -> &'static str {
    match edition {
        Edition::Now => "views.patch",
        Edition::At(_) => "views.patch_version",
    }
}

fn columns(edition: Edition) -> &'static str {
    match edition {
        Edition::Now => patch::columns!(),
        Edition::At(_) => concat!(patch::columns!(), ", t.known_from, t.known_until"),
    }
}

fn push_kev(query: &mut Statement, edition: Edition) {
    match edition {
        Edition::Now => drop(query.push(", t.is_kev")),
        Edition::At(at) => {
            query.push(", ");
            push_listed(query, at);
            query.push(" as is_kev");
        }
    }
}

fn push_listed(query: &mut Statement, at: DateTime<Utc>) {
    query.push("exists (select from views.kev_period k where k.cve = any(t.cves) and k.listed_from <= ");
    query.push_bind(at).push(" and (k.listed_until is null or k.listed_until > ").push_bind(at).push("))");
}

fn push_equal<T>(query: &mut Statement, text: &str, value: Option<T>)
where
    T: for<'q> sqlx::Encode<'q, Postgres> + sqlx::Type<Postgres> + Send + 'static,
{
    if let Some(value) = value {
        query.push(text).push_bind(value);
    }
}

fn push_range(query: &mut Statement, column: &str, prefix: &str) {
    query.push("w.").push(column).push(" collate \"C\" >= ").push_bind(prefix.to_owned());
    query.push(" and w.").push(column).push(" collate \"C\" < ");
    query.push_bind(format!("{prefix}{LAST_CHARACTER}"));
}

fn push_after(query: &mut Statement, order: Order, after: Option<Place>) {
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
