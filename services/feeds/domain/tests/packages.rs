//! Which facts about packages are news. The numbers are those of the requirements.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use chrono::{DateTime, TimeDelta, Utc};
use contracts::packages::{
    AnnouncedFile, Connectivity, OemCertificationRefused, OemPackageCertified, OemPackageSubmitted,
    PackageContents, PackageDownload, PackageDownloadFailed, PackageDownloadStarted, PackageDownloaded,
    PackageEvent, PackageFacts, PackageFile, PackageInvalid, PackageMetadata, PackageReady,
    PackageRegistered, PackageRemovalReason, PackageRemoved, PackageSuperseded, PackageType,
    PackageUploadStarted, PackageUploaded, PackageValidationStarted,
};
use feeds_domain::package::{Package, PackageCommand, PackageRefusal, Spare, supersedes};
use kernel::{PackageId, Refused, UserId, fold};
use scenario::given;
use uuid::Uuid;

const ID: PackageId = PackageId(Uuid::from_u128(1));
const NEWER: PackageId = PackageId(Uuid::from_u128(2));
const ANN: UserId = UserId(Uuid::from_u128(3));
const OLGA: UserId = UserId(Uuid::from_u128(4));
const MANIFEST: &str = "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752";

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn update() -> PackageFacts {
    PackageFacts {
        package_type: PackageType::Software,
        vendor: "Contoso".into(),
        product: "Contoso Stack".into(),
        name: "Contoso Stack 1.1907".into(),
        version: "1.1907.0.20".into(),
        patch_id: None,
        kb_id: None,
        downloads: vec![PackageDownload {
            name: "Update1907.zip".into(),
            url: "https://updates.contoso.example/Update1907.zip".into(),
            sha256: Some("a".repeat(64)),
        }],
        release_notes_url: Some("https://updates.contoso.example/notes".into()),
        base_version: None,
        prerequisites: Vec::new(),
        managed_in_band: true,
        vendor_contact_url: None,
    }
}

fn hotfix(version: &str, base: &str) -> PackageFacts {
    PackageFacts {
        package_type: PackageType::Hotfix,
        version: version.into(),
        kb_id: Some("KB4515650".into()),
        base_version: Some(base.into()),
        ..update()
    }
}

fn oem() -> PackageFacts {
    PackageFacts {
        package_type: PackageType::Oem,
        vendor: "Fabrikam".into(),
        vendor_contact_url: Some("https://support.fabrikam.example".into()),
        ..update()
    }
}

fn register(package: PackageFacts) -> (PackageId, PackageCommand) {
    (ID, PackageCommand::Register { package, plain_http: false })
}

fn registered(package: PackageFacts) -> PackageEvent {
    PackageRegistered { package_id: ID, package }.into()
}

fn submitted() -> PackageEvent {
    OemPackageSubmitted { package_id: ID, package: oem(), submitted_by: ANN }.into()
}

fn file(name: &str, digit: &str) -> PackageFile {
    PackageFile { name: name.into(), size_bytes: 10, sha256: digit.repeat(64) }
}

fn files() -> Vec<PackageFile> {
    vec![file("Metadata.xml", "b"), file("Update1907.zip", "a")]
}

fn announced(names: &[&str]) -> Vec<AnnouncedFile> {
    names.iter().map(|name| AnnouncedFile { name: (*name).into(), size_bytes: 10, sha256: None }).collect()
}

fn contents(publisher: &str) -> PackageContents {
    PackageContents {
        manifest_sha256: MANIFEST.into(),
        files: files(),
        metadata: PackageMetadata {
            publisher: publisher.into(),
            name: "Contoso Stack 1.1907".into(),
            version: Some("1.1907.0.20".into()),
            package_type: Some(PackageType::Software),
            prerequisites: Vec::new(),
            size_bytes: Some(20),
            support_url: None,
            components: vec!["services".into(), "operating system".into()],
        },
        entry_count: 3,
    }
}

