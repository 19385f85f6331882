//! A projection that follows, is built anew beside itself, and is compared with the log.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its support as well")]

mod tally;

use eventstore::{
    DifferenceKind, FollowError, Progress, RebuildError, RebuildOptions, Rebuilt, Stage, check, rebuild,
};
use kernel::Position;
use serde_json::json;
use sqlx::Connection;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tally::{Fixture, POISON, Tally};
use testkit::eventually;
use tokio::sync::Semaphore;

/// Nothing to hear.
fn quiet(_: Progress) {}

async fn rebuild_anew(f: &Fixture) -> Rebuilt {
    rebuild(&f.database, &f.owner_url(), &Tally::default(), RebuildOptions::default(), &quiet).await.unwrap()
}

#[tokio::test]
async fn a_clone_of_a_schema_differs_from_it_in_nothing() {
    let f = Fixture::new().await;
    let mut owner = f.owner().await;
    for schema in ["views", "auditing", "tally"] {
        sqlx::query("call es.clone_schema($1, 'cloned')").bind(schema).execute(&mut owner).await.unwrap();
        let (things, different): (i64, i64) = sqlx::query_as(
            "with one as (select d from es.describe_schema($1) d), other as (select d from es.describe_schema('cloned') d)
             select (select count(*) from one),
                    (select count(*) from ((table one except all table other) union all (table other except all table one)) x)",
        )
        .bind(schema)
        .fetch_one(&mut owner)
        .await
        .unwrap();
        assert!(things > 15, "{schema} is described by {things} lines only");
        assert_eq!(different, 0, "{schema}");
        sqlx::raw_sql("drop schema cloned cascade").execute(&mut owner).await.unwrap();
    }
}

#[tokio::test]
async fn whatever_two_schemas_differ_in_is_seen() {
    let f = Fixture::new().await;
    let mut owner = f.owner().await;
    for change in [
        "alter table cloned.total alter column total set default 7",
        "alter table cloned.total drop constraint total_is_a_sum",
        "alter table cloned.total no force row level security",
        "alter table cloned.total set (fillfactor = 90)",
        "drop policy customer_rows on cloned.total",
        "revoke select on cloned.total from pf_partner",
        "grant update (total) on cloned.total to public",
        "drop index cloned.line_in_order",
        "drop trigger lines_stay on cloned.line",
        "revoke usage on schema cloned from pf_customer",
        "alter table cloned.line add column note text",
    ] {
        let mut tx = owner.begin().await.unwrap();
        sqlx::query("call es.clone_schema('tally', 'cloned')").execute(&mut *tx).await.unwrap();
        sqlx::raw_sql(change).execute(&mut *tx).await.unwrap();
        let same: bool = sqlx::query_scalar(
            "select array(select es.describe_schema('tally')) = array(select es.describe_schema('cloned'))",
        )
        .fetch_one(&mut *tx)
        .await
        .unwrap();
        assert!(!same, "{change}");
        tx.rollback().await.unwrap();
    }
}

#[tokio::test]
async fn a_schema_that_holds_more_than_tables_is_not_cloned() {
    let f = Fixture::new().await;
    let mut owner = f.owner().await;
    sqlx::raw_sql("create view tally.sum as select sum(total) from tally.total")
        .execute(&mut owner)
        .await
        .unwrap();
    let error =
        rebuild(&f.database, &f.owner_url(), &Tally::default(), RebuildOptions::default(), &quiet).await;
    let error = format!("{:?}", error.unwrap_err());
    assert!(error.contains("holds more than tables and cannot be cloned: sum"), "{error}");
}

#[tokio::test]
async fn a_table_that_the_projection_does_not_keep_is_not_thrown_away() {
    let f = Fixture::new().await;
    let mut owner = f.owner().await;
    sqlx::raw_sql("create table tally.precious (key text)").execute(&mut owner).await.unwrap();
    let error =
        rebuild(&f.database, &f.owner_url(), &Tally::default(), RebuildOptions::default(), &quiet).await;
    let error = error.unwrap_err();
    assert!(
        matches!(&error, RebuildError::Tables { unknown, missing, .. } if unknown == "precious" && missing.is_empty()),
        "{error}"
    );
}

