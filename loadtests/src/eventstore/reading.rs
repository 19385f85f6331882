//! A page of the log against the unfenced page of a follower that misses events.

use crate::{
    rounds::{Contender, per_second},
    server::Place,
};
use anyhow::Result;
use eventstore::{Database, Log};
use kernel::Position;
use sqlx::{PgConnection, Row};
use std::time::{Duration, Instant};

/// Events in a page, of both.
const PAGE: i64 = 500;

/// Ours.
pub(crate) struct Ordered {
    log: Log,
    cursor: Position,
    turn: Duration,
}

impl Ordered {
    pub(crate) fn new(database: Database, turn: Duration) -> Self {
        Self { log: Log::new(database), cursor: Position(0), turn }
    }
}

#[async_trait::async_trait]
impl Contender for Ordered {
    async fn measure(&mut self) -> Result<f64> {
        let (started, mut read) = (Instant::now(), 0);
        while started.elapsed() < self.turn {
            let page = self.log.page(self.cursor, PAGE).await?;
            // Round again at the end.
            self.cursor = page.last().map_or(Position(0), |event| event.seq);
            read += page.len() as u64;
        }
        Ok(per_second(read, started.elapsed()))
    }
}

/// `pos > cursor`, with the same columns, whose JSON is opened as well.
pub(crate) struct Unfenced {
    connection: PgConnection,
    cursor: i64,
    turn: Duration,
}

impl Unfenced {
    pub(crate) async fn new(place: &Place, turn: Duration) -> Result<Self> {
        let mut connection = place.owner().await?;
        sqlx::raw_sql("set enable_seqscan = off").execute(&mut connection).await?;
        Ok(Self { connection, cursor: 0, turn })
    }
}

#[async_trait::async_trait]
impl Contender for Unfenced {
    async fn measure(&mut self) -> Result<f64> {
        let (started, mut read) = (Instant::now(), 0);
        while started.elapsed() < self.turn {
            let rows = sqlx::query(
                "select pos, stream_id, stream, version, event_id, event_type, schema_version, partner_id, customer_id,
                        command_id, occurred_at, recorded_at, meta, payload
                   from bench.followed
                  where pos > $1
                  order by pos
                  limit $2",
            )
            .bind(self.cursor)
            .bind(PAGE)
            .fetch_all(&mut self.connection)
            .await?;
            self.cursor = 0;
            for row in &rows {
                for column in ["meta", "payload"] {
                    let bytes: &[u8] = row.try_get(column)?;
                    std::hint::black_box(serde_json::from_slice::<serde_json::Value>(bytes)?);
                }
                self.cursor = row.try_get("pos")?;
            }
            read += rows.len() as u64;
        }
        Ok(per_second(read, started.elapsed()))
    }
}
