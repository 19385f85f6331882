//! Patches that their publisher does not list any more, or whose document it has deleted.
//!
//! Only the document that described a patch first can lose it, and only while no other document describes it.

use crate::catalogue;
use crate::documents::DocumentKey;
use crate::error::SyncError;
use crate::import::{BATCH, Found, Import, Outcome, Wish};
use crate::syncs::{self, Counts};
use eventstore::{StoreError, Tx};
use feeds_documents::contents::Link;
use feeds_domain::catalogue::{PatchCommand, is_believable_loss};
use kernel::PatchId;
use uuid::Uuid;

/// Why a patch is taken back that a list has lost.
const UNLISTED: &str = "no longer listed";
/// Why a patch is taken back whose document is gone.
const DELETED: &str = "its publisher deleted the document that describes it";

/// What a list has lost.
#[derive(Default)]
pub(crate) struct Vanished {
    patch_ids: Vec<PatchId>,
    /// Why it is not believed.
    pub(crate) doubt: Option<String>,
}

impl Vanished {
    fn doubted(doubt: String) -> Self {
        Self { patch_ids: Vec::new(), doubt: Some(doubt) }
    }
}

impl Import<'_> {
    /// What the last issue of this document listed and this one does not, looked up before this one is taken in.
    ///
    /// Withdrawn is for ever. So nothing is lost while more records than before could not be read, since what is missing
    /// may be among them.
    pub(crate) async fn vanished(
        &self,
        document: DocumentKey<'_>,
        found: &[Found],
        left_out: usize,
    ) -> Result<Vanished, SyncError> {
        if !self.by_name {
            return Ok(Vanished::default());
        }
        let listed: Vec<Uuid> = found.iter().map(|found| found.patch_id().0).collect();
        let mut tx = self.begin().await?;
        let owned = catalogue::owned(&mut tx, document).await?;
        let vanished = catalogue::vanished(&mut tx, document, &listed).await?;
        let left_out_before = left_out_before(&mut tx, document).await?;
        drop(tx);
        if vanished.is_empty() {
            return Ok(Vanished::default());
        }
        let count = vanished.len();
        if left_out > left_out_before {
            return Ok(Vanished::doubted(format!(
                "{count} patches are not listed any more, and stay: more records than before cannot be read"
            )));
        }
        if !is_believable_loss(count, owned) {
            return Ok(Vanished::doubted(format!(
                "{count} of {owned} patches are not listed any more, and stay: too many at once"
            )));
        }
        Ok(Vanished { patch_ids: vanished, doubt: None })
    }

    /// Takes back what is not listed any more.
    pub(crate) async fn withdraw_vanished(
        &self,
        document: DocumentKey<'_>,
        vanished: &Vanished,
    ) -> Result<(), SyncError> {
        self.take_back(document, &vanished.patch_ids, UNLISTED).await
    }

    /// Takes back what was described by documents that their publisher has deleted since.
    pub(crate) async fn withdraw_deleted(
        &self,
        list: DocumentKey<'_>,
        deleted: Vec<Link>,
    ) -> Result<(), SyncError> {
        for links in deleted.chunks(BATCH) {
            let mut tx = self.begin().await?;
            let gone = described_by(&mut tx, list, links).await?;
            drop(tx);
            self.take_back(list, &gone, DELETED).await?;
        }
        Ok(())
    }

    async fn take_back(
        &self,
        document: DocumentKey<'_>,
        patch_ids: &[PatchId],
        reason: &str,
    ) -> Result<(), SyncError> {
        for batch in patch_ids.chunks(BATCH) {
            let mut tx = self.begin().await?;
            let wishes = batch
                .iter()
                .map(|&patch_id| Wish {
                    patch_id,
                    what: format!("withdraw/{patch_id}"),
                    command: PatchCommand::Withdraw { reason: reason.to_owned() },
                })
                .collect();
            let outcomes = self.carry_out_known(&mut tx, document, wishes).await?;
            let withdrawn = outcomes.iter().filter(|outcome| **outcome == Outcome::Changed).count();
            let withdrawn = i32::try_from(withdrawn).unwrap_or(i32::MAX);
            syncs::count(&mut tx, self.sync, Counts { withdrawn, ..Counts::default() }).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

/// Records of the issue before this one that could not be read.
async fn left_out_before(tx: &mut Tx, document: DocumentKey<'_>) -> Result<usize, StoreError> {
    let before: Option<i64> =
        sqlx::query_scalar("select left_out from feeds.document where feed_id = $1 and name = $2")
            .bind(document.feed_id.0)
            .bind(document.name)
            .fetch_optional(&mut **tx)
            .await?;
    Ok(before.and_then(|before| usize::try_from(before).ok()).unwrap_or_default())
}

/// The patches that deleted documents of the same feed described first. A document is known by its file's name, which
/// follows from its id (CSAF 2.0, 5.1); one that came back after it was deleted is not deleted.
async fn described_by(
    tx: &mut Tx,
    list: DocumentKey<'_>,
    deleted: &[Link],
) -> Result<Vec<PatchId>, StoreError> {
    let files: Vec<&str> =
        deleted.iter().map(|link| link.href.rsplit('/').next().unwrap_or_default()).collect();
    let times: Vec<_> = deleted.iter().map(|link| link.updated).collect();
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "with deleted as (
           select file, at from unnest($2::text[], $3::timestamptz[]) as d (file, at)
         )
         select distinct p.patch_id
           from feeds.document d
           join deleted on deleted.file = regexp_replace(lower(d.name), '[^+a-z0-9-]+', '_', 'g') || '.json'
           join feeds.patch p on p.feed_id = d.feed_id and p.document = d.name and p.state <> 'withdrawn'
          where d.feed_id = $1
            and coalesce(d.document_date <= deleted.at, true)
            and not exists (
              select from feeds.record r
               where r.patch_id = p.patch_id and (r.feed_id, r.document) <> (p.feed_id, p.document))
          order by p.patch_id",
    )
    .bind(list.feed_id.0)
    .bind(files)
    .bind(times)
    .fetch_all(&mut **tx)
    .await?;
    Ok(ids.into_iter().map(PatchId).collect())
}
