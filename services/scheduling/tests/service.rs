//! The running service over the network: facts arrive through the real broker, commands over HTTP.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its support as well")]

use access::{Caller, Grant, InternalAuth};
use contracts::Service;
use contracts::approvals::{ApprovalEvent, ApprovalMode, ApprovalOpened, PatchApproved};
use contracts::devices::{
    AgentEnrolled, AgentMode, DeviceEvent, JobDelivered, JobReported, JobStep, MissingPackage,
    PatchFoundInstalled, PatchFoundMissing, ScanCompleted,
};
use contracts::permissions::Role;
use contracts::scheduling::{DeviceJobEvent, PatchNow, RebootPolicy, RequestScan};
use contracts::{DevicePlatform, OsRelease};
use eventstore::{Log, Sequencer, Store, Target};
use kernel::{
    Aggregate, DeviceId, Envelope, EventData, JobId, PatchId, Position, Refused, Scope, StreamId, Tenant,
};
use messaging::{Broker, Relay};
use runtime::settings::Address;
use runtime::{Lifecycle, Settings, SystemClock};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;
use testkit::{TestBroker, TestDatabase, cause, eventually, id};
use web::CommandClient;

const STOP_DEADLINE: Duration = Duration::from_secs(20);
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

struct System {
    store: Store,
    lifecycle: Lifecycle,
    client: CommandClient,
    tenant: Tenant,
    caller: Caller,
    _broker: TestBroker,
    _database: TestDatabase,
}

impl System {
    async fn start<const N: usize>(variables: [(&str, &str); N]) -> Self {
        let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
        let connection = database.connect().await;
        let lifecycle = Lifecycle::new();
        let sequencer = Sequencer::new(connection.clone());
        let relay = Relay::new(connection.clone(), Broker::new(broker.url(), "test relay"));
        let (one, other) = (lifecycle.stop.clone(), lifecycle.stop.clone());
        lifecycle.tasks.spawn(async move { sequencer.run(one).await });
        lifecycle.tasks.spawn(async move { relay.run(other).await });

        let mut settings = Settings::from_variables(variables).unwrap();
        settings.database.url = database.service_url().into();
        settings.broker.url = broker.url().into();
        settings.services.set(Service::Scheduling, Address::at("127.0.0.1:0".parse().unwrap()));
        let address = scheduling::run(&settings, &lifecycle).await.unwrap();
        settings.services.set(Service::Scheduling, Address::at(address));
        let http = runtime::http::internal_client(Duration::from_secs(20)).unwrap();
        let auth = InternalAuth::new(&settings.internal);
        let client = CommandClient::new(settings.services.clone(), auth, http, Arc::new(SystemClock));

        let tenant = Tenant::customer(id(), id());
        let caller = Caller {
            user_id: id(),
            subject: "alice".to_owned(),
            scope: Scope::Partner { partner_id: tenant.partner_id },
            grants: vec![Grant::everywhere(Role::PartnerOperator)],
        };
        let store = Store::new(connection);
        Self { store, lifecycle, client, tenant, caller, _broker: broker, _database: database }
    }

    async fn stop(self) {
        self.lifecycle.shutdown(STOP_DEADLINE).await.unwrap();
    }

    async fn happens<E: EventData>(&self, stream_id: StreamId, facts: Vec<E>) {
        let cause = kernel::Cause { traceparent: Some(TRACE.to_owned()), ..cause() };
        let tenant = self.tenant;
        let target = Target { scope: &Scope::Platform, tenant, stream_id, cause: &cause, occurred_at: None };
        self.store.execute::<Facts<E>>(target, facts).await.unwrap();
    }

    async fn device_says(&self, device_id: DeviceId, facts: Vec<DeviceEvent>) {
        self.happens(StreamId(device_id.0), facts).await;
    }

    async fn enrolled(&self) -> DeviceId {
        let device_id = id();
        let enrolled = AgentEnrolled {
            device_id,
            customer_id: self.tenant.customer_id.unwrap(),
            name: "srv-12".to_owned(),
            platform: DevicePlatform::Linux,
            os: OsRelease { id: "debian".to_owned(), version: "12".to_owned() },
            os_name: "Debian GNU/Linux 12 (bookworm)".to_owned(),
            public_key: "key".to_owned(),
            mode: AgentMode::Full,
            agent_version: "0.1.0".to_owned(),
        };
        self.device_says(device_id, vec![enrolled.into()]).await;
        device_id
    }

    /// The first `count` facts of this type, as soon as they are there.
    async fn facts(&self, event_type: &str, count: usize) -> Vec<Envelope> {
        let find = async || {
            let page = Log::new(self.store.database().clone()).page(Position(0), 500).await.unwrap();
            page.into_iter().filter(|event| event.event_type == event_type).collect::<Vec<_>>()
        };
        eventually(event_type, async || find().await.len() >= count).await;
        find().await
    }

