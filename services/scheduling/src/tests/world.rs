//! A database with a customer's devices, and the log led through the reactor in its order.

use crate::commands::{Services, patch_now, request_scan};
use crate::reactor::Reactor;
use crate::watchdog::Watchdog;
use access::{Caller, Grant};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use contracts::approvals::{ApprovalEvent, ApprovalMode, PatchApproved};
use contracts::devices::{
    AgentEnrolled, AgentMode, DeviceEvent, DeviceWentOffline, JobDelivered, JobReported, JobStep,
    MissingPackage, PatchFoundInstalled, PatchFoundMissing, ScanCompleted,
};
use contracts::feeds::{PatchEvent, PatchFacts, PatchPublished};
use contracts::permissions::Role;
use contracts::scheduling::{PatchNow, RebootPolicy, RequestScan, StartedDeployment};
use contracts::{Accepted, Classification, DevicePlatform, OsRelease, RebootBehaviour, Severity};
use eventstore::{Database, Log, Sequencer, Store, Target};
use kernel::{
    Aggregate, CustomerId, DeviceId, Envelope, EventData, FeedId, JobId, PartnerId, PatchId, Position,
    Refused, Scope, StreamId, Tenant, UserId,
};
use messaging::{Consumer, Outcome};
use runtime::{Clock, SystemClock};
use std::marker::PhantomData;
use std::sync::Arc;
use testkit::{TestDatabase, cause, eventually, id};
use web::{ApiError, CommandContext};

/// Another service's aggregate, for which everything it is told is a fact.
struct Told<E>(PhantomData<E>);

#[derive(Debug, thiserror::Error)]
#[error("never")]
struct Never;

impl Refused for Never {
    fn code(&self) -> &'static str {
        "test.never"
    }
}

impl<E: EventData> Aggregate for Told<E> {
    const STREAM: &'static str = "test.told";
    type State = ();
    type Command = Vec<E>;
    type Event = E;
    type Refusal = Never;

    fn decide((): &(), facts: Vec<E>) -> Result<Vec<E>, Never> {
        Ok(facts)
    }

    fn evolve((): (), _: &E) {}
}

/// A clock that is ahead of the machine's.
struct Ahead(TimeDelta);

impl Clock for Ahead {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + self.0
    }
}

pub(super) struct World {
    // Dropped last: the connections must be gone first.
    pub(super) services: Services,
    pub(super) store: Store,
    reactor: Reactor,
    pub(super) tenant: Tenant,
    _database: TestDatabase,
}

pub(super) const VALID_FOR: TimeDelta = TimeDelta::seconds(3_600);
pub(super) const STALLED_AFTER: TimeDelta = TimeDelta::seconds(1_800);

impl World {
    pub(super) async fn new() -> Self {
        let database = TestDatabase::create().await;
        let connection: Database = database.connect().await;
        let store = Store::new(connection);
        Self {
            services: Services::new(store.clone(), Arc::new(SystemClock), VALID_FOR),
            reactor: Reactor::new(store.clone()),
            tenant: Tenant::customer(id(), id()),
            store,
            _database: database,
        }
    }

    pub(super) fn customer(&self) -> CustomerId {
        self.tenant.customer_id.unwrap()
    }

    /// Writes another service's facts in one batch.
    pub(super) async fn tell<E: EventData>(&self, tenant: Tenant, stream_id: StreamId, facts: Vec<E>) {
        let cause = cause();
        let target = Target { scope: &Scope::Platform, tenant, stream_id, cause: &cause, occurred_at: None };
        self.store.execute::<Told<E>>(target, facts).await.unwrap();
    }

    pub(super) async fn tell_device(&self, device_id: DeviceId, facts: Vec<DeviceEvent>) {
        self.tell(self.tenant, StreamId(device_id.0), facts).await;
    }

    /// Facts about the approval of a patch at the world's customer.
    pub(super) async fn tell_customer(&self, patch_id: PatchId, facts: Vec<ApprovalEvent>) {
        self.tell(self.tenant, StreamId::derived(patch_id.0, "approval"), facts).await;
    }

