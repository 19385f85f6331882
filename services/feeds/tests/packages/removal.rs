//! Packages go when they are not needed any more, and not before.

use crate::depot::{Depot, metadata, operator, payload, update};
use contracts::approvals::{
    ApprovalEvent, ApprovalMode, ApprovalRevoked, ApprovalScope, BlockEvent, PatchApproved, PatchBlocked,
    PatchRejected,
};
use contracts::packages::PackageFacts;
use contracts::packages::commands::{
    CompletePackageUpdate, ExportPackage, RemovePackage, StartPackageUpdate,
};
use kernel::{CustomerId, PackageId, PartnerId, PatchId, Tenant};
use testkit::{eventually, id};

impl Depot {
    async fn approvals(&self) -> i64 {
        sqlx::query_scalar("select count(*) from feeds.package_decision")
            .fetch_one(&mut self.owner().await)
            .await
            .unwrap()
    }

    async fn is_still_needed(&self, package_id: PackageId, places: u32) {
        eventually("the package is needed at so many places", || async {
            let Err(failure) = self.send(&operator(), RemovePackage { package_id }).await else {
                return false;
            };
            assert_eq!(failure.code, "feeds.package_still_needed");
            failure.message.contains(&format!("at {places} places"))
        })
        .await;
    }

    async fn approve(&self, patch_id: PatchId, partner_id: PartnerId, customer_id: CustomerId) {
        let before = self.approvals().await;
        let by = ApprovalMode::Manual { approved_by: id(), comment: None };
        let fact = PatchApproved { patch_id, scope: customer_id.into(), by };
        self.append(Tenant::customer(partner_id, customer_id), vec![ApprovalEvent::from(fact)]).await;
        eventually("the approval is known", || async { self.approvals().await == before + 1 }).await;
    }
}

// Point 73.
#[tokio::test]
async fn a_package_is_removed_by_hand_once_it_is_installed_wherever_it_was_approved() {
    let depot = Depot::open().await;
    let (partner, patch_id): (PartnerId, PatchId) = (id(), id());
    let (first, first_admin) = depot.customer(partner).await;
    let (second, _) = depot.customer(partner).await;
    let package_id = depot.register(PackageFacts { patch_id: Some(patch_id), ..update("1") }).await;
    let (described, payload) = (metadata("Contoso", "1", None), payload(100));
    depot
        .import(&operator(), package_id, &[("Metadata.xml", described.as_bytes()), ("Update.zip", &payload)])
        .await;
    depot.reaches(package_id, "READY").await;
    let remove = || RemovePackage { package_id };
    assert_eq!(depot.refusal(&operator(), remove()).await, "feeds.package_not_installed");
    for customer in [first, second] {
        depot.approve(patch_id, partner, customer).await;
    }
    assert_eq!(depot.refusal(&operator(), remove()).await, "feeds.package_still_needed");
    depot.send(&first_admin, StartPackageUpdate { package_id, customer_id: first }).await.unwrap();
    depot.send(&first_admin, CompletePackageUpdate { package_id, customer_id: first }).await.unwrap();
    let failure = depot.send(&operator(), remove()).await.unwrap_err();
    assert_eq!(failure.code, "feeds.package_still_needed");
    assert!(failure.message.contains("at 1 places"), "{failure}");

    let revoked =
        ApprovalRevoked { patch_id, scope: second.into(), revoked_by: id(), comment: "later".into() };
    depot.append(Tenant::customer(partner, second), vec![ApprovalEvent::from(revoked)]).await;
    eventually("the approval is gone", || async { depot.approvals().await == 1 }).await;
    let export = depot.send(&operator(), ExportPackage { package_id }).await.unwrap().answer;
    depot.send(&operator(), remove()).await.unwrap();
    eventually("its files are gone", || async { depot.objects(package_id).is_empty() }).await;
    assert_eq!(depot.facts("PackageRemoved").await[0]["reason"], "BY_HAND");
    let gone = depot.http.get(depot.url(&export.files[0].url)).send().await.unwrap();
    assert_eq!(gone.status().as_u16(), 404);
    depot.close().await;
}

