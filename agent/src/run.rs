//! The agent at work: check in, wait for jobs, do them, report, and keep reports while the server is away.

mod job;
mod outbox;

use crate::AgentError;
use crate::backend::{Backend, Scan};
use crate::client::{Client, Signer};
use crate::clock::{new_id, now};
use crate::config::Config;
use crate::enrolment::{self, AGENT_VERSION};
use crate::error::chain;
use crate::journal::Journal;
use crate::queue::{Queue, Report, Waiting};
use crate::state::{Identity, State};
use chrono::{DateTime, Utc};
use contracts::agent::{CheckIn, JobReport, ScanReport};
use contracts::devices::JobStep;
use ed25519_dalek::VerifyingKey;
use kernel::JobId;
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// How long one job request waits for a job.
const JOB_WAIT: Duration = Duration::from_secs(25);
/// Between attempts after the first failure; doubled up to the longest.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_LONGEST: Duration = Duration::from_mins(1);
/// Bounds of what the server may ask for.
const CHECK_IN_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_hours(1));
/// A new device's first scan is asked for by the server; after this time it is made without being asked.
const FIRST_SCAN_GRACE: Duration = Duration::from_mins(1);
/// For getting the last reports out when stopping.
const FAREWELL: Duration = Duration::from_secs(5);

/// Becomes true when the agent is to stop.
pub type Stop = watch::Receiver<bool>;

struct Agent {
    config: Config,
    backend: Backend,
    client: Client,
    signer: Signer,
    job_key: VerifyingKey,
    queue: RefCell<Queue>,
    journal: RefCell<Journal>,
    /// Hash of the last scan's inventory.
    inventory_hash: RefCell<Option<String>>,
    /// The server said that it does not know this inventory.
    inventory_wanted: Cell<bool>,
    last_scan: Cell<Option<Instant>>,
    /// A report was queued.
    queued: Notify,
    /// The queue is empty again.
    drained: Notify,
    stop: Stop,
}

/// Runs until `stop` says so, enrolling first if need be.
pub async fn run(config: Config, stop: Stop) -> Result<(), AgentError> {
    let state = State::open(&config.state_folder)?;
    let backend = Backend::open(&config, &state.folder().join("work"))?;
    let Some(identity) = known_or_enrolled(&config, &state, &backend, stop.clone()).await? else {
        return Ok(());
    };
    let agent = Agent::new(config, &state, backend, &identity, stop)?;
    tracing::info!(device.id = %identity.device_id, server = identity.server, "the agent is at work");
    // The other two end at once when told to stop; a job at hand ends first.
    let others = async {
        tokio::join!(agent.check_in_for_ever(), agent.send_for_ever());
        std::future::pending::<()>().await;
    };
    let worked = tokio::select! {
        worked = agent.do_jobs() => worked,
        () = others => Ok(()),
    };
    // What cannot go out now goes out at the next start.
    let _ = tokio::time::timeout(FAREWELL, agent.send_all()).await;
    tracing::info!(queued_reports = agent.queue.borrow().len(), "the agent has stopped");
    worked
}

