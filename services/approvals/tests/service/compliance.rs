//! How devices stand: after scans, and when something else changes.

use crate::baselines::{create, urgent};
use crate::fixtures::{linux, windows};
use crate::system::{System, caller};
use approvals::compliance::worker::Worker;
use chrono::{DateTime, TimeDelta, Utc};
use contracts::approvals::{
    ApprovalScope, AssignBaseline, BaselineContent, BaselineRule, ChangeBaseline, ComplianceEnded,
    ComplianceEvaluated, ComplianceState, DeviceBecameCompliant, DeviceBecameNonCompliant, NotAssessedReason,
    RetireBaseline, SeverityCounts, UnassignBaseline,
};
use contracts::devices::{
    AgentEnrolled, AgentMode, DeviceEvent, GroupDefined, GroupEvent, GroupMembers, GroupMembershipChanged,
    PatchFoundInstalled, PatchFoundMissing, PatchNoLongerApplicable, ScanCompleted,
};
use contracts::feeds::{
    KevEntry, PatchFacts, VulnerabilityAddedToKev, VulnerabilityEvent, VulnerabilityRemovedFromKev,
};
use contracts::permissions::Role;
use contracts::{DevicePlatform, OsRelease, Severity};
use kernel::{BaselineId, DeviceId, PatchId, Tenant};
use runtime::Clock;
use std::sync::Arc;
use testkit::id;

/// A device of a customer.
struct Seat {
    tenant: Tenant,
    device_id: DeviceId,
}

impl Seat {
    async fn enrolled(system: &System, tenant: Tenant) -> Self {
        let device_id = id();
        let enrolled = AgentEnrolled {
            device_id,
            customer_id: tenant.customer_id.unwrap(),
            name: "web-01".to_owned(),
            platform: DevicePlatform::Linux,
            os: OsRelease { id: "debian".to_owned(), version: "12".to_owned() },
            os_name: "Debian 12".to_owned(),
            public_key: "key".to_owned(),
            mode: AgentMode::Full,
            agent_version: "1".to_owned(),
        };
        let seat = Self { tenant, device_id };
        seat.tells(system, enrolled).await;
        seat
    }

    async fn tells(&self, system: &System, event: impl Into<DeviceEvent>) {
        system.happens::<DeviceEvent>(self.tenant, event).await;
    }

    async fn misses(&self, system: &System, patch_id: PatchId) {
        self.tells(system, PatchFoundMissing { device_id: self.device_id, patch_id, packages: vec![] }).await;
    }

    async fn is_scanned(&self, system: &System, pending_reboot: bool) {
        let scan = ScanCompleted {
            device_id: self.device_id,
            job_id: None,
            inventory_hash: "00".repeat(32),
            item_count: 1,
            source: "apt".to_owned(),
            pending_reboot,
            catalogue_position: 1,
            missing: 0,
        };
        self.tells(system, scan).await;
    }
}

async fn assigned(
    system: &System,
    tenant: Tenant,
    content: BaselineContent,
    scope: ApprovalScope,
) -> BaselineId {
    let admin = caller(Role::CustomerAdmin, tenant);
    let baseline_id = system.send(&admin, create(tenant.customer_id, content)).await.unwrap().answer;
    system.send(&admin, AssignBaseline { baseline_id, scope }).await.unwrap();
    baseline_id
}

async fn results(system: &System) -> Vec<(ComplianceState, u32)> {
    let facts: Vec<ComplianceEvaluated> = system.facts(ComplianceEvaluated::TYPE).await;
    facts.iter().map(|fact| (fact.state, fact.missing.total())).collect()
}

async fn changes(system: &System) -> (usize, usize) {
    let good: Vec<DeviceBecameCompliant> = system.facts(DeviceBecameCompliant::TYPE).await;
    let bad: Vec<DeviceBecameNonCompliant> = system.facts(DeviceBecameNonCompliant::TYPE).await;
    (good.len(), bad.len())
}

fn high(patch: PatchFacts) -> PatchFacts {
    PatchFacts { severity: Severity::High, ..patch }
}

use ComplianceState::{Compliant, NonCompliant, NotAssessed, PendingReboot};

