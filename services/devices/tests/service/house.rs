//! A running service with a log, a broker, and agents to talk to it.

use access::{Caller, Grant, InternalAuth};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use contracts::{
    Accepted, Classification, Command, DevicePlatform, FixTarget, OsRelease, RebootBehaviour, Service,
    Severity, VersionOrder,
    agent::{EnrolAnswer, EnrolRequest, InstalledPackage, Inventory, ScanReport},
    devices::{AgentMode, IssueEnrolmentToken, IssuedToken},
    feeds::{PatchEvent, PatchFacts, PatchPublished},
    permissions::Role,
    scheduling::{DeviceJobEvent, ScanJobEvent},
    tenancy::{CustomerEvent, CustomerRegistered},
};
use devices_domain::report::inventory_hash;
use ed25519_dalek::SigningKey;
use eventstore::{Database, Log, Sequencer, Store, Target};
use kernel::{
    Aggregate, CustomerId, DeviceId, Envelope, EventData, PartnerId, PatchId, Position, Refused, Scope,
    StreamId, Tenant,
};
use messaging::{Broker, Relay};
use runtime::{Clock, Lifecycle, Settings, SystemClock};
use serde::de::DeserializeOwned;
use serde_json::Value;
use signing::RequestParts;
use sqlx::PgConnection;
use std::{convert::Infallible, marker::PhantomData, time::Duration};
use testkit::{TestBroker, TestDatabase, cause, eventually, id};
use uuid::Uuid;

pub(crate) struct House {
    pub(crate) base: String,
    pub(crate) store: Store,
    pub(crate) http: reqwest::Client,
    auth: InternalAuth,
    log: Log,
    lifecycle: Lifecycle,
    database: TestDatabase,
    _broker: TestBroker,
}

/// An answer: status and JSON body (null if there was none).
pub(crate) type Answer = (u16, Value);

/// Facts of other services, appended as they are.
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
    type Command = Vec<E>;
    type Event = E;
    type Refusal = Never;
    fn decide((): &(), facts: Vec<E>) -> Result<Vec<E>, Never> {
        Ok(facts)
    }
    fn evolve((): (), _: &E) {}
}

impl House {
    pub(crate) async fn open() -> Self {
        Self::open_with([]).await
    }

    pub(crate) async fn open_with<const N: usize>(more: [(&str, &str); N]) -> Self {
        let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
        let mut variables = vec![
            ("PATCHFLEET__DATABASE__URL", database.service_url()),
            ("PATCHFLEET__BROKER__URL", broker.url()),
            ("PATCHFLEET__SERVICES__DEVICES__LISTEN", "127.0.0.1:0".to_owned()),
        ];
        variables.extend(more.map(|(key, value)| (key, value.to_owned())));
        let settings = Settings::from_variables(variables).unwrap();
        let lifecycle = Lifecycle::new();
        let connected = database.connect().await;
        run_backbone(&lifecycle, &connected, &broker);
        let address = devices::run(&settings, &lifecycle).await.unwrap();
        Self {
            base: format!("http://{address}"),
            store: Store::new(connected.clone()),
            http: runtime::http::internal_client(Duration::from_mins(1)).unwrap(),
            auth: InternalAuth::new(&settings.internal),
            log: Log::new(connected),
            lifecycle,
            database,
            _broker: broker,
        }
    }

    pub(crate) async fn close(self) {
        self.lifecycle.shutdown(Duration::from_mins(1)).await.unwrap();
    }

    pub(crate) async fn owner(&self) -> PgConnection {
        self.database.owner().await
    }

    /// Appends what another service would.
    pub(crate) async fn append<E: EventData>(&self, tenant: Tenant, facts: Vec<E>) {
        let scope = Scope::partner_of(tenant);
        let cause = cause();
        let target = Target { scope: &scope, tenant, stream_id: id(), cause: &cause, occurred_at: None };
        self.store.execute::<Facts<E>>(target, facts).await.unwrap();
    }