fn ready(publisher: &str) -> PackageEvent {
    PackageReady { package_id: ID, contents: contents(publisher) }.into()
}

fn upload_started(names: &[&str]) -> PackageEvent {
    PackageUploadStarted { package_id: ID, files: announced(names) }.into()
}

fn at(command: PackageCommand) -> (PackageId, PackageCommand) {
    (ID, command)
}

fn code(package: PackageFacts) -> &'static str {
    use kernel::Aggregate;
    Package::decide(&fold::<Package>([]), register(package)).unwrap_err().code()
}

// Points 33 and 37.
#[test]
fn an_update_is_registered_once() {
    given::<Package>([]).when(register(update())).then([registered(update())]);
}

#[test]
fn another_package_cannot_take_its_id() {
    given::<Package>([registered(update())])
        .when(register(PackageFacts { version: "2".into(), ..update() }))
        .then_refused(&PackageRefusal::AlreadyRegistered { name: "Contoso Stack 1.1907".into() });
}

// Points 35, 56 and 57.
#[test]
fn what_is_said_of_a_package_is_looked_at() {
    let with_url = |url: &str| PackageFacts {
        downloads: vec![PackageDownload { name: "a.zip".into(), url: url.into(), sha256: None }],
        ..update()
    };
    for (package, refused) in [
        (PackageFacts { vendor: " ".into(), ..update() }, "feeds.package_text_invalid"),
        (PackageFacts { version: "1\n2".into(), ..update() }, "feeds.package_text_invalid"),
        (PackageFacts { kb_id: Some(String::new()), ..update() }, "feeds.package_text_invalid"),
        (
            PackageFacts { release_notes_url: Some("ftp://x".into()), ..update() },
            "feeds.package_address_invalid",
        ),
        (PackageFacts { base_version: None, ..hotfix("2", "1") }, "feeds.package_without_base"),
        (with_url("https:///x"), "feeds.package_address_invalid"),
        (with_url("http://updates.contoso.example/a.zip"), "feeds.package_download_insecure"),
        (oem(), "feeds.package_needs_submission"),
    ] {
        assert_eq!(code(package.clone()), refused, "{package:?}");
    }
    given::<Package>([]).when(register(hotfix("2", "1"))).then([registered(hotfix("2", "1"))]);
}

// Points 28 and 29.
#[test]
fn a_manufacturers_package_is_certified_by_somebody_else_when_its_contents_are_known() {
    let certify = |by| at(PackageCommand::Certify { by, manifest_sha256: MANIFEST.into() });
    let submit = PackageCommand::Submit { package: oem(), by: ANN, plain_http: false };
    given::<Package>([]).when(at(submit)).then([submitted()]);
    given::<Package>([submitted()])
        .when(certify(OLGA))
        .then_refused(&PackageRefusal::NotCertifiable { stage: "REGISTERED" });
    given::<Package>([submitted(), ready("Fabrikam")])
        .when(certify(ANN))
        .then_refused(&PackageRefusal::OwnSubmission);
    given::<Package>([submitted(), ready("Fabrikam")]).when(certify(OLGA)).then([OemPackageCertified {
        package_id: ID,
        certified_by: OLGA,
        manifest_sha256: MANIFEST.into(),
    }
    .into()]);
    given::<Package>([submitted(), ready("Fabrikam")])
        .when(at(PackageCommand::Certify { by: OLGA, manifest_sha256: "c".repeat(64) }))
        .then_refused(&PackageRefusal::ContentsChanged);
    given::<Package>([registered(update())]).when(certify(OLGA)).then_refused(&PackageRefusal::NotOem);
}

