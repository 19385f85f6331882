//! What only the owner of the tables may do: make a schema beside the live one, and put it in its place.

use super::RebuildError;
use crate::{Projection, StoreError, follower::HOLD_SEED};
use kernel::Position;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::{collections::BTreeSet, time::Duration};

/// Seeds the advisory lock of whoever rebuilds or checks a projection.
const WORK_SEED: i64 = 0x7066_776f_726b;

/// What the owner's session waits for a lock at the most: longer than one page of a follower, shorter than a caller's
/// patience with the position that it waits for.
const SESSION: &str = "set lock_timeout = '5s';
                       set client_min_messages = warning;
                       set tcp_keepalives_idle = 10;
                       set tcp_keepalives_interval = 5;
                       set tcp_keepalives_count = 3";

const POLL: Duration = Duration::from_millis(5);

/// Attempts to drop what nobody uses any more: a vacuum may be at it.
const DROP_ATTEMPTS: u32 = 5;

/// The owner's session, which alone works on one projection.
pub(super) struct Owner {
    connection: PgConnection,
    name: &'static str,
    live: &'static str,
}

impl Owner {
    /// Signs in and makes sure that nobody else rebuilds or checks this projection.
    pub(super) async fn sign_in(url: &str, projection: &dyn Projection) -> Result<Self, RebuildError> {
        let mut connection = PgConnection::connect(url).await?;
        sqlx::raw_sql(SESSION).execute(&mut connection).await?;
        let (name, live) = (projection.name(), projection.schema());
        let alone: bool = sqlx::query_scalar("select pg_try_advisory_lock(hashtextextended($1, $2))")
            .bind(name)
            .bind(WORK_SEED)
            .fetch_one(&mut connection)
            .await?;
        if !alone {
            return Err(RebuildError::Busy { projection: name });
        }
        let mut owner = Self { connection, name, live };
        owner.refuse_other_tables(projection.tables()).await?;
        Ok(owner)
    }

