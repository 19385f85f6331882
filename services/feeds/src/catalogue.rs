//! The catalogue's tables: what each document said last of each patch, patches as they are, and what replaces what.

use crate::documents::DocumentKey;
use contracts::feeds::PatchFacts;
use eventstore::{StoreError, Tx};
use feeds_domain::catalogue::PatchState;
use kernel::{FeedId, PartnerId, PatchId};
use sqlx::types::Json;
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// SHA-256 of what a document says of something.
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

/// What the document said last of these patches.
pub(crate) async fn recorded(
    tx: &mut Tx,
    document: DocumentKey<'_>,
    patch_ids: &[Uuid],
) -> Result<HashMap<PatchId, Vec<u8>>, StoreError> {
    let rows: Vec<(Uuid, Vec<u8>)> = sqlx::query_as(
        "select patch_id, content_hash
           from feeds.record
          where feed_id = $1 and document = $2 and patch_id = any($3)",
    )
    .bind(document.feed_id.0)
    .bind(document.name)
    .bind(patch_ids)
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|(id, hash)| (PatchId(id), hash)).collect())
}

/// Notes what the document said of these patches.
pub(crate) async fn record(
    tx: &mut Tx,
    document: DocumentKey<'_>,
    said: &[(PatchId, ContentHash)],
) -> Result<(), StoreError> {
    let (ids, hashes): (Vec<Uuid>, Vec<&[u8]>) =
        said.iter().map(|(id, hash)| (id.0, hash.as_slice())).unzip();
    sqlx::query(
        "insert into feeds.record (feed_id, document, patch_id, content_hash)
         select $1, $2, said.patch_id, said.content_hash
           from unnest($3::uuid[], $4::bytea[]) as said (patch_id, content_hash)
         on conflict (feed_id, document, patch_id) do update set content_hash = excluded.content_hash",
    )
    .bind(document.feed_id.0)
    .bind(document.name)
    .bind(ids)
    .bind(hashes)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Forgets what other documents said of patches that their own document has just described anew: that description stands
/// alone, and what the others add is to be added again when they are next read, which must not be answered by "not
/// modified".
pub(crate) async fn forget_others(
    tx: &mut Tx,
    document: DocumentKey<'_>,
    patch_ids: &[Uuid],
) -> Result<(), StoreError> {
    if patch_ids.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "with forgotten as (
           delete from feeds.record
            where patch_id = any($3) and (feed_id, document) <> ($1, $2)
           returning feed_id, document
         )
         update feeds.address a
            set etag = null, last_modified = null, named_sha256 = null, named_updated = null
           from (select distinct feed_id, document from forgotten) as f
          where a.feed_id = f.feed_id and a.document = f.document",
    )
    .bind(document.feed_id.0)
    .bind(document.name)
    .bind(patch_ids)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A patch as the tables have it.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) state: PatchState,
    /// Of its stream.
    pub(crate) version: i64,
    /// The document that described it first.
    pub(crate) feed_id: FeedId,
    pub(crate) document: String,
    pub(crate) partner_id: PartnerId,
}

#[derive(sqlx::FromRow)]
struct StoredRow {
    patch_id: Uuid,
    state: String,
    superseded_by: Option<Uuid>,
    facts: Json<PatchFacts>,
    version: i64,
    feed_id: Uuid,
    document: String,
    partner_id: Uuid,
}

/// These patches, as far as they are known.
pub(crate) async fn load(tx: &mut Tx, patch_ids: &[Uuid]) -> Result<HashMap<PatchId, Stored>, StoreError> {
    let rows: Vec<StoredRow> = sqlx::query_as(
        "select patch_id, state, superseded_by, facts, version, feed_id, document, partner_id
           from feeds.patch
          where patch_id = any($1)",
    )
    .bind(patch_ids)
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let facts = Box::new(row.facts.0);
            let state = match (row.state.as_str(), row.superseded_by) {
                ("published", None) => PatchState::Published { facts },
                ("superseded", Some(by)) => PatchState::Superseded { facts, superseded_by: PatchId(by) },
                ("withdrawn", _) => PatchState::Withdrawn,
                (state, by) => {
                    let what = format!("feeds.patch {} is {state:?}, replaced by {by:?}", row.patch_id);
                    return Err(StoreError::Corrupt { what });
                }
            };
            let stored = Stored {
                state,
                version: row.version,
                feed_id: FeedId(row.feed_id),
                document: row.document,
                partner_id: PartnerId(row.partner_id),
            };
            Ok((PatchId(row.patch_id), stored))
        })
        .collect()
}