async fn known_or_enrolled(
    config: &Config,
    state: &State,
    backend: &Backend,
    mut stop: Stop,
) -> Result<Option<Identity>, AgentError> {
    if let Some(identity) = state.identity()? {
        return Ok(Some(identity));
    }
    let mut backoff = Backoff::default();
    loop {
        match enrolment::enrol(config, state, backend).await {
            Ok(identity) => return Ok(Some(identity)),
            // A refused token stays refused; a server that is away or overloaded does not stay so.
            Err(
                error @ (AgentError::Unreachable { .. } | AgentError::Refused { status: 429 | 500.., .. }),
            ) => {
                tracing::warn!(error = chain(&error), "enrolment did not work yet");
                if !pause(&mut stop, backoff.next(&error)).await {
                    return Ok(None);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

impl Agent {
    fn new(
        config: Config,
        state: &State,
        backend: Backend,
        identity: &Identity,
        stop: Stop,
    ) -> Result<Self, AgentError> {
        let server = config.server.as_deref().unwrap_or(&identity.server);
        let job_key = signing::public_key(&identity.job_public_key).map_err(|e| AgentError::Damaged {
            path: state.folder().join("identity.json"),
            detail: format!("job key: {e}"),
        })?;
        Ok(Self {
            client: Client::new(&config, server)?,
            signer: Signer { key: state.key()?, device_id: identity.device_id },
            job_key,
            queue: RefCell::new(Queue::open(state.folder())?),
            journal: RefCell::new(Journal::open(state.folder())?),
            inventory_hash: RefCell::new(None),
            inventory_wanted: Cell::new(false),
            last_scan: Cell::new(None),
            queued: Notify::new(),
            drained: Notify::new(),
            config,
            backend,
            stop,
        })
    }

    async fn check_in_for_ever(&self) {
        let mut stop = self.stop.clone();
        let mut backoff = Backoff::default();
        loop {
            let check_in = CheckIn {
                inventory_hash: self.inventory_hash.borrow().clone(),
                agent_version: AGENT_VERSION.to_owned(),
                queued_reports: u32::try_from(self.queue.borrow().len()).unwrap_or(u32::MAX),
            };
            let answered = tokio::select! {
                answered = self.client.check_in(&self.signer, &check_in) => answered,
                () = stopped(&mut stop) => return,
            };
            let wait = match answered {
                Ok(answer) => {
                    backoff = Backoff::default();
                    self.inventory_wanted.set(answer.inventory_wanted);
                    let wanted = Duration::from_secs(answer.check_in_after_seconds.into());
                    wanted.clamp(CHECK_IN_BOUNDS.0, CHECK_IN_BOUNDS.1)
                }
                Err(error) => {
                    let wait = backoff.next(&error);
                    tracing::warn!(
                        error = chain(&error),
                        retry_in_ms = millis(wait),
                        "check-in did not work"
                    );
                    wait
                }
            };
            if !pause(&mut stop, wait).await {
                return;
            }
        }
    }

    /// Scans and queues the result. `job_id` is the job that it answers.
    async fn scan(&self, job_id: Option<JobId>, traceparent: Option<&str>) -> Result<Scan, AgentError> {
        let started = Instant::now();
        let scan = self.backend.scan().await?;
        self.queue_scan(&scan, job_id, traceparent)?;
        tracing::info!(
            job.id = job_id.map(tracing::field::display),
            available = scan.available.len(),
            duration_ms = millis(started.elapsed()),
            "the device is scanned"
        );
        Ok(scan)
    }

    fn queue_scan(
        &self,
        scan: &Scan,
        job_id: Option<JobId>,
        traceparent: Option<&str>,
    ) -> Result<(), AgentError> {
        let report = scan_report(scan, job_id, now());
        *self.inventory_hash.borrow_mut() = Some(report.inventory_hash.clone());
        self.last_scan.set(Some(Instant::now()));
        let inventory_wanted = self.inventory_wanted.take();
        self.put(traceparent, Report::Scan { report: Box::new(report), inventory_wanted })
    }

    /// Queues a step of a job.
    fn step(&self, job_id: JobId, traceparent: Option<&str>, step: JobStep) -> Result<(), AgentError> {
        tracing::info!(job.id = %job_id, step = ?step, "a step of a job");
        let report = JobReport { report_id: new_id(), occurred_at: now(), report: step };
        self.put(traceparent, Report::Job { job_id, report })
    }

    fn put(&self, traceparent: Option<&str>, report: Report) -> Result<(), AgentError> {
        let waiting = Waiting { traceparent: traceparent.map(str::to_owned), report };
        let dropped = self.queue.borrow_mut().push(&waiting)?;
        if dropped > 0 {
            tracing::error!(dropped, "the queue of reports is full; old ones had to give way");
        }
        self.queued.notify_one();
        Ok(())
    }
}

/// What a scan is reported as, always with its inventory.
pub fn scan_report(scan: &Scan, job_id: Option<JobId>, scanned_at: DateTime<Utc>) -> ScanReport {
    ScanReport {
        report_id: new_id(),
        job_id,
        scanned_at,
        os: scan.os.clone(),
        inventory_hash: scan.inventory_hash(),
        inventory: Some(scan.inventory.clone()),
        available: scan.available.clone(),
        source: scan.source.clone(),
        pending_reboot: scan.pending_reboot,
    }
}

/// Waits; false if the agent is to stop.
async fn pause(stop: &mut Stop, wait: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(wait) => true,
        () = stopped(stop) => false,
    }
}

async fn stopped(stop: &mut Stop) {
    // A sender that is gone can only mean that everything ends.
    let _ = stop.wait_for(|stop| *stop).await;
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Ever longer pauses, so that a server that comes back is not met by its whole fleet at once.
#[derive(Default)]
struct Backoff {
    last: Option<Duration>,
}

impl Backoff {
    fn next(&mut self, error: &AgentError) -> Duration {
        let full = self.last.map_or(BACKOFF_FIRST, |last| (last * 2).min(BACKOFF_LONGEST));
        self.last = Some(full);
        let mut random = [0u8; 1];
        // Without random numbers the pause is a whole one.
        let share = getrandom::fill(&mut random).map_or(u8::MAX, |()| random[0]);
        let jittered = full / 2 + full / 2 * u32::from(share) / u32::from(u8::MAX);
        match error {
            AgentError::Refused { retry_after: Some(wanted), .. } => jittered.max(*wanted),
            AgentError::Refused { .. }
            | AgentError::Config { .. }
            | AgentError::File { .. }
            | AgentError::Damaged { .. }
            | AgentError::InUse { .. }
            | AgentError::AlreadyEnrolled { .. }
            | AgentError::Unreachable { .. }
            | AgentError::Misunderstood { .. }
            | AgentError::Tool { .. }
            | AgentError::Random { .. } => jittered,
        }
    }
}
