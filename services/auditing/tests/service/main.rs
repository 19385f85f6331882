//! The running service: every event becomes a record, and each reader sees what is theirs to see.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its support as well")]

mod system;

use contracts::approvals::{
    ApprovalEvent, ApprovalLevel, ApprovalMode, ApprovalRevoked, PatchApproved, RuleInputs, RuleTiming,
    WhitelistPattern,
};
use contracts::auditing::{AuditFilter, AuditPage, AuditRecordRead, ReadAuditTrail};
use contracts::feeds::{PatchEvent, PatchWithdrawn};
use contracts::permissions::Role;
use contracts::tenancy::{AccessEvent, CrossTenantAccessDenied, PartnerEvent, PartnerRegistered};
use contracts::{Classification, Severity};
use eventstore::Log;
use kernel::{Actor, Cause, PatchId, Position, RuleId, Tenant, UserId, canonical_json};
use serde_json::Value;
use sha2::{Digest, Sha256};
use system::{System, caller};
use testkit::{cause, id};

fn by_hand(approved_by: UserId, comment: &str) -> ApprovalMode {
    ApprovalMode::Manual { approved_by, comment: Some(comment.to_owned()) }
}

fn by_rule(rule_id: RuleId, rule_version: u32) -> ApprovalMode {
    ApprovalMode::Auto {
        rule_id,
        rule_version,
        inputs: RuleInputs {
            whitelist: WhitelistPattern::Product("Windows 11".to_owned()),
            whitelist_level: ApprovalLevel::Customer,
            severity: Severity::Critical,
            classification: Classification::Security,
            kev: Some(false),
            rating: None,
            release_date: None,
            timing: RuleTiming::Delay { days: 0 },
        },
        next_change_at: None,
    }
}

fn approved(tenant: Tenant, patch_id: PatchId, by: ApprovalMode) -> PatchApproved {
    PatchApproved { patch_id, scope: tenant.customer_id.unwrap().into(), by }
}

fn revoked(tenant: Tenant, comment: &str) -> ApprovalRevoked {
    let customer_id = tenant.customer_id.unwrap();
    ApprovalRevoked {
        patch_id: id(),
        scope: customer_id.into(),
        revoked_by: id(),
        comment: comment.to_owned(),
    }
}

fn about(object: &impl ToString) -> AuditFilter {
    AuditFilter { subject_id: Some(object.to_string()), ..AuditFilter::default() }
}

fn of_type(event_type: &str) -> AuditFilter {
    AuditFilter { event_types: vec![event_type.to_owned()], ..AuditFilter::default() }
}

fn comments(page: &AuditPage) -> Vec<&str> {
    page.records.iter().filter_map(|record| record.payload["comment"].as_str()).collect()
}

#[tokio::test]
async fn the_trail_answers_who_approved_what_when_and_why() {
    let system = System::start().await;
    let acme = Tenant::customer(id(), id());
    let (linux, kb): (PatchId, PatchId) = (id(), id());
    let (alice, rule_id): (UserId, RuleId) = (id(), id());
    let as_alice = Cause { actor: Actor::user(alice), ..cause() };
    let as_rule = Cause { actor: Actor::rule(rule_id), ..cause() };
    let by_hand = approved(acme, linux, by_hand(alice, "tested on web-01"));
    system.happens_because::<ApprovalEvent>(&as_alice, acme, by_hand).await;
    system.happens_because::<ApprovalEvent>(&as_rule, acme, approved(acme, kb, by_rule(rule_id, 3))).await;

    let auditor = caller(Role::CustomerAuditor, acme);
    let page = system.reads(&auditor, about(&linux)).await;
    let [record] = page.records.as_slice() else { panic!("one record about the patch: {page:?}") };
    assert_eq!(record.event_type, PatchApproved::TYPE);
    assert_eq!(record.actor, Actor::user(alice));
    assert_eq!(record.correlation_id, as_alice.correlation_id);
    assert_eq!(record.payload["by"]["comment"], "tested on web-01");
    assert_eq!((record.partner_id, record.customer_id), (acme.partner_id, acme.customer_id));
    assert!(record.occurred_at <= record.recorded_at);

    let page = system.reads(&auditor, about(&rule_id)).await;
    let [record] = page.records.as_slice() else { panic!("one record about the rule: {page:?}") };
    assert_eq!(record.payload["by"]["rule_version"], 3);
    assert_eq!(record.payload["by"]["inputs"]["whitelist"]["value"], "Windows 11");
    assert_eq!(record.actor, Actor::rule(rule_id));

    let of_alice = AuditFilter { actor_id: Some(alice.to_string()), ..AuditFilter::default() };
    assert_eq!(system.reads(&auditor, of_alice).await.records.len(), 1);
    let request = Some(as_rule.correlation_id);
    let of_request = AuditFilter { correlation_id: request, ..AuditFilter::default() };
    assert_eq!(system.reads(&auditor, of_request).await.records[0].correlation_id, as_rule.correlation_id);
    assert_eq!(system.reads(&auditor, of_type(PatchApproved::TYPE)).await.records.len(), 2);
    assert_eq!(system.reads(&auditor, of_type(ApprovalRevoked::TYPE)).await.records.len(), 0);
    system.stop().await;
}

