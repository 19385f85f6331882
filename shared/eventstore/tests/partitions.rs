//! Partitions of the log: made in time, exported, taken away only when that is safe, and brought back.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its support as well")]

#[path = "support/tally.rs"]
mod tally;

use eventstore::{
    ArchiveError, Database, EventFilter, Log, Order, Reader, Sequencer, StoreError, attach_partition,
    detach_partition, drop_partition, ensure_partitions, export_partition, partitions, unreadable_streams,
    verify_export,
};
use kernel::{Envelope, Position, Scope, StreamId, Tenant};
use std::path::{Path, PathBuf};
use tally::{COUNTED, Tally, Writer, command};
use testkit::{TestDatabase, eventually, id};

const WIDTH: i64 = 100;

struct Fixture {
    test: TestDatabase,
    database: Database,
    writer: Writer,
    stream: StreamId,
    folder: PathBuf,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A log whose first partition ends soon, with 130 events in two partitions, all of which have positions.
async fn fixture() -> Fixture {
    let test = TestDatabase::create().await;
    let database = test.connect().await;
    // The first partitions are as wide as the migration made them.
    sqlx::raw_sql(
        "drop table es.event_1;
         drop table es.event_0;
         create table es.event_from_0 (like es.event including defaults);
         alter table es.event attach partition es.event_from_0 for values from (0) to (100)",
    )
    .execute(&mut test.owner().await)
    .await
    .unwrap();
    ensure_partitions(&database, WIDTH).await.unwrap();
    let writer = Writer::new(database.clone(), Tenant::customer(id(), id()));
    let stream = id();
    for number in 0..13 {
        writer.write::<0>(stream, &command(id()), &[number; 6]).await.unwrap();
        writer.write::<1>(id(), &command(id()), &[number; 4]).await.unwrap();
    }
    let sequencer = Sequencer::new(database.clone());
    eventually("130 to have positions", async || sequencer.once().await.unwrap() == Position(130)).await;
    let folder = std::env::temp_dir().join(format!("patchfleet-partitions-{}", id::<uuid::Uuid>()));
    std::fs::create_dir(&folder).unwrap();
    Fixture { test, database, writer, stream, folder }
}

impl Fixture {
    async fn log(&self) -> Result<Vec<Envelope>, StoreError> {
        Log::new(self.database.clone()).page(Position(0), 500).await
    }

    async fn export(&self) -> eventstore::Exported {
        export_partition(&self.database, "event_from_0", &self.folder, |_| {}).await.unwrap()
    }

    async fn detach(&self, accepted: i64) -> Result<eventstore::Exported, ArchiveError> {
        detach_partition(&self.database, &self.test.owner_url(), "event_from_0", accepted, |_| {}).await
    }

    async fn attach(&self, file: Option<&Path>) -> Result<(), ArchiveError> {
        attach_partition(&self.database, &self.test.owner_url(), "event_from_0", file, |_| {}).await
    }

