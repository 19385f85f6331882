//! Partners.

use crate::reading::list::{ById, list};
use crate::views::Entry;
use contracts::tenancy::{PartnerEvent, PartnerRegistered};
use eventstore::{StoreError, Tx};
use uuid::Uuid;

/// A partner as GraphQL shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct PartnerRow {
    pub(crate) partner_id: Uuid,
    pub(crate) name: String,
}

macro_rules! columns {
    () => {
        "t.partner_id, t.name, t.seq"
    };
}

impl ById for PartnerRow {
    const BY_IDS: &'static str = concat!(
        "select t.partner_id as key, ",
        columns!(),
        " from views.partner t where t.partner_id = any($1)"
    );
}

list! {
    /// Every partner of the platform.
    PARTNERS: PartnerRow, columns from "views.partner t" where "true", oldest first by "t.seq"
}

pub(super) async fn apply(tx: &mut Tx, entry: Entry, fact: PartnerEvent) -> Result<(), StoreError> {
    match fact {
        PartnerEvent::PartnerRegistered(PartnerRegistered { partner_id, name }) => {
            sqlx::query("insert into partner (partner_id, name, seq) values ($1, $2, $3)")
                .bind(partner_id.0)
                .bind(name)
                .bind(entry.seq)
                .execute(&mut **tx)
                .await?;
        }
    }
    Ok(())
}
