//! Reports that wait for the server, on disk, in order, within bounds.

use crate::AgentError;
use crate::files::{failed, private_folder, sync_parent, write};
use contracts::agent::{JobReport, ScanReport};
use kernel::JobId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Reports in the queue. A device sends a few a day; months of absence fit in.
const REPORTS_MAX: usize = 1_000;
/// Bytes in the queue. A scan report has up to about a megabyte.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Reports kept for a look after the server refused them for good.
const REFUSED_MAX: usize = 100;

/// One report that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// What the job's server side wants back.
    pub traceparent: Option<String>,
    /// The report.
    pub report: Report,
}

/// A report of either kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Report {
    /// A scan's result, always with its inventory; what is sent is another matter.
    Scan {
        /// The report.
        report: Box<ScanReport>,
        /// The server wants the inventory's content.
        inventory_wanted: bool,
    },
    /// A step of a job.
    Job {
        /// The job.
        job_id: JobId,
        /// The report.
        report: JobReport,
    },
}

/// The queue.
#[derive(Debug)]
pub struct Queue {
    folder: PathBuf,
    refused: PathBuf,
    // Number and size of every file.
    entries: BTreeMap<u64, u64>,
    next: u64,
}

impl Queue {
    /// Opens the queue in the state folder.
    pub fn open(state: &Path) -> Result<Self, AgentError> {
        let (folder, refused) = (state.join("queue"), state.join("refused"));
        private_folder(&folder)?;
        private_folder(&refused)?;
        let entries: BTreeMap<u64, u64> = numbered(&folder)?;
        let last = entries.keys().chain(numbered(&refused)?.keys()).max().copied();
        Ok(Self { folder, refused, entries, next: last.map_or(1, |n| n + 1) })
    }

    /// How many reports wait in a state folder; for onlookers.
    pub fn count(state: &Path) -> usize {
        numbered(&state.join("queue")).map_or(0, |entries| entries.len())
    }

    /// How many reports wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Puts a report at the end. Returns how many old ones had to give way.
    pub fn push(&mut self, waiting: &Waiting) -> Result<usize, AgentError> {
        let content = encode(waiting)?;
        let size = content.len() as u64;
        let mut dropped = 0;
        while self.entries.len() >= REPORTS_MAX || self.bytes() + size > BYTES_MAX {
            let Some(number) = self.least_needed() else { break };
            self.remove(number)?;
            dropped += 1;
        }
        let number = self.next;
        self.next += 1;
        write(&self.path(number), &content)?;
        self.entries.insert(number, size);
        Ok(dropped)
    }

    /// The report to send next. One that cannot be read is set aside.
    pub fn first(&mut self) -> Result<Option<(u64, Waiting)>, AgentError> {
        while let Some(&number) = self.entries.keys().next() {
            let path = self.path(number);
            let content = fs::read(&path).map_err(failed("reading", &path))?;
            match serde_json::from_slice(&content) {
                Ok(waiting) => return Ok(Some((number, waiting))),
                Err(error) => {
                    tracing::error!(report.number = number, %error, "a queued report cannot be read and is set aside");
                    self.refuse(number)?;
                }
            }
        }
        Ok(None)
    }

    /// Replaces a report by one with the same place and id.
    pub fn replace(&mut self, number: u64, waiting: &Waiting) -> Result<(), AgentError> {
        let content = encode(waiting)?;
        write(&self.path(number), &content)?;
        self.entries.insert(number, content.len() as u64);
        Ok(())
    }

    /// Forgets a report: the server has it.
    pub fn remove(&mut self, number: u64) -> Result<(), AgentError> {
        let path = self.path(number);
        fs::remove_file(&path).map_err(failed("removing", &path))?;
        self.entries.remove(&number);
        sync_parent(&path)
    }

    /// Sets a report aside: the server will never take it.
    pub fn refuse(&mut self, number: u64) -> Result<(), AgentError> {
        let kept = numbered(&self.refused)?;
        for old in kept.keys().take((kept.len() + 1).saturating_sub(REFUSED_MAX)) {
            let path = file(&self.refused, *old);
            fs::remove_file(&path).map_err(failed("removing", &path))?;
        }
        let (from, to) = (self.path(number), file(&self.refused, number));
        fs::rename(&from, &to).map_err(failed("setting aside", &from))?;
        self.entries.remove(&number);
        sync_parent(&to)?;
        sync_parent(&from)
    }

    fn bytes(&self) -> u64 {
        self.entries.values().sum()
    }