#[test]
fn a_refused_certificate_is_final_and_has_a_reason() {
    let refuse = |reason: &str| at(PackageCommand::RefuseCertification { by: OLGA, reason: reason.into() });
    let refused = OemCertificationRefused { package_id: ID, refused_by: OLGA, reason: "unsigned".into() };
    given::<Package>([submitted()]).when(refuse("")).then_refused(&PackageRefusal::NoReason);
    given::<Package>([submitted()]).when(refuse("unsigned")).then([refused.clone().into()]);
    given::<Package>([submitted(), ready("Fabrikam"), refused.into()])
        .when(at(PackageCommand::Certify { by: OLGA, manifest_sha256: MANIFEST.into() }))
        .then_refused(&PackageRefusal::CertificationRefused);
}

// Points 34 and 45.
#[test]
fn an_update_is_downloaded_when_somebody_asks_for_it_and_tried_again_when_that_failed() {
    let start = at(PackageCommand::StartDownload { connectivity: Connectivity::Connected });
    let started = PackageEvent::from(PackageDownloadStarted { package_id: ID });
    let failed = PackageDownloadFailed { package_id: ID, code: "feeds.x".into(), reason: "gone".into() };
    given::<Package>([registered(update())]).when(start.clone()).then([started.clone()]);
    given::<Package>([registered(update()), started.clone()])
        .when(at(PackageCommand::FailDownload { code: "feeds.x".into(), reason: "gone".into() }))
        .then([failed.clone().into()]);
    given::<Package>([registered(update()), started.clone(), failed.into()])
        .when(start)
        .then([started.clone()]);
    given::<Package>([registered(update()), started])
        .when(at(PackageCommand::RecordDownload { files: files() }))
        .then([PackageDownloaded { package_id: ID, files: files() }.into()]);
}

// Points 41 to 44.
#[test]
fn what_is_prepared_by_hand_is_not_downloaded() {
    for connectivity in [Connectivity::Disconnected, Connectivity::Weak] {
        given::<Package>([registered(update())])
            .when(at(PackageCommand::StartDownload { connectivity }))
            .then_refused(&PackageRefusal::ByHand);
    }
    given::<Package>([submitted()])
        .when(at(PackageCommand::StartDownload { connectivity: Connectivity::Connected }))
        .then_refused(&PackageRefusal::ByHand);
    given::<Package>([registered(PackageFacts { downloads: Vec::new(), ..update() })])
        .when(at(PackageCommand::StartDownload { connectivity: Connectivity::Connected }))
        .then_refused(&PackageRefusal::NothingToDownload);
}

// Points 36, 46 and 51.
#[test]
fn any_package_can_be_imported_by_hand_with_several_payloads() {
    let names = ["Metadata.xml", "Update1907.zip", "Drivers (2).zip"];
    for known in [registered(update()), submitted()] {
        given::<Package>([known])
            .when(at(PackageCommand::StartUpload { files: announced(&names) }))
            .then([upload_started(&names)]);
    }
}

// Point 52.
#[test]
fn the_supplemental_notice_is_not_imported() {
    for name in ["Supplemental Notice.txt", "SUPPLEMENTAL NOTICE.TXT"] {
        given::<Package>([registered(update())])
            .when(at(PackageCommand::StartUpload { files: announced(&["Metadata.xml", name]) }))
            .then_refused(&PackageRefusal::SupplementalNotice { name: name.into() });
    }
}

#[test]
fn a_file_name_that_could_lead_elsewhere_is_refused() {
    for name in [
        "../Metadata.xml",
        "/etc/passwd",
        "a\\b.zip",
        "C:a.zip",
        ".hidden",
        "a.zip.",
        "a\0.zip",
        "",
        "a:b.zip",
        "ä.zip",
        "a/b",
    ] {
        let start = PackageCommand::StartUpload { files: announced(&[name]) };
        given::<Package>([registered(update())])
            .when(at(start))
            .then_refused(&PackageRefusal::InvalidFileName { name: name.into() });
    }
    given::<Package>([registered(update())])
        .when(at(PackageCommand::StartUpload { files: announced(&["a.zip", "A.ZIP"]) }))
        .then_refused(&PackageRefusal::InvalidFileName { name: "A.ZIP".into() });
}

