//! How a customer wants decisions to be taken.

use kernel::{CustomerId, UserId};

events! {
    /// Facts of a customer's approval policy.
    ApprovalPolicyEvent in "approvals" {
        /// The policy is this from now on. Before the first one no approval needs a second person.
        ApprovalPolicySet = 1 {
            /// The customer.
            customer_id: CustomerId,
            /// Whether an approval needs a second person.
            second_approver: bool,
            /// Who.
            set_by: UserId,
        },
    }
}

commands! {
    Approvals {
        /// Says whether approvals at a customer need a second person.
        SetApprovalPolicy -> (), needs SetApprovalPolicies {
            /// The customer.
            customer_id: CustomerId,
            /// Whether an approval needs a second person.
            second_approver: bool,
        }
    }
}
