//! Typed ids. Every id is a UUID; making one is the caller's business.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that is not a UUID where an id was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an id")]
pub struct InvalidId {
    /// What was given.
    pub text: String,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub struct $name(pub Uuid);

        impl $name {
            /// The id that `name` always has below `parent`: repeating a command makes the same thing, not a second one.
            pub fn derived(parent: Uuid, name: &str) -> Self {
                Self(derived_id(parent, name))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::try_parse(text).map(Self).map_err(|_| InvalidId { text: text.chars().take(64).collect() })
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Uuid {
                id.0
            }
        }
    )+};
}

ids! {
    /// One alert.
    AlertId;
    /// What a set of devices must have.
    BaselineId;
    /// One command; repeating it has no second effect.
    CommandId;
    /// Everything that follows from one request of a person, a timer or an agent.
    CorrelationId;
    /// A tenant whose devices are patched.
    CustomerId;
    /// An intent to bring approved patches to devices.
    DeploymentId;
    /// A named set of devices.
    DeviceGroupId;
    /// A machine with one enrolled agent.
    DeviceId;
    /// A single-use permission to enrol.
    EnrolmentTokenId;
    /// One recorded fact.
    EventId;
    /// A source of published patch information.
    FeedId;
    /// The part of a run for one device.
    JobId;
    /// One update package with its files.
    PackageId;
    /// An organisation that looks after customers.
    PartnerId;
    /// One installable correction of software.
    PatchId;
    /// An auto-approval rule.
    RuleId;
    /// One execution of a deployment.
    RunId;
    /// The stream of one aggregate.
    StreamId;
    /// A person whom personal data is about; the id under which they are forgotten.
    SubjectId;
    /// A person who signs in.
    UserId;
    /// A time-boxed permission to stay without a patch.
    WaiverId;
    /// A registered receiver of events.
    WebhookId;
}

/// The UUID (version 5, RFC 9562) that `name` always has below `parent`.
pub fn derived_id(parent: Uuid, name: &str) -> Uuid {
    Uuid::new_v5(&parent, name.as_bytes())
}
