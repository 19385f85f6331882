//! Documents that try to fill the memory: each is read by a process of its own that may have 256 MiB, and ends well.
#![cfg(target_os = "linux")]

mod json;
mod lines;
mod xml;

use feeds_documents::{Document, DocumentError, Options};
use kernel::{FeedId, Refused};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::process::{Command, Stdio};

/// What the whole process may have: Linux counts private memory that can be written, stacks included.
const KIBIBYTES: usize = 256 << 10;
/// What the last line of a reading process begins with.
const OUTCOME: &str = "outcome: ";

/// A document that is made while it is read.
struct Case {
    name: &'static str,
    start: &'static str,
    record: fn(usize) -> String,
    end: &'static str,
    mebibytes: usize,
}

fn cases() -> impl Iterator<Item = &'static Case> {
    [xml::CASES, json::CASES, lines::CASES].into_iter().flatten()
}

fn many(times: usize, part: impl Fn(usize) -> String) -> String {
    (0..times).map(part).collect()
}

fn long(number: usize, bytes: usize) -> String {
    format!("{number}{}", "x".repeat(bytes))
}

/// The document of a case, made anew each time it is read from its beginning.
struct Source {
    case: &'static Case,
    number: usize,
    made: usize,
    is_over: bool,
    piece: io::Cursor<Vec<u8>>,
}

impl Source {
    fn of(case: &'static Case) -> Self {
        let piece = io::Cursor::new(case.start.as_bytes().to_vec());
        Self { case, number: 0, made: 0, is_over: false, piece }
    }
}

impl Read for Source {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.piece.read(buf)?;
            if read > 0 || self.is_over || buf.is_empty() {
                return Ok(read);
            }
            self.is_over = self.made >= self.case.mebibytes << 20;
            let piece = if self.is_over { self.case.end.to_owned() } else { (self.case.record)(self.number) };
            self.number += 1;
            self.made += piece.len();
            self.piece = io::Cursor::new(piece.into_bytes());
        }
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        *self = Self::of(self.case);
        // Nobody can say how long it will be; it is not compressed.
        Ok(if to == SeekFrom::End(0) { 1 << 30 } else { 0 })
    }
}

fn read(case: &'static Case, figures: bool) -> Result<Document, DocumentError> {
    let received_on = chrono::NaiveDate::default();
    let options = Options { feed_id: FeedId(uuid::Uuid::from_u128(7)), received_on, figures };
    feeds_documents::read(Source::of(case), options)
}

/// The process that reads: what, and whether with figures, is told on its standard input.
#[test]
#[ignore = "it is run by the other tests here"]
fn the_process_that_reads() {
    let told = io::read_to_string(io::stdin()).unwrap();
    let (figures, name) = told.split_once(' ').unwrap();
    let case = cases().find(|case| case.name == name).unwrap();
    let outcome = match read(case, figures == "figures") {
        // They are made into text as well.
        Ok(document) => format!("read, {} figures", document.to_json().len()),
        Err(error) => format!("{}: {error}", error.code()),
    };
    writeln!(io::stdout(), "\n{OUTCOME}{outcome}").unwrap();
}

/// What the last line of a test says that runs in a process of its own.
fn in_a_process(test: &str, told: &str) -> Result<String, String> {
    let mut process = Command::new("sh")
        .args(["-c", &format!("ulimit -d {KIBIBYTES} && exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(told.as_bytes()).unwrap();
    let done = process.wait_with_output().unwrap();
    let output = String::from_utf8_lossy(&done.stdout);
    match output.lines().find_map(|line| line.strip_prefix(OUTCOME)) {
        Some(outcome) if done.status.success() => Ok(outcome.to_owned()),
        Some(_) | None => Err(format!("{}: {}", done.status, String::from_utf8_lossy(&done.stderr))),
    }
}

/// With figures, which need everything that facts need and more; two processes at a time, for they read for seconds.
#[test]
fn no_document_takes_more_memory_than_there_is() {
    let all: Vec<&Case> = cases().collect();
    std::thread::scope(|scope| {
        for half in all.chunks(all.len().div_ceil(2)) {
            scope.spawn(move || half.iter().for_each(|case| assert_ends_well(case)));
        }
    });
}

fn assert_ends_well(case: &Case) {
    let outcome = in_a_process("memory::the_process_that_reads", &format!("figures {}", case.name));
    let outcome = outcome.unwrap_or_else(|reason| panic!("{}: {reason}", case.name));
    let is_well = outcome.starts_with("read, ") || outcome.starts_with("feeds.document_");
    assert!(is_well, "{}: {outcome}", case.name);
}

/// Takes what its input says.
#[test]
#[ignore = "it is run by the other tests here"]
fn the_process_that_takes_memory() {
    let mebibytes = io::read_to_string(io::stdin()).unwrap().parse().unwrap();
    let taken: Vec<Vec<u8>> =
        (0..mebibytes).map(|number: u16| vec![number.to_be_bytes()[1]; 1 << 20]).collect();
    writeln!(io::stdout(), "\n{OUTCOME}{}", taken.len()).unwrap();
}

/// Otherwise the tests above would say nothing.
#[test]
fn the_limit_holds() {
    let taken = |mebibytes: &str| in_a_process("memory::the_process_that_takes_memory", mebibytes);
    assert_eq!(taken("100"), Ok("100".to_owned()));
    assert!(taken("300").is_err());
}
