//! Whitelist entries.

use crate::reading::list::list;
use crate::views::Entry;
use crate::words::{Classification, WhitelistKind, name};
use chrono::{DateTime, Utc};
use contracts::approvals::{WhitelistEntryAdded, WhitelistEntryRemoved, WhitelistEvent, WhitelistPattern};
use eventstore::{StoreError, Tx};

/// A whitelist entry as GraphQL shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct WhitelistRow {
    pub(crate) kind: WhitelistKind,
    pub(crate) value: String,
    pub(crate) added_at: DateTime<Utc>,
}

macro_rules! columns {
    () => {
        "t.kind, t.value, t.added_at, t.seq"
    };
}

list! {
    /// A customer's whitelist.
    WHITELIST_OF_CUSTOMER: WhitelistRow, columns from "views.whitelist_entry t"
    where "t.customer_id = p.parent", oldest first by "t.seq"
}

list! {
    /// A partner's own whitelist, which holds at all of its customers.
    WHITELIST_OF_PARTNER: WhitelistRow, columns from "views.whitelist_entry t"
    where "t.partner_id = p.parent and t.customer_id is null", oldest first by "t.seq"
}

list! {
    /// The whitelist of the partner whose customer it is.
    WHITELIST_INHERITED: WhitelistRow, columns
    from "views.whitelist_entry t join views.customer c on c.partner_id = t.partner_id"
    where "c.customer_id = p.parent and t.customer_id is null", oldest first by "t.seq"
}

pub(super) async fn apply(tx: &mut Tx, entry: Entry, fact: WhitelistEvent) -> Result<(), StoreError> {
    match fact {
        WhitelistEvent::WhitelistEntryAdded(WhitelistEntryAdded { owner, pattern }) => {
            let (kind, value) = parts(pattern);
            sqlx::query(
                "insert into whitelist_entry (customer_id, kind, value, partner_id, added_at, seq)
                 values ($1, $2, $3, $4, $5, $6)
                 on conflict do nothing",
            )
            .bind(owner.customer_id().map(|id| id.0))
            .bind(kind)
            .bind(value)
            .bind(entry.partner_id)
            .bind(entry.recorded_at)
            .bind(entry.seq)
            .execute(&mut **tx)
            .await?;
        }
        WhitelistEvent::WhitelistEntryRemoved(WhitelistEntryRemoved { owner, pattern }) => {
            let (kind, value) = parts(pattern);
            sqlx::query(
                "delete from whitelist_entry
                  where customer_id is not distinct from $1 and kind = $2 and value = $3 and partner_id = $4",
            )
            .bind(owner.customer_id().map(|id| id.0))
            .bind(kind)
            .bind(value)
            .bind(entry.partner_id)
            .execute(&mut **tx)
            .await?;
        }
    }
    Ok(())
}

fn parts(pattern: WhitelistPattern) -> (WhitelistKind, String) {
    match pattern {
        WhitelistPattern::VendorPatchId(id) => (WhitelistKind::VendorPatchId, id),
        WhitelistPattern::Product(text) => (WhitelistKind::Product, text),
        WhitelistPattern::Classification(classification) => {
            (WhitelistKind::Classification, name(Classification::from(classification)).to_owned())
        }
    }
}
