//! One customer's whole story as facts, marked so that every text of it can be recognised.

use crate::system::{Fact, System};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, NaiveDate, Utc};
use contracts::alerts::{
    AlertEvent, AlertRaised, AlertSeverity, AlertType, DeliveryEvent, DeliveryRetryScheduled, WebhookEvent,
    WebhookRegistered,
};
use contracts::approvals::{
    ApprovalEvent, ApprovalOpened, AutoApprovalRefused, RefusalReason, RuleConditions, RuleContents,
    RuleCreated, RuleEvent, RuleTiming, WhitelistEntryAdded, WhitelistEvent, WhitelistPattern,
};
use contracts::devices::{
    AgentEnrolled, AgentMode, AvailableUpdate, AvailableUpdatesChanged, DeviceCameOnline, DeviceEvent,
    MissingPackage, PatchFoundMissing, ScanCompleted,
};
use contracts::feeds::{
    FeedEvent, FeedFormat, FeedKind, FeedRegistered, PatchEvent, PatchFacts, PatchPublished,
};
use contracts::permissions::Role;
use contracts::scheduling::{
    DeploymentEvent, DeploymentPlanned, DeviceJobEvent, DeviceJobQueued, PatchOrder, RebootPolicy, RunEvent,
    RunStarted, ScanJobEvent, ScanReason, ScanRequested,
};
use contracts::tenancy::{
    CustomerEvent, CustomerRegistered, PartnerEvent, PartnerRegistered, RoleGranted, RoleRevoked, UserEvent,
    UserInvited,
};
use contracts::{Cadence, Classification, DevicePlatform, FixTarget, OsRelease, RebootBehaviour, Severity};
use kernel::{
    AlertId, CustomerId, DeploymentId, DeviceId, EventId, FeedId, JobId, PartnerId, PatchId, Personal,
    RuleId, RunId, SubjectId, Tenant, UserId, WebhookId, derived_id,
};
use testkit::id;
use uuid::Uuid;

/// The ids of one story.
#[derive(Debug, Clone)]
pub(crate) struct World {
    /// Part of every text of the story that is not shared.
    pub(crate) mark: &'static str,
    pub(crate) partner: PartnerId,
    pub(crate) customer: CustomerId,
    pub(crate) feed: FeedId,
    pub(crate) patch: PatchId,
    pub(crate) device: DeviceId,
    pub(crate) approval: Uuid,
    pub(crate) rule: RuleId,
    pub(crate) deployment: DeploymentId,
    pub(crate) run: RunId,
    pub(crate) job: JobId,
    pub(crate) scan_job: JobId,
    pub(crate) alert: AlertId,
    pub(crate) webhook: WebhookId,
    /// The partner's own.
    pub(crate) own_feed: FeedId,
    pub(crate) own_patch: PatchId,
}

impl World {
    pub(crate) fn new(mark: &'static str) -> Self {
        let (customer, patch) = (id::<CustomerId>(), id::<PatchId>());
        Self {
            mark,
            partner: id(),
            customer,
            feed: id(),
            patch,
            device: id(),
            approval: derived_id(patch.0, &customer.to_string()),
            rule: id(),
            deployment: id(),
            run: id(),
            job: id(),
            scan_job: id(),
            alert: id(),
            webhook: id(),
            own_feed: id(),
            own_patch: id(),
        }
    }

    pub(crate) fn tenant(&self) -> Tenant {
        Tenant::customer(self.partner, self.customer)
    }

    pub(crate) fn text(&self, what: &str) -> String {
        format!("{} {what}", self.mark)
    }

    /// The subject of a person with this role here.
    pub(crate) fn subject(&self, role: Role) -> String {
        format!("{}-{role:?}", self.mark)
    }

    /// Every object that has a global id, with its type.
    pub(crate) fn objects(&self) -> Vec<(&'static str, Uuid)> {
        vec![
            ("Customer", self.customer.0),
            ("Device", self.device.0),
            ("DeviceGroup", self.group().0),
            ("Approval", self.approval),
            ("Rule", self.rule.0),
            ("Deployment", self.deployment.0),
            ("DeviceJob", self.job.0),
            ("ScanJob", self.scan_job.0),
            ("Alert", self.alert.0),
            ("Webhook", self.webhook.0),
            ("Feed", self.own_feed.0),
            ("Patch", self.own_patch.0),
            ("Package", self.package().0),
        ]
    }

