//! Reading the views: one operation reads one state, in the scope of its caller, in batches.

pub(crate) mod cursor;
pub(crate) mod list;
mod load;

use crate::errors::{coded, failed};
use crate::schema::connection::{ConnectionOf, Counted, Total, page_size};
use access::Caller;
use async_graphql::connection::Edge;
use async_graphql::dataloader::DataLoader;
use async_graphql::{OutputType, Result};
use chrono::{DateTime, Utc};
use cursor::Cursors;
use eventstore::{Database, StoreError, Tx};
use kernel::Position;
use list::{ById, ByName, List, Row};
use load::{Asked, Batches, Typed};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use uuid::Uuid;

/// How long a query waits for the position it asks for.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(5);

/// Where views are read from.
pub(crate) struct Library {
    /// A pool whose transactions are read-only and see one state throughout.
    pub(crate) database: Database,
    /// The position that the views have reached.
    pub(crate) reached: watch::Receiver<Position>,
    pub(crate) cursors: Cursors,
}

impl Library {
    /// Waits until the views have reached `position`; whether they did in time.
    pub(crate) async fn reach(&self, position: Position) -> bool {
        let mut reached = self.reached.clone();
        let waited = tokio::time::timeout(WAIT_MAX, reached.wait_for(|known| *known >= position)).await;
        // The sender is dropped only when the process stops.
        matches!(waited, Ok(Ok(_)))
    }

    /// The position that the views have reached.
    pub(crate) fn position(&self) -> Position {
        *self.reached.borrow()
    }

    /// Opens the state of now for `caller`, waiting for `position` first.
    pub(crate) async fn open(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        position: Option<Position>,
        now: DateTime<Utc>,
    ) -> Result<View> {
        if let Some(position) = position
            && !self.reach(position).await
        {
            let reached = self.position();
            let message = format!(
                "the views are at position {reached}, {position} was not reached within {WAIT_MAX:?}"
            );
            return Err(coded("views.behind", message));
        }
        View::begin(self.clone(), caller.clone(), now).await.map_err(failed)
    }
}

/// One state of the views, as one caller may see it.
#[derive(Clone)]
pub(crate) struct View(Arc<Opened>);

struct Opened {
    library: Arc<Library>,
    caller: Arc<Caller>,
    position: Position,
    now: DateTime<Utc>,
    tx: Arc<Mutex<Tx>>,
    /// Statements sent for GraphQL fields: with batches, as many as levels, not as many as rows.
    statements: Arc<AtomicU32>,
    loader: DataLoader<Batches>,
}

impl View {
    async fn begin(
        library: Arc<Library>,
        caller: Arc<Caller>,
        now: DateTime<Utc>,
    ) -> Result<Self, StoreError> {
        let mut tx = library.database.begin(&caller.scope).await?;
        let position: Option<i64> = sqlx::query_scalar("select seq from es.follower where name = $1")
            .bind(crate::views::NAME)
            .fetch_optional(&mut *tx)
            .await?;
        let tx = Arc::new(Mutex::new(tx));
        let statements = Arc::new(AtomicU32::new(0));
        let batches = Batches { tx: tx.clone(), statements: statements.clone() };
        #[expect(clippy::disallowed_methods, reason = "a batch ends with the request that waits for it")]
        let loader = DataLoader::new(batches, tokio::spawn);
        let position = Position(position.unwrap_or(0));
        Ok(Self(Arc::new(Opened { library, caller, position, now, tx, statements, loader })))
    }

    /// The log position that this state reflects.
    pub(crate) fn position(&self) -> Position {
        self.0.position
    }

    /// Statements that its fields took so far.
    pub(crate) fn statements(&self) -> u32 {
        self.0.statements.load(Ordering::Relaxed)
    }

    /// For whom it was opened.
    pub(crate) fn caller(&self) -> &Caller {
        &self.0.caller
    }