    /// An enrolled device of the world's customer that misses these patches.
    pub(super) async fn device(&self, mode: AgentMode, missing: &[PatchId]) -> DeviceId {
        let device_id: DeviceId = id();
        let enrolled = AgentEnrolled {
            device_id,
            customer_id: self.customer(),
            name: "srv-12".to_owned(),
            platform: DevicePlatform::Linux,
            os: OsRelease { id: "debian".to_owned(), version: "12".to_owned() },
            os_name: "Debian GNU/Linux 12 (bookworm)".to_owned(),
            public_key: "key".to_owned(),
            mode,
            agent_version: "0.1.0".to_owned(),
        };
        let found = missing.iter().map(|patch_id| found_missing(device_id, *patch_id));
        let facts = std::iter::once(enrolled.into()).chain(found).collect();
        self.tell_device(device_id, facts).await;
        device_id
    }

    pub(super) async fn goes_offline(&self, device_id: DeviceId) {
        let lost = DeviceWentOffline { device_id, last_contact_at: SystemClock.now() };
        self.tell_device(device_id, vec![lost.into()]).await;
    }

    /// A patch of the shared catalogue.
    pub(super) async fn patch(&self, vendor_patch_id: &str) -> PatchId {
        let patch_id: PatchId = id();
        let patch = PatchFacts {
            patch_id,
            feed_id: id::<FeedId>(),
            vendor_patch_id: vendor_patch_id.to_owned(),
            name: "curl".to_owned(),
            platform: DevicePlatform::Linux,
            os_versions: vec![],
            vendor_severity: String::new(),
            severity: Severity::High,
            classification: Classification::Security,
            release_date: NaiveDate::from_ymd_opt(2026, 1, 1).unwrap(),
            cves: vec![],
            targets: vec![],
            supersedes: vec![],
            reboot: RebootBehaviour::Never,
            url: None,
            advisories: Vec::new(),
            version: None,
            size_bytes: None,
            cadence: contracts::Cadence::Monthly,
            out_of_band: None,
            prerequisites: Vec::new(),
            is_dated: true,
        };
        let published: PatchEvent = PatchPublished { patch }.into();
        self.tell(Tenant::PLATFORM, StreamId(patch_id.0), vec![published]).await;
        patch_id
    }

    pub(super) async fn approved_patch(&self, vendor_patch_id: &str) -> PatchId {
        let patch_id = self.patch(vendor_patch_id).await;
        let by = ApprovalMode::Manual { approved_by: id::<UserId>(), comment: None };
        let approved = PatchApproved { patch_id, scope: self.customer().into(), by };
        self.tell_customer(patch_id, vec![approved.into()]).await;
        patch_id
    }

    pub(super) async fn delivered(&self, device_id: DeviceId, job_id: JobId) {
        self.tell_device(device_id, vec![JobDelivered { device_id, job_id }.into()]).await;
    }

    pub(super) async fn reports(&self, device_id: DeviceId, job_id: JobId, report: JobStep) {
        self.tell_device(device_id, vec![JobReported { device_id, job_id, report }.into()]).await;
    }

    /// A scan in the order in which devices write it: what it found, then that it is done.
    pub(super) async fn scans(&self, device_id: DeviceId, job_id: JobId, installed: &[PatchId]) {
        let found = installed.iter().map(|patch_id| {
            PatchFoundInstalled { device_id, patch_id: *patch_id, job_id: Some(job_id) }.into()
        });
        let completed = ScanCompleted {
            device_id,
            job_id: Some(job_id),
            inventory_hash: "ab".repeat(32),
            item_count: 3,
            source: "apt".to_owned(),
            pending_reboot: false,
            catalogue_position: 1,
            missing: 0,
        };
        self.tell_device(device_id, found.chain([completed.into()]).collect()).await;
    }

    /// Leads the whole log through the reactor until nothing new comes of it. Earlier events are led through it again
    /// each time, without an inbox: a redelivery must never have a second effect.
    pub(super) async fn settle(&self) {
        let interests = self.reactor.interests();
        loop {
            let before = self.log().await;
            let wanted = before.iter().filter(|event| {
                let service = event.event_type.split('.').next().unwrap();
                interests.contains(&event.event_type.as_str())
                    || interests.contains(&format!("{service}.*").as_str())
            });
            for event in wanted {
                let mut tx = self.store.database().begin(&Scope::partner_of(event.tenant)).await.unwrap();
                assert_eq!(self.reactor.handle(&mut tx, event).await.unwrap(), Outcome::Handled);
                tx.commit().await.unwrap();
            }
            if self.log().await.len() == before.len() {
                break;
            }
        }
    }

