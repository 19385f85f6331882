//! What the service knows of the world: its own tables, read and written in the caller's transaction.

use approvals_domain::approval::{Standing, Subject};
use approvals_domain::evaluation::Candidate;
use chrono::{DateTime, NaiveDate, Utc};
use contracts::approvals::ApprovalScope;
use contracts::feeds::PatchFacts;
use contracts::{Classification, DevicePlatform, Severity};
use eventstore::{StoreError, Tx};
use kernel::{CustomerId, PartnerId, PatchId, Tenant};
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

/// A patch as the rules and people see it.
#[expect(clippy::struct_field_names, reason = "the domain's word is patch id")]
pub(crate) struct Patch {
    pub(crate) patch_id: PatchId,
    pub(crate) candidate: Candidate,
    pub(crate) standing: Standing,
    pub(crate) superseded_by: Option<PatchId>,
    /// When it was superseded or withdrawn.
    pub(crate) ended_at: Option<DateTime<Utc>>,
}

impl Patch {
    pub(crate) fn at(&self, scope: impl Into<ApprovalScope>) -> Subject {
        Subject {
            patch_id: self.patch_id,
            vendor_patch_id: self.candidate.vendor_patch_id.clone(),
            platform: self.candidate.platform,
            scope: scope.into(),
        }
    }

    /// The newer patch with its vendor id, if it was replaced by one.
    pub(crate) fn newer(&self) -> Option<(PatchId, String)> {
        match &self.standing {
            Standing::Superseded { by } => self.superseded_by.zip(Some(by.clone())),
            Standing::Published | Standing::Withdrawn => None,
        }
    }
}

#[derive(sqlx::FromRow)]
struct PatchRow {
    patch_id: Uuid,
    vendor_patch_id: String,
    name: String,
    os_versions: Vec<String>,
    platform: String,
    severity: String,
    classification: String,
    withdrawn: bool,
    superseded_by: Option<Uuid>,
    superseded_by_vendor_id: Option<String>,
    release_date: NaiveDate,
    ended_at: Option<DateTime<Utc>>,
    vendors: Vec<String>,
    kev: bool,
}

/// What a patch `p` is read by. One of whose release nothing is known counts as released today: no delay has ended.
macro_rules! patch_columns {
    () => {
        "p.patch_id, p.vendor_patch_id, p.name, p.os_versions, p.platform, p.severity, p.classification,
         p.withdrawn, p.superseded_by, p.superseded_by_vendor_id, p.ended_at,
         coalesce(p.release_date, (now() at time zone 'UTC')::date) as release_date,
         coalesce((select f.vendors from approvals.feed f where f.feed_id = p.feed_id), '{}') as vendors,
         exists (select from approvals.patch_cve c join approvals.kev k on k.cve = c.cve
                  where c.patch_id = p.patch_id) as kev"
    };
}

impl TryFrom<PatchRow> for Patch {
    type Error = StoreError;

    fn try_from(row: PatchRow) -> Result<Self, StoreError> {
        let standing = match row.superseded_by_vendor_id {
            Some(by) => Standing::Superseded { by },
            None if row.withdrawn => Standing::Withdrawn,
            None => Standing::Published,
        };
        Ok(Self {
            patch_id: PatchId(row.patch_id),
            superseded_by: row.superseded_by.map(PatchId),
            ended_at: row.ended_at,
            candidate: Candidate {
                vendor_patch_id: row.vendor_patch_id,
                name: row.name,
                os_versions: row.os_versions,
                platform: word::<DevicePlatform>(row.platform)?,
                severity: word::<Severity>(row.severity)?,
                classification: word::<Classification>(row.classification)?,
                vendors: row.vendors,
                kev: row.kev,
                // Whose rating counts is said by the tenant.
                rating: None,
                release_date: row.release_date,
                installable: standing == Standing::Published,
            },
            standing,
        })
    }
}

/// Reads a stored word of one of our enums.
pub(crate) fn word<T: DeserializeOwned>(text: String) -> Result<T, StoreError> {
    serde_json::from_value(Value::String(text)).map_err(corrupt)
}