    /// Records the whole story.
    pub(crate) async fn record(&self, system: &System) {
        self.record_people(system).await;
        self.record_catalogue(system).await;
        self.record_device(system).await;
        self.record_group(system).await;
        self.record_approvals(system).await;
        self.record_deployment(system).await;
        self.record_alerts(system).await;
        self.record_packages(system).await;
    }

    pub(crate) async fn record_people(&self, system: &System) {
        let partner = Fact::of::<PartnerEvent>(PartnerRegistered {
            partner_id: self.partner,
            name: self.text("partner"),
        });
        system.record(Tenant::partner(self.partner), self.partner.0, vec![partner]).await;
        let customer = Fact::of::<CustomerEvent>(CustomerRegistered {
            customer_id: self.customer,
            partner_id: self.partner,
            name: self.text("customer"),
            time_zone: "Europe/Berlin".to_owned(),
        });
        system.record(self.tenant(), self.customer.0, vec![customer]).await;
        for role in Role::ALL.into_iter().filter(|role| *role != Role::PlatformOperator) {
            let customer = role.is_customer_level().then_some(self.customer);
            self.record_user(system, role, customer).await;
        }
    }

    async fn record_user(&self, system: &System, role: Role, customer_id: Option<CustomerId>) -> UserId {
        let user_id = self.user(role);
        let tenant = Tenant { partner_id: self.partner, customer_id };
        let personal = |text| Personal::clear(SubjectId(user_id.0), text);
        let invited = Fact::of::<UserEvent>(UserInvited {
            user_id,
            subject: personal(self.subject(role)),
            display_name: personal(self.text("user")),
        });
        let granted = Fact::of::<UserEvent>(RoleGranted { user_id, role, customer_id });
        system.record(tenant, user_id.0, vec![invited, granted]).await;
        user_id
    }

    pub(crate) fn user(&self, role: Role) -> UserId {
        UserId::derived(self.partner.0, &self.subject(role))
    }

    /// Grants a further role at a customer.
    pub(crate) async fn grant(&self, system: &System, role: Role, at: CustomerId) {
        let user_id = self.user(role);
        let granted = Fact::of::<UserEvent>(RoleGranted { user_id, role, customer_id: Some(at) });
        let tenant = Tenant::customer(self.partner, self.customer);
        system.record(tenant, user_id.0, vec![granted]).await;
    }

    pub(crate) async fn revoke(&self, system: &System, role: Role) {
        let user_id = self.user(role);
        let customer_id = role.is_customer_level().then_some(self.customer);
        let revoked = Fact::of::<UserEvent>(RoleRevoked { user_id, role, customer_id });
        system.record(Tenant { partner_id: self.partner, customer_id }, user_id.0, vec![revoked]).await;
    }

    pub(crate) async fn record_catalogue(&self, system: &System) {
        let feed = Fact::of::<FeedEvent>(FeedRegistered {
            feed_id: self.feed,
            name: "Debian security".to_owned(),
            kind: FeedKind::OsVendor,
            format: FeedFormat::DebianDsaList,
            source: "debian/list".to_owned(),
            schedule: None,
            publisher: None,
        });
        system.record(Tenant::PLATFORM, self.feed.0, vec![feed]).await;
        let published = Fact::of::<PatchEvent>(PatchPublished { patch: self.patch_facts() });
        system.record(Tenant::PLATFORM, self.patch.0, vec![published]).await;
    }

