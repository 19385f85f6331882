//! How far the relay has published, and the last position of each event type up to there.

use super::{
    Lost,
    window::{Progress, Window},
};
use eventstore::{Database, StoreError};
use futures_util::{FutureExt, future::BoxFuture};
use kernel::{Position, Scope};
use std::collections::HashMap;

/// The name of this relay's cursor.
const NAME: &str = "amqp";

/// The relay's cursor. It moves while the relay goes on.
pub(super) struct Cursor {
    database: Database,
    at: Position,
    moving: Option<BoxFuture<'static, Result<Position, Lost>>>,
}

impl Cursor {
    pub(super) async fn read(database: Database) -> Result<Self, StoreError> {
        let mut tx = database.begin(&Scope::Platform).await?;
        let seq: i64 = sqlx::query_scalar("select seq from es.relay where name = $1")
            .bind(NAME)
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Self { database, at: Position(seq), moving: None })
    }

    pub(super) fn at(&self) -> Position {
        self.at
    }

    /// The last position of each event type up to here.
    pub(super) async fn types(&mut self) -> Result<HashMap<String, i64>, StoreError> {
        let mut tx = self.database.begin(&Scope::Platform).await?;
        // Not beyond the cursor: an operator may have set it back, so that everything is published again.
        let types: Vec<(String, i64)> =
            sqlx::query_as("select event_type, seq from es.relayed where seq <= $1")
                .bind(self.at.0)
                .fetch_all(&mut *tx)
                .await?;
        tx.commit().await?;
        Ok(types.into_iter().collect())
    }

    pub(super) fn is_moving(&self) -> bool {
        self.moving.is_some()
    }

    /// Begins to move to where everything is confirmed, unless it moves already.
    pub(super) fn follow(&mut self, window: &mut Window) {
        if self.moving.is_none()
            && let Some(progress) = window.progress()
        {
            self.moving = Some(advance(self.database.clone(), self.at, progress).boxed());
        }
    }

    /// Waits until it has moved.
    pub(super) async fn moved(&mut self) -> Result<(), Lost> {
        if let Some(moving) = &mut self.moving {
            let moved = moving.await;
            self.moving = None;
            self.at = moved?;
        }
        Ok(())
    }

    /// Tells the metrics how far the relay is behind.
    pub(super) async fn report(&mut self) -> Result<(), StoreError> {
        let mut tx = self.database.begin(&Scope::Platform).await?;
        let head: i64 = sqlx::query_scalar("select seq from es.sequencer").fetch_one(&mut *tx).await?;
        tx.commit().await?;
        #[expect(clippy::cast_precision_loss, reason = "a gauge needs no more than 52 bits")]
        let lag = (head - self.at.0).max(0) as f64;
        metrics::gauge!("messaging_relay_lag_events").set(lag);
        Ok(())
    }
}

/// A relay that stands by must not go on claiming what was; not-a-number is left out wherever there is a number.
pub(super) fn report_nothing() {
    metrics::gauge!("messaging_relay_lag_events").set(f64::NAN);
}

async fn advance(database: Database, from: Position, progress: Progress) -> Result<Position, Lost> {
    let types: Vec<&str> = progress.types.keys().map(String::as_str).collect();
    let seqs: Vec<i64> = progress.types.values().copied().collect();
    let mut tx = database.begin(&Scope::Platform).await?;
    let moved = sqlx::query(
        "with moved as (
           update es.relay set seq = $3 where name = $1 and seq = $2 returning seq
         )
         insert into es.relayed (event_type, seq)
         select t.event_type, t.seq
           from moved, unnest($4::text[], $5::bigint[]) as t (event_type, seq)
         on conflict (event_type) do update set seq = excluded.seq",
    )
    .bind(NAME)
    .bind(from.0)
    .bind(progress.seq.0)
    .bind(&types)
    .bind(&seqs)
    .execute(&mut *tx)
    .await
    .map_err(StoreError::from)?
    .rows_affected();
    tx.commit().await.map_err(StoreError::from)?;
    if moved == 0 {
        return Err(Lost::Overtaken);
    }
    metrics::counter!("messaging_relayed_total").increment(progress.count);
    metrics::counter!("messaging_relay_position").absolute(u64::try_from(progress.seq.0).unwrap_or(0));
    Ok(progress.seq)
}
