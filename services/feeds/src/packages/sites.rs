//! The use cases of customers' systems: what is installed there, and what is being installed.

use super::{Packages, commit, table, unkept};
use actix_web::web::ServiceConfig;
use contracts::packages::commands as wish;
use contracts::packages::{Connectivity, Preparation};
use contracts::{Accepted, permissions::Permission};
use eventstore::{Committed, Target, Tx};
use feeds_domain::package::{PackageCommand, PackageRefusal, Readiness, Site, SiteCommand, preparation};
use foundation::{accepted, failed};
use kernel::{CustomerId, PackageId, PartnerId, Tenant};
use uuid::Uuid;
use web::{ApiError, CommandContext};

/// The routes of the commands about customers' systems.
pub(super) fn routes(packages: &Packages, routes: &mut ServiceConfig) {
    let commands = packages.foundation.commands();
    routes
        .service(commands.route(packages, set_connectivity))
        .service(commands.route(packages, record_version))
        .service(commands.route(packages, start_update))
        .service(commands.route(packages, complete_update))
        .service(commands.route(packages, fail_update));
}

/// One command about one customer's systems, in one transaction of the caller's scope.
struct AtSite<'a> {
    packages: &'a Packages,
    context: &'a CommandContext,
    tenant: Tenant,
    customer_id: CustomerId,
    connectivity: Connectivity,
    tx: Tx,
}

impl<'a> AtSite<'a> {
    /// Authorises at the customer and begins; another tenant's customer does not exist.
    async fn begin(
        packages: &'a Packages,
        context: &'a CommandContext,
        permission: Permission,
        customer_id: CustomerId,
    ) -> Result<Self, ApiError> {
        let mut tx = packages.begin(&context.caller.scope).await?;
        let known: Option<(Uuid, String)> =
            sqlx::query_as("select partner_id, connectivity from feeds.site where customer_id = $1")
                .bind(customer_id.0)
                .fetch_optional(&mut *tx)
                .await
                .map_err(unkept)?;
        let (partner_id, connectivity) = known
            .ok_or_else(|| ApiError::not_found("feeds.customer_unknown", "there is no such customer"))?;
        context.caller.require(permission, Some(customer_id))?;
        let connectivity = serde_json::from_value(connectivity.into()).map_err(ApiError::internal)?;
        let tenant = Tenant::customer(PartnerId(partner_id), customer_id);
        Ok(Self { packages, context, tenant, customer_id, connectivity, tx })
    }

    async fn execute(&mut self, command: SiteCommand) -> Result<Committed, ApiError> {
        let target = Target {
            scope: &self.context.caller.scope,
            tenant: self.tenant,
            stream_id: Site::stream_of(self.customer_id),
            cause: &self.context.cause,
            occurred_at: None,
        };
        let store = &self.packages.foundation.store;
        let command = (self.customer_id, command);
        store.execute_in::<Site>(&mut self.tx, target, command).await.map_err(failed)
    }

    /// Notes what became of a package here, where something did.
    async fn keep(
        &mut self,
        package_id: PackageId,
        state: &str,
        committed: Committed,
    ) -> Result<(), ApiError> {
        if committed.repeated || committed.pos.is_none() {
            return Ok(());
        }
        sqlx::query(
            "insert into feeds.package_update (package_id, customer_id, partner_id, state, changed_at)
             values ($1, $2, $3, $4, $5)
             on conflict (package_id, customer_id) do update
                set state = excluded.state, changed_at = excluded.changed_at",
        )
        .bind(package_id.0)
        .bind(self.customer_id.0)
        .bind(self.tenant.partner_id.0)
        .bind(state)
        .bind(self.packages.foundation.clock.now())
        .execute(&mut *self.tx)
        .await
        .map_err(unkept)?;
        Ok(())
    }

    async fn done(self, committed: Committed) -> Result<Accepted<()>, ApiError> {
        commit(self.tx).await?;
        self.packages.wake.notify_one();
        Ok(accepted((), committed))
    }
}