    /// A scan that no job asked for is made good by the next; the steps of jobs are not.
    fn least_needed(&self) -> Option<u64> {
        let unasked = self.entries.keys().copied().find(|&number| {
            let waiting = fs::read(self.path(number)).ok().and_then(|c| serde_json::from_slice(&c).ok());
            match waiting {
                Some(Waiting { report: Report::Scan { report, .. }, .. }) => report.job_id.is_none(),
                Some(Waiting { report: Report::Job { .. }, .. }) => false,
                None => true,
            }
        });
        unasked.or_else(|| self.entries.keys().next().copied())
    }

    fn path(&self, number: u64) -> PathBuf {
        file(&self.folder, number)
    }
}

fn file(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}.json"))
}

fn encode(waiting: &Waiting) -> Result<Vec<u8>, AgentError> {
    serde_json::to_vec(waiting)
        .map_err(|e| AgentError::Misunderstood { doing: "queueing", detail: e.to_string() })
}

fn numbered(folder: &Path) -> Result<BTreeMap<u64, u64>, AgentError> {
    let mut entries = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(failed("reading", folder))? {
        let entry = entry.map_err(failed("reading", folder))?;
        let name = entry.file_name();
        // Half-written files end in .tmp: their report was never queued.
        let Some(number) = name.to_str().and_then(|n| n.strip_suffix(".json")).and_then(|n| n.parse().ok())
        else {
            continue;
        };
        let size = entry.metadata().map_err(failed("reading", folder))?.len();
        entries.insert(number, size);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::{Queue, REPORTS_MAX, Report, Waiting};
    use chrono::DateTime;
    use contracts::OsRelease;
    use contracts::agent::{JobReport, ScanReport};
    use contracts::devices::JobStep;
    use kernel::JobId;
    use std::path::PathBuf;
    use uuid::Uuid;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("patchfleet-queue-{}", crate::clock::new_id()));
            std::fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn step(id: u128) -> Waiting {
        let report = JobReport {
            report_id: Uuid::from_u128(id),
            occurred_at: DateTime::UNIX_EPOCH,
            report: JobStep::Acknowledged,
        };
        Waiting { traceparent: None, report: Report::Job { job_id: JobId(Uuid::from_u128(1)), report } }
    }

    fn scan(id: u128) -> Waiting {
        let report = ScanReport {
            report_id: Uuid::from_u128(id),
            job_id: None,
            scanned_at: DateTime::UNIX_EPOCH,
            os: OsRelease { id: "debian".to_owned(), version: "12".to_owned() },
            inventory_hash: String::new(),
            inventory: None,
            available: vec![],
            source: String::new(),
            pending_reboot: false,
        };
        Waiting {
            traceparent: None,
            report: Report::Scan { report: Box::new(report), inventory_wanted: false },
        }
    }

    fn drain(queue: &mut Queue) -> Vec<Waiting> {
        let mut all = Vec::new();
        while let Some((number, waiting)) = queue.first().unwrap() {
            all.push(waiting);
            queue.remove(number).unwrap();
        }
        all
    }

    #[test]
    fn reports_survive_a_restart_in_order() {
        let folder = Folder::new();
        let mut queue = Queue::open(&folder.0).unwrap();
        for id in 1..=12 {
            queue.push(&step(id)).unwrap();
        }
        drop(queue);
        std::fs::write(folder.0.join("queue/99.tmp"), "{").unwrap();
        let mut queue = Queue::open(&folder.0).unwrap();
        assert_eq!(queue.len(), 12);
        assert_eq!(drain(&mut queue), (1..=12).map(step).collect::<Vec<_>>());
    }

    #[test]
    fn a_full_queue_gives_up_unasked_scans_first() {
        let folder = Folder::new();
        let mut queue = Queue::open(&folder.0).unwrap();
        queue.push(&step(1)).unwrap();
        queue.push(&scan(2)).unwrap();
        for id in 3..=REPORTS_MAX as u128 {
            queue.push(&step(id)).unwrap();
        }
        assert_eq!(queue.push(&step(5_000)).unwrap(), 1);
        assert_eq!(queue.len(), REPORTS_MAX);
        let kept = drain(&mut queue);
        assert!(kept.contains(&step(1)) && kept.contains(&step(5_000)) && !kept.contains(&scan(2)));
    }

    #[test]
    fn damaged_reports_are_set_aside_and_never_reuse_a_number() {
        let folder = Folder::new();
        let mut queue = Queue::open(&folder.0).unwrap();
        queue.push(&step(1)).unwrap();
        std::fs::write(queue.path(1), "{").unwrap();
        assert_eq!(queue.first().unwrap(), None);
        let mut queue = Queue::open(&folder.0).unwrap();
        queue.push(&step(2)).unwrap();
        assert_eq!(queue.first().unwrap(), Some((2, step(2))));
    }
}
