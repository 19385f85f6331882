//! What the facts of all services become in the views.

use crate::system::{Fact, System};
use crate::world::{World, global};
use contracts::approvals::{
    ApprovalEvent, ApprovalLapsed, ApprovalLevel, ApprovalMode, ApprovalRevoked, PatchApproved,
    PatchRejected, RuleDisabled, RuleEvent, RuleInputs, RuleTiming, WhitelistPattern,
};
use contracts::devices::{
    DeviceEvent, DeviceWentOffline, PackageVersion, PatchFoundInstalled, PatchNoLongerApplicable,
};
use contracts::feeds::{FeedEvent, FeedSyncCompleted, FeedSyncFailed};
use contracts::permissions::Role;
use contracts::scheduling::{
    DeviceJobEvent, DeviceJobFailed, DeviceJobSkipped, DeviceJobSucceeded, DownloadInitiated, InstallStarted,
    RebootRequired, SkipReason, VerificationStarted,
};
use contracts::{Classification, Severity};
use kernel::{JobId, Tenant};
use serde_json::{Value, json};
use testkit::id;

async fn start() -> (System, World, String) {
    let system = System::start().await;
    let world = World::new("acker");
    world.record(&system).await;
    let who = world.subject(Role::PartnerAdmin);
    (system, world, who)
}

impl World {
    async fn job_says(&self, system: &System, event: impl Into<DeviceJobEvent>) {
        system.record(self.tenant(), self.job.0, vec![Fact::of::<DeviceJobEvent>(event)]).await;
    }

    async fn device_says(&self, system: &System, event: impl Into<DeviceEvent>) {
        system.record(self.tenant(), self.device.0, vec![Fact::of::<DeviceEvent>(event)]).await;
    }

    async fn approval_says(&self, system: &System, event: impl Into<ApprovalEvent>) {
        system.record(self.tenant(), self.approval, vec![Fact::of::<ApprovalEvent>(event)]).await;
    }

    async fn approve(&self, system: &System) {
        let by = ApprovalMode::Manual {
            approved_by: self.user(Role::CustomerApprover),
            comment: Some("go".into()),
        };
        self.approval_says(system, PatchApproved { patch_id: self.patch, scope: self.customer.into(), by })
            .await;
    }
}

/// The patch on the device: `state status reason`.
async fn device_patch(system: &System, who: &str, world: &World) -> (Value, Value, Value) {
    let query =
        "query($id: ID!) { node(id: $id) { ... on Device { patches { nodes { state status reason } } } } }";
    let data = system.data(who, query, json!({ "id": global("Device", world.device) })).await;
    let patch = data["node"]["patches"]["nodes"][0].clone();
    (patch["state"].clone(), patch["status"].clone(), patch["reason"].clone())
}

#[tokio::test]
async fn a_customer_s_story_can_be_read_in_one_query() {
    let (system, world, who) = start().await;
    let query = "query($id: ID!) { viewer { customer(id: $id) { name timeZone pendingApprovals
        compliance { devices assessed compliant nonCompliant notAssessed pendingReboot percent }
        devices { nodes { name platform osName osRelease mode online scanFreshness scanSource pendingReboot
            missingPatches { totalCount nodes { state packages { name installedVersion fixedVersion }
                patch { vendorPatchId severity cves releaseDate supersedes fixedPackages { os source fixedVersion } kb } } }
            availableUpdates { nodes { name security candidateVersion } }
            scanJobs { nodes { state requestedBecause } } } }
        approvals(state: PENDING) { nodes { state mode refusal { reason ruleVersion rule { name enabled } } } }
        rules { nodes { severities classifications version } }
        whitelist { nodes { kind value } }
        deployments { nodes { name run { state active } jobs { nodes { state patches { name } steps { state } } } } }
        alerts { nodes { type severity state message device { name } job { state } } }
        webhooks { nodes { eventTypes state deliveries { nodes { state attempts httpStatus } } } } } } }";
    let data = system.data(&who, query, json!({ "id": global("Customer", world.customer) })).await;
    insta::assert_json_snapshot!(data["viewer"]["customer"]);
    system.stop().await;
}