/// Writes a word of one of our enums as it stands in facts.
pub(crate) fn text<T: serde::Serialize>(word: &T) -> Result<String, StoreError> {
    let value = serde_json::to_value(word).map_err(corrupt)?;
    value
        .as_str()
        .map(ToOwned::to_owned)
        .ok_or_else(|| StoreError::Corrupt { what: format!("{value} is not a word") })
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
pub(crate) fn corrupt(error: serde_json::Error) -> StoreError {
    StoreError::Corrupt { what: format!("a table of approvals contradicts its type: {error}") }
}

/// Takes a patch of the catalogue in, new or changed: the platform's (the nil id) for everybody, a partner's for its own.
pub(crate) async fn keep_patch(tx: &mut Tx, owner: PartnerId, patch: &PatchFacts) -> Result<(), StoreError> {
    sqlx::query(
        "insert into approvals.patch (patch_id, vendor_patch_id, name, os_versions, platform, severity, classification,
                                      partner_id, feed_id, release_date)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict (patch_id) do update
            set name = excluded.name,
                os_versions = excluded.os_versions,
                severity = excluded.severity,
                classification = excluded.classification,
                feed_id = excluded.feed_id,
                release_date = excluded.release_date",
    )
    .bind(patch.patch_id.0)
    .bind(&patch.vendor_patch_id)
    .bind(&patch.name)
    .bind(&patch.os_versions)
    .bind(text(&patch.platform)?)
    .bind(text(&patch.severity)?)
    .bind(text(&patch.classification)?)
    .bind(owner.0)
    .bind(patch.feed_id.0)
    .bind(patch.release_date)
    .execute(&mut **tx)
    .await?;
    sqlx::query("delete from approvals.patch_cve where patch_id = $1 and cve <> all($2)")
        .bind(patch.patch_id.0)
        .bind(&patch.cves)
        .execute(&mut **tx)
        .await?;
    sqlx::query(
        "insert into approvals.patch_cve (cve, patch_id, partner_id)
         select cve, $1, $2 from unnest($3::text[]) as closes (cve)
         on conflict do nothing",
    )
    .bind(patch.patch_id.0)
    .bind(owner.0)
    .bind(&patch.cves)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Marks a patch as replaced.
pub(crate) async fn keep_supersedence(
    tx: &mut Tx,
    patch_id: PatchId,
    by: PatchId,
    by_vendor_id: &str,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query(
        "update approvals.patch
            set superseded_by = $2,
                superseded_by_vendor_id = $3,
                ended_at = coalesce(ended_at, $4)
          where patch_id = $1",
    )
    .bind(patch_id.0)
    .bind(by.0)
    .bind(by_vendor_id)
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Marks a patch as taken back.
pub(crate) async fn keep_withdrawal(
    tx: &mut Tx,
    patch_id: PatchId,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query(
        "update approvals.patch set withdrawn = true, ended_at = coalesce(ended_at, $2) where patch_id = $1",
    )
    .bind(patch_id.0)
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A patch of the catalogue.
pub(crate) async fn patch(tx: &mut Tx, patch_id: PatchId) -> Result<Option<Patch>, StoreError> {
    Ok(patches(tx, &[patch_id]).await?.pop())
}

/// Those of the patches that the catalogue has.
pub(crate) async fn patches(tx: &mut Tx, ids: &[PatchId]) -> Result<Vec<Patch>, StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let rows: Vec<PatchRow> = sqlx::query_as(concat!(
        "select ",
        patch_columns!(),
        " from approvals.patch p where p.patch_id = any($1) order by p.patch_id"
    ))
    .bind(ids)
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Notes a customer.
pub(crate) async fn keep_customer(
    tx: &mut Tx,
    partner_id: PartnerId,
    id: CustomerId,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into approvals.customer (customer_id, partner_id) values ($1, $2) on conflict do nothing",
    )
    .bind(id.0)
    .bind(partner_id.0)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The customer with its partner, if the transaction's scope sees it.
pub(crate) async fn tenant_of_customer(
    tx: &mut Tx,
    customer_id: CustomerId,
) -> Result<Option<Tenant>, StoreError> {
    let partner: Option<Uuid> =
        sqlx::query_scalar("select partner_id from approvals.customer where customer_id = $1")
            .bind(customer_id.0)
            .fetch_optional(&mut **tx)
            .await?;
    Ok(partner.map(|partner| Tenant::customer(PartnerId(partner), customer_id)))
}

/// Notes where an approval stands.
pub(crate) async fn keep_approval(
    tx: &mut Tx,
    tenant: Tenant,
    patch_id: PatchId,
    pending: bool,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into approvals.approval (patch_id, customer_id, partner_id, pending)
         values ($1, $2, $3, $4)
         on conflict (customer_id, patch_id) do update set pending = excluded.pending",
    )
    .bind(patch_id.0)
    .bind(tenant.customer_id.map(|id| id.0))
    .bind(tenant.partner_id.0)
    .bind(pending)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Those of the patches that wait for a decision at the customer.
pub(crate) async fn pending_patches(
    tx: &mut Tx,
    customer_id: CustomerId,
    ids: &[PatchId],
) -> Result<Vec<Patch>, StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let rows: Vec<PatchRow> = sqlx::query_as(concat!(
        "select ",
        patch_columns!(),
        " from approvals.approval a
          join approvals.patch p on p.patch_id = a.patch_id
         where a.customer_id = $1 and a.pending and a.patch_id = any($2)
         order by p.patch_id"
    ))
    .bind(customer_id.0)
    .bind(ids)
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Whether the patch was up for a decision before: then the rules have looked at it, or a person has decided.
pub(crate) async fn was_opened(
    tx: &mut Tx,
    customer_id: CustomerId,
    patch_id: PatchId,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (select from approvals.approval where customer_id = $1 and patch_id = $2)",
    )
    .bind(customer_id.0)
    .bind(patch_id.0)
    .fetch_one(&mut **tx)
    .await
}

/// Customers where the patch was ever up for a decision.
pub(crate) async fn customers_with(tx: &mut Tx, patch_id: PatchId) -> Result<Vec<Tenant>, StoreError> {
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "select partner_id, customer_id from approvals.approval where patch_id = $1 order by customer_id",
    )
    .bind(patch_id.0)
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(partner, customer)| Tenant::customer(PartnerId(partner), CustomerId(customer)))
        .collect())
}
