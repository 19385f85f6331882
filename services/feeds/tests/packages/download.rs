//! Packages that come by themselves when somebody installs them.

use crate::depot::{Depot, download, metadata, operator, partner_admin, payload, update};
use crate::publisher::Publisher;
use contracts::packages::commands::{
    CompletePackageUpdate, FailPackageUpdate, PreparePackage, RecordSiteVersion, RegisterPackage,
    SetSiteConnectivity, StartPackageUpdate,
};
use contracts::packages::{Connectivity, PackageFacts};
use kernel::PartnerId;
use serde_json::json;
use testkit::id;

fn published(publisher: &Publisher, version: &str) -> PackageFacts {
    let described = metadata("Contoso", version, None);
    let downloads = vec![
        download("Metadata.xml", publisher.publish("Metadata.xml", described)),
        download("Update.zip", publisher.publish("Update.zip", payload(9_000_000))),
    ];
    PackageFacts { downloads, ..update(version) }
}

// Points 34, 39, 45 and 68.
#[tokio::test]
async fn an_update_is_downloaded_when_a_connected_customer_installs_it() {
    let (depot, publisher) = (Depot::open().await, Publisher::open().await);
    let (customer_id, admin) = depot.customer(id()).await;
    let package_id = depot.register(published(&publisher, "1.1907.0.20")).await;
    assert_eq!(depot.state(package_id).await, "REGISTERED");
    assert_eq!(publisher.asked(), Vec::<String>::new(), "nothing is fetched when it is published");

    depot.send(&admin, StartPackageUpdate { package_id, customer_id }).await.unwrap();
    depot.reaches(package_id, "READY").await;
    assert_eq!(publisher.asked(), ["Metadata.xml", "Update.zip"]);
    assert_eq!(depot.objects(package_id).len(), 3, "the payload has two parts");
    let ready = depot.facts("PackageReady").await;
    assert_eq!(ready[0]["contents"]["files"][1]["size_bytes"], payload(9_000_000).len());

    depot.send(&admin, CompletePackageUpdate { package_id, customer_id }).await.unwrap();
    let completed = depot.facts("PackageUpdateCompleted").await;
    assert_eq!(completed[0]["version"], "1.1907.0.20");
    depot.close().await;
}

// Points 35 and 42.
#[tokio::test]
async fn a_customer_without_a_connection_waits_until_the_package_was_imported() {
    let (depot, publisher) = (Depot::open().await, Publisher::open().await);
    let (customer_id, admin) = depot.customer(id()).await;
    let package_id = depot.register(published(&publisher, "1")).await;
    for connectivity in [Connectivity::Disconnected, Connectivity::Weak] {
        depot.send(&admin, SetSiteConnectivity { customer_id, connectivity }).await.unwrap();
        let refused = depot.refusal(&admin, StartPackageUpdate { package_id, customer_id }).await;
        assert_eq!(refused, "feeds.package_not_ready");
        let prepare = PreparePackage { package_id, connectivity };
        assert_eq!(depot.refusal(&operator(), prepare).await, "feeds.package_by_hand");
    }
    assert_eq!(publisher.asked(), Vec::<String>::new());
    let insecure = download("a.zip", "ftp://updates.contoso.example/a.zip".into());
    let package = PackageFacts { downloads: vec![insecure], ..update("2") };
    assert_eq!(
        depot.refusal(&operator(), RegisterPackage { package }).await,
        "feeds.package_address_invalid"
    );
    depot.close().await;
}

#[tokio::test]
async fn a_download_that_failed_is_tried_again_when_somebody_asks() {
    let (depot, publisher) = (Depot::open().await, Publisher::open().await);
    let described =
        download("Metadata.xml", publisher.publish("Metadata.xml", metadata("Contoso", "1", None)));
    let missing = download("Update.zip", publisher.address("Update.zip"));
    let package_id =
        depot.register(PackageFacts { downloads: vec![described, missing], ..update("1") }).await;
    let prepare = PreparePackage { package_id, connectivity: Connectivity::Connected };
    depot.send(&operator(), prepare.clone()).await.unwrap();
    depot.reaches(package_id, "DOWNLOAD_FAILED").await;
    let failed = depot.facts("PackageDownloadFailed").await;
    assert_eq!(failed[0]["code"], "feeds.source_status");

    publisher.publish("Update.zip", payload(100));
    depot.send(&operator(), prepare).await.unwrap();
    depot.reaches(package_id, "READY").await;
    assert_eq!(publisher.asked(), ["Metadata.xml", "Update.zip", "Update.zip"], "what is there is kept");
    depot.close().await;
}

// Points 50, 57 and 72.
#[tokio::test]
async fn a_package_is_installed_only_where_its_prerequisite_is_there() {
    let depot = Depot::open().await;
    let partner: PartnerId = id();
    let (customer_id, admin) = depot.customer(partner).await;
    let package_id = depot.register(update("1.1907.0.20")).await;
    let (described, payload) = (metadata("Contoso", "1.1907.0.20", Some("1.1906.0.30")), payload(100));
    depot
        .import(&operator(), package_id, &[("Metadata.xml", described.as_bytes()), ("Update.zip", &payload)])
        .await;
    depot.reaches(package_id, "READY").await;
    let start = StartPackageUpdate { package_id, customer_id };
    assert_eq!(depot.refusal(&admin, start.clone()).await, "feeds.package_prerequisite_missing");
    let (product, version) = ("Contoso Stack".to_owned(), "1.1906.0.30".to_owned());
    depot.send(&partner_admin(partner), RecordSiteVersion { customer_id, product, version }).await.unwrap();
    depot.send(&admin, start.clone()).await.unwrap();
    let reason = "a scale unit did not come back".to_owned();
    depot.send(&admin, FailPackageUpdate { package_id, customer_id, reason }).await.unwrap();
    depot.send(&admin, start.clone()).await.unwrap();
    depot.send(&admin, CompletePackageUpdate { package_id, customer_id }).await.unwrap();
    assert_eq!(depot.refusal(&admin, start).await, "feeds.package_not_newer");
    assert_eq!(depot.facts("PackageUpdateStarted").await.len(), 2);
    assert_eq!(depot.facts("SiteVersionRecorded").await[0]["version"], json!("1.1906.0.30"));
    depot.close().await;
}
