//! Which facts about feeds and patches are news.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use chrono::{DateTime, NaiveDate, Utc};
use contracts::feeds::{
    FeedChanged, FeedDisabled, FeedEnabled, FeedFormat, FeedKind, FeedRegistered, FeedSchedule,
    FeedSyncCompleted, FeedSyncFailed, PatchFacts, PatchMarkedOutOfBand, PatchPublished, PatchRevised,
    PatchSuperseded, PatchWithdrawn, RepositorySignature,
};
use contracts::{
    Cadence, Classification, DevicePlatform, FixTarget, NAMESPACE, OsRelease, OutOfBandReason,
    RebootBehaviour, Severity,
};
use feeds_domain::catalogue::{
    FEED_KEYRING_CHARS_MAX, Feed, FeedCommand, FeedRefusal, FeedSettings, Patch, PatchCommand, PatchRefusal,
    replaces,
};
use kernel::{Aggregate, FeedId, PatchId, fold};
use proptest::prelude::*;
use scenario::given;

fn feed_id() -> FeedId {
    FeedId(uuid::Uuid::from_u128(1))
}

fn settings() -> FeedSettings {
    FeedSettings {
        name: "Debian security".to_owned(),
        kind: FeedKind::OsVendor,
        format: FeedFormat::DebianDsaList,
        source: "debian/list.txt".to_owned(),
        schedule: None,
        publisher: None,
        keyring: None,
    }
}

fn registered() -> FeedRegistered {
    registered_as(settings())
}

fn registered_as(settings: FeedSettings) -> FeedRegistered {
    let FeedSettings { name, kind, format, source, schedule, publisher, keyring } = settings;
    FeedRegistered { feed_id: feed_id(), name, kind, format, source, schedule, publisher, keyring }
}

fn day(number: u32) -> DateTime<Utc> {
    NaiveDate::from_ymd_opt(2026, 10, number).unwrap().and_hms_opt(0, 0, 0).unwrap().and_utc()
}

fn sync(sha: &str, date: DateTime<Utc>, published: u32) -> FeedSyncCompleted {
    FeedSyncCompleted {
        feed_id: feed_id(),
        document_sha256: sha.to_owned(),
        document_date: Some(date),
        published,
        revised: 0,
        unchanged: 0,
        documents: 1,
        withdrawn: 0,
        vulnerabilities: 0,
        quarantined: Vec::new(),
        refused: Vec::new(),
        signature: None,
    }
}

fn record(sync: FeedSyncCompleted, new_documents: bool) -> FeedCommand {
    FeedCommand::RecordSync { sync, new_documents }
}

fn failure(reason: &str) -> FeedSyncFailed {
    FeedSyncFailed {
        feed_id: feed_id(),
        code: "feeds.document_malformed".to_owned(),
        reason: reason.to_owned(),
    }
}

#[test]
fn a_feed_is_registered_once() {
    given::<Feed>([])
        .when(FeedCommand::Register { feed_id: feed_id(), settings: settings(), by_partner: false })
        .then([registered().into()]);
}

#[test]
fn another_feed_cannot_take_its_id() {
    let other = FeedSettings { name: "Other".to_owned(), ..settings() };
    given::<Feed>([registered().into()])
        .when(FeedCommand::Register { feed_id: feed_id(), settings: other, by_partner: false })
        .then_refused(&FeedRefusal::AlreadyRegistered { name: "Debian security".to_owned() });
}

#[test]
fn a_feed_needs_a_name_and_a_source() {
    let command = |settings| FeedCommand::Register { feed_id: feed_id(), settings, by_partner: false };
    given::<Feed>([])
        .when(command(FeedSettings { name: "  ".to_owned(), ..settings() }))
        .then_refused(&FeedRefusal::InvalidName);
    given::<Feed>([])
        .when(command(FeedSettings { source: "a\nb".to_owned(), ..settings() }))
        .then_refused(&FeedRefusal::InvalidSource);
}

#[test]
fn an_unknown_feed_synchronises_nothing() {
    given::<Feed>([]).when(record(sync("aa", day(1), 1), true)).then_refused(&FeedRefusal::Unknown);
    given::<Feed>([]).when(FeedCommand::Examine).then_refused(&FeedRefusal::Unknown);
}

#[test]
fn a_document_is_recorded_when_it_was_taken_in() {
    let past = [registered().into(), sync("aa", day(1), 3).into()];
    given::<Feed>(past.clone()).when(record(sync("aa", day(1), 0), false)).then_nothing();
    given::<Feed>(past).when(record(sync("bb", day(2), 0), true)).then([sync("bb", day(2), 0).into()]);
}

