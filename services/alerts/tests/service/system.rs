//! Store, sequencer, relay, broker and the running service.

use access::{Caller, Grant, InternalAuth};
use contracts::alerts::{AlertRaised, AlertType};
use contracts::permissions::Role;
use contracts::{Accepted, Command, Service};
use eventstore::{Sequencer, Store, Target};
use kernel::{Aggregate, CommandId, CorrelationId, EventData, PartnerId, Refused, Scope, Tenant};
use messaging::{Broker, Relay};
use runtime::settings::Address;
use runtime::{Lifecycle, Settings, SystemClock};
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;
use testkit::{TestBroker, TestDatabase, cause, eventually, id};
use web::{CommandClient, CommandFailure};

/// Long enough for attempts that are under way to a silent receiver.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct System {
    database: TestDatabase,
    _broker: TestBroker,
    store: Store,
    backbone: Lifecycle,
    alerts: Lifecycle,
    settings: Settings,
    client: CommandClient,
}

impl System {
    pub(crate) async fn start() -> Self {
        Self::start_with("2").await
    }

    /// With so many milliseconds for a second of the retry table.
    pub(crate) async fn start_with(unit_ms: &str) -> Self {
        let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
        let connection = database.connect().await;
        let backbone = Lifecycle::new();
        let sequencer = Sequencer::new(connection.clone());
        let relay = Relay::new(connection.clone(), Broker::new(broker.url(), "test relay"));
        let (one, other) = (backbone.stop.clone(), backbone.stop.clone());
        backbone.tasks.spawn(async move { sequencer.run(one).await });
        backbone.tasks.spawn(async move { relay.run(other).await });

        let mut settings = settings(unit_ms);
        settings.database.url = database.service_url().into();
        settings.broker.url = broker.url().into();
        settings.services.set(Service::Alerts, Address::at("127.0.0.1:0".parse().unwrap()));
        let (alerts, client) = serve(&settings).await;
        Self { database, _broker: broker, store: Store::new(connection), backbone, alerts, settings, client }
    }

    /// The same system after the service was stopped, `statement` was run by the owner, and it was started again.
    pub(crate) async fn restarted_with(self, statement: &'static str) -> Self {
        self.alerts.shutdown(STOP_DEADLINE).await.unwrap();
        let mut owner = self.database.owner().await;
        sqlx::raw_sql(statement).execute(&mut owner).await.unwrap();
        let (alerts, client) = serve(&self.settings).await;
        Self { alerts, client, ..self }
    }

    pub(crate) async fn stop(self) {
        self.alerts.shutdown(STOP_DEADLINE).await.unwrap();
        self.backbone.shutdown(STOP_DEADLINE).await.unwrap();
    }

    /// Records a fact of another service.
    pub(crate) async fn happens<E: EventData>(&self, tenant: Tenant, event: E) {
        let target =
            Target { scope: &Scope::Platform, tenant, stream_id: id(), cause: &cause(), occurred_at: None };
        self.store.execute::<Facts<E>>(target, event).await.unwrap();
    }

    pub(crate) fn caller(partner_id: PartnerId, role: Role) -> Caller {
        let scope = Scope::Partner { partner_id };
        Caller { user_id: id(), subject: "alice".to_owned(), scope, grants: vec![Grant::everywhere(role)] }
    }

    pub(crate) fn caller_at(tenant: Tenant, role: Role) -> Caller {
        let customer_id = tenant.customer_id.unwrap();
        let scope = Scope::Customer { partner_id: tenant.partner_id, customer_id };
        let grants = vec![Grant::at(role, customer_id)];
        Caller { user_id: id(), subject: "bob".to_owned(), scope, grants }
    }

    pub(crate) async fn send<C: Command>(
        &self,
        caller: &Caller,
        command: C,
    ) -> Result<Accepted<C::Answer>, CommandFailure> {
        self.send_as(caller, command, id()).await
    }

    pub(crate) async fn send_as<C: Command>(
        &self,
        caller: &Caller,
        command: C,
        command_id: CommandId,
    ) -> Result<Accepted<C::Answer>, CommandFailure> {
        self.client.send(caller, command, command_id, id::<CorrelationId>()).await
    }

    /// The facts of one type in the order of the log, as soon as there are `count`.
    pub(crate) async fn facts<F: DeserializeOwned>(&self, event_type: &str, count: usize) -> Vec<F> {
        eventually(event_type, async || self.read::<F>(event_type).await.len() >= count).await;
        let facts = self.read(event_type).await;
        assert_eq!(facts.len(), count, "more {event_type} than expected");
        facts
    }

    /// The first alert of this type, as soon as it is there.
    pub(crate) async fn alert(&self, alert_type: AlertType) -> AlertRaised {
        eventually("an alert", async || !self.alerts(alert_type).await.is_empty()).await;
        self.alerts(alert_type).await.remove(0)
    }

    pub(crate) async fn alerts(&self, alert_type: AlertType) -> Vec<AlertRaised> {
        let all = self.read::<AlertRaised>(AlertRaised::TYPE).await;
        all.into_iter().filter(|alert| alert.alert_type == alert_type).collect()
    }

    /// Waits until the service has handled every event that concerns it and no delivery is open.
    pub(crate) async fn has_read_all(&self) {
        eventually("everything to be handled", async || {
            self.count(
                "select (select count(*) from es.event) - (select count(*) from es.order_log)
                      + (select count(*) from es.event e
                          where e.event_type !~ '^alerts\\.Delivery'
                            and not exists (select from es.inbox i
                                             where i.event_id = e.event_id and i.consumer = 'alerts.fan_out'))
                      + (select count(*) from es.event e
                          where e.event_type ~ '^(scheduling|devices|approvals)\\.'
                            and not exists (select from es.inbox i
                                             where i.event_id = e.event_id and i.consumer = 'alerts.raising'))
                      + (select count(*) from alerts.delivery where settled_at is null)",
            )
            .await
                == 0
        })
        .await;
    }

    pub(crate) async fn count(&self, question: &'static str) -> i64 {
        let mut owner = self.database.owner().await;
        sqlx::query_scalar(question).fetch_one(&mut owner).await.unwrap()
    }

    async fn read<F: DeserializeOwned>(&self, event_type: &str) -> Vec<F> {
        let mut owner = self.database.owner().await;
        let payloads: Vec<Vec<u8>> =
            sqlx::query_scalar("select payload from es.event where event_type = $1 order by pos")
                .bind(event_type)
                .fetch_all(&mut owner)
                .await
                .unwrap();
        payloads.iter().map(|payload| serde_json::from_slice(payload).unwrap()).collect()
    }
}

async fn serve(settings: &Settings) -> (Lifecycle, CommandClient) {
    let lifecycle = Lifecycle::new();
    let address = alerts::run(settings, &lifecycle).await.unwrap();
    let mut services = settings.services.clone();
    services.set(Service::Alerts, Address::at(address));
    let http = runtime::http::internal_client(Duration::from_secs(20)).unwrap();
    let client =
        CommandClient::new(services, InternalAuth::new(&settings.internal), http, Arc::new(SystemClock));
    (lifecycle, client)
}

fn settings(unit_ms: &str) -> Settings {
    Settings::from_variables([
        ("PATCHFLEET__ALERTS__WEBHOOK_ALLOWED_ADDRESSES", "127.0.0.0/8, ::1"),
        ("PATCHFLEET__ALERTS__WEBHOOK_RETRY_UNIT_MS", unit_ms),
    ])
    .unwrap()
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
