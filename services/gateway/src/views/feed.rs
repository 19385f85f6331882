//! Feeds, and what became of every synchronisation: the platform's for everybody, a partner's for itself.

use crate::reading::list::{ById, list, offered};
use crate::views::Entry;
use crate::words::{FeedFormat, FeedKind};
use chrono::{DateTime, Utc};
use contracts::feeds::{
    FeedChanged, FeedDisabled, FeedEnabled, FeedEvent, FeedRegistered, FeedSchedule, FeedSyncCompleted,
    FeedSyncFailed, Publisher, RepositorySignature,
};
use eventstore::{StoreError, Tx};
use kernel::FeedId;
use uuid::Uuid;

/// A feed as GraphQL shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct FeedRow {
    pub(crate) feed_id: Uuid,
    pub(crate) partner_id: Uuid,
    pub(crate) name: String,
    pub(crate) kind: FeedKind,
    pub(crate) format: FeedFormat,
    pub(crate) source: String,
    pub(crate) every_minutes: Option<i64>,
    pub(crate) publisher_name: Option<String>,
    pub(crate) publisher_contact: Option<String>,
    pub(crate) keyring: Option<String>,
    pub(crate) enabled: bool,
    pub(crate) disabled_reason: Option<String>,
    pub(crate) synced_at: Option<DateTime<Utc>>,
    pub(crate) document_sha256: Option<String>,
    pub(crate) document_date: Option<DateTime<Utc>>,
    pub(crate) documents: i64,
    pub(crate) published: i64,
    pub(crate) revised: i64,
    pub(crate) unchanged: i64,
    pub(crate) withdrawn: i64,
    pub(crate) vulnerabilities: i64,
    pub(crate) quarantined: Vec<String>,
    pub(crate) refused: Vec<String>,
    pub(crate) signature_verified: Option<bool>,
    pub(crate) signature_fingerprint: Option<String>,
    pub(crate) signature_made_at: Option<DateTime<Utc>>,
    pub(crate) failed_at: Option<DateTime<Utc>>,
    pub(crate) failure_code: Option<String>,
    pub(crate) failure_reason: Option<String>,
}

macro_rules! columns {
    () => {
        "t.feed_id, t.partner_id, t.name, t.kind, t.format, t.source, t.every_minutes, t.publisher_name,
         t.publisher_contact, t.enabled, t.disabled_reason, t.synced_at, t.document_sha256, t.document_date, t.documents,
         t.published, t.revised, t.unchanged, t.withdrawn, t.vulnerabilities, t.quarantined, t.refused, t.failed_at,
         t.failure_code, t.failure_reason, t.keyring, t.signature_verified, t.signature_fingerprint,
         t.signature_made_at, t.seq"
    };
}

impl ById for FeedRow {
    const BY_IDS: &'static str = concat!(
        "select t.feed_id as key, ",
        columns!(),
        " from views.feed t where t.feed_id = any($1) and ",
        offered!()
    );
}

list! {
    /// The platform's feeds and the partner's own.
    FEEDS: FeedRow, columns from "views.feed t" where offered "true", oldest first by "t.seq"
}

/// A synchronisation that ended, as GraphQL shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct FeedSyncRow {
    pub(crate) ended_at: DateTime<Utc>,
    pub(crate) document_sha256: Option<String>,
    pub(crate) document_date: Option<DateTime<Utc>>,
    pub(crate) documents: i64,
    pub(crate) published: i64,
    pub(crate) revised: i64,
    pub(crate) unchanged: i64,
    pub(crate) withdrawn: i64,
    pub(crate) vulnerabilities: i64,
    pub(crate) quarantined: Vec<String>,
    pub(crate) refused: Vec<String>,
    pub(crate) signature_verified: Option<bool>,
    pub(crate) signature_fingerprint: Option<String>,
    pub(crate) signature_made_at: Option<DateTime<Utc>>,
    pub(crate) failure_code: Option<String>,
    pub(crate) failure_reason: Option<String>,
}

macro_rules! sync_columns {
    () => {
        "t.ended_at, t.document_sha256, t.document_date, t.documents, t.published, t.revised, t.unchanged, t.withdrawn,
         t.vulnerabilities, t.quarantined, t.refused, t.failure_code, t.failure_reason, t.signature_verified,
         t.signature_fingerprint, t.signature_made_at, t.seq"
    };
}

list! {
    /// What became of a feed's synchronisations.
    SYNCS_OF_FEED: FeedSyncRow, sync_columns from "views.feed_sync t"
    where offered "t.feed_id = p.parent", newest first by "t.seq"
}

pub(super) async fn apply(tx: &mut Tx, entry: Entry, fact: FeedEvent) -> Result<(), StoreError> {
    match fact {
        FeedEvent::FeedRegistered(fact) => register(tx, entry, fact).await,
        FeedEvent::FeedChanged(fact) => change(tx, fact).await,
        FeedEvent::FeedDisabled(FeedDisabled { feed_id, reason }) => {
            enable(tx, feed_id, false, Some(reason)).await
        }
        FeedEvent::FeedEnabled(FeedEnabled { feed_id }) => enable(tx, feed_id, true, None).await,
        FeedEvent::FeedSyncCompleted(fact) => complete(tx, entry, fact).await,
        FeedEvent::FeedSyncFailed(fact) => fail(tx, entry, fact).await,
    }
}