/// Keeps patches as they are now.
pub(crate) async fn keep(tx: &mut Tx, patches: &[(PatchId, &Stored)]) -> Result<(), StoreError> {
    let mut known: Vec<Json<&PatchFacts>> = Vec::new();
    let (mut versions, mut states, mut by) = (Vec::new(), Vec::new(), Vec::new());
    let (mut feeds, mut documents, mut partners) = (Vec::new(), Vec::new(), Vec::new());
    let mut withdrawn: (Vec<Uuid>, Vec<i64>) = Default::default();
    for (patch_id, stored) in patches {
        let (facts, state, superseded_by) = match &stored.state {
            PatchState::Published { facts } => (facts, "published", None),
            PatchState::Superseded { facts, superseded_by } => (facts, "superseded", Some(superseded_by.0)),
            PatchState::Withdrawn => {
                withdrawn.0.push(patch_id.0);
                withdrawn.1.push(stored.version);
                continue;
            }
            PatchState::Unknown => continue,
        };
        known.push(Json(facts));
        versions.push(stored.version);
        states.push(state);
        by.push(superseded_by);
        feeds.push(stored.feed_id.0);
        documents.push(stored.document.as_str());
        partners.push(stored.partner_id.0);
    }
    if !withdrawn.0.is_empty() {
        sqlx::query(
            "update feeds.patch p
                set state = 'withdrawn', version = w.version
               from unnest($1::uuid[], $2::bigint[]) as w (patch_id, version)
              where p.patch_id = w.patch_id",
        )
        .bind(withdrawn.0)
        .bind(withdrawn.1)
        .execute(&mut **tx)
        .await?;
    }
    if known.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into feeds.patch (patch_id, feed_id, document, partner_id, vendor_patch_id, state, superseded_by,
                                  version, facts)
         select (n.facts ->> 'patch_id')::uuid,
                n.feed_id,
                n.document,
                n.partner_id,
                n.facts ->> 'vendor_patch_id',
                n.state,
                n.superseded_by,
                n.version,
                n.facts
           from unnest($1::jsonb[], $2::bigint[], $3::text[], $4::uuid[], $5::uuid[], $6::text[], $7::uuid[])
             as n (facts, version, state, superseded_by, feed_id, document, partner_id)
         on conflict (patch_id) do update
            set vendor_patch_id = excluded.vendor_patch_id,
                state = excluded.state,
                superseded_by = excluded.superseded_by,
                version = excluded.version,
                facts = excluded.facts",
    )
    .bind(&known)
    .bind(versions)
    .bind(states)
    .bind(by)
    .bind(feeds)
    .bind(documents)
    .bind(partners)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What patches say of others no longer, and what they say now.
#[derive(Debug, Default)]
pub(crate) struct Relations {
    replaced: Changes,
    closed: Changes,
}

/// Pairs of a patch and a text.
#[derive(Debug, Default)]
struct Changes {
    gone: (Vec<Uuid>, Vec<String>),
    new: (Vec<Uuid>, Vec<String>),
}

/// What a patch said of others before it changes.
pub(crate) struct Said {
    supersedes: Vec<String>,
    cves: Vec<String>,
}

impl Said {
    /// Nothing, where nothing is known of the patch.
    pub(crate) fn of(state: &PatchState) -> Self {
        let facts = state.facts();
        Self {
            supersedes: facts.map(|facts| facts.supersedes.clone()).unwrap_or_default(),
            cves: facts.map(|facts| facts.cves.clone()).unwrap_or_default(),
        }
    }
}

impl Relations {
    /// Compares what was said before with what is said now.
    pub(crate) fn compare(&mut self, before: &Said, now: &PatchFacts) {
        self.replaced.compare(now.patch_id, &before.supersedes, &now.supersedes);
        self.closed.compare(now.patch_id, &before.cves, &now.cves);
    }
}

impl Changes {
    fn compare(&mut self, patch_id: PatchId, before: &[String], now: &[String]) {
        let (old, new): (BTreeSet<_>, BTreeSet<_>) = (before.iter().collect(), now.iter().collect());
        for (change, texts) in [(&mut self.gone, old.difference(&new)), (&mut self.new, new.difference(&old))]
        {
            for text in texts {
                change.0.push(patch_id.0);
                change.1.push((*text).clone());
            }
        }
    }
}

