//! What can be installed at a customer. The numbers are those of the requirements.

use contracts::packages::{
    Connectivity, PackageFacts, PackagePrerequisite, PackageType, PackageUpdateCompleted,
    PackageUpdateFailed, PackageUpdateStarted, SiteConnectivityChanged, SiteEvent, SiteVersionRecorded,
};
use feeds_domain::package::{Readiness, Site, SiteCommand, SiteRefusal};
use kernel::{CustomerId, PackageId};
use scenario::given;
use uuid::Uuid;

const CUSTOMER: CustomerId = CustomerId(Uuid::from_u128(1));
const ID: PackageId = PackageId(Uuid::from_u128(2));
const PRODUCT: &str = "Contoso Stack";

fn update() -> PackageFacts {
    PackageFacts {
        package_type: PackageType::Software,
        vendor: "Contoso".into(),
        product: PRODUCT.into(),
        name: "Contoso Stack 1.1907".into(),
        version: "1.1907.0.20".into(),
        patch_id: None,
        kb_id: None,
        downloads: Vec::new(),
        release_notes_url: None,
        base_version: None,
        prerequisites: Vec::new(),
        managed_in_band: true,
        vendor_contact_url: None,
    }
}

fn start_of(package: PackageFacts, readiness: Readiness) -> (CustomerId, SiteCommand) {
    let package = Box::new(package);
    (CUSTOMER, SiteCommand::StartUpdate { package_id: ID, package, prerequisites: Vec::new(), readiness })
}

fn start() -> (CustomerId, SiteCommand) {
    start_of(update(), Readiness::Ready)
}

fn installed(version: &str) -> SiteEvent {
    let (product, version) = (PRODUCT.to_owned(), version.to_owned());
    SiteVersionRecorded { customer_id: CUSTOMER, product, version }.into()
}

fn started() -> SiteEvent {
    let (product, version) = (PRODUCT.to_owned(), "1.1907.0.20".to_owned());
    PackageUpdateStarted { package_id: ID, customer_id: CUSTOMER, product, version }.into()
}

fn completed() -> SiteEvent {
    let (product, version) = (PRODUCT.to_owned(), "1.1907.0.20".to_owned());
    PackageUpdateCompleted { package_id: ID, customer_id: CUSTOMER, product, version }.into()
}

// Point 68.
#[test]
fn a_package_is_installed_when_it_is_ready_or_will_be_by_itself() {
    given::<Site>([]).when(start()).then([started()]);
    given::<Site>([]).when(start_of(update(), Readiness::Automatic)).then([started()]);
    given::<Site>([])
        .when(start_of(update(), Readiness::NotReady { stage: "UPLOADING".into() }))
        .then_refused(&SiteRefusal::NotReady { stage: "UPLOADING".into() });
}

// Point 50.
#[test]
fn a_package_is_installed_only_where_its_prerequisite_is_there() {
    let needed = PackagePrerequisite { product: PRODUCT.into(), version: "1.1906.0.30".into() };
    let demanding = || PackageFacts { prerequisites: vec![needed.clone()], ..update() };
    let refused = |installed: Option<&str>| SiteRefusal::PrerequisiteMissing {
        product: PRODUCT.into(),
        needed: "1.1906.0.30".into(),
        installed: installed.map(str::to_owned),
    };
    given::<Site>([]).when(start_of(demanding(), Readiness::Ready)).then_refused(&refused(None));
    given::<Site>([installed("1.1905.9.9")])
        .when(start_of(demanding(), Readiness::Ready))
        .then_refused(&refused(Some("1.1905.9.9")));
    given::<Site>([installed("1.1906.0.30")]).when(start_of(demanding(), Readiness::Ready)).then([started()]);
    let of_metadata = SiteCommand::StartUpdate {
        package_id: ID,
        package: Box::new(update()),
        prerequisites: vec![needed.clone()],
        readiness: Readiness::Ready,
    };
    given::<Site>([]).when((CUSTOMER, of_metadata)).then_refused(&refused(None));
}

