//! Personal texts: sealed before an event's bytes are made, opened on request, gone once their key is destroyed.
//!
//! ```text
//! privacy.key ──wraps──▶ key of a person ──seals──▶ text in an event
//!  (settings)            (privacy.subject_key)       (log, messages, audit records: never changes)
//! ```
//! A key lives in memory for one call: whoever is forgotten is forgotten at once, in every process.

mod cipher;
mod keyring;
mod payload;

pub use keyring::Keyring;

use crate::{Database, StoreError, Tx, append::NewEvent};
use cipher::SubjectKey;
use kernel::{Envelope, Personal, Scope, SubjectId, Tenant, canonical_json};
use serde_json::Value;
use sqlx::PgConnection;
use std::{borrow::Cow, collections::BTreeMap, collections::BTreeSet};
use uuid::Uuid;

/// Keys that are looked at in one transaction, when all of them are gone through.
const KEYS_AT_ONCE: i64 = 500;

/// What can go wrong with keys and personal texts. Names subjects by their id, and never quotes a text.
#[derive(Debug, thiserror::Error)]
pub enum PrivacyError {
    /// There is nothing to encrypt the keys of persons with.
    #[error("a personal text can neither be sealed nor opened without privacy.key")]
    NoKeyring,
    /// A setting that is no key.
    #[error("{setting} is not the base64 of {} bytes", cipher::KEY_BYTES)]
    InvalidKey {
        /// Which setting.
        setting: &'static str,
    },
    /// The key that wraps a person's key is not among the settings.
    #[error(
        "the key of subject {subject_id} is wrapped under {key_id}, which is neither privacy.key nor one of privacy.previous_keys"
    )]
    UnknownKey {
        /// Whose key.
        subject_id: SubjectId,
        /// The name of the key that wraps it.
        key_id: String,
    },
    /// A person's key was changed, or is another person's.
    #[error("the stored key of subject {subject_id} was changed: it does not open")]
    ChangedKey {
        /// Whose key.
        subject_id: SubjectId,
    },
    /// A sealed text was changed, or is another person's.
    #[error("a sealed text about subject {subject_id} was changed: it does not open")]
    ChangedText {
        /// Whom it is about.
        subject_id: SubjectId,
    },
    /// Something that looks like a personal text and is none.
    #[error(transparent)]
    Malformed(#[from] kernel::MalformedPersonal),
    /// Nothing can be sealed for somebody who is forgotten.
    #[error("subject {subject_id} is forgotten: nothing about them can be recorded")]
    Forgotten {
        /// Who.
        subject_id: SubjectId,
    },
    /// The person is another tenant's.
    #[error("subject {subject_id} is not in this scope")]
    Foreign {
        /// Who.
        subject_id: SubjectId,
    },
    /// An event came to the log without being sealed.
    #[error("an event {event_type} holds a personal text in the clear")]
    NotSealed {
        /// Its type.
        event_type: &'static str,
    },
    /// The operating system has no random bytes.
    #[error("no random bytes: {0}")]
    Random(String),
}

/// The personal texts of one database.
#[derive(Debug, Clone)]
pub struct Privacy {
    database: Database,
}

impl Privacy {
    /// The personal texts in `database`, with the keys of its options.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Opens every sealed text in these payloads, with one query for all keys that are needed.
    ///
    /// A text whose key is destroyed becomes `Forgotten`. One whose key lies outside the transaction's scope stays sealed.
    pub async fn open(
        &self,
        tx: &mut Tx,
        payloads: impl IntoIterator<Item = &mut Value>,
    ) -> Result<(), StoreError> {
        let mut payloads: Vec<&mut Value> = payloads.into_iter().collect();
        let mut subjects = BTreeSet::new();
        for payload in &payloads {
            subjects.extend(payload::subjects_of_sealed(payload)?);
        }
        if subjects.is_empty() {
            return Ok(());
        }
        let keyring = self.keyring()?;
        let keys = stored_keys(tx, &subjects).await?;
        let keys: BTreeMap<SubjectId, Option<SubjectKey>> = keys
            .into_iter()
            .map(|(subject_id, wrapped)| {
                Ok((subject_id, wrapped.map(|wrapped| keyring.unwrap(subject_id, &wrapped)).transpose()?))
            })
            .collect::<Result<_, PrivacyError>>()?;
        for payload in &mut payloads {
            payload::change(payload, &mut |personal| match personal {
                Personal::Sealed { subject_id, ref sealed } => match keys.get(&subject_id) {
                    Some(Some(key)) => Ok(Personal::clear(subject_id, key.open(subject_id, sealed)?)),
                    Some(None) => Ok(Personal::Forgotten { subject_id }),
                    None => Ok(personal),
                },
                Personal::Clear { .. } | Personal::Forgotten { .. } => Ok(personal),
            })?;
        }
        Ok(())
    }

