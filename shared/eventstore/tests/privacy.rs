//! Personal texts against a real PostgreSQL: sealed wherever they are kept, opened on request, gone after forgetting.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its support as well")]

use eventstore::{
    Database, DatabaseOptions, Keyring, Log, Privacy, PrivacyError, Sequencer, Store, StoreError, Target,
};
use kernel::{
    Aggregate, Cause, CommandId, Envelope, EventData, Journal, MalformedEvent, Personal, Position, Refused,
    Scope, Snapshot, StreamId, SubjectId, Tenant, canonical_json,
};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use std::convert::Infallible;
use testkit::{TestDatabase, cause, eventually, id};

const KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const NEXT_KEY: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
const NAME: &str = "Alexandra Müller-Schmidt";

/// A person with a name, and perhaps others named beside.
struct Person;

#[derive(Debug, Clone, PartialEq)]
enum Fact {
    Named { names: Vec<Personal> },
    Forgotten,
}

impl EventData for Fact {
    fn event_type(&self) -> &'static str {
        match self {
            Self::Named { .. } => "test.Named",
            Self::Forgotten => "test.Forgotten",
        }
    }
    fn schema_version(&self) -> i16 {
        1
    }
    fn payload(&self) -> Value {
        match self {
            Self::Named { names } => json!({ "deep": [{ "names": names }], "number": 7 }),
            Self::Forgotten => json!({}),
        }
    }
    fn read(event_type: &str, schema_version: i16, payload: &Value) -> Result<Self, MalformedEvent> {
        if event_type == "test.Forgotten" {
            return Ok(Self::Forgotten);
        }
        let names = serde_json::from_value(payload["deep"][0]["names"].clone());
        names.map(|names| Self::Named { names }).map_err(|error| MalformedEvent {
            event_type: event_type.to_owned(),
            schema_version,
            reason: error.to_string(),
        })
    }
    fn owns(event_type: &str) -> bool {
        event_type.starts_with("test.")
    }
}

#[derive(Debug, thiserror::Error)]
#[error("never")]
struct Never(Infallible);

impl Refused for Never {
    fn code(&self) -> &'static str {
        match self.0 {}
    }
}

impl Aggregate for Person {
    const STREAM: &'static str = "test.person";
    type State = Vec<Personal>;
    type Command = Fact;
    type Event = Fact;
    type Refusal = Never;
    const SNAPSHOT: Option<Snapshot<Vec<Personal>>> = Some(Snapshot::json(1, 1));
    fn decide(_: &Vec<Personal>, fact: Fact) -> Result<Vec<Fact>, Never> {
        Ok(vec![fact])
    }
    fn evolve(mut state: Vec<Personal>, event: &Fact) -> Vec<Personal> {
        match event {
            Fact::Named { names } => state.extend(names.iter().cloned()),
            Fact::Forgotten => state.clear(),
        }
        state
    }
}

impl Journal for Person {
    const STREAM: &'static str = "test.person";
    type Event = Fact;
}

struct Fixture {
    database: TestDatabase,
    store: Store,
    tenant: Tenant,
    scope: Scope,
}

impl Fixture {
    async fn new() -> Self {
        let database = TestDatabase::create().await;
        let store = Store::new(connect(&database, KEY, &[]).await);
        let tenant = Tenant::customer(id(), id());
        Self { database, store, tenant, scope: Scope::partner_of(tenant) }
    }

    fn privacy(&self) -> Privacy {
        Privacy::new(self.store.database().clone())
    }

    fn target<'a>(&'a self, subject_id: SubjectId, cause: &'a Cause) -> Target<'a> {
        let stream_id = StreamId(subject_id.0);
        Target { scope: &self.scope, tenant: self.tenant, stream_id, cause, occurred_at: None }
    }

    async fn name(&self, subject_id: SubjectId, text: &str) {
        self.store
            .execute::<Person>(self.target(subject_id, &cause()), named(subject_id, text))
            .await
            .unwrap();
    }

    async fn forget(&self, subject_id: SubjectId) -> bool {
        let mut tx = self.store.database().begin(&self.scope).await.unwrap();
        let new = self.privacy().forget(&mut tx, self.tenant, subject_id).await.unwrap();
        tx.commit().await.unwrap();
        new
    }