#[tokio::test]
async fn point_97_an_evaluation_follows_each_scan() {
    let system = System::start().await;
    let acme = system.customer().await;
    let patches = [linux(), high(windows())];
    for patch in &patches {
        system.published(patch).await;
    }
    let seat = Seat::enrolled(&system, acme).await;
    assigned(&system, acme, urgent(), acme.customer_id.unwrap().into()).await;
    assert_eq!(results(&system).await, [(NotAssessed, 0)]);

    for patch in &patches {
        seat.misses(&system, patch.patch_id).await;
    }
    seat.is_scanned(&system, false).await;
    let evaluated: Vec<ComplianceEvaluated> = system.facts(ComplianceEvaluated::TYPE).await;
    let counts = SeverityCounts { critical: 1, high: 1, ..SeverityCounts::default() };
    let last = evaluated.last().unwrap();
    assert_eq!((last.state, last.missing), (NonCompliant, counts));
    // It stands in the log which scan it follows from, and whose fact it is.
    let log = system.log().await;
    let event = log.iter().rfind(|event| event.event_type == ComplianceEvaluated::TYPE).unwrap();
    let scan = log.iter().find(|event| event.event_type == ScanCompleted::TYPE).unwrap();
    assert_eq!((event.causation_id, event.tenant), (Some(scan.event_id), acme));
    assert_eq!(last.scanned_at, Some(scan.recorded_at));

    let before = results(&system).await.len();
    seat.is_scanned(&system, false).await;
    assert_eq!(results(&system).await.len(), before + 1);
    assert_eq!(changes(&system).await, (0, 1));
    for patch in &patches {
        let patch_id = patch.patch_id;
        seat.tells(&system, PatchFoundInstalled { device_id: seat.device_id, patch_id, job_id: None }).await;
    }
    seat.is_scanned(&system, true).await;
    assert_eq!(results(&system).await.last(), Some(&(PendingReboot, 0)));
    assert_eq!(changes(&system).await, (0, 1), "a restart is still due");
    seat.is_scanned(&system, false).await;
    assert_eq!(results(&system).await.last(), Some(&(Compliant, 0)));
    assert_eq!(changes(&system).await, (1, 1));
    system.stop().await;
}

#[tokio::test]
async fn a_device_without_a_baseline_is_not_measured() {
    let system = System::start().await;
    let acme = system.customer().await;
    let seat = Seat::enrolled(&system, acme).await;
    seat.is_scanned(&system, false).await;
    assert_eq!(results(&system).await, []);
    system.stop().await;
}

#[tokio::test]
async fn baselines_catalogue_and_kev_change_results_of_the_devices_they_concern() {
    let system = System::start().await;
    let acme = system.customer().await;
    let patch = PatchFacts { severity: Severity::Low, ..linux() };
    let patch_id = system.published(&patch).await;
    let (seat, other) = (Seat::enrolled(&system, acme).await, Seat::enrolled(&system, acme).await);
    let kev = BaselineRule { kev_only: true, ..BaselineRule::default() };
    let content =
        BaselineContent { rules: vec![kev, urgent().rules.remove(0)], ..BaselineContent::default() };
    let baseline_id = assigned(&system, acme, content, acme.customer_id.unwrap().into()).await;
    system.has_read_all().await;
    seat.misses(&system, patch_id).await;
    for seat in [&seat, &other] {
        seat.is_scanned(&system, false).await;
    }
    let known = results(&system).await;
    assert_eq!(known[known.len() - 2..], [(Compliant, 0), (Compliant, 0)]);

    let cve = patch.cves[0].clone();
    let entry = KevEntry {
        date_added: patch.release_date,
        due_date: None,
        ransomware: None,
        vendor: String::new(),
        product: String::new(),
        name: String::new(),
    };
    let platform = Tenant::PLATFORM;
    system.happens::<VulnerabilityEvent>(platform, VulnerabilityAddedToKev { cve: cve.clone(), entry }).await;
    assert_eq!(results(&system).await[known.len()..], [(NonCompliant, 1)], "the other one does not miss it");
    system.happens::<VulnerabilityEvent>(platform, VulnerabilityRemovedFromKev { cve }).await;
    assert_eq!(results(&system).await[known.len() + 1..], [(Compliant, 0)]);
    system.revised(&high(patch), "severity").await;
    assert_eq!(results(&system).await[known.len() + 2..], [(NonCompliant, 1)]);
    let reason = "superseded".to_owned();
    seat.tells(&system, PatchNoLongerApplicable { device_id: seat.device_id, patch_id, reason }).await;
    assert_eq!(results(&system).await[known.len() + 3..], [(Compliant, 0)]);

    // A new version is told of every device, because it is another question.
    let content = BaselineContent { included: vec![patch_id], ..urgent() };
    let admin = caller(Role::CustomerAdmin, acme);
    system.send(&admin, ChangeBaseline { baseline_id, content }).await.unwrap();
    let evaluated: Vec<ComplianceEvaluated> = system.facts(ComplianceEvaluated::TYPE).await;
    let versions: Vec<_> = evaluated[known.len() + 4..].iter().map(|fact| fact.baseline_version).collect();
    assert_eq!(versions, [2, 2]);
    system.send(&admin, RetireBaseline { baseline_id }).await.unwrap();
    assert_eq!(system.facts::<ComplianceEnded>(ComplianceEnded::TYPE).await.len(), 2);
    seat.is_scanned(&system, false).await;
    assert_eq!(results(&system).await.len(), evaluated.len());
    system.stop().await;
}