#[test]
fn a_feed_that_is_switched_off_is_not_read() {
    let off = FeedDisabled { feed_id: feed_id(), reason: "it moved".to_owned() };
    let disable = FeedCommand::Disable { feed_id: feed_id(), reason: "it moved".to_owned() };
    given::<Feed>([registered().into()]).when(disable).then([off.clone().into()]);
    given::<Feed>([registered().into(), off.clone().into()])
        .when(FeedCommand::Examine)
        .then_refused(&FeedRefusal::Disabled);
    given::<Feed>([registered().into(), off.into()])
        .when(FeedCommand::Enable { feed_id: feed_id() })
        .then([FeedEnabled { feed_id: feed_id() }.into()]);
}

#[test]
fn a_changed_feed_names_what_changed() {
    let change = |schedule| FeedCommand::Change {
        feed_id: feed_id(),
        name: "Debian security".to_owned(),
        source: "https://vendor.example/list".to_owned(),
        schedule,
        publisher: None,
        keyring: None,
    };
    let fact = FeedChanged {
        feed_id: feed_id(),
        name: "Debian security".to_owned(),
        source: "https://vendor.example/list".to_owned(),
        schedule: Some(FeedSchedule { every_minutes: 60 }),
        publisher: None,
        keyring: None,
        changed: vec!["source".to_owned(), "schedule".to_owned()],
    };
    given::<Feed>([registered().into()])
        .when(change(Some(FeedSchedule { every_minutes: 60 })))
        .then([fact.into()]);
    given::<Feed>([registered().into()])
        .when(change(Some(FeedSchedule { every_minutes: 1 })))
        .then_refused(&FeedRefusal::InvalidSchedule { every_minutes: 1 });
}

#[test]
fn a_keyring_is_for_repositories_whose_signatures_are_verified() {
    let with =
        |format, keyring: &str| FeedSettings { format, keyring: Some(keyring.to_owned()), ..settings() };
    let register = |settings| FeedCommand::Register { feed_id: feed_id(), settings, by_partner: false };
    let repository = with(FeedFormat::DebianRepository, "a key");
    given::<Feed>([]).when(register(repository.clone())).then([registered_as(repository.clone()).into()]);
    given::<Feed>([])
        .when(register(with(FeedFormat::Csaf, "a key")))
        .then_refused(&FeedRefusal::UnusedKeyring { format: FeedFormat::Csaf });
    let long = "x".repeat(FEED_KEYRING_CHARS_MAX + 1);
    let reason = format!("it has more than {FEED_KEYRING_CHARS_MAX} characters");
    given::<Feed>([])
        .when(register(with(FeedFormat::DebianRepository, &long)))
        .then_refused(&FeedRefusal::InvalidKeyring { reason });
    // Taken away, it is named as every other change.
    let FeedSettings { name, source, schedule, publisher, .. } = settings();
    let change = FeedCommand::Change {
        feed_id: feed_id(),
        name: name.clone(),
        source: source.clone(),
        schedule,
        publisher: publisher.clone(),
        keyring: None,
    };
    let (changed, keyring) = (vec!["keyring".to_owned()], None);
    let fact = FeedChanged { feed_id: feed_id(), name, source, schedule, publisher, keyring, changed };
    given::<Feed>([registered_as(repository).into()]).when(change).then([fact.into()]);
}

#[test]
fn that_a_known_document_is_verified_now_is_news() {
    let verified = RepositorySignature::Verified { fingerprint: "ab".repeat(20), signed_at: None };
    let signed = |signature| FeedSyncCompleted { signature, ..sync("aa", day(1), 0) };
    let before = [registered().into(), signed(Some(RepositorySignature::NotVerified)).into()];
    given::<Feed>(before.clone())
        .when(record(signed(Some(verified.clone())), false))
        .then([signed(Some(verified)).into()]);
    given::<Feed>(before.clone())
        .when(record(signed(Some(RepositorySignature::NotVerified)), false))
        .then([]);
    given::<Feed>(before).when(record(signed(None), false)).then([]);
}

#[test]
fn only_partners_have_partner_feeds() {
    let register = |kind, by_partner| FeedCommand::Register {
        feed_id: feed_id(),
        settings: FeedSettings { kind, ..settings() },
        by_partner,
    };
    given::<Feed>([])
        .when(register(FeedKind::Partner, false))
        .then_refused(&FeedRefusal::WrongKind { by_partner: false });
    given::<Feed>([])
        .when(register(FeedKind::OsVendor, true))
        .then_refused(&FeedRefusal::WrongKind { by_partner: true });
}