    /// The names as somebody with these keys and this scope reads them in the log.
    async fn read(&self, privacy: &Privacy, scope: &Scope) -> Result<Vec<Personal>, StoreError> {
        let mut events = self.log().await;
        let mut tx = self.store.database().begin(scope).await.unwrap();
        privacy.open(&mut tx, events.iter_mut().map(|event| &mut event.payload)).await?;
        let facts = events.iter().map(|event| event.read::<Fact>().unwrap());
        Ok(facts
            .flat_map(|fact| match fact {
                Fact::Named { names } => names,
                Fact::Forgotten => Vec::new(),
            })
            .collect())
    }

    async fn log(&self) -> Vec<Envelope> {
        let written: i64 = sqlx::query_scalar("select count(*) from es.event")
            .fetch_one(&mut self.owner().await)
            .await
            .unwrap();
        let sequencer = Sequencer::new(self.store.database().clone());
        eventually("every event to have its position", async || {
            sequencer.once().await.unwrap() == Position(written)
        })
        .await;
        Log::new(self.store.database().clone()).page(Position(0), 100).await.unwrap()
    }

    async fn owner(&self) -> PgConnection {
        self.database.owner().await
    }
}

async fn connect(database: &TestDatabase, key: &str, previous: &[&str]) -> Database {
    let keyring = Some(Keyring::new(key, previous.iter().copied()).unwrap());
    let options = DatabaseOptions { keyring, ..DatabaseOptions::default() };
    Database::connect(&database.service_url(), options).await.unwrap()
}

fn named(subject_id: SubjectId, text: &str) -> Fact {
    Fact::Named { names: vec![Personal::clear(subject_id, text)] }
}

fn texts(names: &[Personal]) -> Vec<Option<&str>> {
    names.iter().map(Personal::text).collect()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn what_is_stored_and_read_holds_no_personal_text_until_it_is_opened() {
    let f = Fixture::new().await;
    let (alice, bob) = (id(), id());
    let names = vec![Personal::clear(alice, NAME), Personal::clear(bob, "Bob"), Personal::clear(alice, NAME)];
    let (own, in_tx) = (cause(), cause());
    f.store.execute::<Person>(f.target(alice, &own), Fact::Named { names }).await.unwrap();
    let mut tx = f.store.database().begin(&f.scope).await.unwrap();
    f.store.execute_in::<Person>(&mut tx, f.target(bob, &in_tx), named(bob, NAME)).await.unwrap();
    tx.commit().await.unwrap();

    let stored: Vec<Vec<u8>> =
        sqlx::query_scalar("select payload from es.event").fetch_all(&mut f.owner().await).await.unwrap();
    let log = f.log().await;
    let keys: Vec<Vec<u8>> = sqlx::query_scalar("select wrapped_key from privacy.subject_key")
        .fetch_all(&mut f.owner().await)
        .await
        .unwrap();
    let snapshots: Vec<String> = sqlx::query_scalar("select convert_from(state, 'utf8') from es.snapshot")
        .fetch_all(&mut f.owner().await)
        .await
        .unwrap();
    assert!(!snapshots.iter().any(|state| state.contains(NAME)), "{snapshots:?}");
    assert_eq!((stored.len(), log.len(), keys.len()), (2, 2, 2));
    for (stored, event) in stored.iter().zip(&log) {
        assert_eq!(stored, &canonical_json(&event.payload));
        for text in [NAME, "Bob"] {
            assert!(!contains(stored, text) && !contains(&serde_json::to_vec(event).unwrap(), text));
        }
    }
    let (state, _) = f.store.load::<Person>(&f.scope, StreamId(alice.0)).await.unwrap();
    assert_eq!(texts(&state), [None; 3]);
    // The same text, twice in one event, looks different.
    assert_ne!(state[0], state[2]);

    let read = f.read(&f.privacy(), &f.scope).await.unwrap();
    assert_eq!(texts(&read), [Some(NAME), Some("Bob"), Some(NAME), Some(NAME)]);
}

#[tokio::test]
async fn a_forgotten_persons_texts_are_gone_and_every_byte_is_as_it_was() {
    let f = Fixture::new().await;
    let (alice, bob) = (id(), id());
    f.name(alice, NAME).await;
    f.name(bob, "Bob").await;
    let before = f.log().await;
    assert!(f.forget(alice).await);
    assert!(!f.forget(alice).await, "the second time there is nothing to do");
    assert_eq!(f.log().await, before);
    let read = f.read(&f.privacy(), &Scope::Platform).await.unwrap();
    assert_eq!(read[0], Personal::Forgotten { subject_id: alice });
    assert_eq!(read[1].text(), Some("Bob"));

    // All that is kept of the key is that there was one.
    let kept: (Option<Vec<u8>>, bool) = sqlx::query_as(
        "select wrapped_key, forgotten_at is not null from privacy.subject_key where subject_id = $1",
    )
    .bind(alice.0)
    .fetch_one(&mut f.owner().await)
    .await
    .unwrap();
    assert_eq!(kept, (None, true));
    // Nor does any other key of the table open it.
    let mut event = before[0].clone();
    let text = event.payload.to_string().replace(&alice.to_string(), &bob.to_string());
    event.payload = serde_json::from_str(&text).unwrap();
    let mut tx = f.store.database().begin(&Scope::Platform).await.unwrap();
    let refused = f.privacy().open(&mut tx, [&mut event.payload]).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::Privacy(PrivacyError::ChangedText { subject_id }) if subject_id == bob)
    );
}

