//! Store, sequencer, relay, broker and the running service.

use access::{Caller, Grant, InternalAuth};
use approvals::reactor::Reactor;
use approvals::rules::RuleTimer;
use chrono::{DateTime, Utc};
use contracts::approvals::{
    AddToWhitelist, CreateRule, RuleConditions, RuleContents, RuleTiming, SavedRule, WhitelistPattern,
};
use contracts::permissions::Role;
use contracts::tenancy::{CustomerEvent, CustomerRegistered};
use contracts::{Accepted, Command, Service, Severity};
use eventstore::{Database, Log, Sequencer, Store, Target};
use kernel::{
    Aggregate, CommandId, CorrelationId, Envelope, EventData, Position, Refused, RuleId, Scope, Tenant,
};
use messaging::{Broker, Consumer, Outcome, Relay};
use runtime::settings::Address;
use runtime::{Clock, Lifecycle, Settings, SystemClock};
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;
use testkit::{TestBroker, TestDatabase, cause, eventually, id};
use web::{CommandClient, CommandFailure};

const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// Events in a test at the most.
const PAGE: i64 = 500;

pub(crate) struct System {
    database: TestDatabase,
    _broker: TestBroker,
    connection: Database,
    store: Store,
    lifecycle: Lifecycle,
    client: CommandClient,
}

impl System {
    pub(crate) async fn start() -> Self {
        Self::start_with([]).await
    }

