//! Store, sequencer and the running service.

use access::{Caller, Grant, InternalAuth};
use contracts::auditing::{AuditFilter, AuditPage, ReadAuditTrail};
use contracts::permissions::Role;
use contracts::{Accepted, Service};
use eventstore::{Database, Sequencer, Store, Target};
use kernel::{Aggregate, Cause, CommandId, CorrelationId, EventData, Position, Refused, Scope, Tenant};
use runtime::settings::Address;
use runtime::{Lifecycle, Settings, SystemClock};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;
use testkit::{TestBroker, TestDatabase, cause, eventually, id};
use web::{CommandClient, CommandFailure};

const STOP_DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct System {
    pub(crate) database: TestDatabase,
    _broker: TestBroker,
    pub(crate) connection: Database,
    store: Store,
    lifecycle: Lifecycle,
    client: CommandClient,
}

impl System {
    pub(crate) async fn start() -> Self {
        let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
        let connection = database.connect().await;
        let lifecycle = Lifecycle::new();
        let (sequencer, stop) = (Sequencer::new(connection.clone()), lifecycle.stop.clone());
        lifecycle.tasks.spawn(async move { sequencer.run(stop).await });

        let variables = [
            ("PATCHFLEET__DATABASE__URL", database.service_url()),
            ("PATCHFLEET__BROKER__URL", broker.url()),
            ("PATCHFLEET__SERVICES__AUDITING__LISTEN", "127.0.0.1:0".to_owned()),
        ];
        let settings = Settings::from_variables(variables).unwrap();
        let address = auditing::run(&settings, &lifecycle).await.unwrap();
        let mut services = settings.services.clone();
        services.set(Service::Auditing, Address::at(address));
        let http = runtime::http::internal_client(Duration::from_secs(20)).unwrap();
        let auth = InternalAuth::new(&settings.internal);
        let client = CommandClient::new(services, auth, http, Arc::new(SystemClock));
        let store = Store::new(connection.clone());
        Self { database, _broker: broker, connection, store, lifecycle, client }
    }

    pub(crate) async fn stop(self) {
        self.lifecycle.shutdown(STOP_DEADLINE).await.unwrap();
    }

    /// Records a fact of another service.
    pub(crate) async fn happens<E: EventData>(&self, tenant: Tenant, event: impl Into<E>) {
        self.happens_because::<E>(&cause(), tenant, event).await;
    }

    pub(crate) async fn happens_because<E: EventData>(
        &self,
        cause: &Cause,
        tenant: Tenant,
        event: impl Into<E>,
    ) {
        let target = Target { scope: &Scope::Platform, tenant, stream_id: id(), cause, occurred_at: None };
        self.store.execute::<Facts<E>>(target, event.into()).await.unwrap();
    }

    /// Waits until every event of the store is in the trail.
    pub(crate) async fn has_recorded_all(&self) {
        let question = "select (select count(*) from es.event) - (select count(*) from auditing.record)";
        eventually("everything to be recorded", async || self.count(question).await == 0).await;
    }

    pub(crate) async fn count(&self, question: &'static str) -> i64 {
        let mut owner = self.database.owner().await;
        sqlx::query_scalar(question).fetch_one(&mut owner).await.unwrap()
    }

    pub(crate) async fn send(
        &self,
        caller: &Caller,
        command: ReadAuditTrail,
        command_id: CommandId,
    ) -> Result<Accepted<AuditPage>, CommandFailure> {
        self.client.send(caller, command, command_id, id::<CorrelationId>()).await
    }

    /// A first page of what the caller sees once everything has been recorded.
    pub(crate) async fn reads(&self, caller: &Caller, filter: AuditFilter) -> AuditPage {
        self.has_recorded_all().await;
        self.page(caller, filter, None, 100).await.unwrap()
    }

    pub(crate) async fn page(
        &self,
        caller: &Caller,
        filter: AuditFilter,
        before: Option<Position>,
        limit: u32,
    ) -> Result<AuditPage, CommandFailure> {
        let command = ReadAuditTrail { filter, before, limit };
        Ok(self.send(caller, command, id()).await?.answer)
    }
}

/// Somebody with one role in the scope that belongs to it: the customer's, the partner's or the platform's.
pub(crate) fn caller(role: Role, tenant: Tenant) -> Caller {
    let (scope, grant) = match tenant.customer_id {
        Some(customer_id) => {
            let scope = Scope::Customer { partner_id: tenant.partner_id, customer_id };
            (scope, Grant::at(role, customer_id))
        }
        None => (Scope::partner_of(tenant), Grant::everywhere(role)),
    };
    Caller { user_id: id(), subject: "alice".to_owned(), scope, grants: vec![grant] }
}

/// Takes down whatever it is told, in the place of the service that would decide.
struct Facts<E>(PhantomData<E>);

#[derive(Debug, thiserror::Error)]
#[error("never")]
struct Never;

impl Refused for Never {
    fn code(&self) -> &'static str {
        "test.never"
    }
}

impl<E: EventData> Aggregate for Facts<E> {
    const STREAM: &'static str = "test.facts";
    type State = ();
    type Command = E;
    type Event = E;
    type Refusal = Never;
    fn decide((): &(), event: E) -> Result<Vec<E>, Never> {
        Ok(vec![event])
    }
    fn evolve((): (), _: &E) {}
}
