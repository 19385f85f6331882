//! Batches: what all fields of one level ask for becomes one statement.

use super::list::{ById, ByName, Row};
use crate::errors::shared_failure;
use async_graphql::dataloader::Loader;
use eventstore::{StoreError, Tx};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::Mutex;
use uuid::Uuid;

/// Reads in the transaction of one view.
pub(crate) struct Batches {
    pub(super) tx: Arc<Mutex<Tx>>,
    pub(super) statements: Arc<AtomicU32>,
}

/// Why a batch could not be read, told to everyone who waits for it.
type Failed = Arc<StoreError>;

/// A batch's failure as GraphQL tells it.
#[expect(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
pub(super) fn shared(error: Failed) -> async_graphql::Error {
    shared_failure(&error)
}

/// A key that also says what kind of row it leads to.
pub(super) struct Typed<K, T>(pub(super) K, PhantomData<fn() -> T>);

impl<K, T> Typed<K, T> {
    pub(super) fn new(key: K) -> Self {
        Self(key, PhantomData)
    }
}

impl<K: Clone, T> Clone for Typed<K, T> {
    fn clone(&self) -> Self {
        Self::new(self.0.clone())
    }
}

impl<K: PartialEq, T> PartialEq for Typed<K, T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<K: Eq, T> Eq for Typed<K, T> {}

impl<K: Hash, T> Hash for Typed<K, T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// A page of a list below one parent.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    pub(super) parent: Uuid,
    pub(super) page: &'static str,
    pub(super) only: Option<Vec<String>>,
    pub(super) after: Option<i64>,
    pub(super) limit: i64,
}

/// The length of a list below one parent.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Counted {
    pub(super) parent: Uuid,
    pub(super) count: &'static str,
    pub(super) only: Option<Vec<String>>,
}

struct Keyed<K, T> {
    key: K,
    row: T,
}

impl<'r, K, T: FromRow<'r, PgRow>> FromRow<'r, PgRow> for Keyed<K, T>
where
    K: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        Ok(Self { key: row.try_get("key")?, row: T::from_row(row)? })
    }
}

struct Listed<T> {
    parent: Uuid,
    seq: i64,
    row: T,
}

impl<'r, T: FromRow<'r, PgRow>> FromRow<'r, PgRow> for Listed<T> {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        Ok(Self { parent: row.try_get("parent")?, seq: row.try_get("seq")?, row: T::from_row(row)? })
    }
}

impl Batches {
    fn count_statement(&self) {
        self.statements.fetch_add(1, Ordering::Relaxed);
    }
}

fn failed(error: sqlx::Error) -> Failed {
    Arc::new(error.into())
}

impl<T: ById> Loader<Typed<Uuid, T>> for Batches {
    type Value = T;
    type Error = Failed;

    async fn load(&self, keys: &[Typed<Uuid, T>]) -> Result<HashMap<Typed<Uuid, T>, T>, Failed> {
        self.count_statement();
        let ids: Vec<Uuid> = keys.iter().map(|key| key.0).collect();
        let mut tx = self.tx.lock().await;
        let rows: Vec<Keyed<Uuid, T>> =
            sqlx::query_as(T::BY_IDS).bind(ids).fetch_all(&mut **tx).await.map_err(failed)?;
        Ok(rows.into_iter().map(|found| (Typed::new(found.key), found.row)).collect())
    }
}

impl<T: ByName> Loader<Typed<String, T>> for Batches {
    type Value = T;
    type Error = Failed;

    async fn load(&self, keys: &[Typed<String, T>]) -> Result<HashMap<Typed<String, T>, T>, Failed> {
        self.count_statement();
        let names: Vec<&str> = keys.iter().map(|key| key.0.as_str()).collect();
        let mut tx = self.tx.lock().await;
        let rows: Vec<Keyed<String, T>> =
            sqlx::query_as(T::BY_NAMES).bind(names).fetch_all(&mut **tx).await.map_err(failed)?;
        Ok(rows.into_iter().map(|found| (Typed::new(found.key), found.row)).collect())
    }
}

/// Keys that differ in their parent only.
fn by_question<K>(
    keys: &[K],
    without_parent: impl Fn(&K) -> K,
    parent: impl Fn(&K) -> Uuid,
) -> HashMap<K, Vec<Uuid>>
where
    K: Clone + Eq + Hash,
{
    let mut questions: HashMap<K, Vec<Uuid>> = HashMap::new();
    for key in keys {
        questions.entry(without_parent(key)).or_default().push(parent(key));
    }
    questions
}

impl<T: Row> Loader<Typed<Asked, T>> for Batches {
    type Value = Arc<Vec<(i64, T)>>;
    type Error = Failed;

    async fn load(&self, keys: &[Typed<Asked, T>]) -> Result<HashMap<Typed<Asked, T>, Self::Value>, Failed> {
        let asked: Vec<Asked> = keys.iter().map(|key| key.0.clone()).collect();
        let questions =
            by_question(&asked, |key| Asked { parent: Uuid::nil(), ..key.clone() }, |key| key.parent);
        let mut pages: HashMap<Typed<Asked, T>, Vec<(i64, T)>> = HashMap::new();
        let mut tx = self.tx.lock().await;
        for (question, parents) in questions {
            self.count_statement();
            let rows: Vec<Listed<T>> = sqlx::query_as(question.page)
                .bind(parents)
                .bind(&question.only)
                .bind(question.after)
                .bind(question.limit)
                .fetch_all(&mut **tx)
                .await
                .map_err(failed)?;
            for Listed { parent, seq, row } in rows {
                let key = Typed::new(Asked { parent, ..question.clone() });
                pages.entry(key).or_default().push((seq, row));
            }
        }
        Ok(pages.into_iter().map(|(key, rows)| (key, Arc::new(rows))).collect())
    }
}

impl Loader<Counted> for Batches {
    type Value = i64;
    type Error = Failed;

    async fn load(&self, keys: &[Counted]) -> Result<HashMap<Counted, i64>, Failed> {
        let questions =
            by_question(keys, |key| Counted { parent: Uuid::nil(), ..key.clone() }, |key| key.parent);
        let mut counts = HashMap::new();
        let mut tx = self.tx.lock().await;
        for (question, parents) in questions {
            self.count_statement();
            let rows: Vec<(Uuid, i64)> = sqlx::query_as(question.count)
                .bind(parents)
                .bind(&question.only)
                .fetch_all(&mut **tx)
                .await
                .map_err(failed)?;
            counts.extend(
                rows.into_iter().map(|(parent, total)| (Counted { parent, ..question.clone() }, total)),
            );
        }
        Ok(counts)
    }
}
