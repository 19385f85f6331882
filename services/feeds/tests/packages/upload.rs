//! Importing a package by hand.

use crate::depot::{Depot, metadata, operator, payload, update};
use contracts::packages::AnnouncedFile;
use contracts::packages::commands::{
    CompletePackageUpload, ExportPackage, RegisterPackage, ReviewPackage, StartPackageUpload,
};
use kernel::PackageId;
use serde_json::json;

fn announce(package_id: PackageId, name: &str, sha256: Option<String>) -> StartPackageUpload {
    StartPackageUpload { package_id, files: vec![AnnouncedFile { name: name.into(), size_bytes: 4, sha256 }] }
}

// Points 36, 46 to 51, 54, 55, 64 to 67.
#[tokio::test]
async fn a_package_is_sent_in_parts_looked_at_confirmed_and_carried_away() {
    let depot = Depot::open().await;
    let package_id = depot.register(update("1.1907.0.20")).await;
    let (metadata, payload) = (metadata("Contoso", "1.1907.0.20", Some("1.1906.0.30")), payload(700_000));
    let files: [(&str, &[u8]); 3] =
        [("Drivers.zip", &payload), ("Metadata.xml", metadata.as_bytes()), ("Update.zip", &payload)];
    let ticket = depot.start_upload(&operator(), package_id, &files).await;
    let [drivers, described, update] = &ticket.files[..] else { panic!("{ticket:?}") };
    assert_eq!(depot.put(&drivers.url, 0, &payload).await.0, 200);
    assert_eq!(depot.put(&described.url, 0, metadata.as_bytes()).await.0, 200);

    let (status, progress) = depot.put(&update.url, 0, &payload[..300_000]).await;
    assert_eq!(
        (status, progress),
        (200, json!({"received": 300_000, "size": payload.len(), "sha256": null}))
    );
    let manifest_sha256 = "0".repeat(64);
    let incomplete = CompletePackageUpload { package_id, manifest_sha256 };
    assert_eq!(depot.refusal(&operator(), incomplete.clone()).await, "feeds.package_upload_incomplete");

    // The line breaks; another process goes on where the first one was.
    let depot = depot.restarted().await;
    let head = depot.http.head(depot.url(&update.url)).send().await.unwrap();
    assert_eq!(head.headers()["upload-offset"], "300000");
    for wrong in [0, 299_999, 300_001] {
        let (status, problem) = depot.put(&update.url, wrong, b"part").await;
        assert_eq!((status, &problem["code"]), (409, &json!("feeds.package_offset_wrong")), "{wrong}");
    }
    let too_much = [&payload[300_000..], b"more"].concat();
    let (status, problem) = depot.put(&update.url, 300_000, &too_much).await;
    assert_eq!((status, &problem["code"]), (413, &json!("feeds.package_part_too_large")));
    let again = depot.start_upload(&operator(), package_id, &files).await;
    assert_eq!(again.files[2].received, 300_000);
    let (status, progress) = depot.put(&again.files[2].url, 300_000, &payload[300_000..]).await;
    assert_eq!((status, progress["received"].as_u64()), (200, Some(payload.len() as u64)));

    let review = depot.send(&operator(), ReviewPackage { package_id }).await.unwrap().answer;
    let listed: Vec<_> = review.contents.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(listed, ["Drivers.zip", "Metadata.xml", "Update.zip"]);
    assert_eq!(review.contents.files[0].sha256, review.contents.files[2].sha256, "parts or not");
    assert_eq!(progress["sha256"], json!(review.contents.files[2].sha256));
    assert_eq!(review.contents.metadata.publisher, "Contoso");
    assert_eq!(review.contents.metadata.prerequisites[0].version, "1.1906.0.30");
    assert_eq!(review.contents.entry_count, 4);
    assert_eq!(review.entries[0].path, "services/update.nupkg");
    assert_eq!(depot.facts("PackageUploaded").await.len(), 0, "looking takes nothing in");

    assert_eq!(depot.refusal(&operator(), incomplete).await, "feeds.package_contents_changed");
    let manifest_sha256 = review.contents.manifest_sha256;
    depot.send(&operator(), CompletePackageUpload { package_id, manifest_sha256 }).await.unwrap();
    depot.reaches(package_id, "READY").await;
    let ready = depot.facts("PackageReady").await;
    assert_eq!(ready[0]["contents"]["files"][2]["size_bytes"], payload.len());
    assert_eq!(depot.objects(package_id).len(), 4, "one prefix for each package");

    let export = depot.send(&operator(), ExportPackage { package_id }).await.unwrap().answer;
    let url = depot.url(&export.files[2].url);
    let whole = depot.http.get(url.clone()).send().await.unwrap();
    assert_eq!(whole.headers()["content-length"], payload.len().to_string());
    assert_eq!(whole.bytes().await.unwrap(), payload);
    let rest = depot.http.get(url.clone()).header("range", "bytes=299990-300009").send().await.unwrap();
    assert_eq!(rest.status().as_u16(), 206);
    assert_eq!(rest.headers()["content-range"], format!("bytes 299990-300009/{}", payload.len()));
    assert_eq!(rest.bytes().await.unwrap(), payload[299_990..300_010]);
    let beyond = depot.http.get(url).header("range", "bytes=9999999-").send().await.unwrap();
    assert_eq!(beyond.status().as_u16(), 416);
    depot.close().await;
}