    /// Destroys a person's key when the transaction commits, for good. Whether there was something to do.
    pub async fn forget(
        &self,
        tx: &mut Tx,
        tenant: Tenant,
        subject_id: SubjectId,
    ) -> Result<bool, StoreError> {
        let forgotten = sqlx::query_scalar("select privacy.forget($1, $2, $3)")
            .bind(tenant.partner_id.0)
            .bind(tenant.customer_id.map(|id| id.0))
            .bind(subject_id.0)
            .fetch_one(&mut **tx)
            .await?;
        Ok(forgotten)
    }

    /// Destroys again the keys that a restored backup has brought back: of every person on whose own stream (the one
    /// with the person's id) an event of this type says that they are forgotten. Answers with who that was.
    pub async fn reapply_forgotten(&self, event_type: &str) -> Result<Vec<SubjectId>, StoreError> {
        let mut again = Vec::new();
        let mut after = Uuid::nil();
        loop {
            let mut tx = self.database.begin(&Scope::Platform).await?;
            let page: Vec<(Uuid, bool)> = sqlx::query_as(
                "select k.subject_id,
                        exists (select from es.event e where e.stream_id = k.subject_id and e.event_type = $1)
                   from privacy.subject_key k
                  where k.forgotten_at is null and k.subject_id > $2
                  order by k.subject_id
                  limit $3",
            )
            .bind(event_type)
            .bind(after)
            .bind(KEYS_AT_ONCE)
            .fetch_all(&mut *tx)
            .await?;
            let Some((last, _)) = page.last() else { return Ok(again) };
            after = *last;
            let found: Vec<Uuid> = page.into_iter().filter_map(|(id, is)| is.then_some(id)).collect();
            sqlx::query(
                "update privacy.subject_key
                    set wrapped_key = null, forgotten_at = clock_timestamp()
                  where subject_id = any($1) and forgotten_at is null",
            )
            .bind(&found)
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            again.extend(found.into_iter().map(SubjectId));
        }
    }

    /// Wraps every key that lies under a previous key anew, under the present one. Answers with how many those were;
    /// afterwards the previous keys are needed for backups only.
    pub async fn rewrap(&self) -> Result<usize, StoreError> {
        let keyring = self.keyring()?;
        let mut count = 0;
        let mut after = Uuid::nil();
        loop {
            let mut tx = self.database.begin(&Scope::Platform).await?;
            let page: Vec<(Uuid, Vec<u8>)> = sqlx::query_as(
                "select subject_id, wrapped_key
                   from privacy.subject_key
                  where wrapped_key is not null
                    and substring(wrapped_key for $1) <> $2
                    and subject_id > $3
                  order by subject_id
                  limit $4",
            )
            .bind(i32::try_from(keyring.prefix().len()).unwrap_or(i32::MAX))
            .bind(keyring.prefix())
            .bind(after)
            .bind(KEYS_AT_ONCE)
            .fetch_all(&mut *tx)
            .await?;
            let Some((last, _)) = page.last() else { return Ok(count) };
            after = *last;
            let mut news = Vec::with_capacity(page.len());
            for (subject, wrapped) in &page {
                let subject_id = SubjectId(*subject);
                news.push(keyring.wrap(subject_id, &keyring.unwrap(subject_id, wrapped)?)?);
            }
            let (ids, olds): (Vec<Uuid>, Vec<Vec<u8>>) = page.into_iter().unzip();
            // Only what is as it was: a person may be forgotten meanwhile.
            let done = sqlx::query(
                "update privacy.subject_key k
                    set wrapped_key = n.new
                   from unnest($1::uuid[], $2::bytea[], $3::bytea[]) as n (subject_id, old, new)
                  where k.subject_id = n.subject_id and k.wrapped_key = n.old",
            )
            .bind(&ids)
            .bind(&olds)
            .bind(&news)
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            count += usize::try_from(done.rows_affected()).unwrap_or(usize::MAX);
        }
    }

    fn keyring(&self) -> Result<&Keyring, PrivacyError> {
        self.database.keyring().ok_or(PrivacyError::NoKeyring)
    }
}

