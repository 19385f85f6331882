//! Which jobs the agent has seen, so that none is done twice and none older than the last is done at all.

use crate::AgentError;
use crate::files::{read_json, write_json};
use chrono::{DateTime, Utc};
use contracts::agent::{Job, Work};
use contracts::devices::AgentMode;
use kernel::{DeviceId, JobId};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Finished jobs that are still recognised when the server sends them again.
const RECENT_MAX: usize = 100;

/// How far a job got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Taken; nothing was changed yet.
    Accepted,
    /// The package manager was at work.
    Installing,
}

/// The job at hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Current {
    /// The job.
    pub job_id: JobId,
    /// How far it got.
    pub stage: Stage,
    /// What the server wants back with every report.
    pub traceparent: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    last_number: i64,
    current: Option<Current>,
    recent: Vec<JobId>,
}

/// What to do with a job whose signature is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Do it.
    Accept,
    /// Sent again: it is done or in hand, its reports are on their way.
    Known,
    /// For another device: none of our business, not even to report on.
    Foreign,
    /// Tell the server why not.
    Refuse {
        /// Stable code.
        code: &'static str,
        /// In words.
        reason: String,
    },
}

/// The journal, on disk before anything is done.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    content: Content,
}

impl Journal {
    /// Opens the journal in the state folder.
    pub fn open(folder: &Path) -> Result<Self, AgentError> {
        let path = folder.join("jobs.json");
        Ok(Self { content: read_json(&path)?.unwrap_or_default(), path })
    }

    /// The job at hand; at start, one that was cut off.
    pub fn current(&self) -> Option<&Current> {
        self.content.current.as_ref()
    }

    /// The highest number seen.
    pub fn last_number(&self) -> i64 {
        self.content.last_number
    }

    /// Says what to do with a job, without doing it.
    pub fn judge(&self, job: &Job, device_id: DeviceId, mode: AgentMode, now: DateTime<Utc>) -> Verdict {
        let refuse = |code, reason| Verdict::Refuse { code, reason };
        if job.device_id != device_id {
            return Verdict::Foreign;
        }
        if self.content.recent.contains(&job.job_id) || self.current().is_some_and(|c| c.job_id == job.job_id)
        {
            return Verdict::Known;
        }
        if job.number <= self.content.last_number {
            return refuse(
                "agent.job_outdated",
                format!("number {} is not above {}", job.number, self.content.last_number),
            );
        }
        if job.expires_at <= now {
            return refuse("agent.job_expired", format!("expired at {}", job.expires_at.to_rfc3339()));
        }
        match (&job.work, mode) {
            (Work::Install { .. }, AgentMode::ScanOnly) => {
                refuse("agent.scan_only", "this agent only scans".to_owned())
            }
            (Work::Install { patches, .. }, AgentMode::Full) if patches.is_empty() => {
                refuse("agent.job_empty", "the job names no patch".to_owned())
            }
            (Work::Install { .. }, AgentMode::Full) | (Work::Scan, AgentMode::Full | AgentMode::ScanOnly) => {
                Verdict::Accept
            }
        }
    }

    /// Takes a job in hand.
    pub fn accept(&mut self, job: &Job) -> Result<(), AgentError> {
        self.content.last_number = self.content.last_number.max(job.number);
        self.content.current = Some(Current {
            job_id: job.job_id,
            stage: Stage::Accepted,
            traceparent: job.traceparent.clone(),
        });
        self.keep()
    }

    /// Notes that the package manager begins.
    pub fn installing(&mut self) -> Result<(), AgentError> {
        if let Some(current) = &mut self.content.current {
            current.stage = Stage::Installing;
        }
        self.keep()
    }

    /// Lets go of the job at hand: its end is in the queue.
    pub fn finish(&mut self) -> Result<(), AgentError> {
        if let Some(current) = self.content.current.take() {
            self.remember(current.job_id);
        }
        self.keep()
    }

    /// Notes a job that was refused, so that its number counts and it is refused only once.
    pub fn refused(&mut self, job: &Job) -> Result<(), AgentError> {
        self.content.last_number = self.content.last_number.max(job.number);
        self.remember(job.job_id);
        self.keep()
    }

    fn remember(&mut self, job_id: JobId) {
        self.content.recent.push(job_id);
        let surplus = self.content.recent.len().saturating_sub(RECENT_MAX);
        self.content.recent.drain(..surplus);
    }

    fn keep(&self) -> Result<(), AgentError> {
        write_json(&self.path, &self.content)
    }
}

#[cfg(test)]
mod tests {
    use super::{Content, Journal, Verdict};
    use chrono::{DateTime, TimeDelta, Utc};
    use contracts::agent::{Job, Work};
    use contracts::devices::AgentMode;
    use contracts::scheduling::RebootPolicy;
    use kernel::{DeviceId, JobId};
    use std::path::PathBuf;
    use uuid::Uuid;

    const US: DeviceId = DeviceId(Uuid::from_u128(1));

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn journal() -> Journal {
        let content = Content { last_number: 5, current: None, recent: vec![JobId(Uuid::from_u128(5))] };
        Journal { path: PathBuf::new(), content }
    }

    fn job(number: i64) -> Job {
        Job {
            job_id: JobId(Uuid::from_u128(number.unsigned_abs().into())),
            device_id: US,
            number,
            expires_at: now() + TimeDelta::hours(1),
            work: Work::Scan,
            traceparent: None,
        }
    }

    fn code(verdict: Verdict) -> &'static str {
        match verdict {
            Verdict::Refuse { code, reason } => {
                assert!(!reason.is_empty());
                code
            }
            Verdict::Accept => "accept",
            Verdict::Known => "known",
            Verdict::Foreign => "foreign",
        }
    }

    #[test]
    fn a_job_is_taken_only_if_new_timely_and_ours() {
        let empty = Work::Install { patches: vec![], reboot_policy: RebootPolicy::Never };
        for (job, mode, expected) in [
            (job(6), AgentMode::Full, "accept"),
            (job(6), AgentMode::ScanOnly, "accept"),
            (job(5), AgentMode::Full, "known"),
            (job(4), AgentMode::Full, "agent.job_outdated"),
            (Job { expires_at: now(), ..job(6) }, AgentMode::Full, "agent.job_expired"),
            (Job { device_id: DeviceId(Uuid::from_u128(2)), ..job(6) }, AgentMode::Full, "foreign"),
            (Job { work: empty.clone(), ..job(6) }, AgentMode::ScanOnly, "agent.scan_only"),
            (Job { work: empty.clone(), ..job(6) }, AgentMode::Full, "agent.job_empty"),
        ] {
            assert_eq!(code(journal().judge(&job, US, mode, now())), expected, "{job:?}");
        }
    }
}