#[tokio::test]
async fn who_is_forgotten_gets_no_key_again() {
    let f = Fixture::new().await;
    let (alice, unknown) = (id(), id());
    f.name(alice, NAME).await;
    // Somebody of whom nothing was ever recorded can be forgotten as well.
    assert!(f.forget(alice).await && f.forget(unknown).await);
    for subject_id in [alice, unknown] {
        let command = named(subject_id, NAME);
        let refused = f.store.execute::<Person>(f.target(subject_id, &cause()), command).await.unwrap_err();
        assert!(refused.to_string().contains("is forgotten"), "{refused}");
        let remembered = sqlx::query(
            "update privacy.subject_key set wrapped_key = '\\x00', forgotten_at = null where subject_id = $1",
        )
        .bind(subject_id.0)
        .execute(&mut f.owner().await)
        .await
        .unwrap_err();
        assert!(remembered.to_string().contains("stays forgotten"), "{remembered}");
    }
    assert_eq!(f.log().await.len(), 1);
}

#[tokio::test]
async fn a_repeated_command_is_answered_although_the_ciphertext_would_differ() {
    let f = Fixture::new().await;
    let (alice, first) = (id(), cause());
    let a = f.store.execute::<Person>(f.target(alice, &first), named(alice, NAME)).await.unwrap();
    let again = f.store.execute::<Person>(f.target(alice, &first), named(alice, NAME)).await.unwrap();
    assert!(!a.repeated && again.repeated);
    assert_eq!((again.pos, f.log().await.len()), (a.pos, 1));
    // Also after forgetting, when it could not be sealed any more.
    f.forget(alice).await;
    let again = f.store.execute::<Person>(f.target(alice, &first), named(alice, NAME)).await.unwrap();
    assert_eq!((again.pos, again.repeated), (a.pos, true));
}

#[tokio::test]
async fn the_same_command_at_once_is_carried_out_once() {
    let f = Fixture::new().await;
    let (alice, cause) = (id(), cause());
    let target = f.target(alice, &cause);
    let both = tokio::join!(
        f.store.execute::<Person>(target, named(alice, NAME)),
        f.store.execute::<Person>(target, named(alice, NAME)),
    );
    let both = [both.0.unwrap(), both.1.unwrap()];
    assert_eq!(both[0].pos, both[1].pos);
    assert_eq!(both.iter().filter(|committed| committed.repeated).count(), 1);
    assert_eq!(texts(&f.read(&f.privacy(), &f.scope).await.unwrap()), [Some(NAME)]);
}