    pub(super) async fn log(&self) -> Vec<Envelope> {
        let database = self.store.database().clone();
        // Other tests' transactions on the same server hold the order up for a moment.
        let sequencer = Sequencer::new(database.clone());
        eventually("every event has its position", async || {
            sequencer.once().await.unwrap().0 == self.events().await
        })
        .await;
        let log = Log::new(database);
        let mut all: Vec<Envelope> = Vec::new();
        loop {
            let after = all.last().map_or(Position(0), |event| event.seq);
            let page = log.page(after, 500).await.unwrap();
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }

    async fn events(&self) -> i64 {
        let mut tx = self.store.database().begin(&Scope::Platform).await.unwrap();
        sqlx::query_scalar("select count(*) from es.event").fetch_one(&mut *tx).await.unwrap()
    }

    /// The names of the service's own facts so far, on one stream.
    pub(super) async fn story(&self, stream_id: impl Into<uuid::Uuid>) -> Vec<String> {
        let stream_id = StreamId(stream_id.into());
        let own = self.log().await.into_iter().filter(|event| event.stream_id == stream_id);
        own.map(|event| event.event_type.trim_start_matches("scheduling.").to_owned()).collect()
    }

    /// The last fact of a stream.
    pub(super) async fn last<E: EventData>(&self, stream_id: impl Into<uuid::Uuid>) -> E {
        let stream_id = StreamId(stream_id.into());
        let log = self.log().await;
        log.iter().rfind(|event| event.stream_id == stream_id).unwrap().read().unwrap()
    }

    pub(super) fn patch_now_command(&self, devices: &[DeviceId], patches: &[PatchId]) -> PatchNow {
        PatchNow {
            customer_id: self.customer(),
            name: "Friday".to_owned(),
            device_ids: devices.to_vec(),
            patch_ids: patches.to_vec(),
            reboot_policy: RebootPolicy::Never,
        }
    }

    pub(super) async fn patch_now(
        &self,
        context: &CommandContext,
        command: PatchNow,
    ) -> Result<Accepted<StartedDeployment>, ApiError> {
        // As the route does: whoever meets the same command on its way asks again.
        loop {
            match patch_now(self.services.clone(), context.clone(), command.clone()).await {
                Err(error) if error.code == "store.busy" => {}
                outcome => return outcome,
            }
        }
    }

    /// Patches the devices now, as the customer's admin.
    pub(super) async fn deploys(&self, devices: &[DeviceId], patches: &[PatchId]) -> StartedDeployment {
        let command = self.patch_now_command(devices, patches);
        let answer = self.patch_now(&self.admin(), command).await.unwrap().answer;
        self.settle().await;
        answer
    }

    pub(super) async fn request_scan(
        &self,
        context: &CommandContext,
        device_id: DeviceId,
    ) -> Result<Accepted<JobId>, ApiError> {
        request_scan(self.services.clone(), context.clone(), RequestScan { device_id }).await
    }

    pub(super) fn admin(&self) -> CommandContext {
        with_role(self.tenant, Role::CustomerAdmin)
    }

    /// A watchdog whose clock is ahead by so much.
    pub(super) fn watchdog(&self, ahead: TimeDelta) -> Watchdog {
        Watchdog::new(self.store.clone(), Arc::new(Ahead(ahead)), STALLED_AFTER)
    }
}

/// A new command of somebody with this role at the tenant's customer.
pub(super) fn with_role(tenant: Tenant, role: Role) -> CommandContext {
    let customer_id = tenant.customer_id.unwrap();
    let scope = Scope::Customer { partner_id: tenant.partner_id, customer_id };
    let grants = vec![Grant::at(role, customer_id)];
    CommandContext {
        caller: Caller { user_id: id(), subject: "alice".to_owned(), scope, grants },
        cause: cause(),
    }
}

/// A new command of a partner's operator.
pub(super) fn operator(partner_id: PartnerId) -> CommandContext {
    let scope = Scope::Partner { partner_id };
    let grants = vec![Grant::everywhere(Role::PartnerOperator)];
    CommandContext {
        caller: Caller { user_id: id(), subject: "bob".to_owned(), scope, grants },
        cause: cause(),
    }
}

pub(super) fn found_missing(device_id: DeviceId, patch_id: PatchId) -> DeviceEvent {
    let packages = vec![MissingPackage {
        name: "curl".to_owned(),
        installed_version: "1".to_owned(),
        fixed_version: "2".to_owned(),
    }];
    PatchFoundMissing { device_id, patch_id, packages }.into()
}
