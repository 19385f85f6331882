//! How a customer wants decisions to be taken.

use contracts::approvals::{ApprovalPolicyEvent, ApprovalPolicySet};
use kernel::{Aggregate, CustomerId, Refused, UserId};
use std::convert::Infallible;

/// The aggregate.
#[derive(Debug)]
pub struct ApprovalPolicy;

/// What holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct State {
    /// Whether an approval needs a second person.
    pub second_approver: bool,
}

/// What may be wished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// The customer.
    pub customer_id: CustomerId,
    /// Whether an approval needs a second person.
    pub second_approver: bool,
    /// Who wishes it.
    pub by: UserId,
}

/// Every policy is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("never")]
pub struct Never(Infallible);

impl Refused for Never {
    fn code(&self) -> &'static str {
        match self.0 {}
    }
}

impl Aggregate for ApprovalPolicy {
    const STREAM: &'static str = "approvals.policy";
    type State = State;
    type Command = Set;
    type Event = ApprovalPolicyEvent;
    type Refusal = Never;

    fn decide(
        state: &State,
        Set { customer_id, second_approver, by }: Set,
    ) -> Result<Vec<Self::Event>, Never> {
        if state.second_approver == second_approver {
            return Ok(vec![]);
        }
        Ok(vec![ApprovalPolicySet { customer_id, second_approver, set_by: by }.into()])
    }

    fn evolve(_: State, event: &ApprovalPolicyEvent) -> State {
        match event {
            ApprovalPolicyEvent::ApprovalPolicySet(fact) => State { second_approver: fact.second_approver },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scenario::given;
    use uuid::Uuid;

    const ACME: CustomerId = CustomerId(Uuid::from_u128(1));
    const ALICE: UserId = UserId(Uuid::from_u128(2));

    fn set(second_approver: bool) -> Set {
        Set { customer_id: ACME, second_approver, by: ALICE }
    }

    fn is_set(second_approver: bool) -> ApprovalPolicyEvent {
        ApprovalPolicySet { customer_id: ACME, second_approver, set_by: ALICE }.into()
    }

    #[test]
    fn a_second_approver_is_asked_for_and_given_up_again() {
        given::<ApprovalPolicy>([]).when(set(true)).then([is_set(true)]);
        given::<ApprovalPolicy>([is_set(true)]).when(set(false)).then([is_set(false)]);
    }

    #[test]
    fn without_a_policy_one_person_is_enough() {
        given::<ApprovalPolicy>([]).when(set(false)).then_nothing();
    }
}
