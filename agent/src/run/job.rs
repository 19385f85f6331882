//! Jobs: taken only if they are the server's, new, timely and for this device; done once.

use super::{Agent, Backoff, FIRST_SCAN_GRACE, JOB_WAIT, millis, pause, stopped};
use crate::AgentError;
use crate::backend::{Apt, Failure, Plan};
use crate::clock::now;
use crate::error::chain;
use crate::journal::{Stage, Verdict};
use contracts::agent::{Job, SignedJob, Work};
use contracts::devices::{JobStep, PackageVersion};
use contracts::scheduling::PatchOrder;
use kernel::JobId;
use std::time::{Duration, Instant};

/// A job that is neither done nor answered may be offered again at once; so often is enough.
const UNUSABLE_PAUSE: Duration = Duration::from_secs(2);
/// W3C Trace Context has 55 characters; anything longer or odd is not sent back.
const TRACEPARENT_BYTES_MAX: usize = 64;

/// The job at hand and how to speak of it.
#[derive(Clone, Copy)]
struct AtHand<'a> {
    job_id: JobId,
    traceparent: Option<&'a str>,
}

impl Agent {
    /// Asks for jobs and does them until told to stop. Ends early only if the agent's own files fail.
    pub(super) async fn do_jobs(&self) -> Result<(), AgentError> {
        self.end_what_was_cut_off().await?;
        let mut stop = self.stop.clone();
        let mut backoff = Backoff::default();
        let started = Instant::now();
        while !*stop.borrow() {
            if !self.queue_is_empty(&mut stop).await {
                break;
            }
            self.scan_if_due(started).await;
            let asked = tokio::select! {
                asked = self.client.next_job(&self.signer, JOB_WAIT) => asked,
                () = stopped(&mut stop) => break,
            };
            let wait = match asked {
                Ok(signed) => {
                    backoff = Backoff::default();
                    match signed {
                        Some(signed) if !self.take(&signed).await? => UNUSABLE_PAUSE,
                        Some(_) | None => continue,
                    }
                }
                Err(error) => {
                    let wait = backoff.next(&error);
                    tracing::warn!(
                        error = chain(&error),
                        retry_in_ms = millis(wait),
                        "jobs cannot be asked for"
                    );
                    wait
                }
            };
            pause(&mut stop, wait).await;
        }
        Ok(())
    }

    /// A job whose end the server has not heard of would be handed out again: first the reports, then the next job.
    async fn queue_is_empty(&self, stop: &mut super::Stop) -> bool {
        while !self.queue.borrow().is_empty() {
            tokio::select! {
                () = self.drained.notified() => {}
                () = stopped(stop) => return false,
            }
        }
        true
    }

    async fn scan_if_due(&self, started: Instant) {
        let interval = Duration::from_secs(self.config.scan_interval_seconds);
        let due = match self.last_scan.get() {
            Some(last) => last.elapsed() >= interval,
            None => started.elapsed() >= FIRST_SCAN_GRACE.min(interval),
        };
        if due
            && !interval.is_zero()
            && let Err(error) = self.scan(None, None).await
        {
            tracing::error!(error = chain(&error), "the device cannot be scanned");
            // Not again at once, but at the next interval.
            self.last_scan.set(Some(Instant::now()));
        }
    }

    /// Checks a job and does it or says why not. False if nothing was said either.
    async fn take(&self, signed: &SignedJob) -> Result<bool, AgentError> {
        let mut job = match signing::verify_job(&self.job_key, signed) {
            Ok(job) => job,
            Err(error) => {
                // Whoever made it cannot be trusted with a report about it either.
                tracing::error!(code = error.code(), %error, "a job is refused");
                return Ok(false);
            }
        };
        job.traceparent = job.traceparent.filter(|text| {
            text.len() <= TRACEPARENT_BYTES_MAX && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
        });
        let verdict =
            self.journal.borrow().judge(&job, self.signer.device_id, self.config.mode.into(), now());
        match verdict {
            Verdict::Accept => {
                self.perform(job).await?;
                Ok(true)
            }
            Verdict::Known => {
                tracing::info!(job.id = %job.job_id, "a job that is known was sent again");
                Ok(false)
            }
            Verdict::Foreign => {
                tracing::error!(job.id = %job.job_id, device.id = %job.device_id, code = "agent.job_foreign", "a job for another device is refused");
                Ok(false)
            }
            Verdict::Refuse { code, reason } => {
                tracing::warn!(job.id = %job.job_id, code, reason, "a job is refused");
                let step = JobStep::Refused { code: code.to_owned(), reason };
                self.step(job.job_id, job.traceparent.as_deref(), step)?;
                self.journal.borrow_mut().refused(&job)?;
                Ok(true)
            }
        }
    }

