//! What was known of a patch at some time.

use super::PatchRow;
use super::search::{Edition, Found, Order, Search};
use crate::reading::View;
use chrono::{DateTime, Utc};
use eventstore::StoreError;
use std::sync::Arc;
use uuid::Uuid;

/// A patch as it was known for a while.
#[derive(Debug, Clone)]
pub(crate) struct PatchVersionRow {
    pub(crate) patch: PatchRow,
    pub(crate) known_from: DateTime<Utc>,
    pub(crate) known_until: Option<DateTime<Utc>>,
}

impl PatchVersionRow {
    /// What was found in the history.
    pub(crate) fn of(found: Found) -> Option<Self> {
        let (known_from, known_until) = found.known?;
        Some(Self { patch: found.patch, known_from, known_until })
    }

    /// A patch as it was known at some time, if it was.
    pub(crate) async fn find(
        view: &View,
        patch_id: Uuid,
        at: DateTime<Utc>,
    ) -> Result<Option<Self>, StoreError> {
        let only = Arc::new(Search { patch_id: Some(patch_id), ..Search::default() });
        let found = only.page(view, Edition::At(at), Order::NewestKnown, None, 1).await?;
        Ok(found.into_iter().next().and_then(Self::of))
    }
}
