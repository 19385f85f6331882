//! Customers' systems that packages update: how they reach publishers, what is installed, and what was.

use crate::reading::list::{ById, list};
use crate::views::Entry;
use crate::words::{Connectivity, PackageUpdateState};
use chrono::{DateTime, Utc};
use contracts::packages::{
    PackageUpdateCompleted, PackageUpdateFailed, PackageUpdateStarted, SiteConnectivityChanged, SiteEvent,
    SiteVersionRecorded,
};
use eventstore::{StoreError, Tx};
use kernel::{CustomerId, PackageId};
use uuid::Uuid;

/// How a customer's systems reach publishers.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct SiteRow {
    pub(crate) connectivity: Connectivity,
}

impl ById for SiteRow {
    const BY_IDS: &'static str = "select t.customer_id as key, t.connectivity
           from views.site t
          where t.customer_id = any($1)";
}

/// A version that is installed.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct SiteVersionRow {
    pub(crate) product: String,
    pub(crate) version: String,
    pub(crate) since: DateTime<Utc>,
}

macro_rules! version_columns {
    () => {
        "t.product, t.version, t.since, t.seq"
    };
}

list! {
    /// What is installed at a customer.
    VERSIONS_OF_CUSTOMER: SiteVersionRow, version_columns from "views.site_version t"
    where "t.customer_id = p.parent", oldest first by "t.seq"
}

/// One time that a package was to be installed at a customer.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct PackageUpdateRow {
    pub(crate) package_id: Uuid,
    pub(crate) product: String,
    pub(crate) version: String,
    pub(crate) state: PackageUpdateState,
    pub(crate) reason: Option<String>,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) ended_at: Option<DateTime<Utc>>,
}

macro_rules! update_columns {
    () => {
        "t.package_id, t.product, t.version, t.state, t.reason, t.started_at, t.ended_at, t.seq"
    };
}

list! {
    /// What was installed at a customer, and what is being installed.
    UPDATES_OF_CUSTOMER: PackageUpdateRow, update_columns from "views.package_update t"
    where "t.customer_id = p.parent", newest first by "t.seq"
}

list! {
    /// What was installed at the customers in scope, and what is being installed. The filter is a region, empty where it is
    /// not asked for, and then which customers are to be seen.
    UPDATES: PackageUpdateRow, update_columns from "views.package_update t"
    where "true"
    filter "($2[1] = '' or exists (select from views.device d
                                    where d.customer_id = t.customer_id and d.region = $2[1]))
            and ($2[2] = 'all' or t.customer_id::text = any($2[3:]))",
    newest first by "t.seq"
}

pub(super) async fn apply(tx: &mut Tx, entry: Entry, fact: SiteEvent) -> Result<(), StoreError> {
    match fact {
        SiteEvent::SiteConnectivityChanged(SiteConnectivityChanged { customer_id, connectivity }) => {
            sqlx::query(
                "insert into site (customer_id, partner_id, connectivity, seq) values ($1, $2, $3, $4)
                 on conflict (customer_id) do update set connectivity = excluded.connectivity",
            )
            .bind(customer_id.0)
            .bind(entry.partner_id)
            .bind(Connectivity::from(connectivity))
            .bind(entry.seq)
            .execute(&mut **tx)
            .await?;
            Ok(())
        }
        SiteEvent::SiteVersionRecorded(SiteVersionRecorded { customer_id, product, version }) => {
            installed(tx, entry, customer_id, &product, &version).await
        }
        SiteEvent::PackageUpdateStarted(PackageUpdateStarted {
            package_id,
            customer_id,
            product,
            version,
        }) => {
            sqlx::query(
                "insert into package_update (customer_id, seq, partner_id, package_id, product, version, state,
                                             started_at)
                 values ($1, $2, $3, $4, $5, $6, 'STARTED', $7)",
            )
            .bind(customer_id.0)
            .bind(entry.seq)
            .bind(entry.partner_id)
            .bind(package_id.0)
            .bind(product)
            .bind(version)
            .bind(entry.recorded_at)
            .execute(&mut **tx)
            .await?;
            Ok(())
        }
        SiteEvent::PackageUpdateCompleted(PackageUpdateCompleted {
            package_id,
            customer_id,
            product,
            version,
        }) => {
            installed(tx, entry, customer_id, &product, &version).await?;
            end(tx, entry, (customer_id, package_id), PackageUpdateState::Completed, None).await
        }
        SiteEvent::PackageUpdateFailed(PackageUpdateFailed { package_id, customer_id, reason }) => {
            end(tx, entry, (customer_id, package_id), PackageUpdateState::Failed, Some(reason)).await
        }
    }
}

async fn installed(
    tx: &mut Tx,
    entry: Entry,
    customer_id: CustomerId,
    product: &str,
    version: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into site_version (customer_id, product_key, partner_id, product, version, since, seq)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (customer_id, product_key) do update
            set product = excluded.product, version = excluded.version, since = excluded.since",
    )
    .bind(customer_id.0)
    .bind(product.trim().to_lowercase())
    .bind(entry.partner_id)
    .bind(product)
    .bind(version)
    .bind(entry.recorded_at)
    .bind(entry.seq)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn end(
    tx: &mut Tx,
    entry: Entry,
    (customer_id, package_id): (CustomerId, PackageId),
    state: PackageUpdateState,
    reason: Option<String>,
) -> Result<(), StoreError> {
    sqlx::query(
        "update package_update
            set state = $3, reason = $4, ended_at = $5
          where customer_id = $1 and package_id = $2 and state = 'STARTED'",
    )
    .bind(customer_id.0)
    .bind(package_id.0)
    .bind(state)
    .bind(reason)
    .bind(entry.recorded_at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
