//! What a vendor thinks of vulnerabilities: kept apart, and told to the patches that close them.
//!
//! Whichever document comes first: after each of them, every patch is compared with what is known.

use crate::documents::DocumentKey;
use crate::error::SyncError;
use crate::import::{BATCH, Import, Outcome, Wish};
use crate::syncs::{self, Counts};
use eventstore::{StoreError, Tx};
use feeds_domain::catalogue::{PatchCommand, Rating};
use kernel::{PatchId, Scope};
use uuid::Uuid;

/// Ratings of one transaction: some hundred milliseconds of work.
const PAGE: usize = 5_000;

/// Above every real name, in the order of bytes.
const END: (&str, &str, &str) = ("\u{10ffff}", "", "");

fn key(rating: &Rating) -> (&str, &str, &str) {
    (&rating.source, &rating.cve, &rating.os_version)
}

impl Import<'_> {
    /// Makes the feed's ratings those of the document.
    pub(crate) async fn keep_ratings(&self, mut ratings: Vec<Rating>) -> Result<(), SyncError> {
        ratings.sort();
        ratings.dedup_by(|b, a| key(a) == key(b));
        let (mut after, mut rest) = (("", "", ""), ratings.as_slice());
        loop {
            let (page, more) = rest.split_at(rest.len().min(PAGE));
            let until = page.last().filter(|_| !more.is_empty()).map_or(END, key);
            let mut tx = self.begin().await?;
            self.keep_page(&mut tx, page, after, until).await?;
            tx.commit().await?;
            if more.is_empty() {
                return Ok(());
            }
            (after, rest) = (until, more);
        }
    }

    /// Makes the feed's ratings between two keys those of the page.
    async fn keep_page(
        &self,
        tx: &mut Tx,
        page: &[Rating],
        after: (&str, &str, &str),
        until: (&str, &str, &str),
    ) -> Result<(), StoreError> {
        let sources: Vec<&str> = page.iter().map(|rating| rating.source.as_str()).collect();
        let cves: Vec<&str> = page.iter().map(|rating| rating.cve.as_str()).collect();
        let os_versions: Vec<&str> = page.iter().map(|rating| rating.os_version.as_str()).collect();
        let words: Vec<&str> = page.iter().map(|rating| rating.vendor_severity.as_str()).collect();
        let ranks: Vec<i16> = page.iter().map(|rating| rating.severity as i16).collect();
        sqlx::query(
            "delete from feeds.rating r
              where r.feed_id = $1
                and (r.source, r.cve, r.os_version) > ($2, $3, $4)
                and (r.source, r.cve, r.os_version) <= ($5, $6, $7)
                and not exists (
                  select from unnest($8::text[], $9::text[], $10::text[]) as page (source, cve, os_version)
                   where page.source = r.source and page.cve = r.cve and page.os_version = r.os_version)",
        )
        .bind(self.sync.feed_id.0)
        .bind(after.0)
        .bind(after.1)
        .bind(after.2)
        .bind(until.0)
        .bind(until.1)
        .bind(until.2)
        .bind(&sources)
        .bind(&cves)
        .bind(&os_versions)
        .execute(&mut **tx)
        .await?;
        sqlx::query(
            "insert into feeds.rating as r (feed_id, source, cve, os_version, vendor_severity, rank)
             select $1, page.*
               from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::smallint[]) as page
             on conflict (source, cve, os_version, feed_id) do update
                set vendor_severity = excluded.vendor_severity,
                    rank = excluded.rank
              where (r.vendor_severity, r.rank) is distinct from (excluded.vendor_severity, excluded.rank)",
        )
        .bind(self.sync.feed_id.0)
        .bind(sources)
        .bind(cves)
        .bind(os_versions)
        .bind(words)
        .bind(ranks)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// Tells every patch the highest rating of what it closes, where that differs from what it has.
    pub(crate) async fn apply_ratings(&self, document: DocumentKey<'_>) -> Result<(), SyncError> {
        if !self.any_ratings().await? {
            return Ok(());
        }
        let mut after = Uuid::nil();
        loop {
            let mut tx = self.begin().await?;
            let page = linux_patches(&mut tx, after).await?;
            let Some(&last) = page.last() else { return Ok(()) };
            let wishes: Vec<Wish> = differing(&mut tx, &page)
                .await?
                .into_iter()
                .map(|(patch_id, word)| Wish {
                    patch_id,
                    what: format!("rate/{patch_id}/{word}"),
                    command: PatchCommand::Rate { vendor_severity: word },
                })
                .collect();
            if !wishes.is_empty() {
                let outcomes = self.carry_out_known(&mut tx, document, wishes).await?;
                let rated = outcomes.iter().filter(|outcome| **outcome == Outcome::Changed).count();
                let rated = i32::try_from(rated).unwrap_or(i32::MAX);
                syncs::count(&mut tx, self.sync, Counts { rated, ..Counts::default() }).await?;
                tx.commit().await?;
            }
            after = last;
        }
    }

    async fn any_ratings(&self) -> Result<bool, StoreError> {
        let mut tx = self.store.database().begin(&Scope::Platform).await?;
        Ok(sqlx::query_scalar("select exists (select from feeds.rating)").fetch_one(&mut *tx).await?)
    }
}

/// A page of the patches that ratings can be about.
async fn linux_patches(tx: &mut Tx, after: Uuid) -> Result<Vec<Uuid>, StoreError> {
    let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
    Ok(sqlx::query_scalar(
        "select patch_id
           from feeds.patch
          where platform = 'LINUX' and state <> 'withdrawn' and patch_id > $1
          order by patch_id
          limit $2",
    )
    .bind(after)
    .bind(limit)
    .fetch_all(&mut **tx)
    .await?)
}

/// Those of the patches whose highest rating is another word than they have.
async fn differing(tx: &mut Tx, page: &[Uuid]) -> Result<Vec<(PatchId, String)>, StoreError> {
    let rows: Vec<(Uuid, String)> = sqlx::query_as(
        "select p.patch_id, highest.vendor_severity
           from feeds.patch p
          cross join lateral (
            select r.vendor_severity
              from jsonb_array_elements(p.facts -> 'targets') as target (fix)
             cross join jsonb_array_elements_text(p.facts -> 'cves') as closes (cve)
              join feeds.rating r
                on r.source = target.fix ->> 'source'
               and r.cve = closes.cve
               and r.os_version = target.fix -> 'os' ->> 'version'
             where target.fix -> 'os' ->> 'id' = 'debian'
             order by r.rank desc, r.vendor_severity
             limit 1
          ) as highest
          where p.patch_id = any($1) and highest.vendor_severity <> p.facts ->> 'vendor_severity'
          order by p.patch_id",
    )
    .bind(page)
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|(id, word)| (PatchId(id), word)).collect())
}
