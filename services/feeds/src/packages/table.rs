//! The rows of packages.

use super::unkept;
use chrono::{DateTime, Utc};
use contracts::packages::{PackageContents, PackageFacts};
use eventstore::Tx;
use feeds_domain::package::{Certification, PackageRefusal, Stage};
use kernel::{PackageId, PartnerId, Tenant};
use sqlx::types::Json;
use uuid::Uuid;
use web::ApiError;

/// A package as a use case needs it.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) package_id: PackageId,
    pub(super) tenant: Tenant,
    pub(super) package: PackageFacts,
    pub(super) state: String,
    pub(super) visible: bool,
    pub(super) contents: Option<PackageContents>,
}

/// A package as its stream tells it.
pub(super) struct Kept<'a> {
    pub(super) package_id: PackageId,
    pub(super) tenant: Tenant,
    pub(super) package: &'a PackageFacts,
    pub(super) certification: Certification,
    pub(super) stage: &'a Stage,
}

#[derive(sqlx::FromRow)]
struct PackageRow {
    package_id: Uuid,
    partner_id: Uuid,
    facts: Json<PackageFacts>,
    state: String,
    visible: bool,
    contents: Option<Json<PackageContents>>,
}

impl From<PackageRow> for Row {
    fn from(row: PackageRow) -> Self {
        let partner_id = PartnerId(row.partner_id);
        Self {
            package_id: PackageId(row.package_id),
            tenant: Tenant { partner_id, customer_id: None },
            package: row.facts.0,
            state: row.state,
            visible: row.visible,
            contents: row.contents.map(|contents| contents.0),
        }
    }
}

macro_rules! packages {
    ($condition:literal) => {
        concat!(
            "select p.package_id, p.partner_id, p.facts, p.state, p.visible, p.contents
               from feeds.package p
              where ",
            $condition
        )
    };
}

/// The package with this id, if it exists in the transaction's scope.
pub(super) async fn find(tx: &mut Tx, package_id: PackageId) -> Result<Row, ApiError> {
    let row: Option<PackageRow> = sqlx::query_as(packages!("p.package_id = $1"))
        .bind(package_id.0)
        .fetch_optional(&mut **tx)
        .await
        .map_err(unkept)?;
    row.map(Row::from).ok_or_else(|| ApiError::refused(&PackageRefusal::Unknown))
}

/// Packages in one of these states whose files are still to be dealt with. In no order: some that cannot be worked on now
/// must not keep the others waiting.
pub(super) async fn at_work(tx: &mut Tx, states: &[&str], limit: i64) -> Result<Vec<Row>, ApiError> {
    let rows: Vec<PackageRow> =
        sqlx::query_as(packages!("p.state = any($1) and not p.bytes_gone order by random() limit $2"))
            .bind(states)
            .bind(limit)
            .fetch_all(&mut **tx)
            .await
            .map_err(unkept)?;
    Ok(rows.into_iter().map(Row::from).collect())
}

/// Other ready packages of the same owner, vendor and product.
pub(super) async fn ready_beside(tx: &mut Tx, row: &Row) -> Result<Vec<Row>, ApiError> {
    let rows: Vec<PackageRow> = sqlx::query_as(packages!(
        "p.state = 'READY' and p.package_id <> $1 and p.partner_id = $2
         and lower(p.vendor) = lower($3) and lower(p.product) = lower($4)"
    ))
    .bind(row.package_id.0)
    .bind(row.tenant.partner_id.0)
    .bind(row.package.vendor.trim())
    .bind(row.package.product.trim())
    .fetch_all(&mut **tx)
    .await
    .map_err(unkept)?;
    Ok(rows.into_iter().map(Row::from).collect())
}

/// Packages that are prepared by themselves, and wait for it because somebody installs them.
pub(super) async fn asked_for(tx: &mut Tx, limit: i64) -> Result<Vec<Row>, ApiError> {
    let rows: Vec<PackageRow> = sqlx::query_as(packages!(
        "p.state = 'REGISTERED'
         and exists (select from feeds.package_update u where u.package_id = p.package_id and u.state = 'STARTED')
         order by p.changed_at, p.package_id limit $1"
    ))
    .bind(limit)
    .fetch_all(&mut **tx)
    .await
    .map_err(unkept)?;
    Ok(rows.into_iter().map(Row::from).collect())
}

/// Makes the row what the stream says.
pub(super) async fn keep(tx: &mut Tx, kept: Kept<'_>, now: DateTime<Utc>) -> Result<(), ApiError> {
    let Kept { package_id, tenant, package, certification, stage } = kept;
    let is_superseded = matches!(stage, Stage::Ready { is_superseded: true, .. });
    let visible = match certification {
        Certification::NotNeeded | Certification::Certified => true,
        Certification::Awaiting { .. } => false,
    };
    let kept = sqlx::query(
        "insert into feeds.package as p
           (package_id, partner_id, package_type, vendor, product, version, patch_id, facts, state, visible, changed_at)
         values ($1, $2, $3 ->> 'package_type', $4, $5, $6, $7, $3, $8, $9, $10)
         on conflict (package_id) do update
            set state = excluded.state,
                visible = excluded.visible,
                superseded_at = case when $11 then coalesce(p.superseded_at, excluded.changed_at) end,
                changed_at = case when p.state = excluded.state then p.changed_at else excluded.changed_at end",
    )
    .bind(package_id.0)
    .bind(tenant.partner_id.0)
    .bind(Json(package))
    .bind(package.vendor.trim())
    .bind(package.product.trim())
    .bind(&package.version)
    .bind(package.patch_id.map(|id| id.0))
    .bind(stage.word())
    .bind(visible)
    .bind(now)
    .bind(is_superseded)
    .execute(&mut **tx)
    .await;
    match kept {
        Ok(_) => Ok(()),
        Err(sqlx::Error::Database(error)) if error.constraint() == Some("package_identity") => {
            Err(ApiError::refused(&PackageRefusal::AlreadyRegistered { name: package.name.clone() }))
        }
        Err(error) => Err(unkept(error)),
    }
}

/// Notes what is in a package.
pub(super) async fn keep_contents(
    tx: &mut Tx,
    package_id: PackageId,
    contents: &PackageContents,
) -> Result<(), ApiError> {
    sqlx::query("update feeds.package set contents = $2 where package_id = $1 and state = 'READY'")
        .bind(package_id.0)
        .bind(Json(contents))
        .execute(&mut **tx)
        .await
        .map_err(unkept)?;
    Ok(())
}