    /// A customer that the service has heard of.
    pub(crate) async fn customer(&self) -> Tenant {
        let (partner_id, customer_id): (PartnerId, CustomerId) = (id(), id());
        let tenant = Tenant::customer(partner_id, customer_id);
        let registered = CustomerRegistered {
            customer_id,
            partner_id,
            name: "Baker Ltd".to_owned(),
            time_zone: "Europe/Berlin".to_owned(),
        };
        self.append(tenant, vec![CustomerEvent::from(registered)]).await;
        eventually("the customer is known", || async {
            let count: i64 =
                sqlx::query_scalar("select count(*) from devices.customer where customer_id = $1")
                    .bind(customer_id.0)
                    .fetch_one(&mut self.owner().await)
                    .await
                    .unwrap();
            count == 1
        })
        .await;
        tenant
    }

    pub(crate) async fn publish(&self, patch: PatchFacts) {
        self.append(Tenant::PLATFORM, vec![PatchEvent::from(PatchPublished { patch })]).await;
    }

    pub(crate) async fn scan_job(&self, tenant: Tenant, fact: ScanJobEvent) {
        self.append(tenant, vec![fact]).await;
    }

    pub(crate) async fn install_job(&self, tenant: Tenant, fact: DeviceJobEvent) {
        self.append(tenant, vec![fact]).await;
    }

    /// Waits until the reactor has taken in all that is in the log now, and all that follows from it is told.
    pub(crate) async fn settled(&self) {
        let mut last = 0;
        eventually("the sequencer has caught up", || async {
            let mut owner = self.owner().await;
            let open: i64 = sqlx::query_scalar(
                "select (select count(*) from es.event) - (select count(*) from es.order_log)",
            )
            .fetch_one(&mut owner)
            .await
            .unwrap();
            open == 0
        })
        .await;
        for event in self.events().await {
            let foreign =
                ["feeds.", "scheduling.", "tenancy."].iter().any(|p| event.event_type.starts_with(p));
            if foreign {
                last = event.seq.0;
            }
        }
        eventually("the reactor has caught up", || async {
            let seq: Option<i64> =
                sqlx::query_scalar("select seq from es.consumer where name = 'devices.reactor'")
                    .fetch_optional(&mut self.owner().await)
                    .await
                    .unwrap();
            seq.is_some_and(|seq| seq >= last)
        })
        .await;
        eventually("every inventory is judged and every device is told", || async {
            let open: i64 = sqlx::query_scalar("select count(*) from devices.judgement")
                .fetch_one(&mut self.owner().await)
                .await
                .unwrap();
            open == 0
        })
        .await;
    }

