//! Whatever happens, and however it is cut into pages: the views are what each event by itself makes of them.

use crate::system::{Fact, System};
use crate::world::World;
use chrono::{DateTime, TimeDelta, Utc};
use contracts::approvals::{
    ApprovalEvent, ApprovalLapsed, ApprovalMode, ApprovalOpened, ApprovalRevoked, ApprovalScheduled,
    AutoApprovalRefused, PatchApproved, PatchRejected, RefusalReason,
};
use contracts::devices::{
    DeviceCameOnline, DeviceEvent, DeviceExposureChanged, DeviceRegionChanged, DeviceWentOffline,
    JobDelivered, PatchFoundInstalled, PatchNoLongerApplicable, ScanFailed,
};
use contracts::feeds::{
    Cvss, CvssChanged, Epss, EpssChanged, KevEntry, KevEntryChanged, PatchEvent, PatchFacts,
    PatchMarkedOutOfBand, PatchPublished, PatchSuperseded, PatchWithdrawn, SsvcInputs, SsvcInputsChanged,
    VulnerabilityAddedToKev, VulnerabilityEvent, VulnerabilityReinstated, VulnerabilityRejected,
    VulnerabilityRemovedFromKev,
};
use contracts::scheduling::{
    DeviceJobDispatched, DeviceJobEvent, DeviceJobFailed, DeviceJobLateResultRecorded, DeviceJobQueued,
    DeviceJobSkipped, DeviceJobSucceeded, DeviceJobTimedOut, DownloadInitiated, InstallStarted, JobOutcome,
    PatchOrder, RebootPolicy, RebootRequired, SkipReason, VerificationStarted,
};
use contracts::{DevicePlatform, OutOfBandReason};
use kernel::{JobId, PatchId, RuleId, Tenant, derived_id};
use testkit::id;
use uuid::Uuid;

const SEEDS: [u64; 2] = [1, 2];
const PAGES: usize = 6;
const PAGE: usize = 60;

/// Random numbers that are the same for the same seed (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % limit
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// So few devices, patches and jobs that the same rows are met again and again.
struct Fleet {
    dice: Dice,
    devices: Vec<World>,
    patches: Vec<PatchId>,
    queued: Vec<(JobId, usize)>,
}

