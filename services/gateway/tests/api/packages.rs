//! Update packages as the API shows them. The numbers are those of the requirements.

use crate::system::{Fact, OPERATOR, System};
use crate::world::{World, global};
use contracts::packages::{
    Connectivity, OemPackageCertified, OemPackageSubmitted, PackageContents, PackageDownloadFailed,
    PackageDownloadStarted, PackageEvent, PackageFacts, PackageFile, PackageMetadata, PackagePrerequisite,
    PackageReady, PackageRegistered, PackageRemovalReason, PackageRemoved, PackageSuperseded, PackageType,
    PackageUpdateCompleted, PackageUpdateFailed, PackageUpdateStarted, PackageUploaded,
    SiteConnectivityChanged, SiteEvent, SiteVersionRecorded,
};
use contracts::permissions::Role;
use kernel::{PackageId, Tenant, derived_id};
use serde_json::{Value, json};
use testkit::id;

/// Everything that a list of packages shows at a glance.
const PACKAGES: &str = "{ packages { nodes { name state statusText packageSize } } }";
const AVAILABLE: &str = "{ availableUpdates { nodes { name state version packageSize } } }";

fn facts(package_type: PackageType, name: &str) -> PackageFacts {
    PackageFacts {
        package_type,
        vendor: "Contoso".into(),
        product: "Contoso Stack".into(),
        name: name.into(),
        version: "1.1907.0.20".into(),
        patch_id: None,
        kb_id: Some("KB4515650".into()),
        downloads: Vec::new(),
        release_notes_url: Some("https://updates.contoso.example/notes".into()),
        base_version: None,
        prerequisites: vec![PackagePrerequisite {
            product: "Contoso Stack".into(),
            version: "1.1905".into(),
        }],
        managed_in_band: true,
        vendor_contact_url: Some("https://support.contoso.example".into()),
    }
}

fn files() -> Vec<PackageFile> {
    [("Metadata.xml", 800), ("Update.zip", 5_000_000_000)]
        .map(|(name, size_bytes)| PackageFile { name: name.into(), size_bytes, sha256: "ab".repeat(32) })
        .into()
}

fn contents() -> PackageContents {
    PackageContents {
        manifest_sha256: "cd".repeat(32),
        files: files(),
        metadata: PackageMetadata {
            publisher: "Contoso".into(),
            name: "Contoso Stack 1.1907".into(),
            version: Some("1.1907.0.20".into()),
            package_type: Some(PackageType::Software),
            prerequisites: vec![PackagePrerequisite {
                product: "Contoso Stack".into(),
                version: "1.1906.0.30".into(),
            }],
            size_bytes: None,
            support_url: Some("https://support.contoso.example".into()),
            components: vec!["PlatformUpdate 1.1907".into(), "HostUpdate".into()],
        },
        entry_count: 7,
    }
}

impl System {
    async fn package_says(&self, tenant: Tenant, package_id: PackageId, event: impl Into<PackageEvent>) {
        self.record(tenant, package_id.0, vec![Fact::of::<PackageEvent>(event)]).await;
    }

    /// A package whose files were imported.
    async fn imported(&self, tenant: Tenant, package_id: PackageId) {
        let uploaded = PackageUploaded { package_id, files: files(), manifest_sha256: "cd".repeat(32) };
        self.package_says(tenant, package_id, uploaded).await;
        self.package_says(tenant, package_id, PackageReady { package_id, contents: contents() }).await;
    }

    async fn nodes(&self, who: &str, query: &str) -> Value {
        let data = self.data(who, query, Value::Null).await;
        data.as_object().unwrap().values().next().unwrap()["nodes"].clone()
    }
}

impl World {
    /// The partner's own package.
    pub(crate) fn package(&self) -> PackageId {
        PackageId(derived_id(self.customer.0, "package"))
    }

    async fn site_says(&self, system: &System, event: impl Into<SiteEvent>) {
        let stream = derived_id(self.customer.0, "site");
        system.record(self.tenant(), stream, vec![Fact::of::<SiteEvent>(event)]).await;
    }