#[tokio::test]
async fn nobody_sees_the_records_of_another_tenant() {
    let system = System::start().await;
    let acme = Tenant::customer(id(), id());
    let bistro = Tenant::customer(acme.partner_id, id());
    let stranger = Tenant::customer(id(), id());
    for (tenant, comment) in [(acme, "acme"), (bistro, "bistro"), (stranger, "stranger")] {
        system.happens::<ApprovalEvent>(tenant, revoked(tenant, comment)).await;
    }
    let partner = Tenant::partner(acme.partner_id);
    let name = "North IT".to_owned();
    system.happens::<PartnerEvent>(partner, PartnerRegistered { partner_id: acme.partner_id, name }).await;
    let reason = "broken".to_owned();
    system.happens::<PatchEvent>(Tenant::PLATFORM, PatchWithdrawn { patch_id: id(), reason }).await;

    let revocations = || of_type(ApprovalRevoked::TYPE);
    for (role, tenant, expected) in [
        (Role::CustomerAuditor, acme, vec!["acme"]),
        (Role::CustomerAdmin, bistro, vec!["bistro"]),
        (Role::PartnerAdmin, partner, vec!["bistro", "acme"]),
        (Role::PartnerAdmin, Tenant::partner(stranger.partner_id), vec!["stranger"]),
        (Role::PlatformOperator, Tenant::PLATFORM, vec![]),
    ] {
        let page = system.reads(&caller(role, tenant), revocations()).await;
        assert_eq!(comments(&page), expected, "{role:?}");
    }

    let registrations = of_type(PartnerRegistered::TYPE);
    let partners = caller(Role::PartnerAdmin, partner);
    assert_eq!(system.reads(&partners, registrations.clone()).await.records.len(), 1);
    let customers = caller(Role::CustomerAuditor, acme);
    assert_eq!(system.reads(&customers, registrations.clone()).await.records.len(), 0);
    let operator = caller(Role::PlatformOperator, Tenant::PLATFORM);
    assert_eq!(system.reads(&operator, registrations).await.records.len(), 0);
    let withdrawals = of_type(PatchWithdrawn::TYPE);
    assert_eq!(system.reads(&operator, withdrawals.clone()).await.records.len(), 1);
    assert_eq!(system.reads(&partners, withdrawals).await.records.len(), 0);
    system.stop().await;
}

#[tokio::test]
async fn a_role_at_one_customer_shows_no_more_in_the_partners_scope() {
    let system = System::start().await;
    let acme = Tenant::customer(id(), id());
    let bistro = Tenant::customer(acme.partner_id, id());
    for (tenant, comment) in [(acme, "acme"), (bistro, "bistro")] {
        system.happens::<ApprovalEvent>(tenant, revoked(tenant, comment)).await;
    }
    let mut auditor = caller(Role::CustomerAuditor, acme);
    auditor.scope = kernel::Scope::Partner { partner_id: acme.partner_id };
    assert_eq!(comments(&system.reads(&auditor, of_type(ApprovalRevoked::TYPE)).await), ["acme"]);
    system.stop().await;
}

#[tokio::test]
async fn a_page_starts_below_the_last_one_and_says_whether_more_follows() {
    let system = System::start().await;
    let acme = Tenant::customer(id(), id());
    for comment in ["1", "2", "3", "4", "5"] {
        system.happens::<ApprovalEvent>(acme, revoked(acme, comment)).await;
    }
    system.has_recorded_all().await;
    let auditor = caller(Role::CustomerAuditor, acme);
    let filter = || of_type(ApprovalRevoked::TYPE);
    let mut seen: Vec<String> = Vec::new();
    let mut before = None;
    loop {
        let page = system.page(&auditor, filter(), before, 2).await.unwrap();
        seen.extend(comments(&page).into_iter().map(ToOwned::to_owned));
        before = page.records.last().map(|record| record.position);
        if !page.has_more {
            break;
        }
        assert_eq!(page.records.len(), 2);
    }
    assert_eq!(seen, ["5", "4", "3", "2", "1"]);
    let nothing = system.page(&auditor, filter(), Some(Position(i64::MIN)), 2).await.unwrap();
    assert!(nothing.records.is_empty() && !nothing.has_more);
    let all = system.page(&auditor, filter(), Some(Position(i64::MAX)), 5).await.unwrap();
    assert!(all.records.len() == 5 && !all.has_more);
    assert!(all.as_of >= all.records[0].position);
    system.stop().await;
}

