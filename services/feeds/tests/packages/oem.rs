//! Packages of manufacturers: nobody sees them before they are certified, and a partner's stay among its own.

use crate::depot::{Depot, metadata, oem, operator, partner_admin, payload};
use contracts::packages::Connectivity;
use contracts::packages::PackageFacts;
use contracts::packages::commands::{
    CertifyOemPackage, CompletePackageUpload, ExportPackage, PreparePackage, RefuseCertification,
    RegisterPackage, ReviewPackage, StartPackageUpdate, SubmitOemPackage,
};
use kernel::PartnerId;
use testkit::id;

// Points 28, 29 and 58 to 60.
#[tokio::test]
async fn a_customer_sees_a_manufacturers_package_when_it_is_certified() {
    let depot = Depot::open().await;
    let (partner, other): (PartnerId, PartnerId) = (id(), id());
    let (customer, admin) = depot.customer(partner).await;
    let (stranger, strange_admin) = depot.customer(other).await;
    let submitter = partner_admin(partner);
    let registered = depot.refusal(&submitter, RegisterPackage { package: oem("2.1") }).await;
    assert_eq!(registered, "feeds.package_needs_submission");
    let package_id = depot.send(&submitter, SubmitOemPackage { package: oem("2.1") }).await.unwrap().answer;
    let prepare = PreparePackage { package_id, connectivity: Connectivity::Connected };
    assert_eq!(depot.refusal(&submitter, prepare).await, "feeds.package_by_hand");

    let (described, payload) = (metadata("Fabrikam", "2.1", None), payload(100));
    let files: [(&str, &[u8]); 2] = [("Firmware.zip", &payload), ("Metadata.xml", described.as_bytes())];
    depot.import(&submitter, package_id, &files).await;
    depot.reaches(package_id, "READY").await;

    let update = StartPackageUpdate { package_id, customer_id: customer };
    assert_eq!(depot.refusal(&admin, update.clone()).await, "feeds.package_unknown");
    assert_eq!(depot.refusal(&admin, ExportPackage { package_id }).await, "feeds.package_unknown");
    assert_eq!(depot.refusal(&submitter, update.clone()).await, "feeds.package_unknown");

    let review = depot.send(&operator(), ReviewPackage { package_id }).await.unwrap().answer;
    let manifest_sha256 = review.contents.manifest_sha256;
    let certify = CertifyOemPackage { package_id, manifest_sha256 };
    assert_eq!(depot.refusal(&submitter, certify.clone()).await, "access.forbidden");
    let wrong = CertifyOemPackage { manifest_sha256: "0".repeat(64), ..certify.clone() };
    assert_eq!(depot.refusal(&operator(), wrong).await, "feeds.package_contents_changed");
    depot.send(&operator(), certify).await.unwrap();

    depot.send(&admin, update).await.unwrap();
    depot.send(&admin, ExportPackage { package_id }).await.unwrap();
    for refused in [
        depot.refusal(&strange_admin, StartPackageUpdate { package_id, customer_id: stranger }).await,
        depot.refusal(&strange_admin, ExportPackage { package_id }).await,
        depot.refusal(&partner_admin(other), ReviewPackage { package_id }).await,
    ] {
        assert_eq!(refused, "feeds.package_unknown", "another partner's package does not exist");
    }
    let foreign = StartPackageUpdate { package_id, customer_id: stranger };
    assert_eq!(depot.refusal(&submitter, foreign).await, "feeds.customer_unknown");
    depot.close().await;
}

#[tokio::test]
async fn the_operator_who_submitted_a_package_does_not_certify_it() {
    let depot = Depot::open().await;
    let (olga, otto) = (operator(), operator());
    let package_id = depot.send(&olga, SubmitOemPackage { package: oem("2.1") }).await.unwrap().answer;
    let (described, payload) = (metadata("Fabrikam", "2.1", None), payload(100));
    depot.import(&olga, package_id, &[("Metadata.xml", described.as_bytes()), ("X1.zip", &payload)]).await;
    depot.reaches(package_id, "READY").await;
    let review = depot.send(&olga, ReviewPackage { package_id }).await.unwrap().answer;
    let certify = CertifyOemPackage { package_id, manifest_sha256: review.contents.manifest_sha256 };
    assert_eq!(depot.refusal(&olga, certify.clone()).await, "feeds.package_own_submission");
    depot.send(&otto, certify).await.unwrap();
    // A partner may look at what is the platform's, and not change it.
    let complete = CompletePackageUpload { package_id, manifest_sha256: String::new() };
    assert_eq!(depot.refusal(&partner_admin(id()), complete).await, "feeds.package_unknown");
    depot.close().await;
}

#[tokio::test]
async fn a_package_that_is_refused_leaves_no_bytes_and_may_be_handed_in_again() {
    let depot = Depot::open().await;
    let (olga, otto) = (operator(), operator());
    let package_id = depot.send(&olga, SubmitOemPackage { package: oem("2.1") }).await.unwrap().answer;
    let (described, payload) = (metadata("Fabrikam", "2.1", None), payload(100));
    depot.upload(&olga, package_id, &[("Metadata.xml", described.as_bytes()), ("X1.zip", &payload)]).await;
    assert_eq!(depot.objects(package_id).len(), 2);
    depot.send(&otto, RefuseCertification { package_id, reason: "not signed".into() }).await.unwrap();
    testkit::eventually("its files are gone", || async { depot.objects(package_id).is_empty() }).await;
    let again = SubmitOemPackage { package: PackageFacts { kb_id: Some("FW-2".into()), ..oem("2.1") } };
    assert_ne!(depot.send(&olga, again).await.unwrap().answer, package_id);
    depot.close().await;
}