// Point 57.
#[test]
fn a_hotfix_is_installed_on_the_version_that_it_is_for() {
    let fix = || PackageFacts {
        package_type: PackageType::Hotfix,
        base_version: Some("1.1907.0.1".into()),
        ..update()
    };
    given::<Site>([installed("1.1906.0.30")]).when(start_of(fix(), Readiness::Ready)).then_refused(
        &SiteRefusal::PrerequisiteMissing {
            product: PRODUCT.into(),
            needed: "1.1907.0.1".into(),
            installed: Some("1.1906.0.30".into()),
        },
    );
    given::<Site>([installed("1.1907.0.1")]).when(start_of(fix(), Readiness::Ready)).then([started()]);
}

// Point 59.
#[test]
fn what_its_vendor_manages_is_not_installed_from_here() {
    let external = PackageFacts { managed_in_band: false, ..update() };
    given::<Site>([]).when(start_of(external, Readiness::Ready)).then_refused(&SiteRefusal::External);
}

#[test]
fn an_older_version_does_not_replace_a_newer_one() {
    for version in ["1.1907.0.20", "1.1908"] {
        given::<Site>([installed(version)])
            .when(start())
            .then_refused(&SiteRefusal::NotNewer { product: PRODUCT.into(), installed: version.into() });
    }
}

#[test]
fn a_product_is_updated_by_one_package_at_a_time() {
    let other = SiteCommand::StartUpdate {
        package_id: PackageId(Uuid::from_u128(9)),
        package: Box::new(PackageFacts { product: "CONTOSO stack".into(), version: "2".into(), ..update() }),
        prerequisites: Vec::new(),
        readiness: Readiness::Ready,
    };
    given::<Site>([started()])
        .when((CUSTOMER, other))
        .then_refused(&SiteRefusal::Running { product: PRODUCT.into(), version: "1.1907.0.20".into() });
}

// Point 72.
#[test]
fn a_version_counts_as_installed_when_the_update_is_complete_and_not_before() {
    let complete = (CUSTOMER, SiteCommand::CompleteUpdate { package_id: ID });
    given::<Site>([]).when(complete.clone()).then_refused(&SiteRefusal::NotRunning);
    given::<Site>([started()]).when(complete).then([completed()]);
    let next = || PackageFacts {
        version: "1.1908".into(),
        prerequisites: vec![PackagePrerequisite { product: PRODUCT.into(), version: "1.1907.0.20".into() }],
        ..update()
    };
    let next = SiteCommand::StartUpdate {
        package_id: PackageId(Uuid::from_u128(9)),
        package: Box::new(next()),
        prerequisites: Vec::new(),
        readiness: Readiness::Ready,
    };
    given::<Site>([started(), completed()]).when((CUSTOMER, next)).then([PackageUpdateStarted {
        package_id: PackageId(Uuid::from_u128(9)),
        customer_id: CUSTOMER,
        product: PRODUCT.into(),
        version: "1.1908".into(),
    }
    .into()]);
}

#[test]
fn an_update_that_failed_can_be_started_again() {
    let fail = |reason: &str| (CUSTOMER, SiteCommand::FailUpdate { package_id: ID, reason: reason.into() });
    let failed = PackageUpdateFailed { package_id: ID, customer_id: CUSTOMER, reason: "no power".into() };
    given::<Site>([started()]).when(fail("")).then_refused(&SiteRefusal::NoReason);
    given::<Site>([]).when(fail("no power")).then_refused(&SiteRefusal::NotRunning);
    given::<Site>([started()]).when(fail("no power")).then([failed.clone().into()]);
    given::<Site>([started(), failed.into()]).when(start()).then([started()]);
}

// Point 38.
#[test]
fn a_customer_says_how_its_systems_reach_publishers() {
    let set = |connectivity| (CUSTOMER, SiteCommand::SetConnectivity { connectivity });
    given::<Site>([]).when(set(Connectivity::Connected)).then_nothing();
    given::<Site>([]).when(set(Connectivity::Weak)).then([SiteConnectivityChanged {
        customer_id: CUSTOMER,
        connectivity: Connectivity::Weak,
    }
    .into()]);
}

#[test]
fn a_version_that_is_installed_is_recorded_once() {
    let record = |product: &str, version: &str| {
        (CUSTOMER, SiteCommand::RecordVersion { product: product.into(), version: version.into() })
    };
    given::<Site>([]).when(record(PRODUCT, "1.1906")).then([installed("1.1906")]);
    given::<Site>([installed("1.1906")]).when(record("contoso STACK", "1.1906")).then_nothing();
    given::<Site>([]).when(record("", "1")).then_refused(&SiteRefusal::InvalidVersion);
}
