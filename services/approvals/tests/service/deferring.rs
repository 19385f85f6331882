//! Patches that are put off, and what happens when their time has come.

use crate::fixtures::{linux, windows};
use crate::system::{System, caller};
use approvals::deferrals::Deferrals;
use chrono::{DateTime, TimeDelta, Utc};
use contracts::Severity;
use contracts::approvals::{
    ApprovalMode, ApprovalScope, ApprovePatch, DeferPatch, DeferralEnded, PatchApproved, PatchDeferred,
    RevokeApproval, WhitelistPattern,
};
use contracts::permissions::Role;
use kernel::{Actor, PatchId};
use runtime::{Clock, SystemClock};
use std::sync::Arc;
use web::CommandFailure;

/// A clock that stands.
struct At(DateTime<Utc>);

impl Clock for At {
    fn now(&self) -> DateTime<Utc> {
        self.0
    }
}

fn timer(system: &System, now: DateTime<Utc>) -> Deferrals {
    Deferrals::new(system.store(), Arc::new(At(now)))
}

/// Far enough for the service's own timer not to meet it during the test.
fn tomorrow() -> DateTime<Utc> {
    SystemClock.now() + TimeDelta::days(1)
}

fn defer(patch_id: PatchId, scope: impl Into<ApprovalScope>, until: DateTime<Utc>) -> DeferPatch {
    DeferPatch { patch_id, scope: scope.into(), until, comment: Some("year's accounts".to_owned()) }
}

fn seen(failure: &CommandFailure) -> (u16, &str) {
    (failure.status, failure.code.as_str())
}

#[tokio::test]
async fn a_deferral_ends_when_its_time_has_come_and_not_before() {
    let system = System::start().await;
    let acme = system.customer().await;
    let customer_id = acme.customer_id.unwrap();
    let patch_id = system.published(&linux()).await;
    let group = system.group(acme).await;
    let (alice, bob) = (caller(Role::CustomerApprover, acme), caller(Role::CustomerApprover, acme));
    let until = tomorrow();
    for scope in [group, customer_id.into()] {
        system.send(&alice, defer(patch_id, scope, until)).await.unwrap();
    }
    let approve = ApprovePatch { patch_id, scope: customer_id.into(), comment: None };
    let refused = system.send(&bob, approve.clone()).await.unwrap_err();
    assert_eq!(seen(&refused), (409, "approvals.already_decided"));
    system.has_read_all().await;

    assert_eq!(timer(&system, until - TimeDelta::seconds(1)).look().await.unwrap(), 0);
    assert_eq!(timer(&system, until).look().await.unwrap(), 2);
    assert_eq!(timer(&system, until).look().await.unwrap(), 0, "a timer that fires twice does no harm");
    let ended: Vec<DeferralEnded> = system.facts(DeferralEnded::TYPE).await;
    assert_eq!(ended.len(), 2);
    let log = system.log().await;
    let last = log.iter().rfind(|event| event.event_type == DeferralEnded::TYPE).unwrap();
    assert_eq!((last.actor.clone(), last.tenant), (Actor::system("approvals"), acme));
    system.send(&bob, approve).await.unwrap();
    system.stop().await;
}

#[tokio::test]
async fn of_two_processes_one_ends_a_deferral_and_a_lost_one_is_taken_over() {
    let system = System::start().await;
    let acme = system.customer().await;
    let patch_id = system.published(&linux()).await;
    system.has_read_all().await;
    let until = tomorrow();
    let approver = caller(Role::CustomerApprover, acme);
    system.send(&approver, defer(patch_id, acme.customer_id.unwrap(), until)).await.unwrap();
    system.has_read_all().await;
    let (one, other) = (timer(&system, until), timer(&system, until));
    let (one, other) = tokio::join!(one.look(), other.look());
    assert_eq!(one.unwrap() + other.unwrap(), 1);
    assert_eq!(system.facts::<DeferralEnded>(DeferralEnded::TYPE).await.len(), 1);
    system.stop().await;
}

#[tokio::test]
async fn a_deferral_that_was_taken_back_does_not_end() {
    let system = System::start().await;
    let acme = system.customer().await;
    let customer_id = acme.customer_id.unwrap();
    let patch_id = system.published(&linux()).await;
    system.has_read_all().await;
    let approver = caller(Role::CustomerApprover, acme);
    let until = tomorrow();
    system.send(&approver, defer(patch_id, customer_id, until)).await.unwrap();
    let comment = "after all".to_owned();
    system.send(&approver, RevokeApproval { patch_id, scope: customer_id.into(), comment }).await.unwrap();
    system.has_read_all().await;
    assert_eq!(timer(&system, until).look().await.unwrap(), 0);
    assert_eq!(system.facts::<DeferralEnded>(DeferralEnded::TYPE).await, []);
    system.stop().await;
}

#[tokio::test]
async fn an_end_in_the_past_or_too_far_away_is_refused() {
    let system = System::start().await;
    let acme = system.customer().await;
    let patch_id = system.published(&linux()).await;
    system.has_read_all().await;
    let approver = caller(Role::CustomerApprover, acme);
    for until in [SystemClock.now() - TimeDelta::minutes(1), SystemClock.now() + TimeDelta::days(400)] {
        let refused =
            system.send(&approver, defer(patch_id, acme.customer_id.unwrap(), until)).await.unwrap_err();
        assert_eq!(seen(&refused), (422, "approvals.deferral_invalid"));
    }
    assert_eq!(system.facts::<PatchDeferred>(PatchDeferred::TYPE).await, []);
    system.stop().await;
}

#[tokio::test]
async fn rules_look_at_a_patch_again_when_its_deferral_ends() {
    let system = System::start().await;
    let acme = system.customer().await;
    let customer_id = acme.customer_id.unwrap();
    let patch_id = system.published(&windows()).await;
    system.has_read_all().await;
    let until = tomorrow();
    system.send(&caller(Role::CustomerApprover, acme), defer(patch_id, customer_id, until)).await.unwrap();
    system.whitelists(acme, WhitelistPattern::Product("windows 11".to_owned())).await;
    system.rule(acme, &[Severity::Critical]).await;
    system.missing(acme, patch_id).await;
    assert_eq!(system.facts::<PatchApproved>(PatchApproved::TYPE).await, []);
    assert_eq!(timer(&system, until).look().await.unwrap(), 1);
    let approved: Vec<PatchApproved> = system.facts(PatchApproved::TYPE).await;
    assert!(matches!(approved[..], [PatchApproved { by: ApprovalMode::Auto { .. }, .. }]), "{approved:?}");
    system.stop().await;
}