    pub(crate) async fn record_packages(&self, system: &System) {
        let (owner, package_id) = (Tenant::partner(self.partner), self.package());
        let package = facts(PackageType::Software, &self.text("package"));
        system.package_says(owner, package_id, PackageRegistered { package_id, package }).await;
        system.imported(owner, package_id).await;
        let (customer_id, version) = (self.customer, "1.1906".to_owned());
        let product = self.text("product");
        let installed = SiteVersionRecorded { customer_id, product: product.clone(), version };
        self.site_says(system, installed).await;
        let version = "1.1907".to_owned();
        self.site_says(system, PackageUpdateStarted { package_id, customer_id, product, version }).await;
    }
}

async fn start() -> (System, World) {
    let (system, world) = (System::start().await, World::new("acker"));
    world.record_people(&system).await;
    (system, world)
}

// Points 25, 53, 65 to 67.
#[tokio::test]
async fn a_package_is_available_when_it_is_ready_and_not_before() {
    let (system, world) = start().await;
    let who = world.subject(Role::CustomerAuditor);
    let package_id: PackageId = id();
    let package = facts(PackageType::Software, "Stack 1.1907");
    system.package_says(Tenant::PLATFORM, package_id, PackageRegistered { package_id, package }).await;
    let shown = system.nodes(&who, PACKAGES).await;
    let (state, text) = ("REGISTERED", "Not downloaded yet");
    assert_eq!(
        shown,
        json!([{ "name": "Stack 1.1907", "state": state, "statusText": text, "packageSize": null }])
    );
    assert_eq!(system.nodes(&who, AVAILABLE).await, json!([]));

    system.package_says(Tenant::PLATFORM, package_id, PackageDownloadStarted { package_id }).await;
    let (code, reason) = ("feeds.source_timeout".to_owned(), "too slow".to_owned());
    let failed = PackageDownloadFailed { package_id, code, reason };
    system.package_says(Tenant::PLATFORM, package_id, failed).await;
    let failure = "{ packages(states: [DOWNLOAD_FAILED]) { nodes { statusText failure { code reason } } } }";
    assert_eq!(
        system.nodes(&who, failure).await,
        json!([{ "statusText": "Download failed", "failure": { "code": "feeds.source_timeout", "reason": "too slow" } }])
    );
    assert_eq!(system.nodes(&who, &failure.replace("DOWNLOAD_FAILED", "READY")).await, json!([]));

    system.imported(Tenant::PLATFORM, package_id).await;
    assert_eq!(system.nodes(&who, PACKAGES).await[0]["statusText"], "Update available");
    assert_eq!(
        system.nodes(&who, AVAILABLE).await,
        json!([{ "name": "Stack 1.1907", "state": "READY", "version": "1.1907.0.20", "packageSize": 5_000_000_800_i64 }])
    );

    let newer: PackageId = id();
    let package = facts(PackageType::Software, "Stack 1.1908");
    system.package_says(Tenant::PLATFORM, newer, PackageRegistered { package_id: newer, package }).await;
    let superseded = PackageSuperseded { package_id, superseded_by: newer };
    system.package_says(Tenant::PLATFORM, package_id, superseded).await;
    assert_eq!(system.nodes(&who, AVAILABLE).await, json!([]));
    let removed = PackageRemoved { package_id, reason: PackageRemovalReason::Superseded };
    system.package_says(Tenant::PLATFORM, package_id, removed).await;
    let query = "query($id: ID!) { package(id: $id) { state removalReason packageSize failure { code }
        supersededBy { name } } node(id: $id) { __typename } }";
    let gone = system.data(&who, query, json!({ "id": global("Package", package_id) })).await;
    assert_eq!(
        gone,
        json!({
            "package": { "state": "REMOVED", "removalReason": "SUPERSEDED", "packageSize": null, "failure": null,
                         "supersededBy": { "name": "Stack 1.1908" } },
            "node": { "__typename": "Package" },
        })
    );
    system.stop().await;
}