#[test]
fn a_package_has_files_and_none_of_them_is_empty_or_beyond_measure() {
    let sized = |size_bytes| vec![AnnouncedFile { name: "a.zip".into(), size_bytes, sha256: None }];
    for files in [Vec::new(), sized(0), sized(u64::MAX), [sized(u64::MAX), announced(&["b.zip"])].concat()] {
        given::<Package>([registered(update())])
            .when(at(PackageCommand::StartUpload { files }))
            .then_refused(&PackageRefusal::InvalidSize);
    }
}

// Points 47 and 65.
#[test]
fn an_import_is_confirmed_by_who_has_seen_the_list_of_its_files() {
    let past = || [registered(update()), upload_started(&["Metadata.xml", "Update1907.zip"])];
    let complete = |files, shown: &str| {
        let (manifest_sha256, shown_sha256) = (MANIFEST.to_owned(), shown.to_owned());
        at(PackageCommand::CompleteUpload { files, manifest_sha256, shown_sha256 })
    };
    given::<Package>(past())
        .when(complete(files()[..1].to_vec(), MANIFEST))
        .then_refused(&PackageRefusal::UploadIncomplete { name: "Update1907.zip".into() });
    given::<Package>(past()).when(complete(files(), "")).then_refused(&PackageRefusal::ContentsChanged);
    given::<Package>(past()).when(complete(files(), MANIFEST)).then([PackageUploaded {
        package_id: ID,
        files: files(),
        manifest_sha256: MANIFEST.into(),
    }
    .into()]);
}

// Points 48 to 51, 55, 66 and 67.
#[test]
fn a_package_whose_files_are_what_they_should_be_is_ready() {
    let validating = PackageEvent::from(PackageValidationStarted { package_id: ID });
    let uploaded = PackageUploaded { package_id: ID, files: files(), manifest_sha256: MANIFEST.into() };
    given::<Package>([registered(update()), uploaded.into()])
        .when(at(PackageCommand::StartValidation))
        .then([validating.clone()]);
    given::<Package>([registered(update()), validating.clone()])
        .when(at(PackageCommand::Judge(Box::new(Ok(contents(" contoso "))))))
        .then([ready(" contoso ")]);
    let unreadable = ("feeds.package_without_metadata".to_owned(), "there is no Metadata.xml".to_owned());
    given::<Package>([registered(update()), validating])
        .when(at(PackageCommand::Judge(Box::new(Err(unreadable.clone())))))
        .then([PackageInvalid { package_id: ID, code: unreadable.0, reason: unreadable.1 }.into()]);
}

// Point 58.
#[test]
fn files_of_another_vendor_version_type_or_checksum_are_not_the_packages() {
    let judged = |contents: PackageContents| {
        use kernel::Aggregate;
        let state =
            fold::<Package>(&[registered(update()), PackageValidationStarted { package_id: ID }.into()]);
        let events = Package::decide(&state, at(PackageCommand::Judge(Box::new(Ok(contents))))).unwrap();
        match &events[..] {
            [PackageEvent::PackageInvalid(invalid)] => invalid.code.clone(),
            other => panic!("{other:?}"),
        }
    };
    let other_version = PackageMetadata { version: Some("2".into()), ..contents("Contoso").metadata };
    let other_type = PackageMetadata { package_type: Some(PackageType::Oem), ..contents("Contoso").metadata };
    let other_bytes = vec![file("Update1907.zip", "d")];
    assert_eq!(judged(contents("Fabrikam")), "feeds.package_vendor_differs");
    assert_eq!(
        judged(PackageContents { metadata: other_version, ..contents("Contoso") }),
        "feeds.package_version_differs"
    );
    assert_eq!(
        judged(PackageContents { metadata: other_type, ..contents("Contoso") }),
        "feeds.package_type_differs"
    );
    assert_eq!(
        judged(PackageContents { files: other_bytes, ..contents("Contoso") }),
        "feeds.package_checksum_differs"
    );
}

