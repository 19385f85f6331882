//! How long no event was given a position: what an outage costs those who wait for one.

use anyhow::Result;
use sqlx::{Connection, PgConnection};
use std::time::Duration;
use tokio::time::Instant;

/// How often is looked; the error of what is measured.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// A server under attack may not answer at all.
const ASK_LIMIT: Duration = Duration::from_secs(1);

/// Watches the last position that was given.
pub(crate) struct Standstill {
    database_url: String,
    database: Option<PgConnection>,
    pub(crate) seq: i64,
    moved_at: Instant,
    pub(crate) longest: Duration,
}

impl Standstill {
    pub(crate) fn new(database_url: &str) -> Self {
        Self {
            database_url: database_url.to_owned(),
            database: None,
            seq: 0,
            moved_at: Instant::now(),
            longest: Duration::ZERO,
        }
    }

    /// Looks once. May be dropped at any moment: it then begins anew.
    pub(crate) async fn look(&mut self) {
        tokio::time::sleep(LOOK_PAUSE).await;
        let database = self.database.take();
        // An answer that does not come is one of those outages.
        if let Ok(Ok((database, seq))) =
            tokio::time::timeout(ASK_LIMIT, ask(database, &self.database_url)).await
        {
            self.database = Some(database);
            if seq > self.seq {
                (self.seq, self.moved_at) = (seq, Instant::now());
            }
        }
        self.longest = self.longest.max(self.moved_at.elapsed());
    }
}

async fn ask(database: Option<PgConnection>, url: &str) -> Result<(PgConnection, i64)> {
    let mut database = match database {
        Some(database) => database,
        None => PgConnection::connect(url).await?,
    };
    let seq = sqlx::query_scalar("select seq from es.sequencer").fetch_one(&mut database).await?;
    Ok((database, seq))
}