#[tokio::test]
async fn a_group_s_baseline_holds_for_its_devices_as_they_come_and_go() {
    let system = System::start().await;
    let acme = system.customer().await;
    let (group_id, customer_id) = (id(), acme.customer_id.unwrap());
    let seat = Seat::enrolled(&system, acme).await;
    let device_id = seat.device_id;
    let defined = GroupDefined {
        group_id,
        customer_id,
        name: "Servers".to_owned(),
        members: GroupMembers::Listed { device_ids: vec![] },
    };
    system.happens::<GroupEvent>(acme, defined).await;
    system.has_read_all().await;
    let scope = ApprovalScope::Group { customer_id, group_id };
    let baseline_id = assigned(&system, acme, urgent(), scope).await;
    seat.is_scanned(&system, false).await;
    assert_eq!(results(&system).await, []);

    let member = |added, removed| GroupMembershipChanged { group_id, customer_id, added, removed };
    system.happens::<GroupEvent>(acme, member(vec![device_id], vec![])).await;
    assert_eq!(results(&system).await, [(Compliant, 0)]);
    system.happens::<GroupEvent>(acme, member(vec![], vec![device_id])).await;
    assert_eq!(system.facts::<ComplianceEnded>(ComplianceEnded::TYPE).await.len(), 1);
    system.happens::<GroupEvent>(acme, member(vec![device_id], vec![])).await;
    assert_eq!(results(&system).await, [(Compliant, 0); 2]);
    // By two ways at once: it holds until the last one ends.
    let admin = caller(Role::CustomerAdmin, acme);
    let whole = customer_id.into();
    system.send(&admin, AssignBaseline { baseline_id, scope: whole }).await.unwrap();
    system.send(&admin, UnassignBaseline { baseline_id, scope }).await.unwrap();
    assert_eq!(system.facts::<ComplianceEnded>(ComplianceEnded::TYPE).await.len(), 1);
    system.send(&admin, UnassignBaseline { baseline_id, scope: whole }).await.unwrap();
    assert_eq!(system.facts::<ComplianceEnded>(ComplianceEnded::TYPE).await.len(), 2);
    system.stop().await;
}

/// A clock that stands.
struct At(DateTime<Utc>);

impl Clock for At {
    fn now(&self) -> DateTime<Utc> {
        self.0
    }
}

#[tokio::test]
async fn point_122_after_30_days_without_a_scan_nobody_knows() {
    let system = System::start().await;
    let acme = system.customer().await;
    let seat = Seat::enrolled(&system, acme).await;
    assigned(&system, acme, urgent(), acme.customer_id.unwrap().into()).await;
    system.has_read_all().await;
    seat.is_scanned(&system, false).await;
    assert_eq!(results(&system).await.last(), Some(&(Compliant, 0)));
    let scanned: Vec<ComplianceEvaluated> = system.facts(ComplianceEvaluated::TYPE).await;
    let scanned_at = scanned.last().unwrap().scanned_at.unwrap();

    let almost =
        Worker::new(system.store(), Arc::new(At(scanned_at + TimeDelta::days(30) - TimeDelta::seconds(1))));
    almost.look().await.unwrap();
    assert_eq!(results(&system).await.len(), scanned.len());
    let then = scanned_at + TimeDelta::days(30);
    // The service's own worker goes by the clock of the wall, and may be the one that takes the device.
    testkit::eventually("the device to be measured at that time", async || {
        Worker::new(system.store(), Arc::new(At(then))).look().await.unwrap();
        let facts: Vec<ComplianceEvaluated> = system.facts(ComplianceEvaluated::TYPE).await;
        facts.last().unwrap().not_assessed == Some(NotAssessedReason::NoRecentScan)
    })
    .await;
    assert_eq!(results(&system).await.last(), Some(&(NotAssessed, 0)));
    assert_eq!(changes(&system).await, (1, 0));
    system.stop().await;
}