async fn register(tx: &mut Tx, entry: Entry, fact: FeedRegistered) -> Result<(), StoreError> {
    let FeedRegistered { feed_id, name, kind, format, source, schedule, publisher, keyring } = fact;
    let (publisher_name, publisher_contact) = publisher_columns(publisher);
    sqlx::query(
        "insert into feed (feed_id, partner_id, name, kind, format, source, every_minutes, publisher_name,
                           publisher_contact, keyring, seq)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(feed_id.0)
    .bind(entry.partner_id)
    .bind(name)
    .bind(FeedKind::from(kind))
    .bind(FeedFormat::from(format))
    .bind(source)
    .bind(minutes(schedule))
    .bind(publisher_name)
    .bind(publisher_contact)
    .bind(keyring)
    .bind(entry.seq)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn change(tx: &mut Tx, fact: FeedChanged) -> Result<(), StoreError> {
    let FeedChanged { feed_id, name, source, schedule, publisher, keyring, changed: _ } = fact;
    let (publisher_name, publisher_contact) = publisher_columns(publisher);
    sqlx::query(
        "update feed
            set name = $2,
                source = $3,
                every_minutes = $4,
                publisher_name = $5,
                publisher_contact = $6,
                keyring = $7
          where feed_id = $1",
    )
    .bind(feed_id.0)
    .bind(name)
    .bind(source)
    .bind(minutes(schedule))
    .bind(publisher_name)
    .bind(publisher_contact)
    .bind(keyring)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn minutes(schedule: Option<FeedSchedule>) -> Option<i64> {
    schedule.map(|schedule| i64::from(schedule.every_minutes))
}

fn publisher_columns(publisher: Option<Publisher>) -> (Option<String>, Option<String>) {
    match publisher {
        Some(Publisher { name, contact_url }) => (Some(name), contact_url),
        None => (None, None),
    }
}

async fn enable(
    tx: &mut Tx,
    feed_id: FeedId,
    enabled: bool,
    reason: Option<String>,
) -> Result<(), StoreError> {
    sqlx::query("update feed set enabled = $2, disabled_reason = $3 where feed_id = $1")
        .bind(feed_id.0)
        .bind(enabled)
        .bind(reason)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn complete(tx: &mut Tx, entry: Entry, fact: FeedSyncCompleted) -> Result<(), StoreError> {
    let FeedSyncCompleted {
        feed_id,
        document_sha256,
        document_date,
        documents,
        published,
        revised,
        unchanged,
        withdrawn,
        vulnerabilities,
        quarantined,
        refused,
        signature,
    } = fact;
    let (verified, fingerprint, made_at) = match signature {
        Some(RepositorySignature::Verified { fingerprint, signed_at }) => {
            (Some(true), Some(fingerprint), signed_at)
        }
        Some(RepositorySignature::NotVerified) => (Some(false), None, None),
        None => (None, None, None),
    };
    // The history has the counts; the feed shows those of its last one.
    sqlx::query(
        "with sync as (
           insert into feed_sync (seq, feed_id, partner_id, ended_at, document_sha256, document_date, documents, published,
                                  revised, unchanged, withdrawn, vulnerabilities, quarantined, refused,
                                  signature_verified, signature_fingerprint, signature_made_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
           returning *
         )
         update feed f
            set synced_at = s.ended_at,
                document_sha256 = s.document_sha256,
                document_date = s.document_date,
                documents = s.documents,
                published = s.published,
                revised = s.revised,
                unchanged = s.unchanged,
                withdrawn = s.withdrawn,
                vulnerabilities = s.vulnerabilities,
                quarantined = s.quarantined,
                refused = s.refused,
                signature_verified = s.signature_verified,
                signature_fingerprint = s.signature_fingerprint,
                signature_made_at = s.signature_made_at
           from sync s
          where f.feed_id = s.feed_id",
    )
    .bind(entry.seq)
    .bind(feed_id.0)
    .bind(entry.partner_id)
    .bind(entry.recorded_at)
    .bind(document_sha256)
    .bind(document_date)
    .bind(i64::from(documents))
    .bind(i64::from(published))
    .bind(i64::from(revised))
    .bind(i64::from(unchanged))
    .bind(i64::from(withdrawn))
    .bind(i64::from(vulnerabilities))
    .bind(quarantined)
    .bind(refused)
    .bind(verified)
    .bind(fingerprint)
    .bind(made_at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn fail(tx: &mut Tx, entry: Entry, fact: FeedSyncFailed) -> Result<(), StoreError> {
    let FeedSyncFailed { feed_id, code, reason } = fact;
    sqlx::query(
        "with sync as (
           insert into feed_sync (seq, feed_id, partner_id, ended_at, failure_code, failure_reason)
           values ($1, $2, $3, $4, $5, $6)
           returning *
         )
         update feed f
            set failed_at = s.ended_at,
                failure_code = s.failure_code,
                failure_reason = s.failure_reason
           from sync s
          where f.feed_id = s.feed_id",
    )
    .bind(entry.seq)
    .bind(feed_id.0)
    .bind(entry.partner_id)
    .bind(entry.recorded_at)
    .bind(code)
    .bind(reason)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