    /// With settings of the service's own section.
    pub(crate) async fn start_with<const N: usize>(settings: [(&str, &str); N]) -> Self {
        let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
        let connection = database.connect().await;
        let lifecycle = Lifecycle::new();
        let sequencer = Sequencer::new(connection.clone());
        let relay = Relay::new(connection.clone(), Broker::new(broker.url(), "test relay"));
        let (one, other) = (lifecycle.stop.clone(), lifecycle.stop.clone());
        lifecycle.tasks.spawn(async move { sequencer.run(one).await });
        lifecycle.tasks.spawn(async move { relay.run(other).await });

        let own = settings.map(|(key, value)| (format!("PATCHFLEET__APPROVALS__{key}"), value.to_owned()));
        let settings = Settings::from_variables(
            [
                ("PATCHFLEET__DATABASE__URL".to_owned(), database.service_url()),
                ("PATCHFLEET__BROKER__URL".to_owned(), broker.url()),
                ("PATCHFLEET__SERVICES__APPROVALS__LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ]
            .into_iter()
            .chain(own),
        )
        .unwrap();
        let address = approvals::run(&settings, &lifecycle).await.unwrap();
        let mut services = settings.services.clone();
        services.set(Service::Approvals, Address::at(address));
        let http = runtime::http::internal_client(Duration::from_secs(20)).unwrap();
        let auth = InternalAuth::new(&settings.internal);
        let client = CommandClient::new(services, auth, http, Arc::new(SystemClock));
        let store = Store::new(connection.clone());
        Self { database, _broker: broker, connection, store, lifecycle, client }
    }

    pub(crate) async fn stop(self) {
        self.lifecycle.shutdown(STOP_DEADLINE).await.unwrap();
    }

    /// A customer that the service has heard of.
    pub(crate) async fn customer(&self) -> Tenant {
        self.customer_of(id()).await
    }

    /// A further customer of the partner.
    pub(crate) async fn customer_of(&self, partner_id: kernel::PartnerId) -> Tenant {
        let customer_id = id();
        let tenant = Tenant::customer(partner_id, customer_id);
        let (name, time_zone) = ("Acme".to_owned(), "UTC".to_owned());
        let registered = CustomerRegistered { customer_id, partner_id, name, time_zone };
        self.happens::<CustomerEvent>(tenant, registered).await;
        self.has_read_all().await;
        tenant
    }

    /// Records a fact of another service.
    pub(crate) async fn happens<E: EventData>(&self, tenant: Tenant, event: impl Into<E>) {
        let target =
            Target { scope: &Scope::Platform, tenant, stream_id: id(), cause: &cause(), occurred_at: None };
        self.store.execute::<Facts<E>>(target, event.into()).await.unwrap();
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

    /// A whitelist entry, recorded by the customer's admin.
    pub(crate) async fn whitelists(&self, tenant: Tenant, pattern: WhitelistPattern) {
        let admin = caller(Role::CustomerAdmin, tenant);
        let add = AddToWhitelist { customer_id: tenant.customer_id, pattern };
        self.send(&admin, add).await.unwrap();
        self.has_read_all().await;
    }

    /// A rule of the customer for these severities.
    pub(crate) async fn rule(&self, tenant: Tenant, severities: &[Severity]) -> RuleId {
        self.saves(tenant, contents(severities)).await.rule_id
    }

    /// A rule that says this, made by the customer's admin, or by the partner's for all customers.
    pub(crate) async fn saves(&self, owner: Tenant, contents: RuleContents) -> SavedRule {
        let role = if owner.customer_id.is_some() { Role::CustomerAdmin } else { Role::PartnerAdmin };
        let name = "urgent ones".to_owned();
        let create = CreateRule { customer_id: owner.customer_id, name, contents, confirm: false };
        let saved = self.send(&caller(role, owner), create).await.unwrap().answer;
        self.has_read_all().await;
        saved
    }

    /// Lets rules look at what is due at that time, whatever the service's own clock says.
    pub(crate) async fn rules_look_at(&self, now: DateTime<Utc>) {
        RuleTimer::new(self.store.clone(), Arc::new(At(now))).look().await.unwrap();
    }

    /// The store itself, for what acts beside the service.
    pub(crate) fn store(&self) -> Store {
        self.store.clone()
    }

    /// The facts of one type in the order of the log, once the service has reacted to everything.
    pub(crate) async fn facts<F: DeserializeOwned>(&self, event_type: &str) -> Vec<F> {
        let events = self.log().await;
        let of_type = events.into_iter().filter(|event| event.event_type == event_type);
        of_type.map(|event| serde_json::from_value(event.payload).unwrap()).collect()
    }

    /// How many facts of one type there are, in a log of any length.
    pub(crate) async fn count(&self, event_type: &str) -> i64 {
        self.has_read_all().await;
        sqlx::query_scalar("select count(*) from es.event where event_type = $1")
            .bind(event_type)
            .fetch_one(&mut self.database.owner().await)
            .await
            .unwrap()
    }

    /// The log, once the service has reacted to everything.
    pub(crate) async fn log(&self) -> Vec<Envelope> {
        self.has_read_all().await;
        Log::new(self.connection.clone()).page(Position(0), PAGE).await.unwrap()
    }

    /// Waits until every event has its position and the service has handled those that concern it.
    pub(crate) async fn has_read_all(&self) {
        let interests = self.reactor().interests();
        let timer = RuleTimer::new(self.store.clone(), Arc::new(SystemClock));
        eventually("everything to be handled", async || {
            // Beside the service's own timer, as in a second process; only so that nobody waits for its pause.
            timer.look().await.unwrap();
            let mut owner = self.database.owner().await;
            let open: i64 = sqlx::query_scalar(
                "select (select count(*) from es.event) - (select count(*) from es.order_log)
                      + (select count(*) from es.event e
                          where e.event_type = any($1)
                            and not exists (select from es.inbox i
                                             where i.event_id = e.event_id and i.consumer = 'approvals.reactor'))
                      + (select count(*) from approvals.rule_due where due_at <= now())",
            )
            .bind(interests)
            .fetch_one(&mut owner)
            .await
            .unwrap();
            open == 0
        })
        .await;
    }

    fn reactor(&self) -> Reactor {
        Reactor::new(self.store.clone(), Arc::new(SystemClock))
    }

    /// Hands every event of the log to the service a second time, as if its inbox had been lost.
    pub(crate) async fn redelivers_everything(&self) {
        let reactor = self.reactor();
        for event in self.log().await {
            if reactor.interests().contains(&event.event_type.as_str()) {
                let mut tx = self.connection.begin(&Scope::partner_of(event.tenant)).await.unwrap();
                assert_eq!(reactor.handle(&mut tx, &event).await.unwrap(), Outcome::Handled);
                tx.commit().await.unwrap();
            }
        }
    }
}

/// Approves what has one of these severities, at once.
pub(crate) fn contents(severities: &[Severity]) -> RuleContents {
    let conditions = RuleConditions { severities: severities.to_vec(), ..RuleConditions::default() };
    RuleContents { groups: vec![], conditions, timing: RuleTiming::Delay { days: 0 } }
}

/// The same, changed.
pub(crate) fn contents_with(severities: &[Severity], change: impl FnOnce(&mut RuleContents)) -> RuleContents {
    let mut contents = contents(severities);
    change(&mut contents);
    contents
}

/// A clock that stands still.
struct At(DateTime<Utc>);

impl Clock for At {
    fn now(&self) -> DateTime<Utc> {
        self.0
    }
}

/// Somebody with one role in the scope that belongs to it.
pub(crate) fn caller(role: Role, tenant: Tenant) -> Caller {
    let (scope, grant) = if role.is_customer_level() {
        let customer_id = tenant.customer_id.unwrap();
        (Scope::Customer { partner_id: tenant.partner_id, customer_id }, Grant::at(role, customer_id))
    } else {
        (Scope::Partner { partner_id: tenant.partner_id }, Grant::everywhere(role))
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
