//! The marks that partners and customers put on patches.

use crate::reading::list::list;
use crate::views::Entry;
use chrono::{DateTime, Utc};
use contracts::feeds::{PatchRated, PatchRatingCleared, RatingEvent};
use eventstore::{StoreError, Tx};

/// A tenant's own mark on a patch, as GraphQL shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct PatchRatingRow {
    pub(crate) rating: i16,
    pub(crate) comment: Option<String>,
    pub(crate) rated_at: DateTime<Utc>,
}

macro_rules! columns {
    () => {
        "t.rating, t.comment, t.rated_at, t.seq"
    };
}

/// In the filter of the list below: the partner's own mark, which is no customer's.
pub(crate) const OF_PARTNER: &str = "";

list! {
    /// The marks on a patch; the filter names the customer whose it is.
    RATINGS_OF_PATCH: PatchRatingRow, columns from "views.patch_rating t"
    where "t.patch_id = p.parent" only "coalesce(t.customer_id::text, '')", oldest first by "t.seq"
}

pub(super) async fn apply(tx: &mut Tx, entry: Entry, fact: RatingEvent) -> Result<(), StoreError> {
    match fact {
        RatingEvent::PatchRated(PatchRated { patch_id, rating, comment }) => {
            sqlx::query(
                "insert into patch_rating (patch_id, partner_id, customer_id, rating, comment, rated_at, seq)
                 values ($1, $2, $3, $4, $5, $6, $7)
                 on conflict (patch_id, partner_id, customer_id) do update
                    set rating = excluded.rating,
                        comment = excluded.comment,
                        rated_at = excluded.rated_at",
            )
            .bind(patch_id.0)
            .bind(entry.partner_id)
            .bind(entry.customer_id)
            .bind(i16::from(rating))
            .bind(comment)
            .bind(entry.recorded_at)
            .bind(entry.seq)
            .execute(&mut **tx)
            .await?;
        }
        RatingEvent::PatchRatingCleared(PatchRatingCleared { patch_id }) => {
            sqlx::query(
                "delete from patch_rating
                  where patch_id = $1 and partner_id = $2 and customer_id is not distinct from $3",
            )
            .bind(patch_id.0)
            .bind(entry.partner_id)
            .bind(entry.customer_id)
            .execute(&mut **tx)
            .await?;
        }
    }
    Ok(())
}
