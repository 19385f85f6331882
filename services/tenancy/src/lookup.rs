//! What the use cases must look up: written in the transaction of the event it follows from.

use eventstore::Tx;
use foundation::store_failed;
use kernel::{CustomerId, PartnerId, Tenant, UserId};
use uuid::Uuid;
use web::ApiError;

fn database(error: sqlx::Error) -> ApiError {
    store_failed(error.into())
}

/// Notes a partner.
pub(crate) async fn remember_partner(tx: &mut Tx, partner_id: PartnerId) -> Result<(), ApiError> {
    sqlx::query("insert into tenancy.partner (partner_id) values ($1) on conflict do nothing")
        .bind(partner_id.0)
        .execute(&mut **tx)
        .await
        .map_err(database)?;
    Ok(())
}

/// Notes a customer.
pub(crate) async fn remember_customer(
    tx: &mut Tx,
    partner_id: PartnerId,
    customer_id: CustomerId,
) -> Result<(), ApiError> {
    sqlx::query(
        "insert into tenancy.customer (customer_id, partner_id) values ($1, $2) on conflict do nothing",
    )
    .bind(customer_id.0)
    .bind(partner_id.0)
    .execute(&mut **tx)
    .await
    .map_err(database)?;
    Ok(())
}

/// The partner exists within the caller's scope.
pub(crate) async fn require_partner(tx: &mut Tx, partner_id: PartnerId) -> Result<(), ApiError> {
    // A customer's own scope does not see the partner's row, but its own customer names the partner.
    let known: Option<i32> = sqlx::query_scalar(
        "select 1 from tenancy.partner where partner_id = $1
         union all
         select 1 from tenancy.customer where partner_id = $1
         limit 1",
    )
    .bind(partner_id.0)
    .fetch_optional(&mut **tx)
    .await
    .map_err(database)?;
    known
        .map(|_| ())
        .ok_or_else(|| ApiError::not_found("tenancy.partner_unknown", "there is no such partner"))
}

/// The customer exists at this partner, within the caller's scope.
pub(crate) async fn require_customer(
    tx: &mut Tx,
    partner_id: PartnerId,
    customer_id: CustomerId,
) -> Result<(), ApiError> {
    let known: Option<i32> =
        sqlx::query_scalar("select 1 from tenancy.customer where customer_id = $1 and partner_id = $2")
            .bind(customer_id.0)
            .bind(partner_id.0)
            .fetch_optional(&mut **tx)
            .await
            .map_err(database)?;
    known
        .map(|_| ())
        .ok_or_else(|| ApiError::not_found("tenancy.customer_unknown", "there is no such customer"))
}

/// Reserves a subject for a user. Taken by another: refused without saying by whom.
pub(crate) async fn claim_subject(
    tx: &mut Tx,
    subject: &str,
    user_id: UserId,
    tenant: Tenant,
) -> Result<(), ApiError> {
    let claimed = sqlx::query(
        "insert into tenancy.subject (subject, user_id, partner_id, customer_id)
         values ($1, $2, $3, $4)
         on conflict do nothing",
    )
    .bind(subject)
    .bind(user_id.0)
    .bind(tenant.partner_id.0)
    .bind(tenant.customer_id.map(|id| id.0))
    .execute(&mut **tx)
    .await
    .map_err(database)?
    .rows_affected();
    if claimed == 1 {
        return Ok(());
    }
    let by: Option<Uuid> = sqlx::query_scalar("select user_id from tenancy.subject where subject = $1")
        .bind(subject)
        .fetch_optional(&mut **tx)
        .await
        .map_err(database)?;
    if by == Some(user_id.0) {
        return Ok(());
    }
    let message = "the subject cannot be used; choose another";
    Err(ApiError::new(actix_web::http::StatusCode::CONFLICT, "tenancy.user_exists", message))
}

/// Lets a forgotten person's subject go. Whose user it was stays known.
pub(crate) async fn release_subject(tx: &mut Tx, user_id: UserId) -> Result<(), ApiError> {
    sqlx::query("update tenancy.subject set subject = null where user_id = $1")
        .bind(user_id.0)
        .execute(&mut **tx)
        .await
        .map_err(database)?;
    Ok(())
}

/// Whose user this is, within the caller's scope.
pub(crate) async fn tenant_of_user(tx: &mut Tx, user_id: UserId) -> Result<Tenant, ApiError> {
    let row: Option<(Uuid, Option<Uuid>)> =
        sqlx::query_as("select partner_id, customer_id from tenancy.subject where user_id = $1")
            .bind(user_id.0)
            .fetch_optional(&mut **tx)
            .await
            .map_err(database)?;
    row.map(|(partner, customer)| Tenant {
        partner_id: PartnerId(partner),
        customer_id: customer.map(CustomerId),
    })
    .ok_or_else(|| ApiError::not_found("tenancy.user_unknown", "there is no such user"))
}
