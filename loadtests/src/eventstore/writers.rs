//! The ways to write an event: ours, and the baselines with the same bytes, library and number of connections.

use crate::{
    rounds::{Crew, Writer},
    server::Place,
    workload::{Columns, EVENT_TYPE, Meter, ReadingTaken, Streams, cause},
};
use anyhow::{Result, bail};
use eventstore::{Store, Target};
use kernel::Aggregate;
use sqlx::PgConnection;
use std::time::Duration;
use uuid::Uuid;

/// Our whole way of a command: load, decide, append.
struct Execute {
    store: Store,
    streams: Streams,
    batch: i64,
}

#[async_trait::async_trait]
impl Writer for Execute {
    async fn write(&mut self) -> Result<u64> {
        let (stream_id, _) = self.streams.turn(self.batch);
        let cause = cause();
        let target = Target {
            scope: &self.streams.scope,
            tenant: self.streams.tenant,
            stream_id,
            cause: &cause,
            occurred_at: None,
        };
        self.store.execute::<Meter>(target, self.batch).await?;
        Ok(self.batch.unsigned_abs())
    }
}

/// Facts about which nobody decides: our append in one call of the store.
struct Record {
    store: Store,
    streams: Streams,
}

#[async_trait::async_trait]
impl Writer for Record {
    async fn write(&mut self) -> Result<u64> {
        let (stream_id, version) = self.streams.turn(1);
        let cause = cause();
        let target = Target {
            scope: &self.streams.scope,
            tenant: self.streams.tenant,
            stream_id,
            cause: &cause,
            occurred_at: None,
        };
        self.store.record::<Meter>(target, &[ReadingTaken { number: version + 1 }]).await?;
        Ok(1)
    }
}

/// The append alone, as the store calls it.
struct Append {
    connection: PgConnection,
    streams: Streams,
    batch: i64,
    /// Whether it takes the scope of its partner; the owner, whom no policy holds up, need not.
    scoped: bool,
}

#[async_trait::async_trait]
impl Writer for Append {
    async fn write(&mut self) -> Result<u64> {
        let Streams { tenant, .. } = self.streams;
        let (stream_id, version) = self.streams.turn(self.batch);
        let events: Vec<Columns> =
            (1..=self.batch).map(|n| Columns::new(tenant, stream_id, version + n)).collect();
        let Some(first) = events.first() else { return Ok(0) };
        let ids: Vec<Uuid> = events.iter().map(|event| event.event_id).collect();
        let types = vec![EVENT_TYPE; events.len()];
        let schemas = vec![1_i16; events.len()];
        let payloads: Vec<&[u8]> = events.iter().map(|event| event.payload.as_slice()).collect();
        let status: String = sqlx::query_scalar(
            "select status
               from es.append_partner($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        )
        .bind(self.scoped)
        .bind(first.partner_id)
        .bind(None::<Uuid>)
        .bind(stream_id.0)
        .bind(Meter::STREAM)
        .bind(version)
        .bind(first.partner_id)
        .bind(first.customer_id)
        .bind(first.command_id)
        .bind(first.correlation_id)
        .bind(None::<chrono::DateTime<chrono::Utc>>)
        .bind(&first.meta)
        .bind(ids)
        .bind(types)
        .bind(schemas)
        .bind(payloads)
        .fetch_one(&mut self.connection)
        .await?;
        if status != "ok" {
            bail!("es.append_partner answered {status}");
        }
        Ok(self.batch.unsigned_abs())
    }
}

/// The same row into a table of the same shape.
struct Plain {
    connection: PgConnection,
    streams: Streams,
}

#[async_trait::async_trait]
impl Writer for Plain {
    async fn write(&mut self) -> Result<u64> {
        let (stream_id, version) = self.streams.turn(1);
        let event = Columns::new(self.streams.tenant, stream_id, version + 1);
        sqlx::query(
            "insert into bench.event (stream_id, stream, version, event_id, event_type, schema_version, partner_id,
                                      customer_id, command_id, correlation_id, occurred_at, meta, payload)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        )
        .bind(event.stream_id)
        .bind(Meter::STREAM)
        .bind(event.version)
        .bind(event.event_id)
        .bind(EVENT_TYPE)
        .bind(1_i16)
        .bind(event.partner_id)
        .bind(event.customer_id)
        .bind(event.command_id)
        .bind(event.correlation_id)
        .bind(event.occurred_at)
        .bind(&event.meta)
        .bind(&event.payload)
        .execute(&mut self.connection)
        .await?;
        Ok(1)
    }
}

/// The least that stores the same bytes: a table with one index.
struct Raw {
    connection: PgConnection,
    streams: Streams,
}