#[tokio::test]
async fn reading_is_recorded_once_per_command() {
    let system = System::start().await;
    let acme = Tenant::customer(id(), id());
    let patch_id: PatchId = id();
    system.happens::<ApprovalEvent>(acme, approved(acme, patch_id, by_rule(id(), 1))).await;
    system.has_recorded_all().await;
    let auditor = caller(Role::CustomerAuditor, acme);
    let command = || ReadAuditTrail { filter: about(&patch_id), before: None, limit: 10 };
    let command_id = id();
    let first = system.send(&auditor, command(), command_id).await.unwrap();
    assert!(!first.repeated);
    let again = system.send(&auditor, command(), command_id).await.unwrap();
    assert!(again.repeated);
    assert_eq!(again.written, first.written);
    assert_eq!(again.answer.records, first.answer.records);

    // Who looked is the customer's to know.
    let page = system.reads(&caller(Role::CustomerAdmin, acme), of_type(AuditRecordRead::TYPE)).await;
    let [record] = page.records.as_slice() else { panic!("one reading: {page:?}") };
    assert_eq!(record.actor, Actor::user(auditor.user_id));
    let read: AuditRecordRead = serde_json::from_value(record.payload.clone()).unwrap();
    assert_eq!((read.user_id, read.returned, read.filter), (auditor.user_id, 1, about(&patch_id)));
    system.stop().await;
}

#[tokio::test]
async fn the_readings_of_one_trail_are_one_journal_that_nobody_has_to_load() {
    let system = System::start().await;
    let auditor = caller(Role::CustomerAuditor, Tenant::customer(id(), id()));
    for _ in 0..3 {
        system.reads(&auditor, AuditFilter::default()).await;
    }
    assert_eq!(system.count("select count(distinct stream_id) from es.event").await, 1);
    assert_eq!(system.count("select max(version) from es.event").await, 3);
    assert_eq!(system.count("select count(*) from es.command_key").await, 3);
    system.stop().await;
}

#[tokio::test]
async fn a_person_reads_as_the_partner_and_as_one_of_its_customers() {
    let system = System::start().await;
    let acme = Tenant::customer(id(), id());
    let admin = caller(Role::PartnerAdmin, Tenant::partner(acme.partner_id));
    let at_acme = admin.narrowed_to(acme.customer_id.unwrap()).unwrap();
    let everything = AuditFilter::default;
    assert_eq!(system.reads(&admin, everything()).await.records.len(), 0);
    assert_eq!(system.reads(&at_acme, everything()).await.records.len(), 0);
    assert_eq!(system.reads(&admin, everything()).await.records.len(), 2);
    assert_eq!(system.reads(&at_acme, everything()).await.records.len(), 1);
    system.stop().await;
}

#[tokio::test]
async fn only_who_may_read_the_trail_reads_it_and_only_with_a_usable_filter() {
    let system = System::start().await;
    let acme = Tenant::customer(id(), id());
    let approver = caller(Role::CustomerApprover, acme);
    let refused = system.page(&approver, AuditFilter::default(), None, 10).await.unwrap_err();
    assert_eq!((refused.status, refused.code.as_str()), (403, "access.forbidden"));

    let auditor = caller(Role::CustomerAuditor, acme);
    for limit in [0, 101, u32::MAX] {
        let refused = system.page(&auditor, AuditFilter::default(), None, limit).await.unwrap_err();
        assert_eq!((refused.status, refused.code.as_str()), (422, "auditing.limit_invalid"));
        assert!(refused.message.contains(&limit.to_string()), "{}", refused.message);
    }
    let too_many = AuditFilter { event_types: vec!["a.B".to_owned(); 201], ..AuditFilter::default() };
    for filter in [about(&"x".repeat(201)), about(&"bell\u{7}"), about(&""), of_type(""), too_many] {
        let refused = system.page(&auditor, filter, None, 10).await.unwrap_err();
        assert_eq!((refused.status, refused.code.as_str()), (422, "auditing.filter_invalid"));
    }
    assert_eq!(system.count("select count(*) from es.event").await, 0);
    system.stop().await;
}

