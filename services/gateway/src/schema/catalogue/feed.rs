//! Feeds: where patches come from, and what became of reading them.

use crate::reading::{Page, Seen};
use crate::schema::connection::{ConnectionOf, page_cost};
use crate::schema::global_id::{Kind, global};
use crate::views::feed::{FeedRow, FeedSyncRow, SYNCS_OF_FEED};
use crate::views::int;
use crate::words::{FeedFormat, FeedKind};
use async_graphql::{ID, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use contracts::feeds::RepositorySignature;

/// A source of published patch information.
#[Object(name = "Feed")]
impl Seen<FeedRow> {
    pub(crate) async fn id(&self) -> ID {
        global(Kind::Feed, self.row.feed_id)
    }

    async fn name(&self) -> &str {
        &self.row.name
    }

    /// Whether it is the platform's and its patches everybody's; otherwise both are for one partner and its customers.
    async fn is_shared(&self) -> bool {
        self.row.partner_id.is_nil()
    }

    async fn kind(&self) -> FeedKind {
        self.row.kind
    }

    async fn format(&self) -> FeedFormat {
        self.row.format
    }

    /// A path or an http(s) URL.
    async fn source(&self) -> &str {
        &self.row.source
    }

    /// When it is read by itself; absent where somebody has to ask.
    async fn schedule(&self) -> Option<FeedSchedule> {
        self.row.every_minutes.map(|minutes| FeedSchedule { every_minutes: int(minutes) })
    }

    /// Who publishes it.
    async fn publisher(&self) -> Option<Publisher> {
        let name = self.row.publisher_name.clone()?;
        Some(Publisher { name, contact_url: self.row.publisher_contact.clone() })
    }

    /// Whose signatures count: `OpenPGP` certificates, each armoured; absent where no signature is verified.
    // Some ten thousand characters each.
    #[graphql(complexity = 20)]
    async fn keyring(&self) -> Option<&str> {
        self.row.keyring.as_deref()
    }

    /// Whether it is read.
    async fn enabled(&self) -> bool {
        self.row.enabled
    }

    /// Why it is not read.
    async fn disabled_reason(&self) -> Option<&str> {
        self.row.disabled_reason.as_deref()
    }

    /// The last documents that were taken in.
    async fn last_sync(&self) -> Option<FeedSync> {
        let row = &self.row;
        Some(FeedSync {
            at: row.synced_at?,
            document_sha256: row.document_sha256.clone()?,
            document_date: row.document_date,
            documents: int(row.documents),
            published: int(row.published),
            revised: int(row.revised),
            unchanged: int(row.unchanged),
            withdrawn: int(row.withdrawn),
            vulnerabilities: int(row.vulnerabilities),
            quarantined: row.quarantined.clone(),
            refused: row.refused.clone(),
            signature: signature(
                row.signature_verified,
                row.signature_fingerprint.clone(),
                row.signature_made_at,
            ),
        })
    }

    /// The last document that was refused.
    async fn last_failure(&self) -> Option<FeedFailure> {
        Some(FeedFailure {
            at: self.row.failed_at?,
            code: self.row.failure_code.clone()?,
            reason: self.row.failure_reason.clone()?,
        })
    }

    /// What became of every synchronisation, newest first.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn syncs(&self, first: Option<i32>, after: Option<String>) -> Result<ConnectionOf<FeedSyncRow>> {
        self.view.page(&SYNCS_OF_FEED, self.row.feed_id, Page::new(first, after)).await
    }
}

/// When a feed is read by itself.
#[derive(SimpleObject)]
pub(crate) struct FeedSchedule {
    /// Minutes from one reading to the next.
    every_minutes: i32,
}

/// Who publishes a feed.
#[derive(SimpleObject)]
pub(crate) struct Publisher {
    name: String,
    /// Web address at which it can be reached.
    contact_url: Option<String>,
}

/// Documents that were taken in.
#[derive(SimpleObject)]
pub(crate) struct FeedSync {
    at: DateTime<Utc>,
    /// Of the first one, where it names others.
    document_sha256: String,
    /// The publisher's own date.
    document_date: Option<DateTime<Utc>>,
    /// Documents that were read.
    documents: i32,
    published: i32,
    revised: i32,
    unchanged: i32,
    /// Patches that their publisher took back.
    withdrawn: i32,
    /// Vulnerabilities of which something became known or changed.
    vulnerabilities: i32,
    /// Records left out, each with its reason.
    quarantined: Vec<String>,
    /// Documents left out, each with its reason.
    refused: Vec<String>,
    /// Who signed what was read; absent where nothing was read that is signed in a way known here.
    signature: Option<FeedSignature>,
}

/// What is known of who made a repository's list of its files.
#[derive(SimpleObject)]
pub(crate) struct FeedSignature {
    /// Whether a key of the feed's keyring signed it; without a keyring nobody looked, and the source was believed.
    verified: bool,
    /// The signer's primary key, lowercase hex.
    fingerprint: Option<String>,
    /// When it was signed, in the signer's words.
    signed_at: Option<DateTime<Utc>>,
}

impl From<RepositorySignature> for FeedSignature {
    fn from(signature: RepositorySignature) -> Self {
        match signature {
            RepositorySignature::NotVerified => Self { verified: false, fingerprint: None, signed_at: None },
            RepositorySignature::Verified { fingerprint, signed_at } => {
                Self { verified: true, fingerprint: Some(fingerprint), signed_at }
            }
        }
    }
}

fn signature(
    verified: Option<bool>,
    fingerprint: Option<String>,
    signed_at: Option<DateTime<Utc>>,
) -> Option<FeedSignature> {
    Some(FeedSignature { verified: verified?, fingerprint, signed_at })
}

/// A document that was refused.
#[derive(SimpleObject)]
pub(crate) struct FeedFailure {
    at: DateTime<Utc>,
    code: String,
    reason: String,
}

/// A synchronisation that ended: either something was taken in, or it failed.
#[Object(name = "FeedSyncOutcome")]
impl Seen<FeedSyncRow> {
    async fn at(&self) -> DateTime<Utc> {
        self.row.ended_at
    }

    /// What was taken in.
    async fn completed(&self) -> Option<FeedSync> {
        let row = &self.row;
        Some(FeedSync {
            at: row.ended_at,
            document_sha256: row.document_sha256.clone()?,
            document_date: row.document_date,
            documents: int(row.documents),
            published: int(row.published),
            revised: int(row.revised),
            unchanged: int(row.unchanged),
            withdrawn: int(row.withdrawn),
            vulnerabilities: int(row.vulnerabilities),
            quarantined: row.quarantined.clone(),
            refused: row.refused.clone(),
            signature: signature(
                row.signature_verified,
                row.signature_fingerprint.clone(),
                row.signature_made_at,
            ),
        })
    }

    /// Why it failed.
    async fn failed(&self) -> Option<FeedFailure> {
        Some(FeedFailure {
            at: self.row.ended_at,
            code: self.row.failure_code.clone()?,
            reason: self.row.failure_reason.clone()?,
        })
    }
}
