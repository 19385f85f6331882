//! Relay connections.

use crate::errors::{coded, failed};
use crate::reading::{Seen, View};
use crate::views::patch::search::{Edition, Search};
use async_graphql::connection::Connection;
use async_graphql::{Object, Result};
use std::sync::Arc;
use uuid::Uuid;

/// Entries of a page that does not say how many it wants.
const PAGE_DEFAULT: i32 = 20;

/// Entries of a page at the most: what one answer can hold of the largest rows.
const PAGE_MAX: i32 = 100;

/// A page of rows.
pub(crate) type ConnectionOf<T> = Connection<String, Seen<T>, Total>;

/// How long the whole list is; counted only if asked for.
pub(crate) struct Total {
    pub(crate) view: View,
    pub(crate) of: Counted,
}

/// What is counted.
pub(crate) enum Counted {
    /// A list below a parent.
    List { count: &'static str, parent: Uuid, only: Option<Vec<String>> },
    /// What a search finds in an edition of the catalogue.
    Found { edition: Edition, search: Arc<Search> },
}

#[Object]
impl Total {
    /// Entries on all pages together.
    async fn total_count(&self) -> Result<i32> {
        match &self.of {
            Counted::List { count, parent, only } => self.view.count(count, *parent, only.clone()).await,
            Counted::Found { edition, search } => {
                let found = search.count(&self.view, *edition).await.map_err(failed)?;
                Ok(crate::views::int(found))
            }
        }
    }
}

/// The size of a page, if it is within the limits.
pub(crate) fn page_size(first: Option<i32>) -> Result<usize> {
    let first = first.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&first) {
        return Err(coded("graphql.page_size", format!("first is {first}, allowed are 1 to {PAGE_MAX}")));
    }
    Ok(usize::try_from(first).unwrap_or_default())
}

/// What a page costs: its entries times what is asked of each.
pub(crate) fn page_cost(first: Option<i32>, child: usize) -> usize {
    let first = first.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    1 + usize::try_from(first).unwrap_or_default() * child
}
