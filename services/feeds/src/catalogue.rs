//! The catalogue's tables: what each feed said last of each patch, patches as they are, and what replaces what.

use contracts::feeds::PatchFacts;
use eventstore::{StoreError, Tx};
use kernel::{FeedId, PatchId};
use sqlx::types::Json;
use std::collections::HashMap;
use uuid::Uuid;

/// SHA-256 of what a document says of a patch.
pub(crate) type ContentHash = [u8; 32];

/// Any number, the same everywhere: writers of the catalogue follow one another, so that of two patches that replace
/// each other the second one written always sees the first.
const CATALOGUE_LOCK: i64 = 0x7066_6665_6564;

/// Waits until no other transaction writes the catalogue; held to the end of this one.
///
/// Taken before the first write, so that whoever comes later also has the later transaction id, as streams require.
pub(crate) async fn lock(tx: &mut Tx) -> Result<(), StoreError> {
    sqlx::query("select pg_advisory_xact_lock($1)").bind(CATALOGUE_LOCK).execute(&mut **tx).await?;
    Ok(())
}

/// What the feed said last of these patches.
pub(crate) async fn recorded(
    tx: &mut Tx,
    feed_id: FeedId,
    patch_ids: &[Uuid],
) -> Result<HashMap<PatchId, Vec<u8>>, StoreError> {
    let rows: Vec<(Uuid, Vec<u8>)> = sqlx::query_as(
        "select patch_id, content_hash from feeds.record where feed_id = $1 and patch_id = any($2)",
    )
    .bind(feed_id.0)
    .bind(patch_ids)
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|(id, hash)| (PatchId(id), hash)).collect())
}

/// Notes what the feed said of these patches.
pub(crate) async fn record(
    tx: &mut Tx,
    feed_id: FeedId,
    said: &[(PatchId, ContentHash)],
) -> Result<(), StoreError> {
    let (ids, hashes): (Vec<Uuid>, Vec<&[u8]>) =
        said.iter().map(|(id, hash)| (id.0, hash.as_slice())).unzip();
    sqlx::query(
        "insert into feeds.record (feed_id, patch_id, content_hash)
         select $1, said.patch_id, said.content_hash
           from unnest($2::uuid[], $3::bytea[]) as said (patch_id, content_hash)
         on conflict (feed_id, patch_id) do update set content_hash = excluded.content_hash",
    )
    .bind(feed_id.0)
    .bind(ids)
    .bind(hashes)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Forgets what other feeds said of patches that their own feed has just described anew: that description stands alone,
/// and what the others add is to be added again when they are next read.
pub(crate) async fn forget_others(
    tx: &mut Tx,
    feed_id: FeedId,
    patch_ids: &[Uuid],
) -> Result<(), StoreError> {
    sqlx::query("delete from feeds.record where feed_id <> $1 and patch_id = any($2)")
        .bind(feed_id.0)
        .bind(patch_ids)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Keeps patches as they are now, and what they say they replace.
pub(crate) async fn keep(tx: &mut Tx, patches: &[PatchFacts]) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = patches.iter().map(|facts| facts.patch_id.0).collect();
    let facts: Vec<Json<&PatchFacts>> = patches.iter().map(Json).collect();
    sqlx::query(
        "insert into feeds.patch (patch_id, feed_id, vendor_patch_id, state, facts)
         select (patch.facts ->> 'patch_id')::uuid,
                (patch.facts ->> 'feed_id')::uuid,
                patch.facts ->> 'vendor_patch_id',
                'published',
                patch.facts
           from unnest($1::jsonb[]) as patch (facts)
         on conflict (patch_id) do update
            set vendor_patch_id = excluded.vendor_patch_id,
                facts = excluded.facts",
    )
    .bind(&facts)
    .execute(&mut **tx)
    .await?;
    sqlx::query("delete from feeds.edge where patch_id = any($1)").bind(ids).execute(&mut **tx).await?;
    sqlx::query(
        "insert into feeds.edge (patch_id, supersedes)
         select distinct (patch.facts ->> 'patch_id')::uuid, older.vendor_patch_id
           from unnest($1::jsonb[]) as patch (facts)
          cross join lateral jsonb_array_elements_text(patch.facts -> 'supersedes') as older (vendor_patch_id)",
    )
    .bind(&facts)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A patch that may replace another one, if the rules agree.
#[derive(sqlx::FromRow)]
pub(crate) struct Pair {
    pub(crate) newer: Json<PatchFacts>,
    pub(crate) older: Json<PatchFacts>,
}

/// Every pair in which one of these patches is the newer or the older one, the earliest replacement first.
pub(crate) async fn pairs(tx: &mut Tx, patch_ids: &[Uuid]) -> Result<Vec<Pair>, StoreError> {
    Ok(sqlx::query_as(
        "with touched as (
           select e.patch_id, e.supersedes from feeds.edge e where e.patch_id = any($1)
           union
           select e.patch_id, e.supersedes
             from feeds.edge e
             join feeds.patch p on p.vendor_patch_id = e.supersedes
            where p.patch_id = any($1)
         )
         select newer.facts as newer, older.facts as older
           from touched t
           join feeds.patch newer on newer.patch_id = t.patch_id and newer.state <> 'withdrawn'
           join feeds.patch older on older.vendor_patch_id = t.supersedes and older.state = 'published'
          order by newer.facts ->> 'release_date', newer.vendor_patch_id, older.patch_id",
    )
    .bind(patch_ids)
    .fetch_all(&mut **tx)
    .await?)
}

/// Notes that a patch is replaced.
pub(crate) async fn supersede(tx: &mut Tx, older: PatchId, newer: PatchId) -> Result<(), StoreError> {
    sqlx::query("update feeds.patch set state = 'superseded', superseded_by = $2 where patch_id = $1")
        .bind(older.0)
        .bind(newer.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