#[tokio::test]
async fn a_check_names_the_row_and_the_column_and_a_rebuild_repairs_it() {
    let f = Fixture::new().await;
    let streams = f.count(3, 40).await;
    f.follow_to_the_end().await;
    let clean = check(&f.database, &f.owner_url(), &Tally::default(), &quiet).await.unwrap();
    assert_eq!((clean.differing(), clean.position), (0, Position(120)));
    assert_eq!(
        clean.tables.iter().map(|t| (t.table, t.rows)).collect::<Vec<_>>(),
        [("total", 3), ("line", 120)]
    );

    f.tamper(&format!("update tally.total set total = 41 where stream_id = '{}'", streams[0])).await;
    f.tamper("delete from tally.line where seq = 7").await;
    f.tamper("insert into tally.line select 1000, stream_id, partner_id, customer_id, gen_random_uuid() from tally.line where seq = 8").await;
    let found = check(&f.database, &f.owner_url(), &Tally::default(), &quiet).await.unwrap();
    let total = &found.tables[0];
    assert_eq!(total.differing, 1);
    assert_eq!(json!(total.differences[0].key), json!({ "stream_id": streams[0] }));
    assert_eq!(
        json!(total.differences[0].columns),
        json!([{ "column": "total", "live": 41, "expected": 40 }])
    );
    let line = &found.tables[1];
    let kinds: Vec<_> = line.differences.iter().map(|d| (d.key["seq"].as_i64().unwrap(), d.kind)).collect();
    assert_eq!(kinds, [(7, DifferenceKind::Missing), (1_000, DifferenceKind::Unexpected)]);
    assert_eq!((line.differing, found.differing()), (2, 3));

    let rebuilt = rebuild_anew(&f).await;
    assert_eq!((rebuilt.events, rebuilt.position), (120, Position(120)));
    let repaired = check(&f.database, &f.owner_url(), &Tally::default(), &quiet).await.unwrap();
    assert_eq!(repaired.differing(), 0);
    assert_eq!(f.schemas().await, ["tally"]);
}

#[tokio::test]
async fn more_differences_than_are_told_are_counted() {
    let f = Fixture::new().await;
    f.count(1, 150).await;
    f.follow_to_the_end().await;
    f.tamper("update tally.line set event_id = gen_random_uuid()").await;
    let found = check(&f.database, &f.owner_url(), &Tally::default(), &quiet).await.unwrap();
    let line = &found.tables[1];
    assert_eq!((line.differing, line.differences.len()), (150, 100));
    assert!(line.differences.iter().all(|d| d.kind == DifferenceKind::Changed && d.columns.len() == 1));
}

