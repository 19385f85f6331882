//! Which packages are not needed any more: what is known of where they are wanted and installed.

use super::{table, unkept};
use chrono::{DateTime, Utc};
use eventstore::Tx;
use feeds_domain::package::Spare;
use kernel::PackageId;
use uuid::Uuid;
use web::ApiError;

/// Where a package is wanted, and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub(super) struct Need {
    outstanding: i64,
    installed: i64,
    installed_at: Option<DateTime<Utc>>,
}

impl Need {
    /// Places where it was approved or begun, and is not installed.
    pub(super) fn outstanding(&self) -> u32 {
        u32::try_from(self.outstanding).unwrap_or(u32::MAX)
    }

    /// Places where it is installed.
    pub(super) fn installed(&self) -> u32 {
        u32::try_from(self.installed).unwrap_or(u32::MAX)
    }
}

/// Looks at all tenants: the owner of a package may not know where it is wanted. A customer wants it if its patch is
/// approved there as a whole, or for a group or device for which nothing stricter holds everywhere at the customer.
pub(super) async fn need(tx: &mut Tx, package_id: PackageId) -> Result<Need, ApiError> {
    sqlx::query_as(
        "with wanted as (
           select u.customer_id from feeds.package_update u where u.package_id = $1 and u.state = 'STARTED'
           union
           select s.customer_id
             from feeds.package p
             join feeds.site s on exists (
                select from feeds.package_decision d
                 where d.patch_id = p.patch_id and coalesce(d.customer_id, d.partner_id) in (s.customer_id, s.partner_id))
             left join lateral (
                select min(d.rank) as rank
                  from feeds.package_decision d
                 where d.scope_id in (s.customer_id, s.partner_id) and d.patch_id = p.patch_id) whole on true
            where p.package_id = $1
              and (whole.rank % 10 = 2
                   or exists (
                     select from feeds.package_decision d
                      where d.patch_id = p.patch_id
                        and d.customer_id = s.customer_id
                        and d.rank % 10 = 2
                        and d.rank < coalesce(whole.rank, 100)))
              and not exists (
                select from feeds.package_update u
                 where u.package_id = $1 and u.customer_id = s.customer_id and u.state = 'COMPLETED')
         )
         select (select count(*) from wanted) as outstanding, count(*) as installed, max(u.changed_at) as installed_at
           from feeds.package_update u
          where u.package_id = $1 and u.state = 'COMPLETED'",
    )
    .bind(package_id.0)
    .fetch_one(&mut **tx)
    .await
    .map_err(unkept)
}

#[derive(sqlx::FromRow)]
struct SpareRow {
    package_id: Uuid,
    state: String,
    superseded_at: Option<DateTime<Utc>>,
    changed_at: DateTime<Utc>,
}

/// Packages that nobody needs any more, each with the reason that holds for longest.
pub(super) async fn spare(tx: &mut Tx) -> Result<Vec<(table::Row, Spare)>, ApiError> {
    let rows: Vec<SpareRow> = sqlx::query_as(
        "select p.package_id, p.state, p.superseded_at, p.changed_at
           from feeds.package p
          where p.state in ('READY', 'UPLOADING')
          order by p.changed_at",
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(unkept)?;
    let mut found = Vec::new();
    for row in rows {
        let package_id = PackageId(row.package_id);
        let spare = if row.state == "UPLOADING" {
            Some(Spare::Abandoned { since: row.changed_at })
        } else {
            let need = need(tx, package_id).await?;
            let installed = need.installed_at.filter(|_| need.outstanding == 0);
            let superseded = row.superseded_at.map(|since| Spare::Superseded { since });
            let installed = installed.map(|since| Spare::Installed { since });
            match (superseded, installed) {
                (Some(Spare::Superseded { since }), Some(Spare::Installed { since: other }))
                    if other < since =>
                {
                    installed
                }
                (superseded, installed) => superseded.or(installed),
            }
        };
        if let Some(spare) = spare {
            found.push((table::find(tx, package_id).await?, spare));
        }
    }
    Ok(found)
}