#[tokio::test]
async fn bytes_that_are_not_the_announced_ones_are_not_kept() {
    let depot = Depot::open().await;
    let package_id = depot.register(update("1")).await;
    let announced = announce(package_id, "Update.zip", Some("0".repeat(64)));
    let ticket = depot.send(&operator(), announced).await.unwrap().answer;
    let url = &ticket.files[0].url;
    assert_eq!(depot.put(url, 0, b"01").await.0, 200);
    let (status, problem) = depot.put(url, 2, b"23").await;
    assert_eq!((status, &problem["code"]), (422, &json!("feeds.package_checksum_differs")));
    let head = depot.http.head(depot.url(url)).send().await.unwrap();
    assert_eq!(head.headers()["upload-offset"], "0");
    let sha256 = "1be2e452b46d7a0d9656bbb1f768e8248eba1b75baed65f5d99eafa948899a6a";
    let announced = announce(package_id, "Update.zip", Some(sha256.into()));
    let ticket = depot.send(&operator(), announced).await.unwrap().answer;
    let (status, progress) = depot.put(&ticket.files[0].url, 0, b"0123").await;
    assert_eq!((status, &progress["sha256"]), (200, &json!(sha256)), "{progress}");
    depot.close().await;
}

// Point 52.
#[tokio::test]
async fn the_notice_and_names_that_lead_elsewhere_are_refused_before_a_byte_comes() {
    let depot = Depot::open().await;
    let package_id = depot.register(update("1")).await;
    for (name, code) in [
        ("Supplemental Notice.txt", "feeds.package_supplemental_notice"),
        ("../Metadata.xml", "feeds.package_file_name_invalid"),
        ("..\\Metadata.xml", "feeds.package_file_name_invalid"),
        ("/etc/passwd", "feeds.package_file_name_invalid"),
        ("C:\\Metadata.xml", "feeds.package_file_name_invalid"),
    ] {
        assert_eq!(depot.refusal(&operator(), announce(package_id, name, None)).await, code, "{name}");
    }
    let ticket = depot.send(&operator(), announce(package_id, "Update.zip", None)).await.unwrap().answer;
    let good = &ticket.files[0].url;
    for forged in [
        good.replace("Update.zip", "..%2F..%2FUpdate.zip"),
        good.replace("size=4", "size=400"),
        good.replace(&package_id.to_string(), &PackageId(uuid::Uuid::nil()).to_string()),
    ] {
        let (status, problem) = depot.put(&forged, 0, b"0123").await;
        assert_eq!((status, &problem["code"]), (403, &json!("feeds.package_link_invalid")), "{forged}");
    }
    let read = depot.http.get(depot.url(good)).send().await.unwrap();
    assert_eq!(read.status().as_u16(), 403, "an address for sending is none for reading");
    assert!(depot.objects(package_id).is_empty());
    depot.close().await;
}

/// A name, the files, and the code of the refusal.
type Case<'a> = (&'a str, &'a [(&'a str, &'a [u8])], &'a str);

// Points 48, 49 and 58.
#[tokio::test]
async fn files_that_are_no_package_are_told_when_they_are_looked_at_and_end_it_when_they_are_confirmed() {
    let depot = Depot::open().await;
    let (good, bad) = (payload(100), metadata("Fabrikam", "1", None));
    let described = metadata("Contoso", "3", None);
    let cases: [Case<'_>; 3] = [
        ("1", &[("Update.zip", &good)], "feeds.package_metadata_missing"),
        ("2", &[("Metadata.xml", bad.as_bytes()), ("Update.zip", &good)], "feeds.package_vendor_differs"),
        (
            "3",
            &[("Metadata.xml", described.as_bytes()), ("Update.zip", b"no zip")],
            "feeds.package_payload_unreadable",
        ),
    ];
    for (version, files, code) in cases {
        let package_id = depot.register(update(version)).await;
        depot.upload(&operator(), package_id, files).await;
        let manifest_sha256 = match depot.send(&operator(), ReviewPackage { package_id }).await {
            Ok(review) => review.answer.contents.manifest_sha256,
            Err(failure) => {
                assert_eq!(failure.code, code);
                continue;
            }
        };
        depot.send(&operator(), CompletePackageUpload { package_id, manifest_sha256 }).await.unwrap();
        depot.reaches(package_id, "INVALID").await;
        assert_eq!(depot.facts("PackageInvalid").await[0]["code"], code);
        testkit::eventually("its files are gone", || async { depot.objects(package_id).is_empty() }).await;
    }
    assert_eq!(depot.facts("PackageInvalid").await.len(), 1);
    depot.close().await;
}

#[tokio::test]
async fn the_same_package_is_registered_once() {
    let depot = Depot::open().await;
    depot.register(update("1")).await;
    let again = RegisterPackage {
        package: contracts::packages::PackageFacts { vendor: " CONTOSO ".into(), ..update("1") },
    };
    assert_eq!(depot.refusal(&operator(), again).await, "feeds.package_exists");
    depot.close().await;
}