/// Readers see one consistent state at a position that never goes back, before, during and after each switch.
#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_switches_under_readers_writers_and_a_follower() {
    let f = Fixture::new().await;
    f.count(8, 50).await;
    let stop = f.follow();
    eventually("the follower to be there", async || f.position().await == Position(400)).await;
    let writers = f.write_until(&stop, 4);
    let readers: Vec<_> = (0..3).map(|_| f.read_until(&stop)).collect();
    eventually("the readers to read", async || f.reads() > 20).await;
    let mut reached = Position(0);
    for round in 0..4 {
        eventually("the follower to go on", async || f.position().await > reached).await;
        if round == 2 {
            f.repairing(true);
            f.tamper("delete from tally.line where seq = 7; update tally.total set events = 0").await;
        }
        let rebuilt = rebuild_anew(&f).await;
        f.repairing(false);
        assert!(rebuilt.position > reached, "round {round} ended at {}", rebuilt.position);
        reached = rebuilt.position;
        let before = f.reads();
        eventually("the readers to read on", async || f.reads() > before + 20).await;
    }
    stop.cancel();
    writers.join_all().await;
    for reader in readers {
        reader.await.unwrap();
    }
    f.follow_to_the_end().await;
    let checked = check(&f.database, &f.owner_url(), &Tally::default(), &quiet).await.unwrap();
    assert_eq!(checked.differing(), 0, "{:?}", checked.tables);
    assert_eq!(f.schemas().await, ["tally"]);
    let same: bool = sqlx::query_scalar("select array(select es.describe_schema('tally')) = $1")
        .bind(&f.described)
        .fetch_one(&mut f.owner().await)
        .await
        .unwrap();
    assert!(same, "the schema is not what it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_finds_nothing_wrong_while_writers_and_the_follower_go_on() {
    let f = Fixture::new().await;
    f.count(4, 25).await;
    let stop = f.follow();
    let writers = f.write_until(&stop, 4);
    for _ in 0..5 {
        let checked = check(&f.database, &f.owner_url(), &Tally::default(), &quiet).await.unwrap();
        assert_eq!(checked.differing(), 0, "{:?}", checked.tables);
    }
    stop.cancel();
    writers.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_rebuild_leaves_the_live_one_alone_and_can_go_on_or_begin_anew() {
    let f = Fixture::new().await;
    f.count(4, 300).await;
    f.follow_to_the_end().await;
    let cut = async |f: &Fixture| {
        let reached = AtomicI64::new(0);
        let told = |progress: Progress| {
            if progress.stage == Stage::Folding {
                reached.store(progress.position.0, Ordering::SeqCst);
            }
        };
        let (tally, url) = (Tally::gated(Arc::new(Semaphore::new(200))), f.owner_url());
        tokio::select! {
            rebuilt = rebuild(&f.database, &url, &tally, RebuildOptions::default(), &told) =>
                panic!("it was to be interrupted: {rebuilt:?}"),
            () = eventually("a part to be folded", async || reached.load(Ordering::SeqCst) > 0) => {}
        }
        reached.load(Ordering::SeqCst)
    };
    for resume in [true, false] {
        let stopped = cut(&f).await;
        assert!(stopped < 1_200);
        assert_eq!(f.schemas().await, ["tally", "tally_next"]);
        assert_eq!(f.live_total().await, 1_200);
        let options = RebuildOptions { resume, keep_old: false };
        let rebuilt = f.rebuild_once_free(options).await;
        assert_eq!(rebuilt.events < 1_200, resume, "{rebuilt:?} after {stopped}");
        assert_eq!(f.schemas().await, ["tally"]);
        let checked = check(&f.database, &f.owner_url(), &Tally::default(), &quiet).await.unwrap();
        assert_eq!(checked.differing(), 0, "{:?}", checked.tables);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_loses_the_database_ends_with_an_error_and_the_next_one_succeeds() {
    let f = Fixture::new().await;
    f.count(4, 300).await;
    f.follow_to_the_end().await;
    let reached = AtomicI64::new(0);
    let told = |progress: Progress| reached.store(progress.position.0, Ordering::SeqCst);
    let gate = Arc::new(Semaphore::new(200));
    let (tally, url) = (Tally::gated(gate.clone()), f.owner_url());
    let (ended, ()) =
        tokio::join!(rebuild(&f.database, &url, &tally, RebuildOptions::default(), &told), async {
            eventually("a part to be folded", async || reached.load(Ordering::SeqCst) > 0).await;
            f.cut_connections().await;
            gate.close();
        });
    let error = ended.unwrap_err();
    assert!(matches!(&error, RebuildError::Follow(_) | RebuildError::Store(_)), "{error}");
    let rebuilt = f.rebuild_once_free(RebuildOptions { resume: true, keep_old: false }).await;
    assert!(rebuilt.events < 1_200, "{rebuilt:?}");
    assert_eq!(f.live_total().await, 1_200);
}

#[tokio::test]
async fn what_was_begun_before_a_migration_is_not_gone_on_with() {
    let f = Fixture::new().await;
    f.count(1, 10).await;
    f.follow_to_the_end().await;
    f.tamper("call es.clone_schema('tally', 'tally_next'); insert into es.follower values ('tally@next', 3)")
        .await;
    f.tamper("alter table tally.total add column note text").await;
    let options = RebuildOptions { resume: true, keep_old: false };
    let error = rebuild(&f.database, &f.owner_url(), &Tally::default(), options, &quiet).await.unwrap_err();
    assert!(matches!(error, RebuildError::Unlike { .. }), "{error}");
}

#[tokio::test]
async fn only_one_rebuild_of_a_projection_runs_at_a_time() {
    let f = Fixture::new().await;
    f.count(1, 10).await;
    f.follow_to_the_end().await;
    let gate = Arc::new(Semaphore::new(0));
    let (first, url) = (Tally::gated(gate.clone()), f.owner_url());
    let (rebuilt, ()) =
        tokio::join!(rebuild(&f.database, &url, &first, RebuildOptions::default(), &quiet), async {
            eventually("the first to begin", async || f.schemas().await.len() == 2).await;
            let second =
                rebuild(&f.database, &url, &Tally::default(), RebuildOptions::default(), &quiet).await;
            assert!(matches!(second, Err(RebuildError::Busy { projection: "tally" })), "{second:?}");
            let checked = check(&f.database, &url, &Tally::default(), &quiet).await;
            assert!(matches!(checked, Err(RebuildError::Busy { .. })), "{checked:?}");
            gate.close();
        });
    assert_eq!(rebuilt.unwrap().events, 10);
}

#[tokio::test]
async fn the_replaced_tables_are_kept_on_request_until_the_next_rebuild() {
    let f = Fixture::new().await;
    f.count(1, 10).await;
    f.follow_to_the_end().await;
    let keep = RebuildOptions { keep_old: true, ..RebuildOptions::default() };
    rebuild(&f.database, &f.owner_url(), &Tally::default(), keep, &quiet).await.unwrap();
    assert_eq!(f.schemas().await, ["tally", "tally_old"]);
    rebuild_anew(&f).await;
    assert_eq!(f.schemas().await, ["tally"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_taken_in_stops_the_projection_and_is_named() {
    let f = Fixture::new().await;
    f.count(1, 20).await;
    let poison = f.count_by(POISON).await;
    f.count(1, 20).await;
    let stop = f.follow();
    eventually("everything before it to be taken in", async || f.position().await == Position(20)).await;
    assert_eq!(f.live_total().await, 20);
    stop.cancel();
    // Its place is that of the live one, which cannot get past it either.
    f.tamper("update es.follower set seq = 41 where name = 'tally'").await;
    let error =
        rebuild(&f.database, &f.owner_url(), &Tally::default(), RebuildOptions::default(), &quiet).await;
    let error = error.unwrap_err();
    let RebuildError::Follow(FollowError::Event { seq, event_id, event_type, .. }) = &error else {
        panic!("{error}")
    };
    assert_eq!((*seq, *event_id, event_type.as_str()), (Position(21), poison, "test.Counted"));
    assert_eq!(f.schemas().await, ["tally", "tally_next"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_does_not_end_stops_the_switch_and_not_the_follower() {
    let f = Fixture::new().await;
    f.count(1, 10).await;
    let stop = f.follow();
    eventually("the follower to be there", async || f.position().await == Position(10)).await;
    let mut reader = f.owner().await;
    let mut open = reader.begin().await.unwrap();
    sqlx::query("select count(*) from tally.total").execute(&mut *open).await.unwrap();
    let (url, options) = (f.owner_url(), RebuildOptions { keep_old: true, ..RebuildOptions::default() });
    let tally = Tally::default();
    let rebuilding = rebuild(&f.database, &url, &tally, options, &quiet);
    let reading = async {
        eventually("the rebuild to wait", async || f.schemas().await.len() == 2).await;
        f.count(1, 10).await;
        eventually("the follower to go on meanwhile", async || f.position().await == Position(20)).await;
        assert_eq!(f.schemas().await, ["tally", "tally_next"]);
        open.commit().await.unwrap();
    };
    let (rebuilt, ()) = tokio::join!(rebuilding, reading);
    assert_eq!(rebuilt.unwrap().position, Position(20));
    stop.cancel();
}

#[tokio::test]
async fn a_projection_of_some_types_gets_past_the_events_of_all_others() {
    let f = Fixture::new().await;
    f.count(2, 30).await;
    f.follow_to_the_end().await;
    for (types, lines) in [(&["test.Other"][..], 0), (&["test.Other", "test.Counted"], 60)] {
        let tally = Tally::of(types);
        let rebuilt =
            rebuild(&f.database, &f.owner_url(), &tally, RebuildOptions::default(), &quiet).await.unwrap();
        assert_eq!((rebuilt.events, rebuilt.position), (60, Position(60)));
        assert_eq!(f.live_total().await, lines, "{types:?}");
    }
}
