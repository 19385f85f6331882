//! All benches with tiny numbers: every row is there and every number is one. Nothing is said about speed.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use clap::Parser;
use loadtests::{applicability, eventstore, feeds, messaging, options::Options, plot, report::Report};

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

/// The servers are those of the test run, by their variables.
fn tiny() -> Options {
    let arguments = [
        "bench",
        "--quick",
        "--rounds=1",
        "--turn-ms=20",
        "--stored=600,1500",
        "--writers=1,2",
        "--messages=600",
        "--devices=40,400",
        "--inventories=20",
    ];
    Arguments::try_parse_from(arguments).expect("run the tests with `cargo xtask test`").options
}

fn is_complete(report: &Report, parts: &[&str]) {
    for figure in &report.figures {
        let spreads = [Some(figure.ours), figure.baseline, figure.ratio];
        for spread in spreads.into_iter().flatten() {
            for value in [spread.median, spread.min, spread.max] {
                assert!(value.is_finite() && value >= 0.0, "{figure:?}");
            }
        }
        assert_eq!(figure.against.is_some(), figure.ratio.is_some());
        assert_eq!(figure.goal.is_some(), figure.met.is_some());
    }
    for part in parts {
        assert!(report.figures.iter().any(|figure| figure.part == *part), "no figure of {part}");
    }
    let (tables, page, plots) = (report.tables(), report.markdown(), plot::plots(report));
    for part in parts {
        assert!(tables.contains(part) && page.contains(&format!("## {part}")));
    }
    assert_eq!(plots.len(), parts.len());
    assert!(plots.iter().all(|(_, svg)| svg.starts_with("<svg") && !svg.contains("NaN")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bench_of_the_store_has_every_row() {
    let report = eventstore::run(&tiny()).await.unwrap();
    is_complete(&report, &["append", "batch", "order", "race", "reading"]);
    // For 1 and 2 writers: against two kinds of INSERT, without policies, without scope, two ways of the
    // store, two at the larger size.
    assert_eq!(report.figures.iter().filter(|figure| figure.part == "append").count(), 2 * 8);
    let ours = report.figures.iter().find(|figure| figure.what == "missed by follower: ours").unwrap();
    assert_eq!(ours.met, Some(true), "{ours:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bench_of_the_messages_has_every_row() {
    let report = messaging::run(&tiny()).await.unwrap();
    is_complete(&report, &["throughput", "latency", "rebuild"]);
    assert_eq!(report.figures.iter().filter(|figure| figure.part == "throughput").count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bench_of_the_feeds_has_every_row() {
    let report = feeds::run(&tiny()).await.unwrap();
    is_complete(&report, &["month", "fixes"]);
    assert_eq!(report.figures.len(), 2 * 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bench_of_applicability_has_every_row() {
    let report = applicability::run(&tiny()).await.unwrap();
    is_complete(&report, &["advisory", "scan"]);
    assert_eq!(report.figures.len(), 2 * (6 + 3));
}
