//! A database and the running service.

use access::{Caller, Grant, InternalAuth};
use contracts::permissions::Role;
use contracts::tenancy::{InviteUser, RegisterCustomer, RegisterPartner};
use contracts::{Accepted, Command, Service};
use kernel::{CommandId, CorrelationId, CustomerId, PartnerId, Scope, Tenant, UserId};
use runtime::settings::Address;
use runtime::{Lifecycle, Settings, SystemClock};
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use testkit::{TestBroker, TestDatabase, id};
use uuid::Uuid;
use web::{CommandClient, CommandFailure};

const STOP_DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct System {
    pub(crate) database: TestDatabase,
    broker: TestBroker,
    lifecycle: Lifecycle,
    client: CommandClient,
    pub(crate) settings: Settings,
    pub(crate) address: SocketAddr,
}

impl System {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With further variables of the environment.
    pub(crate) async fn start_with(variables: &[(&str, &str)]) -> Self {
        Self::start_on(TestDatabase::create().await, TestBroker::create().await, variables).await
    }

    /// The same system after a stop, with further variables.
    pub(crate) async fn restarted_with(self, variables: &[(&str, &str)]) -> Self {
        self.lifecycle.shutdown(STOP_DEADLINE).await.unwrap();
        Self::start_on(self.database, self.broker, variables).await
    }

    async fn start_on(database: TestDatabase, broker: TestBroker, variables: &[(&str, &str)]) -> Self {
        let own = [
            ("PATCHFLEET__DATABASE__URL", database.service_url()),
            ("PATCHFLEET__BROKER__URL", broker.url()),
            ("PATCHFLEET__SERVICES__TENANCY__LISTEN", "127.0.0.1:0".to_owned()),
        ];
        let further = variables.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let settings = Settings::from_variables(own.into_iter().chain(further)).unwrap();
        let lifecycle = Lifecycle::new();
        let address = tenancy::run(&settings, &lifecycle).await.unwrap();
        let mut services = settings.services.clone();
        services.set(Service::Tenancy, Address::at(address));
        let http = runtime::http::internal_client(Duration::from_secs(20)).unwrap();
        let auth = InternalAuth::new(&settings.internal);
        let client = CommandClient::new(services, auth, http, Arc::new(SystemClock));
        Self { database, broker, lifecycle, client, settings, address }
    }

    pub(crate) async fn stop(self) {
        self.lifecycle.shutdown(STOP_DEADLINE).await.unwrap();
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

    pub(crate) async fn partner(&self) -> PartnerId {
        let register = RegisterPartner { name: "Nordlicht IT".to_owned() };
        self.send(&operator(), register).await.unwrap().answer
    }

    pub(crate) async fn customer(&self, partner_id: PartnerId) -> Tenant {
        let register = register_customer(partner_id);
        let customer_id = self.send(&operator(), register).await.unwrap().answer;
        Tenant::customer(partner_id, customer_id)
    }

    pub(crate) async fn user(&self, invite: InviteUser) -> UserId {
        self.send(&operator(), invite).await.unwrap().answer
    }

    /// The facts of one type as they arrived, each with its tenant.
    pub(crate) async fn facts<F: DeserializeOwned>(&self, event_type: &str) -> Vec<(Tenant, F)> {
        let mut owner = self.database.owner().await;
        let rows: Vec<(Uuid, Option<Uuid>, Vec<u8>)> = sqlx::query_as(
            "select partner_id, customer_id, payload from es.event where event_type = $1 order by pos",
        )
        .bind(event_type)
        .fetch_all(&mut owner)
        .await
        .unwrap();
        rows.into_iter()
            .map(|(partner, customer, payload)| {
                let (partner_id, customer_id) = (PartnerId(partner), customer.map(CustomerId));
                (Tenant { partner_id, customer_id }, serde_json::from_slice(&payload).unwrap())
            })
            .collect()
    }

    pub(crate) async fn event_count(&self) -> i64 {
        let mut owner = self.database.owner().await;
        sqlx::query_scalar("select count(*) from es.event").fetch_one(&mut owner).await.unwrap()
    }
}

pub(crate) fn register_customer(partner_id: PartnerId) -> RegisterCustomer {
    let (name, time_zone) = ("Bäckerei Acker".to_owned(), "Europe/Berlin".to_owned());
    RegisterCustomer { partner_id, name, time_zone }
}

pub(crate) fn invite(tenant: Tenant, subject: &str, role: Role) -> InviteUser {
    InviteUser {
        partner_id: tenant.partner_id,
        subject: subject.to_owned(),
        display_name: "Alice".to_owned(),
        role,
        customer_id: tenant.customer_id,
    }
}

pub(crate) fn operator() -> Caller {
    let grants = vec![Grant::everywhere(Role::PlatformOperator)];
    Caller { user_id: id(), subject: "olga".to_owned(), scope: Scope::Platform, grants }
}

/// Somebody of the partner, or of one of its customers.
pub(crate) fn caller(role: Role, tenant: Tenant) -> Caller {
    let (scope, grant) = match tenant.customer_id {
        Some(customer_id) => {
            let scope = Scope::Customer { partner_id: tenant.partner_id, customer_id };
            (scope, Grant::at(role, customer_id))
        }
        None => (Scope::Partner { partner_id: tenant.partner_id }, Grant::everywhere(role)),
    };
    Caller { user_id: id(), subject: "paula".to_owned(), scope, grants: vec![grant] }
}

pub(crate) fn seen(failure: &CommandFailure) -> (u16, &str) {
    (failure.status, failure.code.as_str())
}
