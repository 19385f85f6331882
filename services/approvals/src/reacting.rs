//! Carries out what follows from one event, in one scope.

use crate::streams::approval_stream;
use approvals_domain::approval::{Approval, Command, Subject};
use eventstore::{Store, Target, Tx};
use kernel::{Cause, Scope, Tenant};
use messaging::{HandlerError, settled};

/// What follows from one event, at one customer.
pub(crate) struct Reaction<'a> {
    pub(crate) store: &'a Store,
    pub(crate) scope: Scope,
    pub(crate) tenant: Tenant,
}

impl Reaction<'_> {
    /// Carries out a command on the approval of `subject`.
    pub(crate) async fn carry_out(
        &self,
        tx: &mut Tx,
        subject: &Subject,
        command: Command,
        cause: &Cause,
    ) -> Result<(), HandlerError> {
        let target = Target {
            scope: &self.scope,
            tenant: self.tenant,
            stream_id: approval_stream(subject.patch_id, subject.scope),
            cause,
            occurred_at: None,
        };
        settled(self.store.execute_in::<Approval>(tx, target, command).await)?;
        Ok(())
    }
}