// Points 47, 50, 55 to 57 and 60.
#[tokio::test]
async fn a_package_shows_what_is_in_it_and_what_it_needs() {
    let (system, world) = start().await;
    let package_id: PackageId = id();
    let package = facts(PackageType::Software, "Stack 1.1907");
    system.package_says(Tenant::PLATFORM, package_id, PackageRegistered { package_id, package }).await;
    system.imported(Tenant::PLATFORM, package_id).await;
    let query = "query($id: ID!) { package(id: $id) { type vendor product kb releaseNotesUrl vendorContactUrl
        managedInBand prerequisites { product version } files { name sizeBytes }
        contents { manifestSha256 publisher supportUrl components entryCount files { sha256 } } } }";
    let variables = json!({ "id": global("Package", package_id) });
    let shown = system.data(&world.subject(Role::PartnerViewer), query, variables).await;
    assert_eq!(
        shown["package"],
        json!({
            "type": "SOFTWARE", "vendor": "Contoso", "product": "Contoso Stack", "kb": "KB4515650",
            "releaseNotesUrl": "https://updates.contoso.example/notes",
            "vendorContactUrl": "https://support.contoso.example", "managedInBand": true,
            "prerequisites": [{ "product": "Contoso Stack", "version": "1.1905" },
                              { "product": "Contoso Stack", "version": "1.1906.0.30" }],
            "files": [{ "name": "Metadata.xml", "sizeBytes": 800 },
                      { "name": "Update.zip", "sizeBytes": 5_000_000_000_i64 }],
            "contents": { "manifestSha256": "cd".repeat(32), "publisher": "Contoso",
                          "supportUrl": "https://support.contoso.example",
                          "components": ["PlatformUpdate 1.1907", "HostUpdate"], "entryCount": 7,
                          "files": [{ "sha256": "ab".repeat(32) }, { "sha256": "ab".repeat(32) }] },
        })
    );
    system.stop().await;
}

// Points 28 and 29.
#[tokio::test]
async fn a_manufacturers_package_is_shown_to_its_owner_alone_until_it_is_certified() {
    let (system, world) = start().await;
    let other = World::new("beck");
    other.record_people(&system).await;
    let (platforms, partners): (PackageId, PackageId) = (id(), id());
    let own = Tenant::partner(world.partner);
    for (tenant, package_id, name) in
        [(Tenant::PLATFORM, platforms, "Platform's"), (own, partners, "Partner's")]
    {
        let package = facts(PackageType::Oem, name);
        let submitted = OemPackageSubmitted { package_id, package, submitted_by: id() };
        system.package_says(tenant, package_id, submitted).await;
        system.imported(tenant, package_id).await;
    }
    let names = |nodes: Value| -> Vec<String> {
        nodes.as_array().unwrap().iter().map(|node| node["name"].as_str().unwrap().to_owned()).collect()
    };
    let (admin, customer, stranger) = (
        world.subject(Role::PartnerAdmin),
        world.subject(Role::CustomerAdmin),
        other.subject(Role::PartnerAdmin),
    );
    let shown = async |who: &str| names(system.nodes(who, PACKAGES).await);
    assert_eq!(shown(OPERATOR).await, ["Partner's", "Platform's"]);
    assert_eq!(shown(&admin).await, ["Partner's"]);
    assert_eq!(system.nodes(&admin, PACKAGES).await[0]["statusText"], "Awaiting certification");
    assert_eq!(system.nodes(&admin, AVAILABLE).await, json!([]));
    assert_eq!(shown(&customer).await, [""; 0]);
    assert_eq!(shown(&stranger).await, [""; 0]);

    for (tenant, package_id) in [(Tenant::PLATFORM, platforms), (own, partners)] {
        let certified =
            OemPackageCertified { package_id, certified_by: id(), manifest_sha256: "cd".repeat(32) };
        system.package_says(tenant, package_id, certified).await;
    }
    assert_eq!(shown(&customer).await, ["Partner's", "Platform's"]);
    assert_eq!(names(system.nodes(&customer, AVAILABLE).await), ["Partner's", "Platform's"]);
    assert_eq!(shown(&stranger).await, ["Platform's"]);
    let query = "query($id: ID!) { package(id: $id) { name } node(id: $id) { id } }";
    let hidden = system.data(&stranger, query, json!({ "id": global("Package", partners) })).await;
    assert_eq!(hidden, json!({ "package": null, "node": null }));
    system.stop().await;
}

