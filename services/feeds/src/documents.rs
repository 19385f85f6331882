//! Documents of a feed: which issue of each was taken in last, and what the web said of it.

use crate::error::SyncError;
use crate::fetch::Validators;
use crate::import::Import;
use chrono::{DateTime, Utc};
use eventstore::{StoreError, Tx};
use feeds_documents::contents::Link;
use feeds_domain::catalogue::{Issue, Known, examine};
use kernel::FeedId;
use std::collections::HashMap;

/// One document of a feed, under the id that its publisher gives it or the place where it was found. The empty name is
/// that of the document at the feed's own source, where it has no id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DocumentKey<'a> {
    pub(crate) feed_id: FeedId,
    pub(crate) name: &'a str,
}

#[derive(sqlx::FromRow)]
struct IssueRow {
    sha256: Vec<u8>,
    document_date: Option<DateTime<Utc>>,
    records: i64,
    seen_before: bool,
}

impl Import<'_> {
    /// Whether this issue of the document may be taken in; answers whether it is a new one.
    pub(crate) async fn examine(
        &self,
        document: DocumentKey<'_>,
        issue: &Issue,
        lists_all: bool,
    ) -> Result<bool, SyncError> {
        let mut tx = self.begin().await?;
        let row: Option<IssueRow> = sqlx::query_as(
            "select d.sha256, d.document_date, d.records,
                    exists (
                      select from feeds.document_issue i
                       where i.feed_id = d.feed_id and i.name = d.name and i.sha256 = $3) as seen_before
               from feeds.document d
              where d.feed_id = $1 and d.name = $2",
        )
        .bind(document.feed_id.0)
        .bind(document.name)
        .bind(issue.sha256.as_slice())
        .fetch_optional(&mut *tx)
        .await?;
        let known = row.map(|row| {
            let sha256 = row.sha256.try_into().map_err(|_bytes| StoreError::Corrupt {
                what: format!("feeds.document {:?} of {} has no SHA-256", document.name, document.feed_id),
            })?;
            let records = u64::try_from(row.records).unwrap_or_default();
            let last = Issue { sha256, date: row.document_date, records };
            Ok::<_, StoreError>(Known { last, seen_before: row.seen_before, lists_all })
        });
        let known = known.transpose()?;
        examine(known.as_ref(), issue)?;
        Ok(known.is_none_or(|known| known.last.sha256 != issue.sha256 && !known.seen_before))
    }

    /// Notes that all of this issue was taken in but so many records, and what the web said of it.
    pub(crate) async fn taken_in(
        &self,
        document: DocumentKey<'_>,
        issue: &Issue,
        left_out: usize,
        from: Option<(&str, &Validators, Option<&Link>)>,
    ) -> Result<(), SyncError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "insert into feeds.document (feed_id, name, sha256, document_date, records, left_out)
             values ($1, $2, $3, $4, $5, $6)
             on conflict (feed_id, name) do update
                set sha256 = excluded.sha256,
                    document_date = greatest(feeds.document.document_date, excluded.document_date),
                    records = excluded.records,
                    left_out = excluded.left_out,
                    taken_at = excluded.taken_at",
        )
        .bind(document.feed_id.0)
        .bind(document.name)
        .bind(issue.sha256.as_slice())
        .bind(issue.date)
        .bind(i64::try_from(issue.records).unwrap_or(i64::MAX))
        .bind(i64::try_from(left_out).unwrap_or(i64::MAX))
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "insert into feeds.document_issue (feed_id, name, sha256) values ($1, $2, $3) on conflict do nothing",
        )
        .bind(document.feed_id.0)
        .bind(document.name)
        .bind(issue.sha256.as_slice())
        .execute(&mut *tx)
        .await?;
        if let Some((address, validators, link)) = from {
            sqlx::query(
                "insert into feeds.address (feed_id, address, document, etag, last_modified, named_sha256, named_updated)
                 values ($1, $2, $3, $4, $5, $6, $7)
                 on conflict (feed_id, address) do update
                    set document = excluded.document,
                        etag = excluded.etag,
                        last_modified = excluded.last_modified,
                        named_sha256 = excluded.named_sha256,
                        named_updated = excluded.named_updated",
            )
            .bind(document.feed_id.0)
            .bind(address)
            .bind(document.name)
            .bind(&validators.etag)
            .bind(&validators.last_modified)
            .bind(link.and_then(|link| link.sha256.as_deref()))
            .bind(link.and_then(|link| link.updated))
            .execute(&mut *tx)
            .await?;
        }
        Ok(tx.commit().await?)
    }
}

/// What an address answered last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Address {
    pub(crate) validators: Validators,
    pub(crate) named_sha256: Option<String>,
    pub(crate) named_updated: Option<DateTime<Utc>>,
}

impl Address {
    /// Whether the document that names the address says that nothing has changed there.
    pub(crate) fn is_current(&self, link: &Link) -> bool {
        match (&link.sha256, link.updated) {
            (Some(sha256), _) => self.named_sha256.as_ref() == Some(sha256),
            (None, Some(updated)) => self.named_updated == Some(updated),
            (None, None) => false,
        }
    }
}

#[derive(sqlx::FromRow)]
struct AddressRow {
    address: String,
    etag: Option<String>,
    last_modified: Option<String>,
    named_sha256: Option<String>,
    named_updated: Option<DateTime<Utc>>,
}

/// What these addresses answered last, as far as they were asked.
pub(crate) async fn addresses(
    tx: &mut Tx,
    feed_id: FeedId,
    wanted: &[String],
) -> Result<HashMap<String, Address>, StoreError> {
    let rows: Vec<AddressRow> = sqlx::query_as(
        "select address, etag, last_modified, named_sha256, named_updated
           from feeds.address
          where feed_id = $1 and address = any($2)",
    )
    .bind(feed_id.0)
    .bind(wanted)
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let AddressRow { address, etag, last_modified, named_sha256, named_updated } = row;
            let validators = Validators { etag, last_modified };
            (address, Address { validators, named_sha256, named_updated })
        })
        .collect())
}
