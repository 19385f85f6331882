//! How fast a light view is built anew from the log.

use super::ours::Meters;
use crate::{rounds::per_second, server::Place};
use anyhow::Result;
use eventstore::{Projection, RebuildOptions, StoreError, Tx};
use kernel::Envelope;

/// One row a meter.
struct View;

#[async_trait::async_trait]
impl Projection for View {
    fn name(&self) -> &'static str {
        "loadtests.meters"
    }
    fn schema(&self) -> &'static str {
        "bench_view"
    }
    fn tables(&self) -> &'static [&'static str] {
        &["meter"]
    }
    async fn apply(&self, tx: &mut Tx, event: &Envelope) -> Result<(), StoreError> {
        self.apply_page(tx, std::slice::from_ref(event)).await
    }
    async fn apply_page(&self, tx: &mut Tx, events: &[Envelope]) -> Result<(), StoreError> {
        let meters = Meters::of(events);
        sqlx::query(
            "insert into meter as m (stream_id, partner_id, customer_id, readings, last)
             select t.stream_id, t.partner_id, t.customer_id, t.readings, t.last
               from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[])
                    as t (stream_id, partner_id, customer_id, readings, last)
             on conflict (stream_id) do update set readings = m.readings + excluded.readings, last = excluded.last",
        )
        .bind(meters.stream_ids)
        .bind(meters.partner_ids)
        .bind(meters.customer_ids)
        .bind(meters.readings)
        .bind(meters.last)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}

/// Says that the live view has everything, so that a rebuild goes up to the end of the log.
pub(crate) async fn prepare(place: &Place) -> Result<()> {
    place
        .run(
            "insert into es.follower (name, seq)
             select 'loadtests.meters', seq from es.sequencer
             on conflict (name) do update set seq = excluded.seq",
        )
        .await
}

/// Builds it once; events per second while folding, and the seconds during which the live one stood still.
pub(crate) async fn run(place: &Place) -> Result<(f64, f64)> {
    let database = place.database(4).await?;
    let rebuilt =
        eventstore::rebuild(&database, &place.owner_url(), &View, RebuildOptions::default(), &|_| {}).await?;
    database.close().await;
    Ok((per_second(rebuilt.events, rebuilt.folding), rebuilt.held.as_secs_f64() * 1_000.0))
}