    async fn fact(&self, event_type: &str) -> Envelope {
        self.facts(event_type, 1).await.remove(0)
    }
}

#[tokio::test]
async fn a_patch_comes_from_approval_to_proof_over_broker_and_network() {
    let system = System::start([]).await;
    let device_id = system.enrolled().await;
    let requested = system.fact("scheduling.ScanRequested").await;
    assert_eq!(requested.traceparent.as_deref(), Some(TRACE), "the enrolment's trace goes on");

    let patch_id: PatchId = id();
    let customer_id = system.tenant.customer_id.unwrap();
    let missing = PatchFoundMissing {
        device_id,
        patch_id,
        packages: vec![MissingPackage {
            name: "curl".to_owned(),
            installed_version: "1".to_owned(),
            fixed_version: "2".to_owned(),
        }],
    };
    let opened = ApprovalOpened {
        patch_id,
        customer_id,
        platform: DevicePlatform::Linux,
        vendor_patch_id: "DSA-1".to_owned(),
    };
    let by = ApprovalMode::Manual { approved_by: id(), comment: None };
    let approval: Vec<ApprovalEvent> =
        vec![opened.into(), PatchApproved { patch_id, scope: customer_id.into(), by }.into()];
    system.happens(id(), approval).await;
    let scan_job: JobId = requested.stream_id.0.into();
    system.device_says(device_id, vec![missing.into(), scan_completed(device_id, scan_job)]).await;
    // Everything is handled in its order: with this, the approval is known as well.
    system.fact("scheduling.ScanJobCompleted").await;

    let command = PatchNow {
        customer_id,
        name: "now".to_owned(),
        device_ids: vec![device_id],
        patch_ids: vec![patch_id],
        reboot_policy: RebootPolicy::Never,
    };
    let (command_id, correlation_id) = (id(), id());
    let send = async || system.client.send(&system.caller, command.clone(), command_id, correlation_id).await;
    let started = send().await.unwrap();
    let queued = system.fact("scheduling.DeviceJobQueued").await;
    let DeviceJobEvent::DeviceJobQueued(job) = queued.read().unwrap() else { panic!("{queued:?}") };
    assert_eq!((job.device_id, job.patches[0].vendor_patch_id.as_str()), (device_id, "DSA-1"));

    let job_id = job.job_id;
    let said = |report| JobReported { device_id, job_id, report }.into();
    let facts = vec![
        JobDelivered { device_id, job_id }.into(),
        said(JobStep::Acknowledged),
        said(JobStep::Downloading { source: "apt".to_owned() }),
        said(JobStep::Installing),
        said(JobStep::Installed { packages: vec![] }),
        PatchFoundInstalled { device_id, patch_id, job_id: Some(job_id) }.into(),
        scan_completed(device_id, job_id),
    ];
    system.device_says(device_id, facts).await;
    let ended = system.fact("scheduling.RunCompleted").await;
    assert_eq!(ended.stream_id.0, started.answer.run_id.0);

    let again = send().await.unwrap();
    assert_eq!((again.answer, again.written, again.repeated), (started.answer, started.written, true));
    system.stop().await;
}

#[tokio::test]
async fn the_watchdog_of_the_running_service_gives_up_a_scan_that_nobody_begins() {
    let system = System::start([
        ("PATCHFLEET__SCHEDULING__JOB_STALLED_AFTER_SECONDS", "1"),
        ("PATCHFLEET__SCHEDULING__WATCHDOG_INTERVAL_SECONDS", "1"),
    ])
    .await;
    system.enrolled().await;
    let failed = system.fact("scheduling.ScanJobFailed").await;
    assert_eq!(failed.payload["reason"], "no word from the device for 1 seconds");
    assert_eq!(failed.traceparent.as_deref(), Some(TRACE));
    system.stop().await;
}

#[tokio::test]
async fn a_refusal_reaches_the_caller_with_its_code() {
    let system = System::start([]).await;
    let scan = RequestScan { device_id: id() };
    let failure = system.client.send(&system.caller, scan, id(), id()).await.unwrap_err();
    assert_eq!((failure.status, failure.code.as_str()), (404, "scheduling.device_not_found"));
    system.stop().await;
}

fn scan_completed(device_id: DeviceId, job_id: JobId) -> DeviceEvent {
    ScanCompleted {
        device_id,
        job_id: Some(job_id),
        inventory_hash: "ab".repeat(32),
        item_count: 1,
        source: "apt".to_owned(),
        pending_reboot: false,
        catalogue_position: 1,
        missing: 0,
    }
    .into()
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
    type Command = Vec<E>;
    type Event = E;
    type Refusal = Never;

    fn decide((): &(), facts: Vec<E>) -> Result<Vec<E>, Never> {
        Ok(facts)
    }

    fn evolve((): (), _: &E) {}
}