// Points 26, 38 and 72.
#[tokio::test]
async fn a_customer_s_history_says_what_was_installed_and_when() {
    let (system, world) = start().await;
    world.record_packages(&system).await;
    let who = world.subject(Role::CustomerAdmin);
    let query = "{ viewer { customers { nodes {
        site { connectivity installedVersions { nodes { product version } } }
        updateHistory { nodes { name state version reason dateCompleted package { name } } } } } } }";
    let customer =
        async || system.data(&who, query, Value::Null).await["viewer"]["customers"]["nodes"][0].clone();
    let before = customer().await;
    let (product, name) = (world.text("product"), world.text("package"));
    assert_eq!(
        before["site"],
        json!({ "connectivity": "CONNECTED", "installedVersions": { "nodes": [{ "product": product, "version": "1.1906" }] } })
    );
    assert_eq!(
        before["updateHistory"]["nodes"],
        json!([{ "name": name, "state": "STARTED", "version": "1.1907", "reason": null, "dateCompleted": null,
                 "package": { "name": name } }])
    );

    let (package_id, customer_id) = (world.package(), world.customer);
    let reason = "no power".to_owned();
    world.site_says(&system, PackageUpdateFailed { package_id, customer_id, reason }).await;
    let version = "1.1907".to_owned();
    let again =
        PackageUpdateStarted { package_id, customer_id, product: product.clone(), version: version.clone() };
    world.site_says(&system, again).await;
    world.site_says(&system, PackageUpdateCompleted { package_id, customer_id, product, version }).await;
    let connectivity = Connectivity::Weak;
    world.site_says(&system, SiteConnectivityChanged { customer_id, connectivity }).await;
    let after = customer().await;
    assert_eq!(after["site"]["connectivity"], "WEAK");
    assert_eq!(after["site"]["installedVersions"]["nodes"][0]["version"], "1.1907");
    let history = after["updateHistory"]["nodes"].as_array().unwrap();
    let told: Vec<_> = history.iter().map(|update| (&update["state"], &update["reason"])).collect();
    assert_eq!(told, [(&json!("COMPLETED"), &Value::Null), (&json!("FAILED"), &json!("no power"))]);
    assert!(history.iter().all(|update| update["dateCompleted"].is_string()), "{history:?}");
    system.stop().await;
}

// Points 23, 25, 26.
#[tokio::test]
async fn updates_are_shown_by_the_region_of_the_customers_devices() {
    let (system, first) = (System::start().await, World::new("acker"));
    first.record(&system).await;
    let other = World::new("beck");
    other.record(&system).await;
    let package_id: PackageId = id();
    let product = "Contoso Shelf".to_owned();
    let package = PackageFacts { product, ..facts(PackageType::Software, "Shelf 1.1907") };
    let version = package.version.clone();
    system.package_says(Tenant::PLATFORM, package_id, PackageRegistered { package_id, package }).await;
    system.imported(Tenant::PLATFORM, package_id).await;
    let (who, theirs) = (first.subject(Role::PartnerViewer), other.subject(Role::PartnerViewer));
    let available = |region: &str| {
        format!("{{ availableUpdates(region: {}) {{ totalCount nodes {{ name }} }} }}", json!(region))
    };
    let none = json!([]);
    let here = available("acker region");
    assert_eq!(system.nodes(&who, &here).await, none, "the customer has nothing of the product");
    let record = |version: &str| {
        let product = "contoso shelf ".to_owned();
        SiteVersionRecorded { customer_id: first.customer, product, version: version.to_owned() }
    };
    first.site_says(&system, record("1.1906")).await;
    assert_eq!(system.nodes(&who, &here).await, json!([{ "name": "Shelf 1.1907" }]));
    assert_eq!(system.nodes(&who, &available("elsewhere")).await, none);
    // What another tenant has is no reason to show it.
    assert_eq!(system.nodes(&theirs, &here).await, none);
    first.site_says(&system, record(&version)).await;
    assert_eq!(system.nodes(&who, &here).await, none, "it is installed");

    let history = async |who: &str, region: Value| {
        let query = "query($region: String) { viewer { updateHistory(region: $region) {
            totalCount nodes { package { name } state } } } }";
        let data = system.data(who, query, json!({ "region": region })).await;
        data["viewer"]["updateHistory"].clone()
    };
    let started = json!({ "package": { "name": "acker package" }, "state": "STARTED" });
    for region in [Value::Null, json!("acker region")] {
        assert_eq!(
            history(&who, region.clone()).await,
            json!({ "totalCount": 1, "nodes": [started] }),
            "{region}"
        );
    }
    for region in ["elsewhere", "beck region"] {
        assert_eq!(history(&who, json!(region)).await["totalCount"], 0, "{region}");
    }
    system.stop().await;
}
