//! Attempts that the tenant boundary stopped.

use contracts::tenancy::{AccessEvent, CrossTenantAccessDenied};
use kernel::{Aggregate, Refused};
use std::convert::Infallible;

/// The aggregate: one per user, with nothing to decide.
#[derive(Debug)]
pub struct DeniedAccess;

/// Nothing is ever refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("never")]
pub struct Refusal(Infallible);

impl Refused for Refusal {
    fn code(&self) -> &'static str {
        match self.0 {}
    }
}

impl Aggregate for DeniedAccess {
    const STREAM: &'static str = "tenancy.access";
    type State = ();
    type Command = CrossTenantAccessDenied;
    type Event = AccessEvent;
    type Refusal = Refusal;

    fn decide((): &(), attempt: CrossTenantAccessDenied) -> Result<Vec<AccessEvent>, Refusal> {
        Ok(vec![attempt.into()])
    }

    fn evolve((): (), _: &AccessEvent) {}
}
