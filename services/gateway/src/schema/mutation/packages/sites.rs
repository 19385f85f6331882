//! The customers' systems that packages update.

use super::super::payload;
use crate::commands::carry_out;
use crate::schema::global_id::Kind;
use crate::words::Connectivity;
use async_graphql::{Context, ID, InputObject, Object, Result};
use contracts::packages::commands as wish;

/// What is done at customers' systems.
#[derive(Default)]
pub(crate) struct SitesMutations;

#[derive(InputObject)]
pub(crate) struct SetSiteConnectivityInput {
    idempotency_key: String,
    customer_id: ID,
    connectivity: Connectivity,
}

#[derive(InputObject)]
pub(crate) struct RecordSiteVersionInput {
    idempotency_key: String,
    customer_id: ID,
    product: String,
    version: String,
}

#[derive(InputObject)]
pub(crate) struct StartPackageUpdateInput {
    idempotency_key: String,
    package_id: ID,
    customer_id: ID,
}

#[derive(InputObject)]
pub(crate) struct CompletePackageUpdateInput {
    idempotency_key: String,
    package_id: ID,
    customer_id: ID,
}

#[derive(InputObject)]
pub(crate) struct FailPackageUpdateInput {
    idempotency_key: String,
    package_id: ID,
    customer_id: ID,
    reason: String,
}

payload! { SetSiteConnectivityPayload of () {} }
payload! { RecordSiteVersionPayload of () {} }
payload! { StartPackageUpdatePayload of () {} }
payload! { CompletePackageUpdatePayload of () {} }
payload! { FailPackageUpdatePayload of () {} }

#[Object]
impl SitesMutations {
    /// Says how a customer's systems reach publishers.
    async fn set_site_connectivity(
        &self,
        ctx: &Context<'_>,
        input: SetSiteConnectivityInput,
    ) -> Result<SetSiteConnectivityPayload> {
        let SetSiteConnectivityInput { idempotency_key, customer_id, connectivity } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let customer_id = ids.one("customerId", Kind::Customer, &customer_id)?;
            Some(wish::SetSiteConnectivity { customer_id, connectivity: connectivity.into() })
        });
        Ok(outcome.await?.into())
    }

    /// Says which version of a product is installed at a customer, as after an update by the vendor's own means.
    async fn record_site_version(
        &self,
        ctx: &Context<'_>,
        input: RecordSiteVersionInput,
    ) -> Result<RecordSiteVersionPayload> {
        let RecordSiteVersionInput { idempotency_key, customer_id, product, version } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let customer_id = ids.one("customerId", Kind::Customer, &customer_id)?;
            Some(wish::RecordSiteVersion { customer_id, product, version })
        });
        Ok(outcome.await?.into())
    }

    /// "Update now": installs a package at a customer; one that is prepared by itself is downloaded first.
    async fn start_package_update(
        &self,
        ctx: &Context<'_>,
        input: StartPackageUpdateInput,
    ) -> Result<StartPackageUpdatePayload> {
        let StartPackageUpdateInput { idempotency_key, package_id, customer_id } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let package_id = ids.one("packageId", Kind::Package, &package_id);
            let customer_id = ids.one("customerId", Kind::Customer, &customer_id);
            Some(wish::StartPackageUpdate { package_id: package_id?, customer_id: customer_id? })
        });
        Ok(outcome.await?.into())
    }

    /// Says that a package is installed at a customer.
    async fn complete_package_update(
        &self,
        ctx: &Context<'_>,
        input: CompletePackageUpdateInput,
    ) -> Result<CompletePackageUpdatePayload> {
        let CompletePackageUpdateInput { idempotency_key, package_id, customer_id } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let package_id = ids.one("packageId", Kind::Package, &package_id);
            let customer_id = ids.one("customerId", Kind::Customer, &customer_id);
            Some(wish::CompletePackageUpdate { package_id: package_id?, customer_id: customer_id? })
        });
        Ok(outcome.await?.into())
    }

    /// Says that a package could not be installed at a customer.
    async fn fail_package_update(
        &self,
        ctx: &Context<'_>,
        input: FailPackageUpdateInput,
    ) -> Result<FailPackageUpdatePayload> {
        let FailPackageUpdateInput { idempotency_key, package_id, customer_id, reason } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let package_id = ids.one("packageId", Kind::Package, &package_id);
            let customer_id = ids.one("customerId", Kind::Customer, &customer_id);
            Some(wish::FailPackageUpdate { package_id: package_id?, customer_id: customer_id?, reason })
        });
        Ok(outcome.await?.into())
    }
}