#[tokio::test]
async fn a_patch_is_installed_only_after_a_scan_has_seen_it() {
    let (system, world, who) = start().await;
    let (job_id, device_id) = (world.job, world.device);
    let missing = (json!("MISSING"), Value::Null, Value::Null);
    assert_eq!(device_patch(&system, &who, &world).await, missing);
    world.approve(&system).await;
    assert_eq!(device_patch(&system, &who, &world).await.0, "APPROVED_WAITING");

    let source = "http://deb.example".to_owned();
    world.job_says(&system, DownloadInitiated { job_id, device_id, source }).await;
    let downloading = (json!("DOWNLOADING"), json!("IN_PROGRESS"), Value::Null);
    assert_eq!(device_patch(&system, &who, &world).await, downloading);
    world.job_says(&system, InstallStarted { job_id, device_id }).await;
    assert_eq!(device_patch(&system, &who, &world).await.0, "INSTALLING");
    world.job_says(&system, RebootRequired { job_id, device_id }).await;
    assert_eq!(device_patch(&system, &who, &world).await.0, "PENDING_REBOOT");
    let packages = vec![PackageVersion { name: "greeter".into(), version: "2.0-1".into() }];
    world.job_says(&system, VerificationStarted { job_id, device_id, packages: packages.clone() }).await;
    assert_eq!(device_patch(&system, &who, &world).await.0, "VERIFYING");

    let patch_id = world.patch;
    world.device_says(&system, PatchFoundInstalled { device_id, patch_id, job_id: None }).await;
    let installed = (json!("INSTALLED"), json!("INSTALLED"), Value::Null);
    assert_eq!(device_patch(&system, &who, &world).await, installed);
    // What the job's own service says late does not undo what the scan saw.
    world.job_says(&system, VerificationStarted { job_id, device_id, packages }).await;
    let patch_ids = vec![patch_id];
    world.job_says(&system, DeviceJobSucceeded { job_id, run_id: world.run, device_id, patch_ids }).await;
    assert_eq!(device_patch(&system, &who, &world).await, installed);

    let query = "{ viewer { customers { nodes { compliance { compliant nonCompliant percent }
        devices { nodes { missingPatches { totalCount } patches(status: INSTALLED) { totalCount } } } } } } }";
    let customer = &system.data(&who, query, Value::Null).await["viewer"]["customers"]["nodes"][0];
    assert_eq!(customer["compliance"], json!({ "compliant": 1, "nonCompliant": 0, "percent": 100.0 }));
    let device = &customer["devices"]["nodes"][0];
    assert_eq!(device, &json!({ "missingPatches": { "totalCount": 0 }, "patches": { "totalCount": 1 } }));
    system.stop().await;
}

#[tokio::test]
async fn a_failed_patch_keeps_its_reason_and_stays_missing() {
    let (system, world, who) = start().await;
    let failed = DeviceJobFailed {
        job_id: world.job,
        run_id: world.run,
        device_id: world.device,
        class: "install_script".into(),
        reason: "post-installation script returned 1".into(),
        patch_ids: vec![world.patch],
    };
    world.job_says(&system, failed).await;
    let seen = (json!("FAILED"), json!("FAILED"), json!("post-installation script returned 1"));
    assert_eq!(device_patch(&system, &who, &world).await, seen);
    let query = "query($id: ID!) { node(id: $id) { ... on DeviceJob { state reasonCode reason finishedAt
        device { missingPatches { totalCount } patches(status: FAILED) { totalCount } } } } }";
    let job = &system.data(&who, query, json!({ "id": global("DeviceJob", world.job) })).await["node"];
    assert_eq!((&job["state"], &job["reasonCode"]), (&json!("FAILED"), &json!("install_script")));
    assert!(job["finishedAt"].is_string());
    assert_eq!(
        job["device"],
        json!({ "missingPatches": { "totalCount": 1 }, "patches": { "totalCount": 1 } })
    );

    // A further job begins anew.
    let again = World { job: id(), run: id(), deployment: id(), ..world.clone() };
    again.record_deployment(&system).await;
    assert_eq!(device_patch(&system, &who, &world).await.0, "MISSING");
    let (device_id, patch_id) = (world.device, world.patch);
    let gone = PatchNoLongerApplicable { device_id, patch_id, reason: "package removed".into() };
    world.device_says(&system, gone).await;
    assert_eq!(device_patch(&system, &who, &world).await.0, Value::Null);
    system.stop().await;
}

#[tokio::test]
async fn a_skipped_job_says_why() {
    let (system, world, who) = start().await;
    let skipped = World { job: id::<JobId>(), ..world.clone() };
    let event = DeviceJobSkipped {
        job_id: skipped.job,
        run_id: world.run,
        deployment_id: world.deployment,
        device_id: world.device,
        reason: SkipReason::DeviceOffline,
    };
    skipped.job_says(&system, event).await;
    let query = "query($id: ID!) { node(id: $id) { ... on Deployment { run { active skipped }
        jobs { nodes { state reasonCode patches { id } } } } } }";
    let data = system.data(&who, query, json!({ "id": global("Deployment", world.deployment) })).await;
    assert_eq!(data["node"]["run"], json!({ "active": 1, "skipped": 1 }));
    let expected = json!({ "state": "SKIPPED", "reasonCode": "DEVICE_OFFLINE", "patches": [] });
    assert_eq!(data["node"]["jobs"]["nodes"][1], expected);
    system.stop().await;
}