#[test]
fn the_same_failure_is_news_once_and_its_end_is_news_again() {
    given::<Feed>([registered().into()])
        .when(FeedCommand::RecordFailure(failure("cut")))
        .then([failure("cut").into()]);
    given::<Feed>([registered().into(), sync("aa", day(1), 3).into(), failure("cut").into()])
        .when(record(sync("aa", day(1), 0), false))
        .then([sync("aa", day(1), 0).into()]);
}

fn facts(vendor_id: &str, os_versions: &[&str], released: u32) -> PatchFacts {
    PatchFacts {
        patch_id: PatchId::derived(NAMESPACE, vendor_id),
        feed_id: feed_id(),
        vendor_patch_id: vendor_id.to_owned(),
        name: format!("Update {vendor_id}"),
        platform: DevicePlatform::Windows,
        os_versions: os_versions.iter().map(|&os| os.to_owned()).collect(),
        vendor_severity: "Important".to_owned(),
        severity: Severity::High,
        classification: Classification::Security,
        release_date: day(released).date_naive(),
        cves: vec!["CVE-2026-30001".to_owned()],
        targets: os_versions
            .iter()
            .map(|&version| FixTarget::Kb {
                os: OsRelease { id: "windows".to_owned(), version: version.to_owned() },
                kb: vendor_id.to_owned(),
                fixed_build: None,
            })
            .collect(),
        supersedes: Vec::new(),
        reboot: RebootBehaviour::Always,
        url: None,
        advisories: Vec::new(),
        version: None,
        size_bytes: None,
        cadence: Cadence::Monthly,
        out_of_band: None,
        prerequisites: Vec::new(),
        is_dated: true,
    }
}

fn kb2() -> PatchFacts {
    facts("KB5000002", &["Windows 11"], 2)
}

fn published(patch: PatchFacts) -> contracts::feeds::PatchEvent {
    PatchPublished { patch }.into()
}

fn publish(facts: PatchFacts) -> PatchCommand {
    let by_owner = facts.feed_id == feed_id();
    PatchCommand::Publish { facts: Box::new(facts), by_owner }
}

fn revised(patch: PatchFacts, changed: &[&str]) -> contracts::feeds::PatchEvent {
    PatchRevised { patch, changed: changed.iter().map(|&field| field.to_owned()).collect() }.into()
}

#[test]
fn a_patch_is_published_once() {
    given::<Patch>([]).when(publish(kb2())).then([published(kb2())]);
}

#[test]
fn a_changed_patch_is_revised_and_the_fact_names_what_changed() {
    let now = PatchFacts { name: "Better".to_owned(), reboot: RebootBehaviour::Maybe, ..kb2() };
    given::<Patch>([published(kb2())]).when(publish(now.clone())).then([revised(now, &["name", "reboot"])]);
}

#[test]
fn a_known_severity_is_not_lost_to_a_document_that_has_none() {
    let unrated = PatchFacts { severity: Severity::Unknown, vendor_severity: String::new(), ..kb2() };
    given::<Patch>([published(kb2())]).when(publish(unrated)).then_nothing();
}

#[test]
fn a_rating_revises_the_severity() {
    let unrated = PatchFacts { severity: Severity::Unknown, vendor_severity: String::new(), ..kb2() };
    let rated = PatchFacts { severity: Severity::High, vendor_severity: "high**".to_owned(), ..kb2() };
    given::<Patch>([published(unrated.clone())])
        .when(PatchCommand::Rate { vendor_severity: "high**".to_owned() })
        .then([revised(rated, &["vendor_severity", "severity"])]);
    given::<Patch>([published(unrated)])
        .when(PatchCommand::Rate { vendor_severity: "not yet assigned".to_owned() })
        .then_nothing();
    given::<Patch>([])
        .when(PatchCommand::Rate { vendor_severity: "high".to_owned() })
        .then_refused(&PatchRefusal::Unknown);
}

#[test]
fn another_feed_only_adds() {
    let elsewhere = PatchFacts {
        feed_id: FeedId(uuid::Uuid::from_u128(2)),
        name: "Other title".to_owned(),
        severity: Severity::Critical,
        vendor_severity: "Critical".to_owned(),
        cves: vec!["CVE-2026-29999".to_owned()],
        ..facts("KB5000002", &["Windows Server"], 9)
    };
    let both = PatchFacts {
        severity: Severity::Critical,
        vendor_severity: "Critical".to_owned(),
        cves: vec!["CVE-2026-29999".to_owned(), "CVE-2026-30001".to_owned()],
        ..facts("KB5000002", &["Windows 11", "Windows Server"], 2)
    };
    given::<Patch>([published(kb2())])
        .when(publish(elsewhere))
        .then([revised(both, &["os_versions", "vendor_severity", "severity", "cves", "targets"])]);
}

