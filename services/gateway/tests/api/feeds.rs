//! Feeds: the platform's and a partner's, their settings, the history of reading them, and the wishes about them.

use crate::system::{Fact, OPERATOR, System, codes};
use crate::world::{World, global};
use contracts::feeds::{
    FeedChanged, FeedDisabled, FeedEnabled, FeedEvent, FeedSchedule, FeedSyncCompleted, FeedSyncFailed,
    Publisher, RepositorySignature,
};
use contracts::permissions::Role;
use kernel::{Scope, Tenant};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use testkit::eventually;

#[tokio::test]
async fn a_feed_shows_its_settings_and_every_synchronisation() {
    let system = System::start().await;
    let world = World::new("acker");
    world.record(&system).await;
    let feed_id = world.feed;
    let says = |events: Vec<FeedEvent>| {
        let facts = events.into_iter().map(Fact::of::<FeedEvent>).collect();
        let system = &system;
        async move { system.record(Tenant::PLATFORM, feed_id.0, facts).await }
    };
    let changed = FeedChanged {
        feed_id,
        name: "Debian".into(),
        source: "https://deb.example/list".into(),
        schedule: Some(FeedSchedule { every_minutes: 60 }),
        publisher: Some(Publisher { name: "Debian".into(), contact_url: Some("https://deb.example".into()) }),
        keyring: Some("-----BEGIN PGP PUBLIC KEY BLOCK-----".into()),
        changed: vec!["name".into()],
    };
    let completed = |published| FeedSyncCompleted {
        feed_id,
        document_sha256: "ab".repeat(32),
        document_date: None,
        documents: 3,
        published,
        revised: 4,
        unchanged: 5,
        withdrawn: 6,
        vulnerabilities: 7,
        quarantined: vec!["line 3: no date".into()],
        refused: vec!["b.json: malformed".into()],
        signature: Some(if published == 1 {
            RepositorySignature::NotVerified
        } else {
            RepositorySignature::Verified {
                fingerprint: "ab".repeat(20),
                signed_at: chrono::DateTime::from_timestamp(1_800_000_000, 0),
            }
        }),
    };
    let failed =
        FeedSyncFailed { feed_id, code: "feeds.source_unreachable".into(), reason: "timed out".into() };
    says(vec![changed.into(), completed(1).into(), failed.into(), completed(2).into()]).await;
    says(vec![FeedDisabled { feed_id, reason: "moved".into() }.into()]).await;

    let query = "query($after: String) { feeds { nodes { name source isShared enabled disabledReason schedule { everyMinutes }
        publisher { name contactUrl } keyring lastSync { signature { verified fingerprint } documents published withdrawn vulnerabilities refused } lastFailure { code }
        syncs(first: 2, after: $after) { totalCount pageInfo { endCursor hasNextPage } nodes {
            completed { published documents revised unchanged withdrawn vulnerabilities quarantined refused
                signature { verified fingerprint signedAt } } failed { code reason } } } } } }";
    let who = world.subject(Role::CustomerAuditor);
    let feed = system.data(&who, query, Value::Null).await["feeds"]["nodes"][0].clone();
    let sync = |published| {
        json!({ "published": published, "documents": 3, "revised": 4, "unchanged": 5, "withdrawn": 6,
        "vulnerabilities": 7, "quarantined": ["line 3: no date"], "refused": ["b.json: malformed"],
        "signature": if published == 1 {
            json!({ "verified": false, "fingerprint": null, "signedAt": null })
        } else {
            json!({ "verified": true, "fingerprint": "ab".repeat(20), "signedAt": "2027-01-15T08:00:00+00:00" })
        } })
    };
    let failure = json!({ "code": "feeds.source_unreachable", "reason": "timed out" });
    assert_eq!(feed["syncs"]["totalCount"], 3);
    assert_eq!(
        feed["syncs"]["nodes"],
        json!([{ "completed": sync(2), "failed": null }, { "completed": null, "failed": failure }])
    );
    assert_eq!(feed["lastSync"]["published"], 2);
    assert_eq!(feed["lastSync"]["signature"], json!({ "verified": true, "fingerprint": "ab".repeat(20) }));
    assert_eq!(feed["keyring"], "-----BEGIN PGP PUBLIC KEY BLOCK-----");
    assert_eq!(feed["lastFailure"]["code"], "feeds.source_unreachable");
    assert_eq!((&feed["enabled"], &feed["disabledReason"]), (&json!(false), &json!("moved")));
    assert_eq!(feed["schedule"], json!({ "everyMinutes": 60 }));
    assert_eq!(feed["publisher"], json!({ "name": "Debian", "contactUrl": "https://deb.example" }));
    assert_eq!((&feed["name"], &feed["isShared"]), (&json!("Debian"), &json!(true)));

    says(vec![FeedEnabled { feed_id }.into()]).await;
    let after = json!({ "after": feed["syncs"]["pageInfo"]["endCursor"] });
    let feed = system.data(&who, query, after).await["feeds"]["nodes"][0].clone();
    assert_eq!(feed["syncs"]["nodes"], json!([{ "completed": sync(1), "failed": null }]));
    assert_eq!((&feed["enabled"], &feed["disabledReason"]), (&json!(true), &Value::Null));
    system.stop().await;
}