#[tokio::test]
async fn two_first_events_about_one_person_at_once_share_one_key() {
    let f = Fixture::new().await;
    let alice: SubjectId = id();
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..8 {
        let (store, tenant, scope) = (f.store.clone(), f.tenant, f.scope);
        writers.spawn(async move {
            let cause = cause();
            let target = Target { scope: &scope, tenant, stream_id: id(), cause: &cause, occurred_at: None };
            store.execute::<Person>(target, named(alice, &format!("{NAME} {number}"))).await.unwrap();
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    let read = f.read(&f.privacy(), &f.scope).await.unwrap();
    let mut texts: Vec<String> = texts(&read).into_iter().map(|text| text.unwrap().to_owned()).collect();
    texts.sort();
    assert_eq!(texts, (0..8).map(|number| format!("{NAME} {number}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_append_that_has_to_begin_anew_is_not_sealed_under_the_key_that_was_rolled_back() {
    let f = Fixture::new().await;
    let mut subjects = [id::<SubjectId>(), id()];
    subjects.sort();
    let (stream_id, late, other) = (id::<StreamId>(), cause(), cause());
    // Somebody else is about to give the second person a key: whoever gives the first one a key meanwhile waits here.
    let mut owner = f.owner().await;
    let mut elsewhere = owner.begin().await.unwrap();
    let offer = "insert into privacy.subject_key (subject_id, partner_id, customer_id, wrapped_key) values ($1, $2, $3, '\\x00')";
    let (partner, customer) = (f.tenant.partner_id.0, f.tenant.customer_id.map(|id| id.0));
    sqlx::query(offer)
        .bind(subjects[1].0)
        .bind(partner)
        .bind(customer)
        .execute(&mut *elsewhere)
        .await
        .unwrap();
    let names = Fact::Named { names: subjects.map(|subject| Personal::clear(subject, NAME)).to_vec() };
    let target = |cause| Target { stream_id, ..f.target(subjects[0], cause) };
    let waiting = f.store.record::<Person>(target(&late), std::slice::from_ref(&names));
    let overtaken = async {
        eventually("the append to wait for the key", async || {
            let question = "select count(*) from pg_stat_activity
                             where datname = current_database() and wait_event_type = 'Lock'";
            sqlx::query_scalar::<_, i64>(question).fetch_one(&mut f.owner().await).await.unwrap() > 0
        })
        .await;
        // A younger transaction writes the stream; then the older one has to begin anew.
        f.store.record::<Person>(target(&other), &[Fact::Forgotten]).await.unwrap();
        elsewhere.rollback().await.unwrap();
    };
    let (committed, ()) = tokio::join!(waiting, overtaken);
    assert_eq!(committed.unwrap().version, 2);
    assert_eq!(texts(&f.read(&f.privacy(), &f.scope).await.unwrap()), [Some(NAME); 2]);
}

#[tokio::test]
async fn after_a_rotation_older_keys_open_until_all_are_wrapped_anew() {
    let f = Fixture::new().await;
    let (alice, bob, carol) = (id(), id(), id());
    f.name(alice, NAME).await;
    f.name(carol, "Carol").await;
    f.forget(carol).await;
    let (rotated, gone) =
        (connect(&f.database, NEXT_KEY, &[KEY]).await, connect(&f.database, NEXT_KEY, &[]).await);
    let command = named(bob, "Bob");
    Store::new(rotated.clone()).execute::<Person>(f.target(bob, &cause()), command).await.unwrap();
    let (rotated, gone) = (Privacy::new(rotated), Privacy::new(gone));
    assert_eq!(texts(&f.read(&rotated, &f.scope).await.unwrap()), [Some(NAME), None, Some("Bob")]);
    let refused = f.read(&gone, &f.scope).await.unwrap_err().to_string();
    assert!(refused.contains(&alice.to_string()) && refused.contains("privacy.previous_keys"), "{refused}");
    // The other way round the new key is the one that is missing.
    assert!(f.read(&f.privacy(), &f.scope).await.unwrap_err().to_string().contains(&bob.to_string()));

    assert_eq!(rotated.rewrap().await.unwrap(), 1);
    assert_eq!(rotated.rewrap().await.unwrap(), 0);
    assert_eq!(texts(&f.read(&gone, &f.scope).await.unwrap()), [Some(NAME), None, Some("Bob")]);
}

#[tokio::test]
async fn a_changed_text_and_a_changed_key_are_refused_by_name() {
    let f = Fixture::new().await;
    let (alice, bob) = (id(), id());
    f.name(alice, NAME).await;
    f.name(bob, "Bob").await;
    let mut payload = f.log().await[0].payload.clone();
    let sealed = payload["deep"][0]["names"][0]["$personal"]["sealed"].as_str().unwrap().to_owned();
    let middle = if &sealed[40..41] == "A" { "B" } else { "A" };
    let changed = [&sealed[..40], middle, &sealed[41..]].concat();
    payload["deep"][0]["names"][0]["$personal"]["sealed"] = json!(changed);
    let mut tx = f.store.database().begin(&f.scope).await.unwrap();
    let refused = f.privacy().open(&mut tx, [&mut payload]).await.unwrap_err().to_string();
    assert_eq!(refused, format!("a sealed text about subject {alice} was changed: it does not open"));

    let swap = "update privacy.subject_key set wrapped_key = (select wrapped_key from privacy.subject_key where subject_id = $2)
                 where subject_id = $1";
    sqlx::query(swap).bind(alice.0).bind(bob.0).execute(&mut f.owner().await).await.unwrap();
    let refused = f.read(&f.privacy(), &f.scope).await.unwrap_err().to_string();
    assert_eq!(refused, format!("the stored key of subject {alice} was changed: it does not open"));
}

#[tokio::test]
async fn another_tenants_keys_do_not_exist() {
    let f = Fixture::new().await;
    let (alice, cause) = (id(), cause());
    f.name(alice, NAME).await;
    let stranger = Tenant::partner(id());
    let scope = Scope::partner_of(stranger);
    // Who cannot see the key reads the sealed form.
    let read = f.read(&f.privacy(), &scope).await.unwrap();
    assert!(matches!(read[0], Personal::Sealed { subject_id, .. } if subject_id == alice));
    let target =
        Target { scope: &scope, tenant: stranger, stream_id: id(), cause: &cause, occurred_at: None };
    let refused = f.store.execute::<Person>(target, named(alice, "Mallory")).await.unwrap_err();
    assert!(refused.to_string().contains("not in this scope"), "{refused}");
    let mut tx = f.store.database().begin(&scope).await.unwrap();
    f.privacy().forget(&mut tx, stranger, alice).await.unwrap_err();
    drop(tx);
    assert_eq!(texts(&f.read(&f.privacy(), &f.scope).await.unwrap()), [Some(NAME)]);
}

#[tokio::test]
async fn keys_that_a_backup_brings_back_are_destroyed_again() {
    let f = Fixture::new().await;
    let (alice, bob): (SubjectId, SubjectId) = (id(), id());
    f.name(alice, NAME).await;
    f.name(bob, "Bob").await;
    let backup = "create table public.backup as select * from privacy.subject_key";
    sqlx::query(backup).execute(&mut f.owner().await).await.unwrap();
    let mut tx = f.store.database().begin(&f.scope).await.unwrap();
    f.store.execute_in::<Person>(&mut tx, f.target(alice, &cause()), Fact::Forgotten).await.unwrap();
    f.privacy().forget(&mut tx, f.tenant, alice).await.unwrap();
    tx.commit().await.unwrap();

    let mut owner = f.owner().await;
    sqlx::query("truncate privacy.subject_key").execute(&mut owner).await.unwrap();
    let restore = "insert into privacy.subject_key select * from public.backup";
    sqlx::query(restore).execute(&mut owner).await.unwrap();
    assert_eq!(texts(&f.read(&f.privacy(), &f.scope).await.unwrap()), [Some(NAME), Some("Bob")]);

    assert_eq!(f.privacy().reapply_forgotten("test.Forgotten").await.unwrap(), [alice]);
    assert_eq!(texts(&f.read(&f.privacy(), &f.scope).await.unwrap()), [None, Some("Bob")]);
    assert_eq!(f.privacy().reapply_forgotten("test.Forgotten").await.unwrap(), []);
}

#[tokio::test]
async fn without_a_key_nothing_personal_is_recorded_and_all_else_is() {
    let database = TestDatabase::create().await;
    let without = Database::connect(&database.service_url(), DatabaseOptions::default()).await.unwrap();
    let store = Store::new(without);
    let tenant = Tenant::partner(id());
    let (scope, stream_id, cause) = (Scope::partner_of(tenant), id::<StreamId>(), cause());
    let target = Target { scope: &scope, tenant, stream_id, cause: &cause, occurred_at: None };
    let refused = store.execute::<Person>(target, named(SubjectId(stream_id.0), NAME)).await.unwrap_err();
    assert!(refused.to_string().contains("privacy.key"), "{refused}");
    store.execute::<Person>(target, Fact::Forgotten).await.unwrap();
    let commands: Vec<uuid::Uuid> = sqlx::query_scalar("select command_id from es.event")
        .fetch_all(&mut database.owner().await)
        .await
        .unwrap();
    assert_eq!(commands.into_iter().map(CommandId).collect::<Vec<_>>(), [cause.command_id]);
}
