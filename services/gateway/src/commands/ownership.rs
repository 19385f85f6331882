//! Whose the objects are that somebody reaches for: another tenant's do not exist, and the attempt is recorded.

use super::ids::Given;
use crate::asking::{Asking, Services, reaches};
use crate::errors::failed;
use crate::schema::global_id::{GlobalId, Kind};
use access::Caller;
use async_graphql::Result;
use contracts::tenancy::RecordDeniedAccess;
use eventstore::StoreError;
use kernel::{CommandId, CustomerId, PartnerId, Scope, Tenant};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The first pause before an attempt is recorded again; the next ones double.
const RECORD_PAUSE: Duration = Duration::from_millis(250);

/// Together about a minute: longer than a service takes to start again.
const RECORD_ATTEMPTS: u32 = 8;

/// An id of the input with its owner.
#[derive(Debug, Clone)]
pub(crate) struct Owned {
    pub(crate) given: Given,
    /// None where the views know of no such object.
    pub(crate) tenant: Option<Tenant>,
}

impl Owned {
    /// Whether there is none for the caller: none at all, or another tenant's.
    pub(crate) fn is_missing_for(&self, caller: &Caller) -> bool {
        match self.tenant {
            Some(tenant) => !is_own(caller, self.given.id, tenant),
            // The catalogue is the service's own: it may know of a patch that the views have not taken in yet.
            None => !is_of_catalogue(self.given.id.kind),
        }
    }

    /// Whether it exists, for others.
    pub(crate) fn is_foreign_to(&self, caller: &Caller) -> bool {
        self.tenant.is_some_and(|tenant| !is_own(caller, self.given.id, tenant))
    }
}

/// Whether the platform has some that are everybody's, and a partner some that are its customers' too.
fn is_of_catalogue(kind: Kind) -> bool {
    match kind {
        Kind::Feed | Kind::Patch | Kind::Package => true,
        Kind::Partner
        | Kind::Customer
        | Kind::User
        | Kind::Device
        | Kind::DeviceGroup
        | Kind::Approval
        | Kind::Rule
        | Kind::Deployment
        | Kind::DeviceJob
        | Kind::ScanJob
        | Kind::Alert
        | Kind::Webhook => false,
    }
}

/// Whether the object exists for the caller.
pub(crate) fn is_own(caller: &Caller, id: GlobalId, tenant: Tenant) -> bool {
    if is_of_catalogue(id.kind) {
        return tenant == Tenant::PLATFORM || caller.scope.partner_id() == Some(tenant.partner_id);
    }
    // Everyone may name their own partner, though a customer's people see nothing of it.
    reaches(caller, tenant)
        || (id.kind == Kind::Partner && caller.scope.partner_id() == Some(PartnerId(id.id)))
}

#[derive(sqlx::FromRow)]
struct OwnerRow {
    n: i64,
    partner_id: Uuid,
    customer_id: Option<Uuid>,
}

/// Whose these are. Looks across all tenants: the answer is for deciding and recording, never for showing.
pub(crate) async fn look_up(asking: &Asking, given: &[Given]) -> Result<Vec<Owned>, StoreError> {
    let mut owned: Vec<Owned> =
        given.iter().map(|given| Owned { given: given.clone(), tenant: None }).collect();
    if given.is_empty() {
        return Ok(owned);
    }
    let kinds: Vec<&str> = given.iter().map(|given| given.id.kind.name()).collect();
    let ids: Vec<Uuid> = given.iter().map(|given| given.id.id).collect();
    let mut tx = asking.services.database.begin(&Scope::Platform).await?;
    let rows: Vec<OwnerRow> = sqlx::query_as(
        "select w.n, o.partner_id, o.customer_id
           from unnest($1::text[], $2::uuid[]) with ordinality as w (kind, id, n)
          cross join lateral (
                select partner_id, null::uuid as customer_id from views.partner where w.kind = 'Partner' and partner_id = w.id
                union all
                select partner_id, customer_id from views.customer where w.kind = 'Customer' and customer_id = w.id
                union all
                select partner_id, customer_id from views.app_user where w.kind = 'User' and user_id = w.id
                union all
                select partner_id, null from views.feed where w.kind = 'Feed' and feed_id = w.id
                union all
                select partner_id, null from views.patch where w.kind = 'Patch' and patch_id = w.id
                union all
                select partner_id, customer_id from views.device where w.kind = 'Device' and device_id = w.id
                union all
                select partner_id, customer_id from views.device_group where w.kind = 'DeviceGroup' and group_id = w.id
                union all
                select partner_id, customer_id from views.approval where w.kind = 'Approval' and approval_id = w.id
                union all
                select partner_id, customer_id from views.rule where w.kind = 'Rule' and rule_id = w.id
                union all
                select partner_id, customer_id from views.deployment where w.kind = 'Deployment' and deployment_id = w.id
                union all
                select partner_id, customer_id from views.device_job where w.kind = 'DeviceJob' and job_id = w.id
                union all
                select partner_id, customer_id from views.scan_job where w.kind = 'ScanJob' and job_id = w.id
                union all
                select partner_id, customer_id from views.alert where w.kind = 'Alert' and alert_id = w.id
                union all
                select partner_id, customer_id from views.webhook where w.kind = 'Webhook' and webhook_id = w.id
                union all
                select partner_id, null from views.package where w.kind = 'Package' and package_id = w.id
                ) o",
    )
    .bind(kinds)
    .bind(ids)
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    for row in rows {
        let place = usize::try_from(row.n - 1).unwrap_or(usize::MAX);
        if let Some(owned) = owned.get_mut(place) {
            let customer_id = row.customer_id.map(CustomerId);
            owned.tenant = Some(Tenant { partner_id: PartnerId(row.partner_id), customer_id });
        }
    }
    Ok(owned)
}

/// Records the attempt if the object exists for others.
pub(crate) async fn note_if_foreign(asking: &Arc<Asking>, id: GlobalId, operation: &str) -> Result<()> {
    let given = [Given { field: "id".to_owned(), id }];
    let owned = look_up(asking, &given).await.map_err(failed)?;
    if owned.iter().any(|owned| owned.is_foreign_to(&asking.caller)) {
        note(asking, id, operation);
    }
    Ok(())
}

/// Records the attempt in the background: an answer that took longer would betray that the object exists.
pub(crate) fn note(asking: &Arc<Asking>, id: GlobalId, operation: &str) {
    let command = RecordDeniedAccess {
        object_kind: id.kind.name().to_owned(),
        object_id: id.id.to_string(),
        operation: operation.to_owned(),
    };
    // Once per operation and object, however often a document names it; by an id that the caller does not choose.
    let name = format!("denied/{}/{}", asking.operation_id, id.id);
    let command_id = CommandId::derived(asking.caller.user_id.0, &name);
    let asking = asking.clone();
    asking.services.lifecycle.clone().spawn("gateway denied access", async move {
        record(&asking, &command, command_id).await;
        Ok::<_, Infallible>(())
    });
}

async fn record(asking: &Asking, command: &RecordDeniedAccess, command_id: CommandId) {
    let Services { commands, lifecycle, .. } = asking.services.as_ref();
    let mut pause = RECORD_PAUSE;
    for attempt in 1..=RECORD_ATTEMPTS {
        let sent = commands.send(&asking.caller, command.clone(), command_id, asking.correlation_id).await;
        let Err(failure) = sent else { return };
        tracing::error!(
            error.code = failure.code,
            error.message = failure.message,
            attempt,
            "a denied access was not recorded"
        );
        if !failure.retryable || lifecycle.stopped_within(pause).await {
            return;
        }
        pause *= 2;
    }
}
