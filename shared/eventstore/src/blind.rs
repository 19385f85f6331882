//! Keys of commands that were carried out without a look at their stream.

use crate::{Database, StoreError};
use kernel::Scope;
use std::time::Duration;

/// Keys removed in one transaction, so that none of them holds others up.
const PRUNE_BATCH: i64 = 10_000;

/// Forgets keys older than `older_than`; a command repeated after that is carried out again. Answers with how many.
pub async fn prune_command_keys(database: &Database, older_than: Duration) -> Result<u64, StoreError> {
    let mut pruned = 0;
    loop {
        let mut tx = database.begin(&Scope::Platform).await?;
        let gone = sqlx::query(
            "delete from es.command_key
              where command_id in (select k.command_id
                                     from es.command_key k
                                    where k.recorded_at < now() - make_interval(secs => $1)
                                    order by k.recorded_at
                                    limit $2)",
        )
        .bind(older_than.as_secs_f64())
        .bind(PRUNE_BATCH)
        .execute(&mut *tx)
        .await?
        .rows_affected();
        tx.commit().await?;
        pruned += gone;
        if gone < PRUNE_BATCH.unsigned_abs() {
            return Ok(pruned);
        }
    }
}
