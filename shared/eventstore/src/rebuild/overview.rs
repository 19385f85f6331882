//! How far a projection is, and what stands beside it.

use crate::{Database, Log, Projection, StoreError, follower::standing};
use kernel::{Position, Scope};
use sqlx::AssertSqlSafe;
use std::time::Duration;

/// A projection as it stands.
#[derive(Debug, Clone)]
pub struct Overview {
    /// Its name.
    pub name: &'static str,
    /// The schema of its live tables.
    pub schema: &'static str,
    /// The last position that it has taken in.
    pub position: Position,
    /// The last position of the log.
    pub head: Position,
    /// How long the first event that it has not taken in has been there.
    pub behind: Duration,
    /// Rows in all its tables.
    pub rows: i64,
    /// Schemas beside the live one: of a rebuild or a check that goes on or was interrupted, or kept on request.
    pub beside: Vec<String>,
}

/// Looks at `projection`.
pub async fn overview(database: &Database, projection: &dyn Projection) -> Result<Overview, StoreError> {
    let at = standing(database, projection.name()).await?;
    let waiting =
        if at.head > at.cursor { Log::new(database.clone()).page(at.cursor, 1).await?.pop() } else { None };
    let behind = waiting.and_then(|event| (at.now - event.recorded_at).to_std().ok()).unwrap_or_default();
    let mut tx = database.begin(&Scope::Platform).await?;
    // Counted by a person's wish and not in a service's time; reading holds nobody up.
    sqlx::query("set local statement_timeout = 0").execute(&mut *tx).await?;
    let mut rows = 0;
    for table in projection.tables() {
        let count = format!("select count(*) from {}.{table}", projection.schema());
        rows += sqlx::query_scalar::<_, i64>(AssertSqlSafe(count)).fetch_one(&mut *tx).await?;
    }
    let beside =
        sqlx::query_scalar("select nspname::text from pg_namespace where nspname = any($1) order by nspname")
            .bind(["next", "check", "old"].map(|what| format!("{}_{what}", projection.schema())))
            .fetch_all(&mut *tx)
            .await?;
    tx.commit().await?;
    Ok(Overview {
        name: projection.name(),
        schema: projection.schema(),
        position: at.cursor,
        head: at.head,
        behind,
        rows,
        beside,
    })
}