impl Fleet {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        dice.below(1);
        let world = World::new("acker");
        let devices = (0..3).map(|_| World { device: id(), ..world.clone() }).collect();
        Self { dice, devices, patches: (0..3).map(|_| id()).collect(), queued: Vec::new() }
    }

    /// The next fact, with its tenant and its stream.
    fn next(&mut self) -> (Tenant, Uuid, Fact) {
        let (stream, fact) = match self.dice.below(15) {
            0..5 => self.device_says(),
            5..7 => self.approval_says(),
            7..10 => self.job_says(),
            of_catalogue => {
                let (stream, fact) =
                    if of_catalogue < 13 { self.patch_says() } else { self.vulnerability_says() };
                return (Tenant::PLATFORM, stream, fact);
            }
        };
        (self.devices[0].tenant(), stream, fact)
    }

    fn patch_says(&mut self) -> (Uuid, Fact) {
        let patch_id = self.dice.one(&self.patches);
        let known = self.devices[0].patch_facts();
        let fact: PatchEvent = match self.dice.below(8) {
            0..5 => {
                let cves = (0..3).filter(|_| self.dice.below(2) == 0).map(cve).collect();
                let name = format!("name {}", self.dice.below(4));
                let supersedes = (0..2).filter(|_| self.dice.below(2) == 0).map(|n| format!("DSA-{n}-1"));
                let supersedes = supersedes.collect();
                PatchPublished { patch: PatchFacts { patch_id, name, cves, supersedes, ..known } }.into()
            }
            5 => {
                let superseded_by = self.patches[0];
                PatchSuperseded { patch_id, superseded_by, superseded_by_vendor_id: String::new() }.into()
            }
            6 => PatchMarkedOutOfBand { patch_id, reason: OutOfBandReason::SecurityFix }.into(),
            _ => PatchWithdrawn { patch_id, reason: "broken".to_owned() }.into(),
        };
        (patch_id.0, Fact::of::<PatchEvent>(fact))
    }

    fn vulnerability_says(&mut self) -> (Uuid, Fact) {
        let cve = cve(self.dice.below(3));
        let source = ["nvd", "vendor"][self.dice.below(2)].to_owned();
        let number = u8::try_from(self.dice.below(100)).unwrap();
        let entry = KevEntry {
            date_added: chrono::NaiveDate::default(),
            due_date: None,
            ransomware: None,
            vendor: String::new(),
            product: number.to_string(),
            name: String::new(),
        };
        let stream = derived_id(Uuid::nil(), &cve);
        let fact: VulnerabilityEvent = match self.dice.below(8) {
            0 => VulnerabilityAddedToKev { cve, entry }.into(),
            1 => KevEntryChanged { cve, entry }.into(),
            2 => VulnerabilityRemovedFromKev { cve }.into(),
            3 => {
                let epss = Epss { score: number.into(), percentile: None, date: None };
                EpssChanged { cve, epss }.into()
            }
            4 => {
                let score = Cvss { version: "3.1".to_owned(), vector: String::new(), base_score: number };
                CvssChanged { cve, source, scores: vec![score] }.into()
            }
            5 => {
                let inputs =
                    SsvcInputs { exploitation: None, automatable: Some(true), technical_impact: None };
                SsvcInputsChanged { cve, source, inputs }.into()
            }
            6 => VulnerabilityRejected { cve, source, reason: number.to_string() }.into(),
            _ => VulnerabilityReinstated { cve, source }.into(),
        };
        (stream, Fact::of::<VulnerabilityEvent>(fact))
    }

    fn device_says(&mut self) -> (Uuid, Fact) {
        let at = self.dice.below(self.devices.len());
        let patch_id = self.dice.one(&self.patches);
        let device_id = self.devices[at].device;
        let last_contact_at: DateTime<Utc> =
            DateTime::UNIX_EPOCH + TimeDelta::days(i64::try_from(self.dice.below(40_000)).unwrap());
        let here = World { patch: patch_id, ..self.devices[at].clone() };
        let fact = match self.dice.below(12) {
            0..3 => here.missing(),
            3..5 => PatchFoundInstalled { device_id, patch_id, job_id: None }.fact(),
            5 => PatchNoLongerApplicable { device_id, patch_id, reason: "gone".to_owned() }.fact(),
            6 => DeviceCameOnline { device_id }.fact(),
            7 => DeviceWentOffline { device_id, last_contact_at }.fact(),
            8 if last_contact_at.timestamp() % 2 == 0 => {
                ScanFailed { device_id, job_id: None, reason: "no space".to_owned() }.fact()
            }
            8 => JobDelivered { device_id, job_id: id() }.fact(),
            9 => DeviceExposureChanged { device_id, exposed: last_contact_at.timestamp() % 2 == 0 }.fact(),
            10 => DeviceRegionChanged { device_id, region: Some(last_contact_at.to_string()) }.fact(),
            _ => here.scanned(),
        };
        (device_id.0, fact)
    }

    fn approval_says(&mut self) -> (Uuid, Fact) {
        let patch_id = self.dice.one(&self.patches);
        let customer_id = self.devices[0].customer;
        let vendor_patch_id = "DSA-5380-1".to_owned();
        let fact: ApprovalEvent = match self.dice.below(7) {
            0 => ApprovalOpened { patch_id, customer_id, platform: DevicePlatform::Linux, vendor_patch_id }
                .into(),
            1 => {
                let by = ApprovalMode::Manual { approved_by: id(), comment: Some("go".to_owned()) };
                PatchApproved { patch_id, scope: customer_id.into(), by }.into()
            }
            2 => PatchRejected {
                patch_id,
                scope: customer_id.into(),
                rejected_by: id(),
                comment: "no".to_owned(),
            }
            .into(),
            3 => ApprovalRevoked {
                patch_id,
                scope: customer_id.into(),
                revoked_by: id(),
                comment: "oh".to_owned(),
            }
            .into(),
            4 => {
                let superseded_by = Some(self.patches[0]);
                ApprovalLapsed {
                    patch_id,
                    scope: customer_id.into(),
                    superseded_by,
                    superseded_by_vendor_id: None,
                }
                .into()
            }
            5 => {
                let approves_at =
                    DateTime::UNIX_EPOCH + TimeDelta::days(i64::try_from(self.dice.below(3)).unwrap());
                let (scope, rule_version, inputs) = (customer_id.into(), 1, crate::rules::inputs());
                let rule_id = self.rule();
                ApprovalScheduled { patch_id, scope, rule_id, rule_version, approves_at, inputs }.into()
            }
            _ => {
                let reason = RefusalReason::PlatformNotEligible;
                let rule_id = self.rule();
                let next_change_at = None;
                AutoApprovalRefused {
                    patch_id,
                    customer_id,
                    rule_id,
                    rule_version: 1,
                    reason,
                    next_change_at,
                }
                .into()
            }
        };
        (derived_id(patch_id.0, &customer_id.to_string()), Fact::of::<ApprovalEvent>(fact))
    }

    /// One of two rules.
    fn rule(&mut self) -> RuleId {
        RuleId(derived_id(self.devices[0].rule.0, &self.dice.below(2).to_string()))
    }

    fn job_says(&mut self) -> (Uuid, Fact) {
        if self.queued.is_empty() || self.dice.below(8) == 0 {
            return self.queue();
        }
        // The latest ones: earlier ones have lost their patches to them.
        let latest = self.queued.len().saturating_sub(3);
        let (job_id, at) = self.dice.one(&self.queued[latest..]);
        let World { device, run, deployment, .. } = self.devices[at];
        let (device_id, run_id, deployment_id) = (device, run, deployment);
        let patch_ids = vec![self.patches[0]];
        let fact: DeviceJobEvent = match self.dice.below(10) {
            0 => DeviceJobDispatched { job_id, device_id }.into(),
            1 => DownloadInitiated { job_id, device_id, source: "http://deb.example".to_owned() }.into(),
            2 => InstallStarted { job_id, device_id }.into(),
            3 => RebootRequired { job_id, device_id }.into(),
            4 => VerificationStarted { job_id, device_id, packages: Vec::new() }.into(),
            5 => DeviceJobSucceeded { job_id, run_id, device_id, patch_ids }.into(),
            6 => {
                let (class, reason) = ("install_script".to_owned(), "returned 1".to_owned());
                DeviceJobFailed { job_id, run_id, device_id, class, reason, patch_ids }.into()
            }
            7 => DeviceJobTimedOut { job_id, run_id, device_id, stage: "installing".to_owned() }.into(),
            8 => DeviceJobLateResultRecorded { job_id, device_id, outcome: JobOutcome::Succeeded }.into(),
            _ => DeviceJobSkipped { job_id, run_id, deployment_id, device_id, reason: SkipReason::NoAgent }
                .into(),
        };
        (job_id.0, Fact::of::<DeviceJobEvent>(fact))
    }

    fn queue(&mut self) -> (Uuid, Fact) {
        let (job_id, at) = (id::<JobId>(), self.dice.below(self.devices.len()));
        self.queued.push((job_id, at));
        let here = &self.devices[at];
        let orders = self.patches[..=self.dice.below(self.patches.len())].iter().map(|patch_id| PatchOrder {
            patch_id: *patch_id,
            vendor_patch_id: "DSA-5380-1".to_owned(),
            packages: Vec::new(),
        });
        let queued = DeviceJobQueued {
            job_id,
            run_id: here.run,
            deployment_id: here.deployment,
            device_id: here.device,
            patches: orders.collect(),
            reboot_policy: RebootPolicy::Never,
            expires_at: DateTime::UNIX_EPOCH,
        };
        (job_id.0, Fact::of::<DeviceJobEvent>(queued))
    }
}

