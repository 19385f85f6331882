//! Customers, and how well their devices are patched.

use crate::reading::list::{ById, list};
use crate::views::Entry;
use chrono::{DateTime, Utc};
use contracts::tenancy::{CustomerEvent, CustomerRegistered};
use eventstore::{StoreError, Tx};
use uuid::Uuid;

/// A customer as GraphQL shows it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct CustomerRow {
    pub(crate) customer_id: Uuid,
    pub(crate) name: String,
    pub(crate) time_zone: String,
}

macro_rules! columns {
    () => {
        "t.customer_id, t.name, t.time_zone, t.seq"
    };
}

impl ById for CustomerRow {
    const BY_IDS: &'static str = concat!(
        "select t.customer_id as key, ",
        columns!(),
        " from views.customer t where t.customer_id = any($1)"
    );
}

list! {
    /// The customers in scope; the filter names those that the caller's roles reach.
    CUSTOMERS: CustomerRow, columns from "views.customer t"
    where "true" only "t.customer_id::text", oldest first by "t.seq"
}

list! {
    /// The customers of one partner, filtered likewise.
    CUSTOMERS_OF_PARTNER: CustomerRow, columns from "views.customer t"
    where "t.partner_id = p.parent" only "t.customer_id::text", oldest first by "t.seq"
}

/// Counts of a customer's devices.
#[derive(Debug, Clone, Default, sqlx::FromRow)]
pub(crate) struct ComplianceRow {
    pub(crate) devices: i64,
    pub(crate) assessed: i64,
    pub(crate) compliant: i64,
    pub(crate) pending_reboot: i64,
    pub(crate) last_scan_at: Option<DateTime<Utc>>,
}

impl ById for ComplianceRow {
    const BY_IDS: &'static str = "
        select d.customer_id as key,
               count(*) as devices,
               count(*) filter (where d.last_scan_at is not null) as assessed,
               count(*) filter (where d.last_scan_at is not null and m.device_id is null) as compliant,
               count(*) filter (where d.pending_reboot) as pending_reboot,
               max(d.last_scan_at) as last_scan_at
          from views.device d
          left join (select distinct dp.device_id
                       from views.device_patch dp
                      where dp.customer_id = any($1) and dp.state <> 'INSTALLED') m
            on m.device_id = d.device_id
         where d.customer_id = any($1)
         group by d.customer_id";
}

pub(super) async fn apply(tx: &mut Tx, entry: Entry, fact: CustomerEvent) -> Result<(), StoreError> {
    match fact {
        CustomerEvent::CustomerRegistered(CustomerRegistered {
            customer_id,
            partner_id,
            name,
            time_zone,
        }) => {
            sqlx::query(
                "insert into customer (customer_id, partner_id, name, time_zone, seq)
                 values ($1, $2, $3, $4, $5)",
            )
            .bind(customer_id.0)
            .bind(partner_id.0)
            .bind(name)
            .bind(time_zone)
            .bind(entry.seq)
            .execute(&mut **tx)
            .await?;
        }
    }
    Ok(())
}