// Point 59.
#[test]
fn what_its_vendor_manages_is_not_imported() {
    let external = || registered(PackageFacts { managed_in_band: false, ..update() });
    given::<Package>([external()])
        .when(at(PackageCommand::StartUpload { files: announced(&["Metadata.xml"]) }))
        .then_refused(&PackageRefusal::External);
    given::<Package>([external()])
        .when(at(PackageCommand::StartDownload { connectivity: Connectivity::Connected }))
        .then_refused(&PackageRefusal::External);
}

// Point 73.
#[test]
fn a_package_is_removed_by_hand_once_it_is_installed_wherever_it_was_approved() {
    let remove = |outstanding, installed| at(PackageCommand::Remove { outstanding, installed });
    let past = || [registered(update()), ready("Contoso")];
    given::<Package>(past()).when(remove(0, 0)).then_refused(&PackageRefusal::NotInstalled);
    given::<Package>(past()).when(remove(2, 5)).then_refused(&PackageRefusal::StillNeeded { outstanding: 2 });
    let removed = PackageRemoved { package_id: ID, reason: PackageRemovalReason::ByHand };
    given::<Package>(past()).when(remove(0, 1)).then([removed.into()]);
    given::<Package>([registered(update())])
        .when(remove(0, 1))
        .then_refused(&PackageRefusal::WrongStage { stage: "REGISTERED" });
}

// Points 74 and 75.
#[test]
fn a_package_that_nobody_needs_any_more_goes_when_it_is_due() {
    let superseded = || PackageEvent::from(PackageSuperseded { package_id: ID, superseded_by: NEWER });
    let retire =
        |spare, days| at(PackageCommand::Retire { spare, days: 14, at: noon() + TimeDelta::days(days) });
    let removed = |reason| [PackageEvent::from(PackageRemoved { package_id: ID, reason })];
    let ready_now = || [registered(update()), ready("Contoso")];
    given::<Package>(ready_now()).when(at(PackageCommand::Supersede { by: NEWER })).then([superseded()]);
    let spare = Spare::Superseded { since: noon() };
    given::<Package>([registered(update()), ready("Contoso"), superseded()])
        .when(retire(spare, 12))
        .then_refused(&PackageRefusal::NotDue);
    given::<Package>([registered(update()), ready("Contoso"), superseded()])
        .when(retire(spare, 14))
        .then(removed(PackageRemovalReason::Superseded));
    given::<Package>(ready_now())
        .when(retire(spare, 14))
        .then_refused(&PackageRefusal::WrongStage { stage: "READY" });
    given::<Package>(ready_now())
        .when(retire(Spare::Installed { since: noon() }, 14))
        .then(removed(PackageRemovalReason::Installed));
    given::<Package>([registered(update()), upload_started(&["Metadata.xml"])])
        .when(retire(Spare::Abandoned { since: noon() }, 14))
        .then(removed(PackageRemovalReason::Abandoned));
}

#[test]
fn a_newer_update_replaces_older_ones_of_its_product_and_a_hotfix_those_of_its_base() {
    let old = PackageFacts { version: "1.1906.0.30".into(), ..update() };
    assert!(supersedes(&update(), &old));
    assert!(!supersedes(&old, &update()));
    assert!(supersedes(&update(), &hotfix("1.1906.11.52", "1.1906.0.30")));
    assert!(supersedes(&hotfix("1.1906.12", "1.1906.0.30"), &hotfix("1.1906.11.52", "1.1906.0.30")));
    assert!(!supersedes(&hotfix("1.1907.2", "1.1907.0.20"), &hotfix("1.1906.11.52", "1.1906.0.30")));
    assert!(!supersedes(&hotfix("1.1907.2", "1.1907.0.20"), &update()));
    assert!(!supersedes(&PackageFacts { vendor: "Fabrikam".into(), ..update() }, &old));
    assert!(!supersedes(&PackageFacts { version: "9".into(), ..oem() }, &old));
}