    /// When it was opened.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.0.now
    }

    /// The row with this id, if it exists for the caller.
    pub(crate) async fn row<T: ById>(&self, id: Uuid) -> Result<Option<T>> {
        self.0.loader.load_one(Typed::<_, T>::new(id)).await.map_err(load::shared)
    }

    /// The object with this id, if it exists for the caller.
    pub(crate) async fn find<T: ById>(&self, id: Uuid) -> Result<Option<Seen<T>>> {
        Ok(self.row(id).await?.map(|row| self.seen(row)))
    }

    /// The object with this name, if it exists for the caller.
    pub(crate) async fn named<T: ByName>(&self, name: String) -> Result<Option<Seen<T>>> {
        let found = self.0.loader.load_one(Typed::<_, T>::new(name)).await.map_err(load::shared)?;
        Ok(found.map(|row| self.seen(row)))
    }

    /// The object with this id, where there may be none.
    pub(crate) async fn find_some<T: ById>(&self, id: Option<Uuid>) -> Result<Option<Seen<T>>> {
        match id {
            Some(id) => self.find(id).await,
            None => Ok(None),
        }
    }

    /// The object that another one refers to.
    pub(crate) async fn existing<T: ById>(&self, id: Uuid) -> Result<Seen<T>> {
        self.find(id)
            .await?
            .ok_or_else(|| failed(StoreError::Corrupt { what: format!("{id} is referred to and not there") }))
    }

    /// The objects with these ids, in this order; those that do not exist for the caller are left out.
    pub(crate) async fn find_all<T: ById>(&self, ids: &[Uuid]) -> Result<Vec<Seen<T>>> {
        let keys = ids.iter().map(|id| Typed::<_, T>::new(*id));
        let mut found: HashMap<_, T> = self.0.loader.load_many(keys).await.map_err(load::shared)?;
        Ok(ids.iter().filter_map(|id| found.remove(&Typed::new(*id))).map(|row| self.seen(row)).collect())
    }

    pub(crate) fn seen<T>(&self, row: T) -> Seen<T> {
        Seen { row, view: self.clone() }
    }

    /// A page of a list below `parent`.
    pub(crate) async fn page<T: Row>(
        &self,
        list: &'static List<T>,
        parent: Uuid,
        page: Page,
    ) -> Result<ConnectionOf<T>>
    where
        Seen<T>: OutputType,
    {
        let limit = page_size(page.first)?;
        let after =
            page.after.as_deref().map(|text| self.cursors().read(list.name, parent, text)).transpose()?;
        let mut rows = self.rows(list, parent, page.only.clone(), after, limit + 1).await?;
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let of = Counted::List { count: list.count, parent, only: page.only };
        let total = Total { view: self.clone(), of };
        let mut connection = ConnectionOf::with_additional_fields(after.is_some(), has_more, total);
        connection.edges.extend(
            rows.into_iter()
                .map(|(seq, row)| Edge::new(self.cursors().write(list.name, parent, seq), self.seen(row))),
        );
        Ok(connection)
    }

    /// The first rows of a list, with their places.
    pub(crate) async fn rows<T: Row>(
        &self,
        list: &'static List<T>,
        parent: Uuid,
        only: Option<Vec<String>>,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Vec<(i64, T)>> {
        let asked =
            Asked { parent, page: list.page, only, after, limit: i64::try_from(limit).unwrap_or(i64::MAX) };
        let rows = self.0.loader.load_one(Typed::<_, T>::new(asked)).await.map_err(load::shared)?;
        Ok(rows.map(|rows| rows.as_ref().clone()).unwrap_or_default())
    }

    /// How many rows a list has below `parent`.
    pub(crate) async fn count(
        &self,
        count: &'static str,
        parent: Uuid,
        only: Option<Vec<String>>,
    ) -> Result<i32> {
        let counted =
            self.0.loader.load_one(load::Counted { parent, count, only }).await.map_err(load::shared)?;
        Ok(crate::views::int(counted.unwrap_or(0)))
    }

    pub(crate) fn cursors(&self) -> &Cursors {
        &self.0.library.cursors
    }

    /// The transaction itself, for a statement that no list covers.
    pub(crate) async fn tx(&self) -> tokio::sync::MutexGuard<'_, Tx> {
        self.0.statements.fetch_add(1, Ordering::Relaxed);
        self.0.tx.lock().await
    }
}

/// A row as it stands in one view; what it refers to is read in the same one.
#[derive(Clone)]
pub(crate) struct Seen<T> {
    pub(crate) row: T,
    pub(crate) view: View,
}

/// What a connection is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Page {
    pub(crate) first: Option<i32>,
    pub(crate) after: Option<String>,
    /// Only rows with one of these words in the list's filter column.
    pub(crate) only: Option<Vec<String>>,
}

impl Page {
    pub(crate) fn new(first: Option<i32>, after: Option<String>) -> Self {
        Self { first, after, only: None }
    }

    pub(crate) fn only(self, only: Option<Vec<String>>) -> Self {
        Self { only, ..self }
    }
}
