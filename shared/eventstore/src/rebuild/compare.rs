//! Compares the rows of two schemas in one snapshot, and says what is different in which column of which row.

use super::RebuildError;
use crate::{Database, Tx};
use serde_json::{Map, Value};
use sqlx::AssertSqlSafe;

/// Rows of a table that are told one by one; the others are counted.
const TOLD_MAX: i64 = 100;

/// What comparing a table came to.
#[derive(Debug, Clone, serde::Serialize)]
pub struct TableChecked {
    /// The table.
    pub table: &'static str,
    /// Its rows in the live schema.
    pub rows: i64,
    /// Rows that differ, are missing, or should not be there.
    pub differing: i64,
    /// The first hundred of them, in the order of their keys.
    pub differences: Vec<Difference>,
}

/// A row that is not what the log says.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Difference {
    /// The columns that tell it from others, with their values.
    pub key: Map<String, Value>,
    /// What is wrong with it.
    pub kind: DifferenceKind,
    /// The columns that are not what they should be; none if the row is missing or should not be there.
    pub columns: Vec<ColumnDifference>,
}

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// It is not in the live table.
    Missing,
    /// It is in the live table, and nothing in the log says so.
    Unexpected,
    /// It is there, with other values.
    Changed,
}

/// A column that is not what the log says.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ColumnDifference {
    /// Its name.
    pub column: String,
    /// What the live table says.
    pub live: Value,
    /// What the log says.
    pub expected: Value,
}

/// A transaction that sees one state of everything from now on, at platform level.
pub(super) async fn snapshot(database: &Database) -> Result<Tx, RebuildError> {
    let begin = "begin isolation level repeatable read, read only; \
                 select es.set_scope('pf_platform', null, null), set_config('statement_timeout', '0', true)";
    Ok(database.pool().begin_with(begin).await?)
}

/// Compares one table of two schemas.
pub(super) async fn compare(
    tx: &mut Tx,
    live: &str,
    fresh: &str,
    table: &'static str,
) -> Result<TableChecked, RebuildError> {
    let rows: i64 = sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {live}.{table}")))
        .fetch_one(&mut **tx)
        .await?;
    let key = key(tx, live, table).await?;
    let value = |of: &str| {
        let columns: Vec<String> = key.iter().map(|column| format!("{of}.\"{column}\"")).collect();
        format!("jsonb_build_array({})", columns.join(", "))
    };
    // Both directions, at a cost that grows with the rows and not with their square. `all`, for tables without a key.
    let statement = format!(
        "with only_live as (select * from {live}.{table} except all select * from {fresh}.{table}),
              only_fresh as (select * from {fresh}.{table} except all select * from {live}.{table}),
              differing (is_fresh, found, key) as (
                select false, to_jsonb(l), {} from only_live l
                union all
                select true, to_jsonb(f), {} from only_fresh f
              ),
              ranked as (select d.*, dense_rank() over (order by key) as place from differing d)
         select is_fresh, found, (select max(place) from ranked) as differing
           from ranked
          where place <= $1
          order by place, is_fresh",
        value("l"),
        value("f"),
    );
    let found: Vec<(bool, Value, i64)> =
        sqlx::query_as(AssertSqlSafe(statement)).bind(TOLD_MAX).fetch_all(&mut **tx).await?;
    let differing = found.first().map_or(0, |(_, _, differing)| *differing);
    let found = found.into_iter().filter_map(|(is_fresh, row, _)| match row {
        Value::Object(row) => Some((is_fresh, row)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
    });
    Ok(TableChecked { table, rows, differing, differences: pair(found, &key) })
}

/// The columns of the primary key, or else of a unique index, or else all.
async fn key(tx: &mut Tx, schema: &str, table: &str) -> Result<Vec<String>, RebuildError> {
    Ok(sqlx::query_scalar(
        "with relation as (
           select c.oid
             from pg_class c
             join pg_namespace n on n.oid = c.relnamespace
            where n.nspname = $1 and c.relname = $2
         ), keys as (
           select i.indkey::int2[] as columns
             from pg_index i
             join relation r on r.oid = i.indrelid
            where i.indisunique and i.indpred is null and i.indexprs is null
            order by i.indisprimary desc, i.indexrelid
            limit 1
         )
         select a.attname::text
           from pg_attribute a
           join relation r on r.oid = a.attrelid
          where a.attnum > 0 and not a.attisdropped
            and a.attnum = any(coalesce((select k.columns from keys k), array[a.attnum]))
          order by array_position((select k.columns from keys k), a.attnum), a.attnum",
    )
    .bind(schema)
    .bind(table)
    .fetch_all(&mut **tx)
    .await?)
}

/// Puts the two sides of a row together; they stand next to each other.
fn pair(found: impl Iterator<Item = (bool, Map<String, Value>)>, key: &[String]) -> Vec<Difference> {
    let mut differences: Vec<Difference> = Vec::new();
    let mut unpaired: Option<Map<String, Value>> = None;
    for (is_fresh, row) in found {
        let key_of = |row: &Map<String, Value>| -> Map<String, Value> {
            key.iter()
                .filter_map(|name| row.get_key_value(name))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect()
        };
        let row_key = key_of(&row);
        if is_fresh && let Some(live) = unpaired.take_if(|live| key_of(live) == row_key) {
            let columns = row
                .into_iter()
                .filter(|(name, expected)| live.get(name) != Some(expected))
                .map(|(column, expected)| ColumnDifference {
                    live: live.get(&column).cloned().unwrap_or_default(),
                    column,
                    expected,
                })
                .collect();
            if let Some(last) = differences.last_mut() {
                last.kind = DifferenceKind::Changed;
                last.columns = columns;
            }
            continue;
        }
        let kind = if is_fresh { DifferenceKind::Missing } else { DifferenceKind::Unexpected };
        differences.push(Difference { key: row_key, kind, columns: Vec::new() });
        unpaired = (!is_fresh).then_some(row);
    }
    differences
}
