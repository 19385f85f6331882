//! The few notions every part of Patchfleet shares: ids, tenant scope, actors, causes, events and aggregates.
//!
//! Nothing here reads a clock, makes a random id or does I/O: time and ids arrive from outside.

mod aggregate;
mod canonical;
mod cause;
mod event;
mod id;
mod personal;
mod scope;

pub use aggregate::{Aggregate, Journal, Refused, Snapshot, fold};
pub use canonical::canonical_json;
pub use cause::{Actor, ActorKind, Cause};
pub use event::{Envelope, EventData, MalformedEvent, Position};
pub use id::{
    AlertId, BaselineId, CommandId, CorrelationId, CustomerId, DeploymentId, DeviceGroupId, DeviceId,
    EnrolmentTokenId, EventId, FeedId, InvalidId, JobId, PackageId, PartnerId, PatchId, RuleId, RunId,
    StreamId, SubjectId, UserId, WaiverId, WebhookId, derived_id,
};
pub use personal::{MalformedPersonal, PERSONAL_KEY, Personal};
pub use scope::{Scope, Tenant};
