//! One operation: who asks, why, and the state of the views it is answered from.

use crate::errors::{coded, failed};
use crate::identity::Identity;
use crate::reading::{Library, View};
use access::{Caller, Reach};
use async_graphql::{Context, Error, Result};
use chrono::{DateTime, TimeDelta, Utc};
use contracts::permissions::Permission;
use eventstore::{Database, Log};
use kernel::{CorrelationId, CustomerId, Position, Tenant};
use runtime::{Clock, Ids, Lifecycle};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::sync::OnceCell;
use web::CommandClient;

/// How long roles hold without being looked up again.
const ROLES_LIFETIME: TimeDelta = TimeDelta::seconds(1);

/// What every operation needs.
pub(crate) struct Services {
    pub(crate) library: Arc<Library>,
    pub(crate) identity: Arc<Identity>,
    /// For what the gateway itself keeps, and for looking beyond the caller's scope.
    pub(crate) database: Database,
    pub(crate) log: Log,
    pub(crate) commands: CommandClient,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) lifecycle: Lifecycle,
}

/// One operation of one caller.
pub(crate) struct Asking {
    pub(crate) services: Arc<Services>,
    pub(crate) caller: Arc<Caller>,
    pub(crate) correlation_id: CorrelationId,
    /// Ours, where the correlation id may be the caller's.
    pub(crate) operation_id: uuid::Uuid,
    /// When the caller's roles were looked up: a socket outlives many operations.
    known_at: DateTime<Utc>,
    /// The greatest position that any part of the operation asks for; 0 for none.
    wait_for: AtomicI64,
    view: OnceCell<Result<View>>,
}

impl Asking {
    pub(crate) fn new(
        services: Arc<Services>,
        (caller, known_at): (Arc<Caller>, DateTime<Utc>),
        correlation_id: CorrelationId,
        wait_for: Option<Position>,
    ) -> Self {
        let wait_for = AtomicI64::new(wait_for.map_or(0, |position| position.0));
        let operation_id = services.ids.uuid();
        Self { services, caller, correlation_id, operation_id, known_at, wait_for, view: OnceCell::new() }
    }

    /// The operation that a field belongs to.
    pub(crate) fn of<'a>(ctx: &Context<'a>) -> &'a Arc<Self> {
        ctx.data_unchecked::<Arc<Self>>()
    }

    /// The same operation with the caller's roles of now, if those at hand may have been revoked since.
    pub(crate) async fn renewed(&self) -> Result<Option<Self>> {
        let now = self.services.clock.now();
        if now - self.known_at < ROLES_LIFETIME {
            return Ok(None);
        }
        let caller = self.services.identity.caller(&self.caller.subject).await.map_err(failed)?;
        let caller = caller.ok_or_else(unknown_user)?;
        let wait_for = Position(self.wait_for.load(Ordering::Relaxed));
        let known = (Arc::new(caller), now);
        Ok(Some(Self::new(self.services.clone(), known, self.correlation_id, Some(wait_for))))
    }

    /// Asks for a state at `position` or later, before the first field is read.
    pub(crate) fn wait_for(&self, position: Position) {
        self.wait_for.fetch_max(position.0, Ordering::Relaxed);
    }

    /// The one state that the whole operation is answered from; opened by the first field that needs it.
    pub(crate) async fn view(&self) -> Result<View> {
        let opened = self.view.get_or_init(|| async {
            let position = self.wait_for.load(Ordering::Relaxed);
            let position = (position > 0).then_some(Position(position));
            self.services.library.open(&self.caller, position, self.services.clock.now()).await
        });
        opened.await.clone()
    }

    /// The state, if any field needed one.
    pub(crate) fn opened(&self) -> Option<&View> {
        self.view.get()?.as_ref().ok()
    }
}

/// What somebody whom no view knows is told.
pub(crate) fn unknown_user() -> Error {
    coded("access.unknown_user", "nobody is known by the token's subject")
}

/// Refuses a caller who may not do this at `customer`, or in the whole scope.
pub(crate) fn require(caller: &Caller, permission: Permission, customer: Option<CustomerId>) -> Result<()> {
    caller.require(permission, customer).map_err(forbidden)
}

/// What a caller without the permission is told.
pub(crate) fn forbidden(denied: access::Denied) -> Error {
    coded(denied.code(), denied.to_string())
}

/// Whether an object of `tenant` exists for the caller at all.
pub(crate) fn reaches(caller: &Caller, tenant: Tenant) -> bool {
    // A customer's people know their partner by its id and nothing else of it.
    caller.scope.covers(tenant)
        && (caller.scope.customer_id().is_some()
            || caller.grants.iter().any(|grant| match grant.customer_id {
                None => true,
                Some(id) => tenant.customer_id == Some(id),
            }))
}

/// The customers that a list may show, where the caller's roles do not reach all of the scope.
pub(crate) fn reachable(caller: &Caller, permission: Permission) -> Option<Vec<String>> {
    match caller.reach(permission) {
        Reach::Everywhere => None,
        Reach::Customers(ids) => Some(ids.iter().map(ToString::to_string).collect()),
    }
}
