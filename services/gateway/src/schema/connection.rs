//! Relay connections.

use crate::errors::coded;
use crate::reading::{Seen, View};
use async_graphql::connection::Connection;
use async_graphql::{Object, Result};
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
    pub(crate) count: &'static str,
    pub(crate) parent: Uuid,
    pub(crate) only: Option<Vec<String>>,
}

#[Object]
impl Total {
    /// Entries on all pages together.
    async fn total_count(&self) -> Result<i32> {
        self.view.count(self.count, self.parent, self.only.clone()).await
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