// Points 73 and 102: what is decided for all customers, for one or for a group decides where a package is wanted.
#[tokio::test]
async fn a_package_is_wanted_wherever_its_patch_is_approved_in_effect() {
    let depot = Depot::open().await;
    let (partner, patch_id): (PartnerId, PatchId) = (id(), id());
    let (first, first_admin) = depot.customer(partner).await;
    let (second, _) = depot.customer(partner).await;
    // Another partner's.
    depot.customer(id()).await;
    let package_id = depot.register(PackageFacts { patch_id: Some(patch_id), ..update("1") }).await;
    let (described, payload) = (metadata("Contoso", "1", None), payload(100));
    depot
        .import(&operator(), package_id, &[("Metadata.xml", described.as_bytes()), ("Update.zip", &payload)])
        .await;
    depot.reaches(package_id, "READY").await;
    // Installed once, so that only who still wants it keeps it.
    depot.send(&first_admin, StartPackageUpdate { package_id, customer_id: first }).await.unwrap();
    depot.send(&first_admin, CompletePackageUpdate { package_id, customer_id: first }).await.unwrap();
    let everywhere = ApprovalScope::Partner { partner_id: partner };
    let by = || ApprovalMode::Manual { approved_by: id(), comment: None };
    let approved = |scope| ApprovalEvent::from(PatchApproved { patch_id, scope, by: by() });
    let rejected = |scope| {
        ApprovalEvent::from(PatchRejected { patch_id, scope, rejected_by: id(), comment: "no".into() })
    };
    let at_second = Tenant::customer(partner, second);
    depot.append(Tenant::partner(partner), vec![approved(everywhere)]).await;
    depot.is_still_needed(package_id, 1).await;
    let third = depot.customer(partner).await.0;
    depot.is_still_needed(package_id, 2).await;
    depot.append(at_second, vec![rejected(second.into())]).await;
    depot.is_still_needed(package_id, 1).await;
    let group = ApprovalScope::Group { customer_id: second, group_id: id() };
    depot.append(at_second, vec![approved(group)]).await;
    depot.is_still_needed(package_id, 2).await;
    depot.append(Tenant::customer(partner, third), vec![rejected(third.into())]).await;
    depot.is_still_needed(package_id, 1).await;
    let (partner_id, comment) = (partner, "breaks printing".to_owned());
    let blocked = PatchBlocked { patch_id, partner_id, blocked_by: id(), comment };
    depot.append(Tenant::partner(partner), vec![BlockEvent::from(blocked)]).await;
    // Nobody may have it any more, so it can go.
    eventually("the package can be removed", || async {
        depot.send(&operator(), RemovePackage { package_id }).await.is_ok()
    })
    .await;
    depot.close().await;
}

// Points 74 and 75.
#[tokio::test]
async fn a_package_that_was_replaced_or_forgotten_is_gone_within_two_weeks() {
    let depot = Depot::open().await;
    let old = depot.ready("1.1906.0.30").await;
    let new = depot.ready("1.1907.0.20").await;
    let superseded = depot.facts("PackageSuperseded").await;
    assert_eq!(superseded[0]["superseded_by"], new.to_string());
    let forgotten = depot.register(update("1.1908")).await;
    depot.start_upload(&operator(), forgotten, &[("Metadata.xml", b"1234")]).await;

    let aged = |days: u32| {
        format!(
            "update feeds.package set superseded_at = now() - interval '{days} days' where superseded_at is not null;
             update feeds.package set changed_at = now() - interval '{days} days' where state = 'UPLOADING'"
        )
    };
    depot.alter(aged(12)).await;
    // Its effect shows that the rounds have passed the others by.
    let third = depot.ready("1.1907.0.21").await;
    assert_eq!(depot.state(old).await, "READY");
    assert_eq!(depot.state(forgotten).await, "UPLOADING");

    depot.alter(aged(13)).await;
    for (package_id, reason) in [(old, "SUPERSEDED"), (forgotten, "ABANDONED")] {
        depot.reaches(package_id, "REMOVED").await;
        let removed = depot.facts("PackageRemoved").await;
        let fact = removed.iter().find(|fact| fact["package_id"] == package_id.to_string()).unwrap();
        assert_eq!(fact["reason"], reason);
    }
    eventually("its files are gone", || async { depot.objects(old).is_empty() }).await;
    assert_eq!(depot.state(third).await, "READY");
    assert_eq!(depot.objects(third).len(), 2);
    depot.close().await;
}
