//! Sending what is queued, in order, until the server has it or refuses it for good.

use super::{Agent, Backoff, millis, pause, stopped};
use crate::AgentError;
use crate::error::chain;
use crate::queue::{Report, Waiting};

impl Agent {
    pub(super) async fn send_for_ever(&self) {
        let mut stop = self.stop.clone();
        let mut backoff = Backoff::default();
        loop {
            let sent = tokio::select! {
                sent = self.send_all() => sent,
                () = stopped(&mut stop) => return,
            };
            match sent {
                Ok(()) => {
                    backoff = Backoff::default();
                    self.drained.notify_waiters();
                    tokio::select! {
                        () = self.queued.notified() => {}
                        () = stopped(&mut stop) => return,
                    }
                }
                Err(error) => {
                    let wait = backoff.next(&error);
                    tracing::warn!(
                        error = chain(&error),
                        retry_in_ms = millis(wait),
                        queued_reports = self.queue.borrow().len(),
                        "reports stay in the queue"
                    );
                    if !pause(&mut stop, wait).await {
                        return;
                    }
                }
            }
        }
    }

    /// Sends until the queue is empty. A report refused for good is set aside and does not hold up the others.
    pub(super) async fn send_all(&self) -> Result<(), AgentError> {
        loop {
            let first = self.queue.borrow_mut().first()?;
            let Some((number, waiting)) = first else { return Ok(()) };
            match self.send_one(number, waiting).await {
                Ok(()) => {}
                Err(error) if error.is_permanent() => {
                    tracing::error!(
                        report.number = number,
                        error = chain(&error),
                        "the server refuses a report for good; it is set aside"
                    );
                    self.queue.borrow_mut().refuse(number)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn send_one(&self, number: u64, waiting: Waiting) -> Result<(), AgentError> {
        let traceparent = waiting.traceparent.as_deref();
        match waiting.report {
            Report::Job { job_id, report } => {
                self.client.report_job(&self.signer, job_id, &report, traceparent).await?;
            }
            Report::Scan { mut report, inventory_wanted } => {
                let inventory = report.inventory.take();
                if inventory_wanted {
                    report.inventory.clone_from(&inventory);
                }
                let receipt = self.client.report_scan(&self.signer, &report, traceparent).await?;
                if receipt.inventory_wanted && !inventory_wanted {
                    // The same report once more, this time with the inventory; noted first, in case we die now.
                    report.inventory = inventory;
                    let report = Report::Scan { report, inventory_wanted: true };
                    let again = Waiting { traceparent: waiting.traceparent, report };
                    return self.queue.borrow_mut().replace(number, &again);
                }
            }
        }
        self.queue.borrow_mut().remove(number)
    }
}