#[tokio::test]
async fn a_partner_s_own_catalogue_is_for_its_customers_and_nobody_else() {
    let system = System::start().await;
    let [world, other] = ["acker", "beck"].map(World::new);
    for one in [&world, &other] {
        one.record(&system).await;
        one.record_own_catalogue(&system).await;
    }
    let query = "{ feeds { nodes { name isShared } } patches { totalCount nodes { name } }
        vulnerability(cve: \"CVE-2026-0001\") { sources patches { totalCount } }
        catalogueAt(time: \"2100-01-01T00:00:00Z\") { patches { totalCount nodes { name } } }
        text: patches(search: { text: \"own\" }) { totalCount }
        foreign: patches(search: { text: \"beck\" }) { totalCount } }";
    for role in [Role::PartnerAdmin, Role::CustomerAuditor] {
        let data = system.data(&world.subject(role), query, Value::Null).await;
        assert!(!data.to_string().contains("beck"), "{role:?}: {data}");
        let shared = json!({ "name": "Debian security", "isShared": true });
        let own = json!({ "name": "acker feed", "isShared": false });
        assert_eq!(data["feeds"]["nodes"], json!([shared, own, shared]), "{role:?}");
        // Two of everybody's and two of its own.
        assert_eq!(data["patches"]["totalCount"], 4, "{role:?}");
        assert_eq!(data["catalogueAt"]["patches"]["totalCount"], 4, "{role:?}");
        assert_eq!(data["vulnerability"]["patches"]["totalCount"], 4, "{role:?}");
        assert_eq!(data["text"]["totalCount"], 2);
        assert_eq!(data["foreign"]["totalCount"], 0);
    }
    let data = system.data(OPERATOR, query, Value::Null).await;
    assert!(!data.to_string().contains("acker") && !data.to_string().contains("beck"), "{data}");
    assert_eq!(data["patches"]["totalCount"], 2);
    let node = format!("{{ node(id: \"{}\") {{ id }} }}", global("Patch", world.own_patch));
    assert_eq!(system.data(OPERATOR, &node, Value::Null).await["node"], Value::Null);
    system.stop().await;
}

#[tokio::test]
async fn the_database_itself_hides_the_catalogue_of_another_partner() {
    let system = System::start().await;
    let [world, other] = ["acker", "beck"].map(World::new);
    for one in [&world, &other] {
        one.record(&system).await;
        one.record_own_catalogue(&system).await;
    }
    system.data(&world.subject(Role::PartnerAdmin), "{ position }", Value::Null).await;
    let database = system.database.connect().await;
    let (partner_id, customer_id) = (world.partner, world.customer);
    let scopes = [Scope::Partner { partner_id }, Scope::Customer { partner_id, customer_id }];
    for table in [
        "feed",
        "feed_sync",
        "patch",
        "patch_cve",
        "patch_product_word",
        "patch_supersedes",
        "patch_version",
        "patch_word",
    ] {
        let rows = format!("select distinct partner_id from views.{table} order by partner_id");
        for scope in &scopes {
            let mut tx = database.begin(scope).await.unwrap();
            let seen: Vec<uuid::Uuid> =
                sqlx::query_scalar(AssertSqlSafe(rows.clone())).fetch_all(&mut *tx).await.unwrap();
            assert!(seen.contains(&world.partner.0), "{table}");
            assert!(!seen.contains(&other.partner.0), "{table}");
        }
        let mut tx = database.begin(&Scope::Platform).await.unwrap();
        let all: Vec<uuid::Uuid> = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(&mut *tx).await.unwrap();
        assert!(all.contains(&other.partner.0), "{table}");
    }
    system.stop().await;
}

#[tokio::test]
async fn another_partner_s_feed_does_not_exist_and_the_attempt_is_recorded() {
    let system = System::start().await;
    let [world, other] = ["acker", "beck"].map(World::new);
    for one in [&world, &other] {
        one.record(&system).await;
        one.record_own_catalogue(&system).await;
    }
    let query = "mutation($feed: ID!) { disableFeed(input: { idempotencyKey: \"1\", feedId: $feed, reason: \"no\" }) {
        userErrors { code message field } } }";
    let variables = json!({ "feed": global("Feed", other.own_feed) });
    let data = system.data(&world.subject(Role::PartnerAdmin), query, variables).await;
    let none =
        json!([{ "code": "feeds.feed_not_found", "message": "there is no such feed", "field": "feedId" }]);
    assert_eq!(data["disableFeed"]["userErrors"], none);
    eventually("the attempt is recorded", || async { system.noted.lock().unwrap().len() == 1 }).await;
    let (_, attempt) = system.noted.lock().unwrap()[0].clone();
    assert_eq!((attempt.object_kind.as_str(), attempt.operation.as_str()), ("Feed", "disableFeed"));
    system.stop().await;
}

#[tokio::test]
async fn wishes_about_feeds_and_patches_reach_the_service_of_those_who_may_have_them() {
    let system = System::start().await;
    let world = World::new("acker");
    world.record(&system).await;
    let (feed, patch, customer) =
        (global("Feed", world.feed), global("Patch", world.patch), global("Customer", world.customer));
    let settings = "name: \"n\", source: \"s\", schedule: { everyMinutes: 5 }, publisher: { name: \"p\" }";
    let of_feed = [Role::PartnerAdmin];
    let raters = [Role::PartnerAdmin, Role::PartnerOperator, Role::CustomerAdmin, Role::CustomerApprover];
    for (wish, who) in [
        (format!("registerFeed(input: {{ kind: PARTNER, format: CSAF, {settings}"), &of_feed[..]),
        (format!("changeFeed(input: {{ feedId: \"{feed}\", {settings}"), &of_feed),
        (format!("disableFeed(input: {{ feedId: \"{feed}\", reason: \"r\""), &of_feed),
        (format!("enableFeed(input: {{ feedId: \"{feed}\""), &of_feed),
        (format!("testFeed(input: {{ feedId: \"{feed}\""), &of_feed),
        (format!("syncFeed(input: {{ feedId: \"{feed}\""), &of_feed),
        (format!("markPatchOutOfBand(input: {{ patchId: \"{patch}\", reason: KNOWN_ISSUE"), &of_feed),
        (format!("ratePatch(input: {{ patchId: \"{patch}\", customerId: \"{customer}\", rating: 5"), &raters),
        (format!("clearPatchRating(input: {{ patchId: \"{patch}\", customerId: \"{customer}\""), &raters),
    ] {
        for role in Role::ALL.into_iter().filter(|role| *role != Role::PlatformOperator) {
            let query = format!(
                "mutation {{ {wish}, idempotencyKey: \"{role:?}\" }}) {{ userErrors {{ code }} }} }}"
            );
            let answer = system.ask(&world.subject(role), &query, Value::Null).await;
            if who.contains(&role) {
                // The service is away.
                assert_eq!(codes(&answer), ["web.service_unavailable"], "{role:?} {wish}: {answer}");
            } else {
                assert!(answer.to_string().contains("access.forbidden"), "{role:?} {wish}: {answer}");
            }
        }
    }
    system.stop().await;
}
