//! Waits until nothing is under way any more: every cursor at the head, every queue empty, nothing to be tried again.

use crate::{
    consumers::{self, Consumers},
    probe::Probe,
};
use anyhow::{Context, Result};
use lapin::{Connection, ConnectionProperties, options::QueueDeclareOptions, types::FieldTable};
use sqlx::{Connection as _, PgConnection};
use std::time::Duration;
use tokio::time::Instant;

/// How often is looked.
const LOOK_PAUSE: Duration = Duration::from_millis(700);

/// A server that does not answer so long is asked anew.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// Who follows the log by position, at least.
const FOLLOWERS: [&str; 2] = ["views", "auditing.trail"];

/// Where to look.
pub(crate) struct Outlook<'a> {
    pub(crate) database_url: &'a str,
    pub(crate) amqp_url: &'a str,
    pub(crate) admin_url: &'a str,
    pub(crate) http: &'a reqwest::Client,
    pub(crate) probe: &'a Probe,
}

/// What is not done yet, in words; empty when all is.
type Open = Vec<String>;

impl Outlook<'_> {
    /// Waits until two looks in a row see the same head and nothing open; answers with what is open after `limit`.
    pub(crate) async fn until_quiet(&self, limit: Duration) -> Open {
        let deadline = Instant::now() + limit;
        let mut quiet_at = None;
        loop {
            let (head, open) = match tokio::time::timeout(ANSWER_LIMIT, self.look()).await {
                Ok(Ok(seen)) => seen,
                Ok(Err(error)) => (0, vec![format!("a server cannot be asked: {error:#}")]),
                Err(_elapsed) => (0, vec!["a server gives no answer".to_owned()]),
            };
            if open.is_empty() && quiet_at == Some(head) {
                return open;
            }
            quiet_at = open.is_empty().then_some(head);
            if Instant::now() > deadline {
                return open;
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }

    async fn look(&self) -> Result<(i64, Open)> {
        let mut database = PgConnection::connect(self.database_url).await.context("asking the database")?;
        let consumers = consumers::find(&mut database, self.http, self.admin_url).await?;
        let mut open = Open::new();
        let (head, events, ordered): (i64, i64, i64) = sqlx::query_as(
            "select (select seq from es.sequencer), (select count(*) from es.event), (select count(*) from es.order_log)",
        )
        .fetch_one(&mut database)
        .await?;
        if events != ordered {
            open.push(format!("{} events have no position", events - ordered));
        }
        let cursors: Vec<(String, i64)> = sqlx::query_as(
            "select 'relay ' || name, seq from es.relay union all select 'follower ' || name, seq from es.follower",
        )
        .fetch_all(&mut database)
        .await?;
        for follower in FOLLOWERS {
            if !cursors.iter().any(|(name, _)| name.strip_prefix("follower ") == Some(follower)) {
                open.push(format!("{follower} has not begun to follow the log"));
            }
        }
        for (name, seq) in cursors.into_iter().filter(|(_, seq)| *seq < head) {
            open.push(format!("{name} is at {seq} of {head}"));
        }
        for (name, missing) in unheard(&mut database, &consumers).await? {
            open.push(format!("{name} has not handled {missing} events"));
        }
        let postponed: i64 =
            sqlx::query_scalar("select count(*) from es.postponed").fetch_one(&mut database).await?;
        if postponed > 0 {
            open.push(format!("{postponed} events are to be tried again"));
        }
        let judgements: i64 =
            sqlx::query_scalar("select count(*) from devices.judgement").fetch_one(&mut database).await?;
        if judgements > 0 {
            open.push(format!(
                "devices of {judgements} inventories are to be told of changes of the catalogue"
            ));
        }
        let probed = self.probe.count();
        if i64::try_from(probed).unwrap_or(0) < events {
            open.push(format!("the probe has seen {probed} of {events} events"));
        }
        for (queue, waiting) in self.waiting().await? {
            open.push(format!("{waiting} messages wait in {queue}"));
        }
        Ok((head, open))
    }

    /// Queues with messages in them.
    pub(crate) async fn waiting(&self) -> Result<Vec<(String, u32)>> {
        let connection = Connection::connect(self.amqp_url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let mut waiting = Vec::new();
        for name in consumers::queues(self.http, self.admin_url).await? {
            let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let queue = channel.queue_declare(name.as_str().into(), passive, FieldTable::default()).await?;
            if queue.message_count() > 0 {
                waiting.push((name, queue.message_count()));
            }
        }
        connection.close(200, "seen".into()).await?;
        Ok(waiting)
    }
}

/// How many events of its interests each consumer has neither handled nor parked.
pub(crate) async fn unheard(
    database: &mut PgConnection,
    consumers: &Consumers,
) -> Result<Vec<(String, i64)>> {
    let mut lagging = Vec::new();
    for (name, interests) in consumers {
        let missing: i64 = sqlx::query_scalar(
            "select count(*) from es.event e
              where e.event_type like any ($2)
                and not exists (select from es.inbox i where i.consumer = $1 and i.event_id = e.event_id)",
        )
        .bind(name)
        .bind(interests)
        .fetch_one(&mut *database)
        .await?;
        if missing > 0 {
            lagging.push((name.clone(), missing));
        }
    }
    Ok(lagging)
}