#[tokio::test]
async fn an_approval_shows_its_last_decision_alone() {
    let (system, world, who) = start().await;
    let (patch_id, customer_id) = (world.patch, world.customer);
    let query = "query($id: ID!) { node(id: $id) { ... on Approval { state mode comment decidedBy { displayName }
        rule { name } ruleVersion refusal { reason } supersededBy { id } patch { name } customer { name } } } }";
    let variables = json!({ "id": global("Approval", world.approval) });
    world.approve(&system).await;
    let approval = &system.data(&who, query, variables.clone()).await["node"];
    assert_eq!((&approval["state"], &approval["mode"]), (&json!("APPROVED"), &json!("MANUAL")));
    assert_eq!(approval["decidedBy"]["displayName"], "acker user");
    assert_eq!((&approval["comment"], &approval["refusal"]), (&json!("go"), &Value::Null));

    let (revoked_by, comment) = (world.user(Role::CustomerAdmin), "wait".to_owned());
    world
        .approval_says(&system, ApprovalRevoked { patch_id, scope: customer_id.into(), revoked_by, comment })
        .await;
    let approval = &system.data(&who, query, variables.clone()).await["node"];
    assert_eq!((&approval["state"], &approval["mode"]), (&json!("PENDING"), &Value::Null));

    let by = ApprovalMode::Auto {
        rule_id: world.rule,
        rule_version: 3,
        inputs: RuleInputs {
            whitelist: WhitelistPattern::Classification(Classification::Security),
            whitelist_level: ApprovalLevel::Customer,
            severity: Severity::Critical,
            classification: Classification::Security,
            kev: Some(false),
            rating: None,
            release_date: None,
            timing: RuleTiming::Delay { days: 0 },
        },
        next_change_at: None,
    };
    world.approval_says(&system, PatchApproved { patch_id, scope: customer_id.into(), by }).await;
    let approval = &system.data(&who, query, variables.clone()).await["node"];
    assert_eq!((&approval["mode"], &approval["ruleVersion"]), (&json!("AUTO"), &json!(3)));
    assert_eq!((&approval["rule"]["name"], &approval["comment"]), (&json!("acker rule"), &Value::Null));

    let (rejected_by, comment) = (world.user(Role::CustomerAdmin), "breaks us".to_owned());
    world
        .approval_says(&system, PatchRejected { patch_id, scope: customer_id.into(), rejected_by, comment })
        .await;
    let approval = &system.data(&who, query, variables.clone()).await["node"];
    assert_eq!((&approval["state"], &approval["rule"]), (&json!("REJECTED"), &Value::Null));

    let lapsed = ApprovalLapsed {
        patch_id,
        scope: customer_id.into(),
        superseded_by: None,
        superseded_by_vendor_id: None,
    };
    world.approval_says(&system, lapsed).await;
    let approval = &system.data(&who, query, variables).await["node"];
    assert_eq!((&approval["state"], &approval["comment"]), (&json!("LAPSED"), &Value::Null));
    system.stop().await;
}

#[tokio::test]
async fn rules_devices_and_feeds_show_what_happened_last() {
    let (system, world, who) = start().await;
    let disabled = Fact::of::<RuleEvent>(RuleDisabled { rule_id: world.rule });
    system.record(world.tenant(), world.rule.0, vec![disabled]).await;
    let last_contact_at = chrono::DateTime::UNIX_EPOCH;
    world.device_says(&system, DeviceWentOffline { device_id: world.device, last_contact_at }).await;
    let feed_id = world.feed;
    let synced = Fact::of::<FeedEvent>(FeedSyncCompleted {
        feed_id,
        document_sha256: "ab".repeat(32),
        document_date: None,
        documents: 1,
        published: 2,
        revised: 1,
        unchanged: 0,
        withdrawn: 0,
        vulnerabilities: 0,
        quarantined: vec!["line 3: no date".into()],
        refused: vec![],
        signature: None,
    });
    let failed = Fact::of::<FeedEvent>(FeedSyncFailed {
        feed_id,
        code: "feeds.document_malformed".into(),
        reason: "line 1".into(),
    });
    system.record(Tenant::PLATFORM, feed_id.0, vec![synced, failed]).await;
    let query = "query($rule: ID!, $device: ID!) { rule: node(id: $rule) { ... on Rule { enabled } }
        device: node(id: $device) { ... on Device { online } }
        feeds { nodes { name lastSync { published revised quarantined } lastFailure { code } } } }";
    let variables = json!({ "rule": global("Rule", world.rule), "device": global("Device", world.device) });
    let data = system.data(&who, query, variables).await;
    assert_eq!((&data["rule"]["enabled"], &data["device"]["online"]), (&json!(false), &json!(false)));
    let sync = json!({ "published": 2, "revised": 1, "quarantined": ["line 3: no date"] });
    let feed = json!({ "name": "Debian security", "lastSync": sync, "lastFailure": { "code": "feeds.document_malformed" } });
    assert_eq!(data["feeds"]["nodes"], json!([feed]));
    system.stop().await;
}