fn cve(number: usize) -> String {
    format!("CVE-2026-000{number}")
}

/// A device's event as it stands in the store.
trait AsFact {
    fn fact(self) -> Fact;
}

impl<E: Into<DeviceEvent>> AsFact for E {
    fn fact(self) -> Fact {
        Fact::of::<DeviceEvent>(self)
    }
}

#[tokio::test]
async fn a_page_of_events_leaves_what_its_events_leave_one_by_one() {
    for seed in SEEDS {
        eprintln!("seed {seed}");
        let (system, mut fleet) = (System::start().await, Fleet::new(seed));
        for here in fleet.devices.clone() {
            system.record(here.tenant(), here.device.0, vec![here.enrolled()]).await;
        }
        for _ in 0..PAGES {
            for _ in 0..PAGE {
                let (tenant, stream, fact) = fleet.next();
                system.record(tenant, stream, vec![fact]).await;
            }
            // All get their positions at once, so that the follower finds them as one page.
            let end = system.sequence().await;
            testkit::eventually("the views to be at the end", async || {
                let reached: Option<i64> =
                    sqlx::query_scalar("select seq from es.follower where name = 'views'")
                        .fetch_optional(&mut system.database.owner().await)
                        .await
                        .unwrap();
                reached == Some(end.0)
            })
            .await;
            system.hold_against_the_log().await;
        }
        for rows in [
            "select (select count(*) from views.device_patch) + (select count(*) from views.job_step)",
            "select count(*) from views.patch_version",
        ] {
            let rows: i64 =
                sqlx::query_scalar(rows).fetch_one(&mut system.database.owner().await).await.unwrap();
            assert!(rows > 40, "{rows} rows prove little");
        }
        system.stop().await;
    }
}
