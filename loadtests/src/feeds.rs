//! Vendors' documents: reading them against the plainest pass over the same bytes, and taking them in.

mod documents;

use crate::{
    options::Options,
    report::{Figure, Goal, Progress, Report},
    rounds::Samples,
    server::Server,
};
use ::feeds::Watcher;
use ::feeds::offline::{Given, Offline};
use anyhow::{Context, Result, bail};
use feeds_documents::{Options as ReadOptions, read};
use kernel::FeedId;
use runtime::{Lifecycle, Settings};
use std::io::{BufReader, Cursor, Read};
use std::time::{Duration, Instant};
use testkit::TestBroker;

/// A whole month of Microsoft's, from the file to the last commit.
const MONTH_MS: f64 = 500.0;
/// A database of 600,000 fixes, from the file to the last commit.
const FIXES_MS: f64 = 15_000.0;
/// Rows of that database.
const FIXES_ROWS: usize = 600_000;
/// The same where nothing is to be quoted.
const FIXES_ROWS_QUICK: usize = 20_000;

const NOTES: [&str; 4] = [
    "The documents are made for the bench, of the shape and size of real ones: a month of 150 vulnerabilities with 40 fixes each, and rows of a database of Windows fixes (CSV in a zip file) of which 100 are about one KB.",
    "Reading ends with facts in memory. The plainest pass over the same bytes keeps nothing: of XML it sees every event, of the zip file every CSV record.",
    "Taking in begins with the file on disk and an empty catalogue, and ends with the last commit: reading, deciding, events, tables, supersedence. Again is the same file a second time, which writes no event.",
    "PostgreSQL keeps what it has acknowledged (fsync on).",
];

/// Measures what the options ask for.
pub async fn run(options: &Options) -> Result<Report> {
    let mut report = Report::begin("feeds", options);
    let server = Server::new(&options.database_url, options.own_server)?;
    report.conditions.servers.insert("PostgreSQL".to_owned(), server.describe().await?);
    report.notes.extend(NOTES.map(str::to_owned));
    let progress = Progress::of(1 + 2 * (options.rounds() as u64 + 1));
    let done = measure(options, &server, &progress, &mut report).await;
    progress.end();
    server.clear().await?;
    done.map(|()| report)
}

/// A document and its plainest reader.
struct Subject {
    part: &'static str,
    file: tempfile::NamedTempFile,
    bytes: Vec<u8>,
    plain: fn(&[u8]) -> Result<()>,
    goal_ms: f64,
    setting: String,
}

async fn measure(options: &Options, server: &Server, progress: &Progress, report: &mut Report) -> Result<()> {
    progress.step("making documents");
    let rows = if options.quick { FIXES_ROWS_QUICK } else { FIXES_ROWS };
    let month = documents::month();
    let fixes = documents::fixes(rows)?;
    let subjects = [
        Subject {
            part: "month",
            setting: format!("{} kB of XML", month.len() / 1_000),
            file: kept(&month, ".xml")?,
            bytes: month,
            plain: every_event,
            goal_ms: MONTH_MS,
        },
        Subject {
            part: "fixes",
            setting: format!("{rows} rows, {} kB zip", fixes.len() / 1_000),
            file: kept(&fixes, ".zip")?,
            bytes: fixes,
            plain: every_record,
            goal_ms: FIXES_MS,
        },
    ];
    for subject in subjects.iter().filter(|subject| options.wants(subject.part)) {
        let mut samples = Samples::default();
        for round in 0..=options.rounds() {
            progress.step(&format!("{}: round {round} of {}", subject.part, options.rounds()));
            // The first one only warms up.
            let mut ignored = Samples::default();
            let samples = if round == 0 { &mut ignored } else { &mut samples };
            subject.round(server, samples, round % 2 == 1).await?;
        }
        let times = |name: &str| samples.spread(name);
        report.figures.push(
            Figure::alone(subject.part, "reading", &subject.setting, times("reading"), "ms", None).against(
                "plainest pass",
                times("plain"),
                samples.ratio("reading", "plain"),
            ),
        );
        let goal = Some(Goal::AtMost(subject.goal_ms));
        for (name, goal) in [("taking in", goal), ("again", None)] {
            let figure = Figure::alone(subject.part, name, &subject.setting, times(name), "ms", goal);
            report.figures.push(figure);
        }
    }
    Ok(())
}

fn kept(bytes: &[u8], suffix: &str) -> Result<tempfile::NamedTempFile> {
    let file = tempfile::Builder::new().suffix(suffix).tempfile().context("making a document")?;
    std::fs::write(file.path(), bytes).context("writing a document")?;
    Ok(file)
}

impl Subject {
    /// Everything once, the other way round in every second round.
    async fn round(&self, server: &Server, samples: &mut Samples, reverse: bool) -> Result<()> {
        for ours in [reverse, !reverse] {
            let started = Instant::now();
            if ours {
                let feed_id = FeedId(uuid::Uuid::nil());
                let received_on = chrono::NaiveDate::default();
                let document =
                    read(Cursor::new(&self.bytes), ReadOptions { feed_id, received_on, figures: false })?;
                if document.contents.patches.is_empty() {
                    bail!("the document holds no patches");
                }
                samples.record("reading", milliseconds(started.elapsed()));
            } else {
                (self.plain)(&self.bytes)?;
                samples.record("plain", milliseconds(started.elapsed()));
            }
        }
        self.take_in(server, samples).await
    }

    async fn take_in(&self, server: &Server, samples: &mut Samples) -> Result<()> {
        let place = server.create("feeds").await?;
        let broker = TestBroker::create().await;
        let mut settings = Settings::from_variables(Vec::<(String, String)>::new())?;
        settings.database.url = place.service_url().into();
        settings.broker.url = broker.url().into();
        let lifecycle = Lifecycle::new();
        let offline = Offline::open(&settings, &lifecycle).await?;
        let given = [Given::Path(self.file.path().to_owned())];
        for name in ["taking in", "again"] {
            let started = Instant::now();
            let outcome = offline.import(&given, &Nobody).await?;
            samples.record(name, milliseconds(started.elapsed()));
            if !outcome.refused.is_empty() {
                bail!("{:?}", outcome.refused);
            }
        }
        lifecycle.stop.cancel();
        drop(offline);
        server.drop(&place).await
    }
}

struct Nobody;

impl Watcher for Nobody {
    fn found(&self, _: usize) {}
    fn reading(&self, _: &str) {}
    fn taken(&self, _: usize, _: usize) {}
    fn done(&self) {}
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// Every event of an XML document.
fn every_event(bytes: &[u8]) -> Result<()> {
    let mut reader = quick_xml::Reader::from_reader(bytes);
    let mut buffer = Vec::new();
    while reader.read_event_into(&mut buffer)? != quick_xml::events::Event::Eof {
        buffer.clear();
    }
    Ok(())
}

/// Every record of the CSV in a zip file.
fn every_record(bytes: &[u8]) -> Result<()> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes))?;
    let entry: Box<dyn Read + '_> = Box::new(archive.by_index(0)?);
    let mut rows = csv::Reader::from_reader(BufReader::new(entry));
    let mut record = csv::ByteRecord::new();
    while rows.read_byte_record(&mut record)? {}
    Ok(())
}
