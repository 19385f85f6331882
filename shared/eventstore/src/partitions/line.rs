//! One event in a partition's file: everything that is stored of it, in a line of JSON.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A stored event. `meta` and `payload` are texts, so that their bytes, which hashes are made of, come back as they were.
#[derive(Debug, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub(super) struct Line {
    pub(super) seq: i64,
    pub(super) pos: i64,
    pub(super) xid: String,
    stream_id: Uuid,
    stream: String,
    version: i64,
    event_id: Uuid,
    event_type: String,
    schema_version: i16,
    partner_id: Uuid,
    customer_id: Option<Uuid>,
    command_id: Uuid,
    correlation_id: Option<Uuid>,
    occurred_at: DateTime<Utc>,
    recorded_at: DateTime<Utc>,
    meta: String,
    payload: String,
}

impl Line {
    /// The events with places from $1 until $2 that follow ($3, $4), up to $5 of them. A position of 0 is none.
    pub(super) const PAGE: &str = "
        select coalesce(o.seq, 0) as seq, e.pos, e.xid::text as xid, e.stream_id, e.stream, e.version, e.event_id,
               e.event_type, e.schema_version, e.partner_id, e.customer_id, e.command_id, e.correlation_id,
               e.occurred_at, e.recorded_at, convert_from(e.meta, 'utf8') as meta, convert_from(e.payload, 'utf8') as payload
          from (select * from es.event e
                 where e.pos >= $1 and e.pos < $2 and (e.xid, e.pos) > ($3::text::xid8, $4)
                 order by e.xid, e.pos
                 limit $5) e
          left join lateral (select o.seq from es.order_log o where o.pos = e.pos limit 1) o on true
         order by e.xid, e.pos";

    /// The columns, and the rows that the lines in $1 are.
    pub(super) const ROWS_OF_TEXTS: &str = "
        (pos, xid, stream_id, stream, version, event_id, event_type, schema_version, partner_id, customer_id, command_id,
         correlation_id, occurred_at, recorded_at, meta, payload)
        select l.pos, l.xid::xid8, l.stream_id, l.stream, l.version, l.event_id, l.event_type, l.schema_version, l.partner_id,
               l.customer_id, l.command_id, l.correlation_id, l.occurred_at, l.recorded_at,
               convert_to(l.meta, 'utf8'), convert_to(l.payload, 'utf8')
          from unnest($1::text[]) t,
               json_to_record(t::json) as l (
                 pos bigint, xid text, stream_id uuid, stream text, version bigint, event_id uuid, event_type text,
                 schema_version smallint, partner_id uuid, customer_id uuid, command_id uuid, correlation_id uuid,
                 occurred_at timestamptz, recorded_at timestamptz, meta text, payload text)";

    /// The line with its end.
    pub(super) fn text(&self) -> Vec<u8> {
        #[expect(clippy::expect_used, reason = "numbers, texts, ids and times are always JSON")]
        let mut text = serde_json::to_vec(self).expect("a line is JSON");
        text.push(b'\n');
        text
    }

    /// Reads a line without its end.
    pub(super) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}
