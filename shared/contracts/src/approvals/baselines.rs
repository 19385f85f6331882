//! What devices must have.

use super::scope::ApprovalScope;
use crate::{Classification, Severity};
use kernel::{BaselineId, CustomerId, PatchId};
use serde::{Deserialize, Serialize};

/// Which patches a rule of a baseline asks for. Everything that is given must hold; an empty list asks nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BaselineRule {
    /// One of these severities. [`Severity::Unknown`] only if named here, or if none is named.
    pub severities: Vec<Severity>,
    /// One of these classifications.
    pub classifications: Vec<Classification>,
    /// Name or operating system version contains one of these texts, ignoring case.
    pub products: Vec<String>,
    /// Whether one of its vulnerabilities must be known to be exploited.
    pub kev_only: bool,
    /// Days after its release from which it is asked for, counted in UTC.
    pub minimum_age_days: u16,
}

/// What a baseline asks for: what one of its rules matches or what is included, without what is excluded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BaselineContent {
    /// One of them is enough.
    pub rules: Vec<BaselineRule>,
    /// Patches that are asked for whatever the rules say.
    pub included: Vec<PatchId>,
    /// Patches that are not asked for whatever the rules say.
    pub excluded: Vec<PatchId>,
}

events! {
    /// Facts of a baseline.
    BaselineEvent in "approvals" {
        /// A baseline was created, as version 1. A partner's is a template for all of its customers.
        BaselineCreated = 1 {
            /// The baseline.
            baseline_id: BaselineId,
            /// Whose it is; none for the partner's own.
            customer_id: Option<CustomerId>,
            /// Display name.
            name: String,
            /// What it asks for.
            content: BaselineContent,
        },
        /// It asks for something else.
        BaselineVersionCreated = 1 {
            /// The baseline.
            baseline_id: BaselineId,
            /// The new version, from 2.
            baseline_version: u32,
            /// What it asks for now.
            content: BaselineContent,
        },
        /// It is not measured against any more, wherever it was assigned.
        BaselineRetired = 1 {
            /// The baseline.
            baseline_id: BaselineId,
        },
    }
}

events! {
    /// Facts of a baseline in one scope: the facts of the scope's tenant, whoever owns the baseline.
    BaselineAssignmentEvent in "approvals" {
        /// The devices in the scope are measured against it.
        BaselineAssigned = 1 {
            /// The baseline.
            baseline_id: BaselineId,
            /// Where.
            scope: ApprovalScope,
        },
        /// They are not any more, as far as this scope is why.
        BaselineUnassigned = 1 {
            /// The baseline.
            baseline_id: BaselineId,
            /// Where.
            scope: ApprovalScope,
        },
    }
}

commands! {
    Approvals {
        /// Creates a baseline: a customer's, or a partner's template.
        CreateBaseline -> BaselineId, needs ManageBaselines {
            /// The customer whose it is; the partner's own where there is none.
            customer_id: Option<CustomerId>,
            /// Display name, 1 to 200 characters.
            name: String,
            /// What it asks for.
            content: BaselineContent,
        }
        /// Makes a new version of a baseline.
        ChangeBaseline -> (), needs ManageBaselines {
            /// The baseline.
            baseline_id: BaselineId,
            /// What it asks for now.
            content: BaselineContent,
        }
        /// Ends a baseline.
        RetireBaseline -> (), needs ManageBaselines {
            /// The baseline.
            baseline_id: BaselineId,
        }
        /// Measures the devices in a scope against a baseline.
        AssignBaseline -> (), needs ManageBaselines {
            /// The baseline.
            baseline_id: BaselineId,
            /// Where.
            scope: ApprovalScope,
        }
        /// Measures them no more.
        UnassignBaseline -> (), needs ManageBaselines {
            /// The baseline.
            baseline_id: BaselineId,
            /// Where.
            scope: ApprovalScope,
        }
    }
}
