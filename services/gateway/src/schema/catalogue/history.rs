//! The catalogue as it was known here at some time.

use super::Described;
use super::search::{PatchOrder, PatchSearch, page};
use crate::errors::failed;
use crate::reading::{Seen, View};
use crate::schema::connection::{ConnectionOf, page_cost};
use crate::schema::global_id::{GlobalId, Kind};
use crate::views::patch::PatchRow;
use crate::views::patch::history::PatchVersionRow;
use crate::views::patch::search::Edition;
use async_graphql::{Context, ID, Object, Result};
use chrono::{DateTime, Utc};

/// The catalogue as it was known here at some time, by the clock of the log.
pub(crate) struct CatalogueAt {
    pub(crate) view: View,
    pub(crate) time: DateTime<Utc>,
}

#[Object]
impl CatalogueAt {
    async fn time(&self) -> DateTime<Utc> {
        self.time
    }

    /// The patches that were known.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn patches(
        &self,
        search: Option<PatchSearch>,
        #[graphql(default)] order_by: PatchOrder,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ConnectionOf<PatchVersionRow>> {
        let edition = Edition::At(self.time);
        let search = search.unwrap_or_default();
        page(&self.view, edition, search, order_by, (first, after), PatchVersionRow::of).await
    }

    /// A patch by its id; absent where it was not known.
    async fn patch(&self, id: ID) -> Result<Option<Seen<PatchVersionRow>>> {
        let Some(GlobalId { kind: Kind::Patch, id }) = GlobalId::read(&id) else { return Ok(None) };
        let found = PatchVersionRow::find(&self.view, id, self.time).await.map_err(failed)?;
        Ok(found.map(|row| self.view.seen(row)))
    }
}

/// A patch as it was known for a while.
#[Object(name = "PatchVersion")]
impl Seen<PatchVersionRow> {
    #[graphql(flatten)]
    #[expect(clippy::unused_async, reason = "the schema asks for its fields so")]
    async fn described(&self, _ctx: &Context<'_>) -> Described<'_> {
        Described(&self.row.patch)
    }

    /// Since when this was known, by the clock of the log.
    async fn known_from(&self) -> DateTime<Utc> {
        self.row.known_from
    }

    /// Until when; absent while it is what is known now.
    async fn known_until(&self) -> Option<DateTime<Utc>> {
        self.row.known_until
    }

    /// The patch as it is known now.
    async fn patch(&self) -> Result<Seen<PatchRow>> {
        self.view.existing(self.row.patch.patch_id).await
    }

    /// The patch that had taken its place, as that one is known now.
    async fn superseded_by(&self) -> Result<Option<Seen<PatchRow>>> {
        self.view.find_some(self.row.patch.superseded_by).await
    }
}
