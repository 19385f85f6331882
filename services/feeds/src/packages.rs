//! Update packages: from their announcement over the storage of their files to their removal.
//!
//! ```text
//! commands ─▶ Package::decide ─▶ event store         publisher ─▶ download ─┐
//!    │ signed addresses                                                     ├─▶ parts in the storage
//!    └──────────▶ people and tools ─PUT─▶ transfer ─────────────────────────┘        │
//!                                                 worker ◀── validation, retention ──┘
//! ```

mod commands;
mod contents;
mod download;
mod files;
mod hashing;
mod links;
mod reactor;
mod removal;
mod sites;
mod storage;
mod stored;
mod table;
mod transfer;
mod worker;

use crate::config::FeedsSettings;
use crate::fetch::Fetcher;
use actix_web::web::ServiceConfig;
use contracts::Service;
use eventstore::{Committed, Target, Tx};
use feeds_domain::package::{Package, PackageCommand, PackageState};
use foundation::{Foundation, failed, store_failed};
use kernel::{Cause, PackageId, Scope, StreamId, Tenant};
use links::Links;
use reactor::Reactor;
use runtime::Settings;
use std::sync::Arc;
use storage::Storage;
use tokio::sync::{Notify, Semaphore};
use web::ApiError;

/// Parts that are taken at the same time; each is in memory as a whole.
const PARTS_AT_ONCE: usize = 8;

/// The part of the service that is about packages.
#[derive(Clone)]
pub(crate) struct Packages {
    foundation: Foundation,
    fetcher: Arc<Fetcher>,
    storage: Storage,
    links: Links,
    /// Whether files may come over http: on a developer's desk only.
    plain_http: bool,
    /// How long a package is kept that nobody needs any more.
    retention_days: u32,
    /// Tells the worker that there is something to do.
    wake: Arc<Notify>,
    parts: Arc<Semaphore>,
}

impl Packages {
    pub(crate) fn new(
        foundation: Foundation,
        settings: &Settings,
        config: &FeedsSettings,
        fetcher: Arc<Fetcher>,
    ) -> anyhow::Result<Self> {
        let address = config.packages_public_url.clone();
        let address = address.unwrap_or_else(|| settings.services.of(Service::Feeds).url.clone());
        Ok(Self {
            foundation,
            fetcher,
            storage: Storage::open(&config.packages_url)?,
            links: Links::new(settings, address)?,
            plain_http: config.plain_http_allowed(settings.environment),
            retention_days: config.package_retention_days,
            wake: Arc::default(),
            parts: Arc::new(Semaphore::new(PARTS_AT_ONCE)),
        })
    }

    /// Starts what works without being asked.
    pub(crate) fn start(&self) {
        self.foundation.consume(Reactor);
        self.foundation.background("packages", worker::run(self.clone()));
    }

    /// Asks a package's aggregate and keeps its row, in one transaction of its owner's scope.
    async fn execute(
        &self,
        package_id: PackageId,
        tenant: Tenant,
        cause: &Cause,
        command: PackageCommand,
    ) -> Result<Committed, ApiError> {
        let mut tx = self.begin(&Scope::partner_of(tenant)).await?;
        let committed = self.execute_in(&mut tx, package_id, tenant, cause, command).await?;
        commit(tx).await?;
        // Whatever it was: the worker looks whether something follows.
        self.wake.notify_one();
        Ok(committed)
    }

    /// The same in a transaction of the owner's scope that goes on.
    async fn execute_in(
        &self,
        tx: &mut Tx,
        package_id: PackageId,
        tenant: Tenant,
        cause: &Cause,
        command: PackageCommand,
    ) -> Result<Committed, ApiError> {
        let scope = &Scope::partner_of(tenant);
        let stream_id = StreamId(package_id.0);
        let target = Target { scope, tenant, stream_id, cause, occurred_at: None };
        let store = &self.foundation.store;
        let command = (package_id, command);
        let committed = store.execute_in::<Package>(tx, target, command).await.map_err(failed)?;
        let state = store.load_in::<Package>(tx, scope, stream_id).await.map_err(store_failed)?;
        if let PackageState::Known { package, certification, stage } = &state {
            let row = table::Kept { package_id, tenant, package, certification: *certification, stage };
            table::keep(tx, row, self.foundation.clock.now()).await?;
        }
        Ok(committed)
    }

    async fn begin(&self, scope: &Scope) -> Result<Tx, ApiError> {
        self.foundation.database.begin(scope).await.map_err(store_failed)
    }
}

/// The routes of the commands, and those of the files' bytes.
pub(crate) fn routes(packages: &Packages, routes: &mut ServiceConfig) {
    commands::routes(packages, routes);
    sites::routes(packages, routes);
    transfer::routes(packages, routes);
}

async fn commit(tx: Tx) -> Result<(), ApiError> {
    tx.commit().await.map_err(unkept)
}

/// What a client is told when the database did not do its part.
fn unkept(error: sqlx::Error) -> ApiError {
    store_failed(error.into())
}
