//! Idempotency keys: one key is one wish.

use super::{Stop, UserError};
use crate::asking::Asking;
use crate::errors::failed;
use contracts::Command;
use eventstore::StoreError;
use kernel::{CommandId, Scope, Tenant, canonical_json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// As long as a key may be: room for a UUID and a client's own prefix.
const KEY_CHARACTERS_MAX: usize = 200;

/// A key within its mutation.
pub(crate) struct Key<'a> {
    mutation: &'a str,
    key: &'a str,
}

impl<'a> Key<'a> {
    pub(crate) fn new(mutation: &'a str, key: &'a str) -> Result<Self, UserError> {
        let length = key.chars().count();
        if length == 0 || length > KEY_CHARACTERS_MAX || key.contains('\0') {
            let message = format!("a key has 1 to {KEY_CHARACTERS_MAX} characters, this one has {length}");
            return Err(UserError::new("graphql.idempotency_key_invalid", message).at("idempotencyKey"));
        }
        Ok(Self { mutation, key })
    }
}

impl std::fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.mutation, self.key)
    }
}

/// Ties the key to the wish; refuses a key that stands for another one.
pub(crate) async fn claim<C: Command>(
    asking: &Asking,
    key: &Key<'_>,
    command_id: CommandId,
    command: &C,
) -> Result<(), Stop> {
    let value = serde_json::to_value(command).map_err(async_graphql::Error::new_with_source)?;
    let hash = Sha256::digest(canonical_json(&value)).to_vec();
    let same = claimed(asking, key, command_id, &hash).await.map_err(failed)?;
    if same {
        return Ok(());
    }
    let message = "the idempotency key was used with another input";
    Err(UserError::new("graphql.idempotency_key_reused", message).at("idempotencyKey").into())
}

async fn claimed(
    asking: &Asking,
    key: &Key<'_>,
    command_id: CommandId,
    hash: &[u8],
) -> Result<bool, StoreError> {
    let scope = asking.caller.scope;
    let mut tx = asking.services.database.begin(&scope).await?;
    sqlx::query(
        "insert into gateway.idempotency_key (user_id, mutation, key, partner_id, customer_id, input_hash, command_id)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict do nothing",
    )
    .bind(asking.caller.user_id.0)
    .bind(key.mutation)
    .bind(key.key)
    .bind(scope.partner_id().unwrap_or(Tenant::PLATFORM.partner_id).0)
    .bind(scope.customer_id().map(|id| id.0))
    .bind(hash)
    .bind(command_id.0)
    .execute(&mut *tx)
    .await?;
    let known: Option<Vec<u8>> = sqlx::query_scalar(
        "select input_hash from gateway.idempotency_key where user_id = $1 and mutation = $2 and key = $3",
    )
    .bind(asking.caller.user_id.0)
    .bind(key.mutation)
    .bind(key.key)
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    // A key from a time with another scope is not seen here, and was another wish.
    Ok(known.is_some_and(|known| known == hash))
}

/// Drops the key of the invitation that a forgotten user came by: its hash could be guessed from a name, and clients put
/// names into keys.
pub(crate) async fn forget_invitation(asking: &Asking, user_id: Uuid) -> Result<(), StoreError> {
    // Whoever invited them, in whichever scope that was.
    let mut tx = asking.services.database.begin(&Scope::Platform).await?;
    sqlx::query(
        "delete from gateway.idempotency_key k
          using es.event e
          where e.stream_id = $1
            and e.version = 1
            and k.mutation = 'inviteUser'
            and k.command_id = e.command_id",
    )
    .bind(user_id)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}