/// Keeps what patches say they replace and close. Only what changed: of a page of patches with a hundred vulnerabilities
/// each, comparing all with all in the database takes minutes where it guesses the plan wrong.
pub(crate) async fn keep_relations(tx: &mut Tx, relations: Relations) -> Result<(), StoreError> {
    let Relations { replaced, closed } = relations;
    for (changes, delete, insert) in [
        (
            replaced,
            "delete from feeds.edge e
              using unnest($1::uuid[], $2::text[]) as gone (patch_id, supersedes)
              where e.patch_id = gone.patch_id and e.supersedes = gone.supersedes",
            "insert into feeds.edge (patch_id, supersedes)
             select * from unnest($1::uuid[], $2::text[])
             on conflict do nothing",
        ),
        (
            closed,
            "delete from feeds.patch_cve c
              using unnest($1::uuid[], $2::text[]) as gone (patch_id, cve)
              where c.patch_id = gone.patch_id and c.cve = gone.cve",
            "insert into feeds.patch_cve (patch_id, cve)
             select * from unnest($1::uuid[], $2::text[])
             on conflict do nothing",
        ),
    ] {
        for (statement, (ids, texts)) in [(delete, changes.gone), (insert, changes.new)] {
            if !ids.is_empty() {
                sqlx::query(statement).bind(ids).bind(texts).execute(&mut **tx).await?;
            }
        }
    }
    Ok(())
}

/// A patch that may replace another one, if the rules agree.
#[derive(sqlx::FromRow)]
pub(crate) struct Pair {
    pub(crate) newer: Json<PatchFacts>,
    pub(crate) older: Json<PatchFacts>,
}

/// Every pair in which one of these patches is the newer or the older one, the earliest replacement first.
///
/// `offset 0` keeps the joins what they are written as, one look for each edge: on a catalogue that has just been filled,
/// of which the server knows no figures yet, it joins all patches of an owner with each other first (27 s for 500 of
/// 6,000, measured).
pub(crate) async fn pairs(tx: &mut Tx, patch_ids: &[Uuid]) -> Result<Vec<Pair>, StoreError> {
    Ok(sqlx::query_as(
        "with touched as materialized (
           select e.patch_id, e.supersedes from feeds.edge e where e.patch_id = any($1)
           union
           select e.patch_id, e.supersedes
             from feeds.patch p
             join feeds.edge e on e.supersedes = p.vendor_patch_id
            where p.patch_id = any($1)
         )
         select newer.facts as newer, older.facts as older
           from touched t
          cross join lateral (
             select n.facts, n.vendor_patch_id, n.partner_id
               from feeds.patch n
              where n.patch_id = t.patch_id and n.state <> 'withdrawn'
             offset 0
          ) newer
          cross join lateral (
             select o.patch_id, o.facts
               from feeds.patch o
              where o.vendor_patch_id = t.supersedes
                and o.state = 'published'
                and o.partner_id = newer.partner_id
             offset 0
          ) older
          order by newer.facts ->> 'release_date', newer.vendor_patch_id, older.patch_id",
    )
    .bind(patch_ids)
    .fetch_all(&mut **tx)
    .await?)
}

/// How many patches this document described first that were not withdrawn.
pub(crate) async fn owned(tx: &mut Tx, document: DocumentKey<'_>) -> Result<usize, StoreError> {
    let owned: i64 = sqlx::query_scalar(
        "select count(*) from feeds.patch where feed_id = $1 and document = $2 and state <> 'withdrawn'",
    )
    .bind(document.feed_id.0)
    .bind(document.name)
    .fetch_one(&mut **tx)
    .await?;
    Ok(usize::try_from(owned).unwrap_or_default())
}

/// Those of them that are not listed, and that no other document describes.
pub(crate) async fn vanished(
    tx: &mut Tx,
    document: DocumentKey<'_>,
    listed: &[Uuid],
) -> Result<Vec<PatchId>, StoreError> {
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "select p.patch_id
           from feeds.patch p
          where p.feed_id = $1
            and p.document = $2
            and p.state <> 'withdrawn'
            and not exists (select from unnest($3::uuid[]) as listed (patch_id) where listed.patch_id = p.patch_id)
            and not exists (
              select from feeds.record r
               where r.patch_id = p.patch_id and (r.feed_id, r.document) <> (p.feed_id, p.document))
          order by p.patch_id",
    )
    .bind(document.feed_id.0)
    .bind(document.name)
    .bind(listed)
    .fetch_all(&mut **tx)
    .await?;
    Ok(ids.into_iter().map(PatchId).collect())
}

/// The owner's patches under these vendor ids that were not withdrawn yet.
pub(crate) async fn by_vendor_id(
    tx: &mut Tx,
    owner: PartnerId,
    vendor_patch_ids: &[&str],
) -> Result<Vec<(PatchId, String)>, StoreError> {
    let rows: Vec<(Uuid, String)> = sqlx::query_as(
        "select patch_id, vendor_patch_id
           from feeds.patch
          where vendor_patch_id = any($2) and partner_id = $1 and state <> 'withdrawn'
          order by patch_id",
    )
    .bind(owner.0)
    .bind(vendor_patch_ids)
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|(id, vendor_id)| (PatchId(id), vendor_id)).collect())
}