    /// The log.
    pub(crate) async fn events(&self) -> Vec<Envelope> {
        let mut all = Vec::new();
        loop {
            let after = all.last().map_or(Position(0), |event: &Envelope| event.seq);
            let page = self.log.page(after, 500).await.unwrap();
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }

    /// Names of the device's facts, in their order.
    pub(crate) async fn story(&self, device_id: DeviceId) -> Vec<String> {
        eventually("the log is complete", || async {
            let open: i64 = sqlx::query_scalar(
                "select (select count(*) from es.event) - (select count(*) from es.order_log)",
            )
            .fetch_one(&mut self.owner().await)
            .await
            .unwrap();
            open == 0
        })
        .await;
        self.facts(device_id)
            .await
            .into_iter()
            .map(|event| event.event_type.trim_start_matches("devices.").to_owned())
            .collect()
    }

    pub(crate) async fn facts(&self, device_id: DeviceId) -> Vec<Envelope> {
        let mut facts = self.events().await;
        facts.retain(|event| event.stream_id == StreamId(device_id.0));
        facts
    }

    /// Sends a command in the name of somebody with `role`.
    pub(crate) async fn command<C: Command>(
        &self,
        scope: Scope,
        grant: Grant,
        command: &C,
        command_id: Uuid,
    ) -> Answer {
        let caller = Caller { user_id: id(), subject: "somebody".to_owned(), scope, grants: vec![grant] };
        let assertion = self.auth.assertion(&caller, Service::Devices, SystemClock.now()).unwrap();
        let body =
            serde_json::json!({ "command": command, "commandId": command_id, "correlationId": command_id });
        let request = self.http.post(format!("{}/commands/{}", self.base, C::NAME)).bearer_auth(assertion);
        answer(request.json(&body).send().await.unwrap()).await
    }

    /// A token for a device of `tenant`.
    pub(crate) async fn token(&self, tenant: Tenant, valid_for_seconds: u32) -> String {
        let customer_id = tenant.customer_id.unwrap();
        let scope = Scope::Partner { partner_id: tenant.partner_id };
        let issue = IssueEnrolmentToken { customer_id, valid_for_seconds };
        let grant = Grant::everywhere(Role::PartnerAdmin);
        let (status, body) = self.command(scope, grant, &issue, id()).await;
        assert_eq!(status, 200, "{body}");
        read::<Accepted<IssuedToken>>(body).answer.token.unwrap()
    }

    pub(crate) async fn post_enrolment(&self, request: &EnrolRequest) -> Answer {
        let request = self.http.post(format!("{}/agent/v1/enrol", self.base)).json(request);
        answer(request.send().await.unwrap()).await
    }

    /// An enrolled agent on a device of `tenant`.
    pub(crate) async fn agent(&self, tenant: Tenant, platform: DevicePlatform) -> Agent {
        let key = new_key();
        let request = enrolment(&self.token(tenant, 600).await, &key, platform);
        let (status, body) = self.post_enrolment(&request).await;
        assert_eq!(status, 201, "{body}");
        let enrolled: EnrolAnswer = read(body);
        assert_eq!(Some(enrolled.customer_id), tenant.customer_id);
        let job_key = signing::public_key(&enrolled.job_public_key).unwrap();
        Agent {
            device_id: enrolled.device_id,
            tenant,
            key,
            job_key,
            http: self.http.clone(),
            base: self.base.clone(),
        }
    }
}

fn run_backbone(lifecycle: &Lifecycle, database: &Database, broker: &TestBroker) {
    let (sequencer, stop) = (Sequencer::new(database.clone()), lifecycle.stop.clone());
    lifecycle.spawn("sequencer", async move {
        sequencer.run(stop).await;
        Ok::<_, Infallible>(())
    });
    let relay = Relay::new(database.clone(), Broker::new(broker.url(), "test"));
    let stop = lifecycle.stop.clone();
    lifecycle.spawn("relay", async move {
        relay.run(stop).await;
        Ok::<_, Infallible>(())
    });
}

/// A device's agent.
pub(crate) struct Agent {
    pub(crate) device_id: DeviceId,
    pub(crate) tenant: Tenant,
    pub(crate) key: SigningKey,
    pub(crate) job_key: ed25519_dalek::VerifyingKey,
    pub(crate) http: reqwest::Client,
    pub(crate) base: String,
}

impl Agent {
    pub(crate) async fn get(&self, path: &str, query: &str) -> Answer {
        self.send("GET", path, query, Vec::new(), now(), &nonce()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &impl serde::Serialize) -> Answer {
        self.send("POST", path, "", serde_json::to_vec(body).unwrap(), now(), &nonce()).await
    }

    pub(crate) async fn scan(&self, report: &ScanReport) -> Answer {
        self.post("/agent/v1/scans", report).await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        query: &str,
        body: Vec<u8>,
        created: DateTime<Utc>,
        nonce: &str,
    ) -> Answer {
        let parts = RequestParts { method, path, query, body: &body };
        let keyid = self.device_id.to_string();
        let headers = signing::sign(&self.key, parts, created.timestamp(), nonce, &keyid);
        let question = if query.is_empty() { "" } else { "?" };
        let request = self
            .http
            .request(method.parse().unwrap(), format!("{}{path}{question}{query}", self.base))
            .header(signing::HEADER_CONTENT_DIGEST, headers.content_digest)
            .header(signing::HEADER_SIGNATURE_INPUT, headers.signature_input)
            .header(signing::HEADER_SIGNATURE, headers.signature)
            .body(body);
        answer(request.send().await.unwrap()).await
    }
}

async fn answer(response: reqwest::Response) -> Answer {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

pub(crate) fn read<T: DeserializeOwned>(body: Value) -> T {
    serde_json::from_value(body).unwrap()
}

pub(crate) fn code(answer: &Answer) -> (u16, &str) {
    (answer.0, answer.1["code"].as_str().unwrap_or_default())
}

pub(crate) fn now() -> DateTime<Utc> {
    SystemClock.now()
}

pub(crate) fn nonce() -> String {
    id::<Uuid>().simple().to_string()
}

pub(crate) fn new_key() -> SigningKey {
    let (a, b): (Uuid, Uuid) = (id(), id());
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(a.as_bytes());
    bytes[16..].copy_from_slice(b.as_bytes());
    SigningKey::from_bytes(&bytes)
}

pub(crate) fn bookworm() -> OsRelease {
    OsRelease { id: "debian".to_owned(), version: "12".to_owned() }
}

pub(crate) fn windows() -> OsRelease {
    OsRelease { id: "windows".to_owned(), version: "Windows 11 Version 22H2".to_owned() }
}

pub(crate) fn enrolment(token: &str, key: &SigningKey, platform: DevicePlatform) -> EnrolRequest {
    EnrolRequest {
        token: token.to_owned(),
        public_key: signing::public_key_text(&key.verifying_key()),
        name: "srv-12".to_owned(),
        platform,
        os: match platform {
            DevicePlatform::Linux => bookworm(),
            DevicePlatform::Windows => windows(),
        },
        os_name: "some system".to_owned(),
        mode: AgentMode::Full,
        agent_version: "0.1.0".to_owned(),
    }
}

pub(crate) fn packages(list: &[(&str, &str)]) -> Inventory {
    let packages = list.iter().map(|(name, version)| InstalledPackage {
        name: (*name).to_owned(),
        version: (*version).to_owned(),
        architecture: "amd64".to_owned(),
        source: (*name).to_owned(),
        source_version: (*version).to_owned(),
        module: None,
    });
    Inventory::Packages { order: VersionOrder::Dpkg, packages: packages.collect() }
}

pub(crate) fn updates(installed: &[&str], applicable: &[&str]) -> Inventory {
    let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
    Inventory::WindowsUpdates {
        installed: texts(installed),
        applicable: texts(applicable),
        build: "10.0".to_owned(),
    }
}

pub(crate) fn scan_of(os: OsRelease, inventory: Inventory) -> ScanReport {
    ScanReport {
        report_id: id(),
        job_id: None,
        scanned_at: now() - TimeDelta::minutes(5),
        inventory_hash: inventory_hash(&os, &inventory),
        os,
        inventory: Some(inventory),
        available: vec![],
        source: "apt: http://deb.example.org/debian".to_owned(),
        pending_reboot: false,
    }
}

pub(crate) fn dsa(n: u128, source: &str, fixed_version: &str) -> PatchFacts {
    let target = FixTarget::SourcePackage {
        os: bookworm(),
        source: source.to_owned(),
        fixed_version: fixed_version.to_owned(),
    };
    patch(n, &format!("DSA-{n}-1"), DevicePlatform::Linux, target)
}

pub(crate) fn kb(n: u128) -> PatchFacts {
    let kb = format!("KB{n}");
    let target = FixTarget::Kb { os: windows(), kb: kb.clone(), fixed_build: None };
    patch(n, &kb, DevicePlatform::Windows, target)
}

fn patch(n: u128, vendor_id: &str, platform: DevicePlatform, target: FixTarget) -> PatchFacts {
    PatchFacts {
        patch_id: patch_id(n),
        feed_id: id(),
        vendor_patch_id: vendor_id.to_owned(),
        name: vendor_id.to_owned(),
        platform,
        os_versions: vec![],
        vendor_severity: String::new(),
        severity: Severity::Unknown,
        classification: Classification::Security,
        release_date: NaiveDate::from_ymd_opt(2026, 1, 1).unwrap(),
        cves: vec![],
        targets: vec![target],
        supersedes: vec![],
        reboot: RebootBehaviour::Unknown,
        url: None,
        advisories: Vec::new(),
        version: None,
        size_bytes: None,
        cadence: contracts::Cadence::Monthly,
        out_of_band: None,
        prerequisites: Vec::new(),
        is_dated: true,
    }
}

pub(crate) fn patch_id(n: u128) -> PatchId {
    PatchId(Uuid::from_u128(n))
}