    async fn perform(&self, job: Job) -> Result<(), AgentError> {
        self.journal.borrow_mut().accept(&job)?;
        let at_hand = AtHand { job_id: job.job_id, traceparent: job.traceparent.as_deref() };
        self.say(at_hand, JobStep::Acknowledged)?;
        match &job.work {
            Work::Scan => self.scan_or_say_why_not(at_hand).await?,
            Work::Install { patches, reboot_policy: _ } => {
                let installed = match self.backend.installer(self.config.mode) {
                    Ok(apt) => self.install(at_hand, apt, patches).await?,
                    Err(failure) => Err(failure),
                };
                match installed {
                    Ok(packages) => self.verify(at_hand, packages).await?,
                    Err(failure) => {
                        self.say(at_hand, failed(failure))?;
                        self.scan_after_failure(at_hand).await?;
                    }
                }
            }
        }
        self.journal.borrow_mut().finish()
    }

    /// Brings the ordered packages to their versions. The outer result is the agent's, the inner the device's.
    async fn install(
        &self,
        at_hand: AtHand<'_>,
        apt: &Apt,
        patches: &[PatchOrder],
    ) -> Result<Result<Vec<PackageVersion>, Failure>, AgentError> {
        let Plan { changes, source } = match apt.plan(patches).await {
            Ok(plan) if plan.changes.is_empty() => return Ok(Ok(Vec::new())),
            Ok(plan) => plan,
            Err(failure) => return Ok(Err(failure)),
        };
        let plan = Plan { changes, source: source.clone() };
        self.say(at_hand, JobStep::Downloading { source })?;
        if let Err(failure) = apt.download(&plan).await {
            return Ok(Err(failure));
        }
        if *self.stop.borrow() {
            return Ok(Err(Failure::new(
                "interrupted",
                "the agent was told to stop before it installed anything",
            )));
        }
        self.journal.borrow_mut().installing()?;
        self.say(at_hand, JobStep::Installing)?;
        Ok(apt.install(&plan).await)
    }

    /// Says what was installed and lets a scan prove it.
    async fn verify(&self, at_hand: AtHand<'_>, packages: Vec<PackageVersion>) -> Result<(), AgentError> {
        let changed = !packages.is_empty();
        self.say(at_hand, JobStep::Installed { packages })?;
        match self.backend.scan().await {
            Ok(scan) => {
                if changed && scan.pending_reboot {
                    self.say(at_hand, JobStep::PendingReboot)?;
                }
                self.queue_scan(&scan, Some(at_hand.job_id), at_hand.traceparent)
            }
            Err(error) => self.say(at_hand, scan_failed(&error)),
        }
    }

    async fn scan_or_say_why_not(&self, at_hand: AtHand<'_>) -> Result<(), AgentError> {
        match self.scan(Some(at_hand.job_id), at_hand.traceparent).await {
            Ok(_) => Ok(()),
            Err(error @ AgentError::File { .. }) => Err(error),
            Err(error) => self.say(at_hand, scan_failed(&error)),
        }
    }

    /// The job has failed already; the scan only shows what is true now.
    async fn scan_after_failure(&self, at_hand: AtHand<'_>) -> Result<(), AgentError> {
        match self.scan(Some(at_hand.job_id), at_hand.traceparent).await {
            Ok(_) => Ok(()),
            Err(error @ AgentError::File { .. }) => Err(error),
            Err(error) => {
                tracing::error!(job.id = %at_hand.job_id, error = chain(&error), "the device cannot be scanned");
                Ok(())
            }
        }
    }

    /// A job at which the agent died is not begun again: what happened is told, what is true is scanned.
    async fn end_what_was_cut_off(&self) -> Result<(), AgentError> {
        let Some(cut_off) = self.journal.borrow().current().cloned() else { return Ok(()) };
        let at_hand = AtHand { job_id: cut_off.job_id, traceparent: cut_off.traceparent.as_deref() };
        tracing::warn!(job.id = %cut_off.job_id, stage = ?cut_off.stage, "the agent was cut off during a job");
        let during = match cut_off.stage {
            Stage::Accepted => "before anything was installed",
            Stage::Installing => {
                if let Ok(apt) = self.backend.installer(self.config.mode)
                    && let Err(failure) = apt.repair().await
                {
                    tracing::error!(
                        class = failure.class,
                        reason = failure.reason,
                        "dpkg cannot end what it had begun"
                    );
                }
                "while the package manager was at work"
            }
        };
        let scan = self.backend.scan().await;
        self.say(at_hand, failed(Failure::new("interrupted", format!("the agent ended {during}"))))?;
        match scan {
            Ok(scan) => self.queue_scan(&scan, Some(at_hand.job_id), at_hand.traceparent)?,
            Err(error) => {
                tracing::error!(job.id = %at_hand.job_id, error = chain(&error), "the device cannot be scanned");
            }
        }
        self.journal.borrow_mut().finish()
    }

    fn say(&self, at_hand: AtHand<'_>, step: JobStep) -> Result<(), AgentError> {
        self.step(at_hand.job_id, at_hand.traceparent, step)
    }
}

fn failed(failure: Failure) -> JobStep {
    JobStep::Failed { class: failure.class.to_owned(), reason: failure.reason }
}

fn scan_failed(error: &AgentError) -> JobStep {
    JobStep::Failed { class: "scan".to_owned(), reason: chain(error) }
}