#[async_trait::async_trait]
impl Writer for Raw {
    async fn write(&mut self) -> Result<u64> {
        let (stream_id, version) = self.streams.turn(1);
        let event = Columns::new(self.streams.tenant, stream_id, version + 1);
        sqlx::query(
            "insert into bench.raw (stream_id, version, event_id, event_type, meta, payload)
             values ($1, $2, $3, $4, $5, $6)",
        )
        .bind(event.stream_id)
        .bind(event.version)
        .bind(event.event_id)
        .bind(EVENT_TYPE)
        .bind(&event.meta)
        .bind(&event.payload)
        .execute(&mut self.connection)
        .await?;
        Ok(1)
    }
}

/// COPY in its binary form, one transaction a batch.
struct Copy {
    connection: PgConnection,
    streams: Streams,
    batch: i64,
}

#[async_trait::async_trait]
impl Writer for Copy {
    async fn write(&mut self) -> Result<u64> {
        let tenant = self.streams.tenant;
        let (stream_id, version) = self.streams.turn(self.batch);
        let mut rows = binary::start();
        for n in 1..=self.batch {
            binary::row(&mut rows, &Columns::new(tenant, stream_id, version + n));
        }
        binary::end(&mut rows);
        let mut copy = self
            .connection
            .copy_in_raw(
                "copy bench.event (stream_id, stream, version, event_id, event_type, schema_version, partner_id,
                                   customer_id, command_id, correlation_id, occurred_at, meta, payload)
                 from stdin with (format binary)",
            )
            .await?;
        copy.send(rows).await?;
        Ok(copy.finish().await?)
    }
}

/// The binary form of COPY.
mod binary {
    use crate::workload::{Columns, EVENT_TYPE, Meter};
    use kernel::Aggregate;

    /// Seconds from 1970 to 2000, where PostgreSQL's time begins.
    const EPOCH: i64 = 946_684_800;

    pub(super) fn start() -> Vec<u8> {
        let mut out = b"PGCOPY\n\xff\r\n\0".to_vec();
        out.extend([0; 8]);
        out
    }

    pub(super) fn row(out: &mut Vec<u8>, event: &Columns) {
        out.extend(13_i16.to_be_bytes());
        field(out, event.stream_id.as_bytes());
        field(out, Meter::STREAM.as_bytes());
        field(out, &event.version.to_be_bytes());
        field(out, event.event_id.as_bytes());
        field(out, EVENT_TYPE.as_bytes());
        field(out, &1_i16.to_be_bytes());
        field(out, event.partner_id.as_bytes());
        match event.customer_id {
            Some(id) => field(out, id.as_bytes()),
            None => out.extend((-1_i32).to_be_bytes()),
        }
        field(out, event.command_id.as_bytes());
        field(out, event.correlation_id.as_bytes());
        field(out, &(event.occurred_at.timestamp_micros() - EPOCH * 1_000_000).to_be_bytes());
        field(out, &event.meta);
        field(out, &event.payload);
    }

    pub(super) fn end(out: &mut Vec<u8>) {
        out.extend((-1_i16).to_be_bytes());
    }

    fn field(out: &mut Vec<u8>, bytes: &[u8]) {
        out.extend(i32::try_from(bytes.len()).unwrap_or(i32::MAX).to_be_bytes());
        out.extend(bytes);
    }
}

/// A way to write.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    /// `Store::execute`, through the pool, of a command with this many events.
    Execute(i64),
    /// `Store::record`, through the pool, of one event.
    Record,
    /// `es.append_partner` of this many events, on a connection of its own.
    Append(i64),
    /// The same of one event by the owner, without a scope.
    Unscoped,
    /// INSERT into the copy of the event table.
    Plain,
    /// INSERT into a table with one index.
    Raw,
    /// COPY of this many rows into the copy of the event table.
    Copy(i64),
}

impl Way {
    /// So many writers that do it.
    pub(crate) async fn crew(self, place: &Place, writers: u32, turn: Duration) -> Result<Box<Crew>> {
        let mut crew: Vec<Box<dyn Writer>> = Vec::new();
        let store = match self {
            Self::Execute(_) | Self::Record => Some(Store::new(place.database(writers).await?)),
            Self::Append(_) | Self::Unscoped | Self::Plain | Self::Raw | Self::Copy(_) => None,
        };
        for _ in 0..writers {
            let streams = Streams::new();
            crew.push(match (self, &store) {
                (Self::Execute(batch), Some(store)) => {
                    Box::new(Execute { store: store.clone(), streams, batch })
                }
                (Self::Record, Some(store)) => Box::new(Record { store: store.clone(), streams }),
                (Self::Record, None) => continue,
                (Self::Append(batch) | Self::Execute(batch), _) => {
                    Box::new(Append { connection: place.service().await?, streams, batch, scoped: true })
                }
                (Self::Unscoped, _) => {
                    Box::new(Append { connection: place.owner().await?, streams, batch: 1, scoped: false })
                }
                (Self::Plain, _) => Box::new(Plain { connection: place.owner().await?, streams }),
                (Self::Raw, _) => Box::new(Raw { connection: place.owner().await?, streams }),
                (Self::Copy(batch), _) => Box::new(Copy { connection: place.owner().await?, streams, batch }),
            });
        }
        Ok(Box::new(Crew::new(crew, turn)))
    }
}
