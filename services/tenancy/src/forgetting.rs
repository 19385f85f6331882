//! What a start makes sure of: nobody is remembered because a backup was restored, and no key lies under an old one.

use contracts::tenancy::UserForgotten;
use eventstore::{Privacy, StoreError};
use foundation::Foundation;
use kernel::Scope;

/// Forgets again everybody who is forgotten by the log, before the first command is taken.
pub(crate) async fn forget_again(foundation: &Foundation) -> Result<(), StoreError> {
    let again = Privacy::new(foundation.database.clone()).reapply_forgotten(UserForgotten::TYPE).await?;
    if !again.is_empty() {
        tracing::warn!(
            subjects = again.len(),
            "keys of forgotten people had come back and are destroyed again"
        );
    }
    let mut tx = foundation.database.begin(&Scope::Platform).await?;
    sqlx::query(
        "update tenancy.subject s
            set subject = null
          where s.subject is not null
            and exists (select from es.event e where e.stream_id = s.user_id and e.event_type = $1)",
    )
    .bind(UserForgotten::TYPE)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Wraps under `privacy.key` whatever lies under one of `privacy.previous_keys`.
pub(crate) async fn rewrap(foundation: Foundation) {
    match Privacy::new(foundation.database).rewrap().await {
        Ok(0) => {}
        Ok(keys) => {
            tracing::info!(keys, "every key of a person is wrapped under the present privacy.key now");
        }
        Err(error) => {
            let error: &(dyn std::error::Error + 'static) = &error;
            tracing::error!(error, "keys of persons could not be wrapped under the present privacy.key");
        }
    }
}