    /// As if everybody had read everything.
    async fn let_all_have_read(&self) {
        sqlx::raw_sql("update es.relay set seq = 130; update es.consumer set seq = 130; update es.follower set seq = 130")
            .execute(&mut self.test.owner().await)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn partitions_are_made_one_ahead_and_in_any_width() {
    let f = fixture().await;
    let ranges = async || -> Vec<(i64, i64)> {
        let all = partitions(&f.database, &f.writer.scope).await.unwrap();
        all.iter().map(|partition| (partition.from_pos, partition.until_pos)).collect()
    };
    assert_eq!(ranges().await, [(0, 100), (100, 200)]);
    assert_eq!(
        ensure_partitions(&f.database, WIDTH).await.unwrap(),
        1,
        "one is being filled, one is to spare"
    );
    assert_eq!(ensure_partitions(&f.database, WIDTH).await.unwrap(), 0);
    assert_eq!(ensure_partitions(&f.database, 1_000).await.unwrap(), 1);
    assert_eq!(ranges().await, [(0, 100), (100, 200), (200, 300), (300, 1_300)]);
    assert!(ensure_partitions(&f.database, 0).await.is_err());
    // Events go on across the borders.
    for _ in 0..40 {
        f.writer.write::<0>(f.stream, &command(id()), &[1; 6]).await.unwrap();
    }
    let unprotected: i64 = sqlx::query_scalar(
        "select count(*) from pg_inherits i join pg_class c on c.oid = i.inhrelid
          where i.inhparent = 'es.event'::regclass and c.relname <> 'event_from_0'
            and not (c.relrowsecurity and c.relforcerowsecurity)",
    )
    .fetch_one(&mut f.test.owner().await)
    .await
    .unwrap();
    assert_eq!(unprotected, 0);
}

#[tokio::test]
async fn a_partition_goes_to_a_file_and_away_and_comes_back_to_the_last_bit() {
    let f = fixture().await;
    let before = f.log().await.unwrap();
    let rows = "select md5(string_agg(e::text, '|' order by e.pos)) from es.event e";
    let sum: String = sqlx::query_scalar(rows).fetch_one(&mut f.test.owner().await).await.unwrap();

    let exported = f.export().await;
    // Places begin at 1.
    assert_eq!(exported.events, 99);
    let text = std::fs::read_to_string(&exported.file).unwrap();
    assert_eq!(text.lines().count(), 99);
    assert_eq!(verify_export(&f.database, "event_from_0", |_| {}).await.unwrap(), exported);

    f.let_all_have_read().await;
    let streams = unreadable_streams(&f.database, "event_from_0").await.unwrap();
    assert_eq!(streams, 11, "the long one and one for each note");
    f.detach(streams).await.unwrap();

    // What is away is named, with the place where it is; what is there is read.
    let refused = f.log().await.unwrap_err();
    assert!(matches!(&refused, StoreError::Archived { seq: Position(1), .. }), "{refused}");
    assert!(refused.to_string().contains(exported.file.to_str().unwrap()), "{refused}");
    let later = Log::new(f.database.clone()).page(Position(99), 500).await.unwrap();
    assert_eq!(later, before[99..]);
    let reader = Reader::new(f.database.clone());
    let of_type = EventFilter { event_type: Some(COUNTED[0].to_owned()), ..EventFilter::default() };
    let newest = reader.events(&f.writer.scope, &of_type, Order::NewestFirst, 3).await.unwrap();
    assert_eq!(newest.len(), 3);
    let everything = reader.events(&f.writer.scope, &of_type, Order::OldestFirst, 3).await;
    assert!(matches!(everything, Err(StoreError::Archived { .. })), "{everything:?}");
    let of_stream = EventFilter { stream_id: Some(f.stream), ..EventFilter::default() };
    let stream = reader.events(&f.writer.scope, &of_stream, Order::OldestFirst, 3).await;
    assert!(matches!(stream, Err(StoreError::Archived { .. })), "{stream:?}");
    let of_stream = EventFilter { after: Position(99), ..of_stream };
    assert!(reader.events(&f.writer.scope, &of_stream, Order::OldestFirst, 3).await.is_ok());

    // Set aside, it still cannot be changed.
    let changed =
        sqlx::query("update es.event_from_0 set payload = ''").execute(&mut f.test.owner().await).await;
    assert!(changed.unwrap_err().to_string().contains("cannot be changed"));

    // Back as it was: the table.
    f.attach(None).await.unwrap();
    assert_eq!(f.log().await.unwrap(), before);

    // Away for good, and back from the file, which has moved.
    f.detach(streams).await.unwrap();
    drop_partition(&f.database, &f.test.owner_url(), "event_from_0").await.unwrap();
    let listed = partitions(&f.database, &Scope::Platform).await.unwrap();
    assert!(listed[0].dropped_at.is_some() && listed[0].bytes == 0, "{listed:?}");
    let moved = f.folder.join("elsewhere.jsonl");
    std::fs::rename(&exported.file, &moved).unwrap();
    assert!(matches!(f.attach(None).await, Err(ArchiveError::File { .. })));
    f.attach(Some(&moved)).await.unwrap();
    assert_eq!(f.log().await.unwrap(), before);
    let after: String = sqlx::query_scalar(rows).fetch_one(&mut f.test.owner().await).await.unwrap();
    assert_eq!(after, sum);
    let changed = sqlx::query("delete from es.event_from_0").execute(&mut f.test.owner().await).await;
    assert!(changed.unwrap_err().to_string().contains("cannot be changed"));
    // Commands work on what is back.
    f.writer.write::<0>(f.stream, &command(id()), &[1]).await.unwrap();
    let loaded = f.writer.store.load::<Tally<0>>(&f.writer.scope, f.stream).await.unwrap();
    assert_eq!(loaded, (78 * 6 + 1, 79));
}

#[tokio::test]
async fn a_partition_stays_as_long_as_it_is_needed() {
    let f = fixture().await;
    let not_exported = f.detach(100).await;
    assert!(matches!(not_exported, Err(ArchiveError::Unfit { .. })), "{not_exported:?}");
    let being_filled = export_partition(&f.database, "event_from_100", &f.folder, |_| {}).await;
    assert!(matches!(being_filled, Err(ArchiveError::Unfit { .. })), "{being_filled:?}");
    let unknown = export_partition(&f.database, "event_\"; drop table es.event", &f.folder, |_| {}).await;
    assert!(matches!(unknown, Err(ArchiveError::Unfit { .. })), "{unknown:?}");

    f.export().await;
    f.let_all_have_read().await;
    let owner = &mut f.test.owner().await;
    for (behind, again, who) in [
        ("update es.relay set seq = 98", "update es.relay set seq = 130", "relay"),
        (
            "insert into es.consumer (name, seq) values ('test.slow', 50)",
            "delete from es.consumer",
            "consumer test.slow",
        ),
        (
            "insert into es.follower (name, seq) values ('test_view', 7)",
            "delete from es.follower",
            "test_view",
        ),
        (
            "insert into es.postponed (consumer, event_id, seq) values ('test.late', gen_random_uuid(), 99)",
            "delete from es.postponed",
            "postponed",
        ),
        (
            "insert into es.parked (consumer, event_id, seq, event_type, partner_id, reason, attempts)
             values ('test.parked', gen_random_uuid(), 3, 'test.Counted', gen_random_uuid(), 'because', 1)",
            "delete from es.parked",
            "parked",
        ),
    ] {
        sqlx::query(behind).execute(&mut *owner).await.unwrap();
        let refused = f.detach(100).await.unwrap_err();
        assert!(matches!(refused, ArchiveError::Needed { .. }), "{refused}");
        assert!(refused.to_string().contains(who), "{refused}");
        sqlx::query(again).execute(&mut *owner).await.unwrap();
    }

    let streams = f.detach(10).await.unwrap_err();
    assert!(matches!(streams, ArchiveError::Unreadable { streams: 11, .. }), "{streams}");
    f.detach(11).await.unwrap();
    assert!(matches!(f.detach(11).await, Err(ArchiveError::Unfit { .. })), "it is away already");
}

#[tokio::test]
async fn a_file_that_differs_from_the_partition_keeps_it_where_it_is() {
    let f = fixture().await;
    f.let_all_have_read().await;
    let exported = f.export().await;
    let text = std::fs::read_to_string(&exported.file).unwrap();
    let without_a_line = text.split_once('\n').unwrap().1.to_owned();
    for wrong in [text.replacen("\"version\":2", "\"version\":3", 1), without_a_line, format!("{text}{text}")]
    {
        assert_ne!(wrong, text);
        std::fs::write(&exported.file, wrong).unwrap();
        let refused = f.detach(100).await.unwrap_err();
        assert!(matches!(refused, ArchiveError::Differs { .. }), "{refused}");
    }
    // A file that was noted wrongly is found out by its lines.
    let wrong = text.replacen("by\\\":0", "by\\\":9", 1);
    assert_ne!(wrong, text);
    std::fs::write(&exported.file, &wrong).unwrap();
    sqlx::query("update es.archive set sha256 = encode(sha256($1), 'hex')")
        .bind(wrong.as_bytes())
        .execute(&mut f.test.owner().await)
        .await
        .unwrap();
    let refused = f.detach(100).await.unwrap_err();
    assert!(refused.to_string().contains("is not the event"), "{refused}");
    assert_eq!(f.log().await.unwrap().len(), 130);
    // A dropped table whose file was changed does not come back wrong.
    f.export().await;
    f.detach(100).await.unwrap();
    drop_partition(&f.database, &f.test.owner_url(), "event_from_0").await.unwrap();
    std::fs::write(&exported.file, &wrong).unwrap();
    assert!(matches!(f.attach(None).await, Err(ArchiveError::Differs { .. })));
    std::fs::write(&exported.file, &text).unwrap();
    f.attach(None).await.unwrap();
    assert_eq!(f.log().await.unwrap().len(), 130);
}

#[tokio::test]
async fn an_export_waits_for_a_transaction_that_may_still_write_into_the_partition() {
    let f = fixture().await;
    // It has drawn no place yet, but its age says that it could have.
    let mut open = f.database.begin(&f.writer.scope).await.unwrap();
    sqlx::query("select pg_current_xact_id()").execute(&mut *open).await.unwrap();
    let (database, folder) = (f.database.clone(), f.folder.clone());
    let export = async move { export_partition(&database, "event_from_0", &folder, |_| {}).await };
    let mut export = std::pin::pin!(export);
    let early = tokio::time::timeout(std::time::Duration::from_millis(300), export.as_mut()).await;
    assert!(early.is_err(), "it did not wait");
    open.commit().await.unwrap();
    assert_eq!(export.await.unwrap().events, 99);
}
