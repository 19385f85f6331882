//! That somebody read the audit trail is a fact as well.

use contracts::auditing::{AuditAccessEvent, AuditRecordRead};
use kernel::{Aggregate, Refused};
use std::convert::Infallible;

/// The aggregate: one per reading, with nothing to decide.
#[derive(Debug)]
pub(crate) struct Reading;

/// Nothing is ever refused.
#[derive(Debug, thiserror::Error)]
#[error("never")]
pub(crate) struct Refusal(Infallible);

impl Refused for Refusal {
    fn code(&self) -> &'static str {
        match self.0 {}
    }
}

impl Aggregate for Reading {
    const STREAM: &'static str = "auditing.reading";
    type State = ();
    type Command = AuditRecordRead;
    type Event = AuditAccessEvent;
    type Refusal = Refusal;

    fn decide((): &(), read: AuditRecordRead) -> Result<Vec<AuditAccessEvent>, Refusal> {
        Ok(vec![read.into()])
    }

    fn evolve((): (), _: &AuditAccessEvent) {}
}
