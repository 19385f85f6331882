//! Reads one document and prints its figures: `inspect feeds inspect FILE --json`, the arguments of the program itself.
#![expect(clippy::print_stdout, reason = "it prints")]

use feeds_documents::{Options, read};
use kernel::FeedId;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(3) else {
        eprintln!("usage: inspect feeds inspect FILE --json");
        return ExitCode::FAILURE;
    };
    let options = Options {
        feed_id: FeedId::derived(contracts::NAMESPACE, "inspect"),
        received_on: chrono::NaiveDate::default(),
        figures: true,
    };
    let read = std::fs::File::open(&path).map_err(|error| error.to_string());
    match read.and_then(|file| read_file(file, options)) {
        Ok(json) => {
            println!("{json}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("{path}: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn read_file(file: std::fs::File, options: Options) -> Result<String, String> {
    let document = read(file, options).map_err(|error| error.to_string())?;
    eprintln!(
        "{} patches, {} vulnerabilities, {} links, {} withdrawn, {} left out: {:#?}",
        document.contents.patches.len(),
        document.contents.vulnerabilities.len(),
        document.contents.links.len(),
        document.contents.withdrawn.len(),
        document.contents.quarantined_count(),
        document.contents.quarantined.iter().take(5).collect::<Vec<_>>(),
    );
    for patch in document.contents.patches.iter().take(2) {
        eprintln!("{patch:#?}");
    }
    for vulnerability in document.contents.vulnerabilities.iter().take(2) {
        eprintln!("{vulnerability:#?}");
    }
    serde_json::to_string(&document.to_json()).map_err(|error| error.to_string())
}