/// A page with the personal texts of events of these types opened; copied only if there are such events.
pub(crate) async fn opened<'a>(
    database: &Database,
    tx: &mut Tx,
    types: &[&str],
    events: &'a [Envelope],
) -> Result<Cow<'a, [Envelope]>, StoreError> {
    let wanted = |event: &Envelope| types.contains(&event.event_type.as_str());
    if !events.iter().any(wanted) {
        return Ok(Cow::Borrowed(events));
    }
    let mut events = events.to_vec();
    let payloads = events.iter_mut().filter(|event| wanted(event)).map(|event| &mut event.payload);
    Privacy::new(database.clone()).open(tx, payloads).await?;
    Ok(Cow::Owned(events))
}

/// Seals what these events hold in the clear, and makes their bytes. The connection is in a transaction with its scope.
pub(crate) async fn seal(
    connection: &mut PgConnection,
    keyring: Option<&Keyring>,
    tenant: Tenant,
    events: &mut [NewEvent],
) -> Result<(), StoreError> {
    let mut subjects = BTreeSet::new();
    for event in &mut *events {
        if let Some(ClearPayload(clear)) = &event.clear {
            subjects.extend(payload::subjects_of_clear(clear)?);
        }
    }
    if subjects.is_empty() {
        return Ok(());
    }
    let keyring = keyring.ok_or(PrivacyError::NoKeyring)?;
    let keys = keys_for(connection, keyring, tenant, &subjects).await?;
    for event in events {
        let Some(ClearPayload(mut payload)) = event.clear.take() else { continue };
        payload::change(&mut payload, &mut |personal| match personal {
            Personal::Clear { subject_id, ref text } => {
                let key = keys.get(&subject_id).ok_or(PrivacyError::Foreign { subject_id })?;
                Ok(Personal::Sealed { subject_id, sealed: key.seal(subject_id, text)? })
            }
            Personal::Sealed { .. } | Personal::Forgotten { .. } => Ok(personal),
        })?;
        event.payload = canonical_json(&payload);
    }
    Ok(())
}

/// A payload that has to be sealed before its bytes are made.
#[derive(Clone)]
pub(crate) struct ClearPayload(Value);

impl ClearPayload {
    /// Takes the payload if there is something to seal, and gives it back if not.
    pub(crate) fn of(payload: Value) -> Result<Self, Value> {
        // What cannot be read as a personal text is refused when it is to be sealed.
        let clear = payload::subjects_of_clear(&payload).map_or(true, |subjects| !subjects.is_empty());
        if clear { Ok(Self(payload)) } else { Err(payload) }
    }
}

impl std::fmt::Debug for ClearPayload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClearPayload")
    }
}

async fn keys_for(
    connection: &mut PgConnection,
    keyring: &Keyring,
    tenant: Tenant,
    subjects: &BTreeSet<SubjectId>,
) -> Result<BTreeMap<SubjectId, SubjectKey>, StoreError> {
    let ids: Vec<Uuid> = subjects.iter().map(|id| id.0).collect();
    let offered: Vec<Vec<u8>> = subjects
        .iter()
        .map(|id| keyring.wrap(*id, &SubjectKey::generate()?))
        .collect::<Result<_, PrivacyError>>()?;
    let rows: Vec<(Uuid, Option<Vec<u8>>)> =
        sqlx::query_as("select subject_id, wrapped_key from privacy.keys_for($1, $2, $3, $4)")
            .bind(tenant.partner_id.0)
            .bind(tenant.customer_id.map(|id| id.0))
            .bind(ids)
            .bind(offered)
            .fetch_all(connection)
            .await?;
    let keys = rows.into_iter().map(|(subject, wrapped)| {
        let subject_id = SubjectId(subject);
        let wrapped = wrapped.ok_or(PrivacyError::Forgotten { subject_id })?;
        Ok((subject_id, keyring.unwrap(subject_id, &wrapped)?))
    });
    Ok(keys.collect::<Result<_, PrivacyError>>()?)
}

async fn stored_keys(
    tx: &mut Tx,
    subjects: &BTreeSet<SubjectId>,
) -> Result<Vec<(SubjectId, Option<Vec<u8>>)>, StoreError> {
    let ids: Vec<Uuid> = subjects.iter().map(|id| id.0).collect();
    let rows: Vec<(Uuid, Option<Vec<u8>>)> =
        sqlx::query_as("select subject_id, wrapped_key from privacy.subject_key where subject_id = any($1)")
            .bind(ids)
            .fetch_all(&mut **tx)
            .await?;
    Ok(rows.into_iter().map(|(id, wrapped)| (SubjectId(id), wrapped)).collect())
}
