//! Users and the roles they hold: what every request's caller is looked up in.

use crate::reading::list::ById;
use crate::views::Entry;
use crate::words::Role;
use chrono::{DateTime, Utc};
use contracts::tenancy::{RoleGranted, RoleRevoked, UserEvent, UserForgotten, UserInvited};
use eventstore::{StoreError, Tx};
use uuid::Uuid;

/// A user as GraphQL shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct UserRow {
    pub(crate) user_id: Uuid,
    pub(crate) customer_id: Option<Uuid>,
    /// None once the person is forgotten, as the name.
    pub(crate) subject: Option<String>,
    pub(crate) display_name: Option<String>,
    pub(crate) forgotten_at: Option<DateTime<Utc>>,
}

impl ById for UserRow {
    const BY_IDS: &'static str =
        "select t.user_id as key, t.user_id, t.customer_id, t.subject, t.display_name, t.forgotten_at
           from views.app_user t
          where t.user_id = any($1)";
}

pub(super) async fn apply(tx: &mut Tx, entry: Entry, fact: UserEvent) -> Result<(), StoreError> {
    match fact {
        UserEvent::UserInvited(UserInvited { user_id, subject, display_name }) => {
            sqlx::query(
                "insert into app_user (user_id, partner_id, customer_id, subject, display_name, seq)
                 values ($1, $2, $3, $4, $5, $6)",
            )
            .bind(user_id.0)
            .bind(entry.partner_id)
            .bind(entry.customer_id)
            .bind(subject.text())
            .bind(display_name.text())
            .bind(entry.seq)
            .execute(&mut **tx)
            .await?;
        }
        UserEvent::RoleGranted(RoleGranted { user_id, role, customer_id }) => {
            sqlx::query(
                "insert into role_grant (user_id, role, partner_id, customer_id, seq)
                 values ($1, $2, $3, $4, $5)
                 on conflict do nothing",
            )
            .bind(user_id.0)
            .bind(Role::from(role))
            .bind(entry.partner_id)
            .bind(customer_id.map(|id| id.0))
            .bind(entry.seq)
            .execute(&mut **tx)
            .await?;
        }
        UserEvent::RoleRevoked(RoleRevoked { user_id, role, customer_id }) => {
            sqlx::query(
                "delete from role_grant
                  where user_id = $1 and role = $2 and customer_id is not distinct from $3",
            )
            .bind(user_id.0)
            .bind(Role::from(role))
            .bind(customer_id.map(|id| id.0))
            .execute(&mut **tx)
            .await?;
        }
        UserEvent::UserForgotten(UserForgotten { user_id }) => {
            sqlx::query(
                "update app_user set subject = null, display_name = null, forgotten_at = $2 where user_id = $1",
            )
            .bind(user_id.0)
            .bind(entry.recorded_at)
            .execute(&mut **tx)
            .await?;
        }
    }
    Ok(())
}