    pub(crate) fn patch_facts(&self) -> PatchFacts {
        let os = OsRelease { id: "debian".to_owned(), version: "12".to_owned() };
        let (source, fixed_version) = ("greeter".to_owned(), "2.0-1".to_owned());
        PatchFacts {
            patch_id: self.patch,
            feed_id: self.feed,
            vendor_patch_id: "DSA-5380-1".to_owned(),
            name: "greeter security update".to_owned(),
            platform: DevicePlatform::Linux,
            os_versions: vec!["Debian 12".to_owned()],
            vendor_severity: "high".to_owned(),
            severity: Severity::High,
            classification: Classification::Security,
            release_date: NaiveDate::from_ymd_opt(2026, 11, 2).unwrap(),
            cves: vec!["CVE-2026-0001".to_owned()],
            targets: vec![FixTarget::SourcePackage { os, source, fixed_version }],
            supersedes: vec!["DSA-5000-1".to_owned()],
            reboot: RebootBehaviour::Never,
            url: None,
            advisories: vec!["DSA-5380-1".to_owned()],
            version: None,
            size_bytes: None,
            cadence: Cadence::Unscheduled,
            out_of_band: None,
            prerequisites: Vec::new(),
            is_dated: true,
        }
    }

    pub(crate) fn enrolled(&self) -> Fact {
        Fact::of::<DeviceEvent>(AgentEnrolled {
            device_id: self.device,
            customer_id: self.customer,
            name: self.text("device"),
            platform: DevicePlatform::Linux,
            os: OsRelease { id: "debian".to_owned(), version: "12".to_owned() },
            os_name: "Debian GNU/Linux 12 (bookworm)".to_owned(),
            public_key: "key".to_owned(),
            mode: AgentMode::Full,
            agent_version: "0.1.0".to_owned(),
        })
    }

    pub(crate) fn scanned(&self) -> Fact {
        Fact::of::<DeviceEvent>(ScanCompleted {
            device_id: self.device,
            job_id: None,
            inventory_hash: "00".repeat(32),
            item_count: 1,
            source: "apt: http://deb.example/debian".to_owned(),
            pending_reboot: false,
            catalogue_position: 1,
            missing: 1,
        })
    }

    pub(crate) fn missing(&self) -> Fact {
        Fact::of::<DeviceEvent>(PatchFoundMissing {
            device_id: self.device,
            patch_id: self.patch,
            packages: vec![MissingPackage {
                name: "greeter".to_owned(),
                installed_version: "1.0-1".to_owned(),
                fixed_version: "2.0-1".to_owned(),
            }],
        })
    }

    pub(crate) async fn record_device(&self, system: &System) {
        let online = Fact::of::<DeviceEvent>(DeviceCameOnline { device_id: self.device });
        let updates = Fact::of::<DeviceEvent>(AvailableUpdatesChanged {
            device_id: self.device,
            updates: vec![AvailableUpdate {
                name: self.text("update"),
                installed_version: "1.0-1".to_owned(),
                candidate_version: "2.0-1".to_owned(),
                origin: "Debian-Security:12/stable-security".to_owned(),
                security: true,
            }],
        });
        let facts = vec![self.enrolled(), online, self.scanned(), self.missing(), updates];
        system.record(self.tenant(), self.device.0, facts).await;
        let scan = Fact::of::<ScanJobEvent>(ScanRequested {
            job_id: self.scan_job,
            device_id: self.device,
            reason: ScanReason::OnDemand,
        });
        system.record(self.tenant(), self.scan_job.0, vec![scan]).await;
    }

    pub(crate) async fn record_approvals(&self, system: &System) {
        let opened = Fact::of::<ApprovalEvent>(ApprovalOpened {
            patch_id: self.patch,
            customer_id: self.customer,
            platform: DevicePlatform::Linux,
            vendor_patch_id: "DSA-5380-1".to_owned(),
        });
        let refused = Fact::of::<ApprovalEvent>(AutoApprovalRefused {
            patch_id: self.patch,
            customer_id: self.customer,
            rule_id: self.rule,
            rule_version: 1,
            reason: RefusalReason::PlatformNotEligible,
            next_change_at: None,
        });
        system.record(self.tenant(), self.approval, vec![opened, refused]).await;
        let rule = Fact::of::<RuleEvent>(RuleCreated {
            rule_id: self.rule,
            owner: self.tenant().into(),
            name: self.text("rule"),
            contents: RuleContents {
                groups: vec![],
                conditions: RuleConditions {
                    severities: vec![Severity::Critical, Severity::High],
                    classifications: vec![Classification::Security],
                    products: vec![self.text("product")],
                    ..RuleConditions::default()
                },
                timing: RuleTiming::Delay { days: 0 },
            },
        });
        system.record(self.tenant(), self.rule.0, vec![rule]).await;
        self.record_partners_rules(system).await;
        let entry = Fact::of::<WhitelistEvent>(WhitelistEntryAdded {
            owner: self.tenant().into(),
            pattern: WhitelistPattern::Product(self.text("product")),
        });
        system.record(self.tenant(), id::<RuleId>().0, vec![entry]).await;
    }