    async fn refuse_other_tables(&mut self, expected: &[&'static str]) -> Result<(), RebuildError> {
        let found: Vec<String> = sqlx::query_scalar(
            "select c.relname::text
               from pg_class c
               join pg_namespace n on n.oid = c.relnamespace
              where n.nspname = $1 and c.relkind in ('r', 'p')",
        )
        .bind(self.live)
        .fetch_all(&mut self.connection)
        .await?;
        let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
        let expected: BTreeSet<&str> = expected.iter().copied().collect();
        let list = |these: &BTreeSet<&str>, without: &BTreeSet<&str>| {
            these.difference(without).copied().collect::<Vec<_>>().join(", ")
        };
        if found == expected {
            return Ok(());
        }
        Err(RebuildError::Tables {
            schema: self.live,
            unknown: list(&found, &expected),
            missing: list(&expected, &found),
        })
    }

    /// Makes an empty copy of the live schema, with a cursor at the beginning; what had that name before is gone.
    pub(super) async fn begin_anew(&mut self, schema: &str, cursor: &str) -> Result<(), RebuildError> {
        let mut tx = self.connection.begin().await?;
        sqlx::raw_sql(AssertSqlSafe(format!("drop schema if exists {schema} cascade")))
            .execute(&mut *tx)
            .await?;
        sqlx::query("call es.clone_schema($1, $2)").bind(self.live).bind(schema).execute(&mut *tx).await?;
        sqlx::query(
            "insert into es.follower (name, seq) values ($1, 0) on conflict (name) do update set seq = 0",
        )
        .bind(cursor)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Where an interrupted rebuild stopped; none if there is nothing to go on with.
    pub(super) async fn resume(
        &mut self,
        schema: &str,
        cursor: &str,
    ) -> Result<Option<Position>, RebuildError> {
        let stopped: Option<i64> = sqlx::query_scalar(
            "select f.seq
               from es.follower f
              where f.name = $1 and exists (select from pg_namespace n where n.nspname = $2)",
        )
        .bind(cursor)
        .bind(schema)
        .fetch_optional(&mut self.connection)
        .await?;
        let Some(stopped) = stopped else { return Ok(None) };
        let same: bool = sqlx::query_scalar(
            "select array(select es.describe_schema($1)) = array(select es.describe_schema($2))",
        )
        .bind(self.live)
        .bind(schema)
        .fetch_one(&mut self.connection)
        .await?;
        if !same {
            return Err(RebuildError::Unlike { schema: schema.to_owned(), live: self.live });
        }
        Ok(Some(Position(stopped)))
    }

    /// Lets the live follower finish its page and holds it, until `release` or the end of this session.
    pub(super) async fn hold(&mut self) -> Result<Position, RebuildError> {
        sqlx::query("select pg_advisory_lock(hashtextextended($1, $2))")
            .bind(self.name)
            .bind(HOLD_SEED)
            .execute(&mut self.connection)
            .await?;
        self.position().await
    }

    pub(super) async fn release(&mut self) -> Result<(), RebuildError> {
        sqlx::query("select pg_advisory_unlock(hashtextextended($1, $2))")
            .bind(self.name)
            .bind(HOLD_SEED)
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    /// How far the live one is.
    pub(super) async fn position(&mut self) -> Result<Position, RebuildError> {
        let seq: Option<i64> = sqlx::query_scalar("select seq from es.follower where name = $1")
            .bind(self.name)
            .fetch_optional(&mut self.connection)
            .await?;
        Ok(Position(seq.unwrap_or(0)))
    }

    /// Waits until every transaction that is open now has ended: all later ones see what is committed now.
    pub(super) async fn outlive_open_transactions(&mut self, patience: Duration) -> Result<(), RebuildError> {
        let deadline = tokio::time::Instant::now() + patience;
        // Not the workers of the server itself, which read no tables of ours.
        let open: Vec<String> = sqlx::query_scalar(
            "select l.virtualxid
               from pg_locks l
               join pg_stat_activity a on a.pid = l.pid
              where l.locktype = 'virtualxid'
                and a.datname = current_database()
                and a.usesysid is not null
                and l.pid <> pg_backend_pid()",
        )
        .fetch_all(&mut self.connection)
        .await?;
        loop {
            let left: Vec<i32> = sqlx::query_scalar(
                "select pid from pg_locks where locktype = 'virtualxid' and virtualxid = any($1)",
            )
            .bind(&open)
            .fetch_all(&mut self.connection)
            .await?;
            if left.is_empty() {
                return Ok(());
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(RebuildError::OpenTransactions { pids: left, patience });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Puts `next` in the place of the live schema, which keeps its content as `old`.
    pub(super) async fn switch(
        &mut self,
        next: &str,
        old: &str,
        cursor: &str,
        position: Position,
    ) -> Result<(), RebuildError> {
        let live = self.live;
        let mut tx = self.connection.begin().await?;
        let places: Vec<i64> =
            sqlx::query_scalar("select seq from es.follower where name in ($1, $2) order by name for update")
                .bind(self.name)
                .bind(cursor)
                .fetch_all(&mut *tx)
                .await?;
        // A follower of an older program does not know of the hold; nor is there a cursor before the first event.
        if places.iter().any(|place| *place != position.0) {
            return Err(RebuildError::Moved { projection: self.name });
        }
        sqlx::raw_sql(AssertSqlSafe(format!(
            "alter schema {live} rename to {old}; alter schema {next} rename to {live}"
        )))
        .execute(&mut *tx)
        .await?;
        sqlx::query("delete from es.follower where name = $1").bind(cursor).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Gathers what the planner must know of freshly filled tables.
    pub(super) async fn analyze(&mut self, schema: &str, tables: &[&str]) -> Result<(), RebuildError> {
        for table in tables {
            sqlx::raw_sql(AssertSqlSafe(format!("analyze {schema}.{table}")))
                .execute(&mut self.connection)
                .await?;
        }
        Ok(())
    }

    pub(super) async fn drop_schema(&mut self, schema: &str) -> Result<(), RebuildError> {
        let statement = format!("drop schema if exists {schema} cascade");
        for _ in 1..DROP_ATTEMPTS {
            let Err(error) =
                sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&mut self.connection).await
            else {
                return Ok(());
            };
            let error = StoreError::Database(error);
            if !error.is_busy() {
                return Err(error.into());
            }
        }
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut self.connection).await?;
        Ok(())
    }

    /// Removes what was built beside the live one; whether there was something.
    pub(super) async fn discard(&mut self, schema: &str, cursor: &str) -> Result<bool, RebuildError> {
        let there: bool = sqlx::query_scalar("select exists (select from pg_namespace where nspname = $1)")
            .bind(schema)
            .fetch_one(&mut self.connection)
            .await?;
        self.drop_schema(schema).await?;
        sqlx::query("delete from es.follower where name = $1")
            .bind(cursor)
            .execute(&mut self.connection)
            .await?;
        Ok(there)
    }

    /// Lets the next one work, and ends the session.
    pub(super) async fn sign_out(mut self) {
        // The server would do it as well, only later than the next one may try.
        let _ = sqlx::raw_sql("select pg_advisory_unlock_all()").execute(&mut self.connection).await;
        let _ = self.connection.close().await;
    }
}