async fn set_connectivity(
    packages: Packages,
    context: CommandContext,
    wish::SetSiteConnectivity { customer_id, connectivity }: wish::SetSiteConnectivity,
) -> Result<Accepted<()>, ApiError> {
    let mut site = AtSite::begin(&packages, &context, Permission::ManageDevices, customer_id).await?;
    let committed = site.execute(SiteCommand::SetConnectivity { connectivity }).await?;
    if !committed.repeated {
        sqlx::query("update feeds.site set connectivity = $2 #>> '{}' where customer_id = $1")
            .bind(customer_id.0)
            .bind(sqlx::types::Json(connectivity))
            .execute(&mut *site.tx)
            .await
            .map_err(unkept)?;
    }
    site.done(committed).await
}

async fn record_version(
    packages: Packages,
    context: CommandContext,
    wish::RecordSiteVersion { customer_id, product, version }: wish::RecordSiteVersion,
) -> Result<Accepted<()>, ApiError> {
    let mut site = AtSite::begin(&packages, &context, Permission::ManageDevices, customer_id).await?;
    let (product, version) = (product.trim().to_owned(), version.trim().to_owned());
    let committed = site.execute(SiteCommand::RecordVersion { product, version }).await?;
    site.done(committed).await
}

async fn start_update(
    packages: Packages,
    context: CommandContext,
    wish::StartPackageUpdate { package_id, customer_id }: wish::StartPackageUpdate,
) -> Result<Accepted<()>, ApiError> {
    let mut site = AtSite::begin(&packages, &context, Permission::Deploy, customer_id).await?;
    let row = table::find(&mut site.tx, package_id).await?;
    // The partner that handed a package in sees it, and its customers do not yet.
    if !row.visible {
        return Err(ApiError::refused(&PackageRefusal::Unknown));
    }
    let readiness = readiness(&row, site.connectivity);
    let of_metadata = row.contents.as_ref().map(|contents| contents.metadata.prerequisites.clone());
    let start = SiteCommand::StartUpdate {
        package_id,
        package: Box::new(row.package.clone()),
        prerequisites: of_metadata.unwrap_or_default(),
        readiness: readiness.clone(),
    };
    let connectivity = site.connectivity;
    let committed = site.execute(start).await?;
    site.keep(package_id, "STARTED", committed).await?;
    let answer = site.done(committed).await?;
    if readiness == Readiness::Automatic {
        // Its own transaction, of its owner's scope. Should it not come to that, the worker does it.
        let start = PackageCommand::StartDownload { connectivity };
        if let Err(error) = packages.execute(package_id, row.tenant, &context.cause, start).await {
            tracing::warn!(package.id = %package_id, error.code = %error.code, error.message = error.chain(), "a download starts later");
        }
    }
    Ok(answer)
}

fn readiness(row: &table::Row, connectivity: Connectivity) -> Readiness {
    let is_automatic = preparation(row.package.package_type, connectivity) == Preparation::Automatic
        && !row.package.downloads.is_empty();
    match row.state.as_str() {
        "READY" => Readiness::Ready,
        "REGISTERED" | "DOWNLOADING" | "DOWNLOAD_FAILED" | "DOWNLOADED" | "VALIDATING" if is_automatic => {
            Readiness::Automatic
        }
        stage => Readiness::NotReady { stage: stage.to_owned() },
    }
}

async fn complete_update(
    packages: Packages,
    context: CommandContext,
    wish::CompletePackageUpdate { package_id, customer_id }: wish::CompletePackageUpdate,
) -> Result<Accepted<()>, ApiError> {
    let mut site = AtSite::begin(&packages, &context, Permission::Deploy, customer_id).await?;
    let committed = site.execute(SiteCommand::CompleteUpdate { package_id }).await?;
    site.keep(package_id, "COMPLETED", committed).await?;
    site.done(committed).await
}

async fn fail_update(
    packages: Packages,
    context: CommandContext,
    wish::FailPackageUpdate { package_id, customer_id, reason }: wish::FailPackageUpdate,
) -> Result<Accepted<()>, ApiError> {
    let mut site = AtSite::begin(&packages, &context, Permission::Deploy, customer_id).await?;
    let committed = site.execute(SiteCommand::FailUpdate { package_id, reason }).await?;
    site.keep(package_id, "FAILED", committed).await?;
    site.done(committed).await
}