#[tokio::test]
async fn a_leaf_is_the_hash_that_anyone_can_compute_from_the_log() {
    let system = System::start().await;
    let acme = Tenant::customer(id(), id());
    let comment = "naïve \"quotes\" and \u{1F980}";
    system.happens::<ApprovalEvent>(acme, approved(acme, id(), by_hand(id(), comment))).await;
    let page = system.reads(&caller(Role::CustomerAuditor, acme), AuditFilter::default()).await;
    let log = Log::new(system.connection.clone()).page(Position(0), 10).await.unwrap();
    let envelope = serde_json::to_value(&log[0]).unwrap();
    let mut bytes = vec![0];
    bytes.extend(canonical_json(&envelope));
    let leaf_hash = &page.records[0].leaf_hash;
    let of_pair = |at| u8::from_str_radix(&leaf_hash[at..at + 2], 16).unwrap();
    let leaf: Vec<u8> = (0..leaf_hash.len()).step_by(2).map(of_pair).collect();
    assert_eq!(leaf, Sha256::digest(bytes).to_vec());
    assert_eq!(*leaf_hash, leaf_hash.to_lowercase());
    assert_eq!(page.records[0].event_id, log[0].event_id);
    system.stop().await;
}

#[tokio::test]
async fn what_only_json_can_hold_does_not_stop_the_trail() {
    let system = System::start().await;
    let acme = Tenant::customer(id(), id());
    let attempt = CrossTenantAccessDenied {
        user_id: id(),
        object_kind: "device".to_owned(),
        object_id: format!("\0{}", "x".repeat(100_000)),
        operation: "\0".to_owned(),
    };
    system.happens::<AccessEvent>(acme, attempt.clone()).await;
    system.happens::<ApprovalEvent>(acme, revoked(acme, "nul \0")).await;
    let page = system.reads(&caller(Role::CustomerAuditor, acme), AuditFilter::default()).await;
    assert_eq!(comments(&page), ["nul \0"]);
    assert_eq!(page.records[1].payload, serde_json::to_value(attempt).unwrap());
    system.stop().await;
}

#[tokio::test]
async fn audit_records_cannot_be_changed() {
    let system = System::start().await;
    let acme = Tenant::customer(id(), id());
    system.happens::<ApprovalEvent>(acme, revoked(acme, "first")).await;
    system.has_recorded_all().await;

    for statement in [
        "update auditing.record set event_type = 'approvals.PatchApproved'",
        "delete from auditing.record",
        "truncate auditing.record",
    ] {
        // The owner is stopped by the trigger, and the service by having no right.
        let mut owner = system.database.owner().await;
        let error = sqlx::raw_sql(statement).execute(&mut owner).await.unwrap_err();
        assert!(error.to_string().contains("audit records cannot be changed"), "{error}");
        for scope in [kernel::Scope::Platform, kernel::Scope::Partner { partner_id: acme.partner_id }] {
            let mut tx = system.connection.begin(&scope).await.unwrap();
            let error = sqlx::raw_sql(statement).execute(&mut *tx).await.unwrap_err();
            assert!(error.to_string().contains("permission denied"), "{error}");
        }
    }

    // A tenant's transaction cannot add a record, and nobody one that does not prove itself.
    let forged = "insert into auditing.record
                  select seq + 1, gen_random_uuid(), event_type, partner_id, customer_id, occurred_at, recorded_at,
                         actor_kind, actor_id, correlation_id, subject_ids, envelope || '!', leaf
                    from auditing.record";
    let scope = kernel::Scope::Partner { partner_id: acme.partner_id };
    let mut tx = system.connection.begin(&scope).await.unwrap();
    let error = sqlx::raw_sql(forged).execute(&mut *tx).await.unwrap_err();
    assert!(error.to_string().contains("permission denied"), "{error}");
    let mut owner = system.database.owner().await;
    let error = sqlx::raw_sql(forged).execute(&mut owner).await.unwrap_err();
    assert!(
        error.to_string().contains("record_leaf_check") || error.to_string().contains("check"),
        "{error}"
    );

    let page = system.reads(&caller(Role::CustomerAuditor, acme), AuditFilter::default()).await;
    assert_eq!(page.records[0].payload["comment"], Value::from("first"));
    system.stop().await;
}