fn superseded() -> contracts::feeds::PatchEvent {
    PatchSuperseded {
        patch_id: kb2().patch_id,
        superseded_by: PatchId::derived(NAMESPACE, "KB5000003"),
        superseded_by_vendor_id: "KB5000003".to_owned(),
    }
    .into()
}

fn supersede(by: &str) -> PatchCommand {
    PatchCommand::Supersede { by: PatchId::derived(NAMESPACE, by), by_vendor_id: by.to_owned() }
}

#[test]
fn a_newer_patch_supersedes_once() {
    given::<Patch>([published(kb2())]).when(supersede("KB5000003")).then([superseded()]);
    given::<Patch>([published(kb2()), superseded()]).when(supersede("KB5000004")).then_nothing();
}

#[test]
fn a_patch_does_not_supersede_itself() {
    given::<Patch>([published(kb2())]).when(supersede("KB5000002")).then_nothing();
}

#[test]
fn a_superseded_patch_stays_known_and_marked() {
    let now = PatchFacts { name: "Better".to_owned(), ..kb2() };
    given::<Patch>([published(kb2()), superseded()])
        .when(publish(now.clone()))
        .then([revised(now.clone(), &["name"])]);
    given::<Patch>([published(kb2()), superseded(), revised(now, &["name"])])
        .when(supersede("KB5000003"))
        .then_nothing();
}

#[test]
fn a_withdrawn_patch_does_not_come_back_by_itself() {
    let withdrawn: contracts::feeds::PatchEvent =
        PatchWithdrawn { patch_id: kb2().patch_id, reason: "does not boot".to_owned() }.into();
    given::<Patch>([published(kb2())])
        .when(PatchCommand::Withdraw { reason: "does not boot".to_owned() })
        .then([withdrawn.clone()]);
    given::<Patch>([published(kb2()), withdrawn]).when(publish(kb2())).then_refused(&PatchRefusal::Withdrawn);
}

#[test]
fn an_undated_patch_keeps_the_day_on_which_it_was_first_seen() {
    let first = PatchFacts { is_dated: false, ..facts("KB5000002", &["Windows 11"], 2) };
    let later = PatchFacts { release_date: day(9).date_naive(), ..first.clone() };
    given::<Patch>([published(first.clone())]).when(publish(later)).then_nothing();
    let dated = PatchFacts { release_date: day(1).date_naive(), is_dated: true, ..first.clone() };
    given::<Patch>([published(first)])
        .when(publish(dated.clone()))
        .then([revised(dated, &["release_date", "is_dated"])]);
}

#[test]
fn what_a_person_knows_of_the_cycle_is_not_lost_to_a_document_that_does_not() {
    let mark = PatchMarkedOutOfBand { patch_id: kb2().patch_id, reason: OutOfBandReason::KnownIssue };
    given::<Patch>([published(kb2())])
        .when(PatchCommand::MarkOutOfBand { reason: OutOfBandReason::KnownIssue })
        .then([mark.clone().into()]);
    given::<Patch>([published(kb2()), mark.into()]).when(publish(kb2())).then_nothing();
}

#[test]
fn a_patch_replaces_another_only_where_it_reaches_all_of_it() {
    let newer =
        |os: &[&str]| PatchFacts { supersedes: vec!["KB5000002".to_owned()], ..facts("KB5000003", os, 3) };
    assert!(replaces(&newer(&["Windows 11", "Windows Server"]), &kb2()));
    assert!(!replaces(&newer(&["Windows Server"]), &kb2()));
    assert!(!replaces(&facts("KB5000003", &["Windows 11"], 3), &kb2()), "the vendor does not say so");
}

#[test]
fn two_patches_never_replace_each_other() {
    let link = |id: &str, other: &str| PatchFacts {
        supersedes: vec![other.to_owned()],
        ..facts(id, &["Windows 11"], 2)
    };
    let (a, b) = (link("KB5000002", "KB5000003"), link("KB5000003", "KB5000002"));
    assert!(replaces(&b, &a));
    assert!(!replaces(&a, &b));
    assert!(!replaces(&link("KB5000002", "KB5000002"), &link("KB5000002", "KB5000002")));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn documents_of_two_feeds_settle(order in prop::collection::vec(any::<bool>(), 2..8)) {
        let here = kb2();
        let there = PatchFacts {
            feed_id: FeedId(uuid::Uuid::from_u128(2)),
            cves: vec!["CVE-2026-1".to_owned()],
            severity: Severity::Low,
            ..facts("KB5000002", &["Windows Server"], 1)
        };
        let mut past = vec![published(here)];
        let mut news = 0;
        for _ in order {
            let events = Patch::decide(&fold::<Patch>(&past), publish(there.clone())).unwrap();
            news += events.len();
            past.extend(events);
        }
        prop_assert_eq!(news, 1);
    }
}