    pub(crate) async fn record_deployment(&self, system: &System) {
        let planned = Fact::of::<DeploymentEvent>(DeploymentPlanned {
            deployment_id: self.deployment,
            customer_id: self.customer,
            name: self.text("deployment"),
            device_ids: vec![self.device],
            patch_ids: vec![],
            reboot_policy: RebootPolicy::Never,
        });
        system.record(self.tenant(), self.deployment.0, vec![planned]).await;
        let started = Fact::of::<RunEvent>(RunStarted {
            run_id: self.run,
            deployment_id: self.deployment,
            job_ids: vec![self.job],
        });
        system.record(self.tenant(), self.run.0, vec![started]).await;
        let queued = Fact::of::<DeviceJobEvent>(DeviceJobQueued {
            job_id: self.job,
            run_id: self.run,
            deployment_id: self.deployment,
            device_id: self.device,
            patches: vec![PatchOrder {
                patch_id: self.patch,
                vendor_patch_id: "DSA-5380-1".to_owned(),
                packages: vec![],
            }],
            reboot_policy: RebootPolicy::Never,
            expires_at: DateTime::<Utc>::UNIX_EPOCH,
        });
        system.record(self.tenant(), self.job.0, vec![queued]).await;
    }

    pub(crate) fn raised(&self, alert_id: AlertId, customer_id: Option<CustomerId>) -> Fact {
        Fact::of::<AlertEvent>(AlertRaised {
            alert_id,
            alert_type: AlertType::PatchFailed,
            severity: AlertSeverity::Critical,
            message: self.text("alert"),
            reason: Some(self.text("reason")),
            customer_id,
            device_id: customer_id.map(|_| self.device),
            job_id: customer_id.map(|_| self.job),
            patch_ids: vec![self.patch],
        })
    }

    pub(crate) async fn record_alerts(&self, system: &System) {
        let raised = self.raised(self.alert, Some(self.customer));
        system.record(self.tenant(), self.alert.0, vec![raised]).await;
        let (alert, webhook) = (id::<AlertId>(), id::<WebhookId>());
        let of_partner = Tenant::partner(self.partner);
        system.record(of_partner, alert.0, vec![self.raised(alert, None)]).await;
        for (tenant, webhook_id) in [(self.tenant(), self.webhook), (of_partner, webhook)] {
            let registered = Fact::of::<WebhookEvent>(WebhookRegistered {
                webhook_id,
                customer_id: tenant.customer_id,
                url: format!("https://{}.example/hook", self.mark),
                event_types: vec!["alerts.*".to_owned()],
            });
            system.record(tenant, webhook_id.0, vec![registered]).await;
        }
        let delivered = Fact::of::<DeliveryEvent>(DeliveryRetryScheduled {
            webhook_id: self.webhook,
            event_id: EventId(derived_id(self.webhook.0, "delivered")),
            attempts: 1,
            status: Some(503),
            reason: self.text("receiver is away"),
            next_attempt_at: DateTime::<Utc>::UNIX_EPOCH,
        });
        system.record(self.tenant(), derived_id(self.webhook.0, "delivery"), vec![delivered]).await;
    }
}

/// The global id of an object, made the way clients see it and must not rely on.
pub(crate) fn global(kind: &str, id: impl Into<Uuid>) -> String {
    URL_SAFE_NO_PAD.encode(format!("{kind}:{}", id.into()))
}
