//! Where a baseline holds: one assignment per baseline and scope.
//!
//! ```text
//! Unassigned <--assign / unassign--> Assigned
//! ```

use contracts::approvals::{ApprovalScope, BaselineAssigned, BaselineAssignmentEvent, BaselineUnassigned};
use kernel::{Aggregate, BaselineId, CustomerId, Refused};

/// The aggregate.
#[derive(Debug)]
pub struct Assignment;

/// Whether it holds there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// It does not.
    #[default]
    Unassigned,
    /// It does.
    Assigned,
}

/// A baseline as an assignment must know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The baseline.
    pub baseline_id: BaselineId,
    /// Whose it is; none for a partner's template.
    pub owner: Option<CustomerId>,
    /// Whether it was ended.
    pub retired: bool,
}

/// What may be wished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// It holds in the scope.
    Assign {
        /// The baseline.
        baseline: Candidate,
        /// Where.
        scope: ApprovalScope,
    },
    /// It does not any more.
    Unassign {
        /// The baseline.
        baseline_id: BaselineId,
        /// Where.
        scope: ApprovalScope,
    },
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It was ended.
    #[error("the baseline is retired and cannot be assigned")]
    Retired,
    /// A customer's baseline says nothing about the devices of others.
    #[error("the baseline is one customer's own and can be assigned within that customer only")]
    Elsewhere,
}

impl Refused for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Retired => "approvals.baseline_retired",
            Self::Elsewhere => "approvals.baseline_elsewhere",
        }
    }
}

impl Aggregate for Assignment {
    const STREAM: &'static str = "approvals.baseline_assignment";
    type State = State;
    type Command = Command;
    type Event = BaselineAssignmentEvent;
    type Refusal = Refusal;

    fn decide(state: &State, command: Command) -> Result<Vec<BaselineAssignmentEvent>, Refusal> {
        match (command, state) {
            (Command::Assign { .. }, State::Assigned) | (Command::Unassign { .. }, State::Unassigned) => {
                Ok(vec![])
            }
            (Command::Assign { baseline, scope }, State::Unassigned) => {
                if baseline.retired {
                    return Err(Refusal::Retired);
                }
                if baseline.owner.is_some() && baseline.owner != scope.customer_id() {
                    return Err(Refusal::Elsewhere);
                }
                Ok(vec![BaselineAssigned { baseline_id: baseline.baseline_id, scope }.into()])
            }
            (Command::Unassign { baseline_id, scope }, State::Assigned) => {
                Ok(vec![BaselineUnassigned { baseline_id, scope }.into()])
            }
        }
    }

    fn evolve(_: State, event: &BaselineAssignmentEvent) -> State {
        match event {
            BaselineAssignmentEvent::BaselineAssigned(_) => State::Assigned,
            BaselineAssignmentEvent::BaselineUnassigned(_) => State::Unassigned,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{DeviceGroupId, PartnerId};
    use scenario::given;
    use uuid::Uuid;

    const ACME: CustomerId = CustomerId(Uuid::from_u128(1));
    const BISTRO: CustomerId = CustomerId(Uuid::from_u128(2));
    const BASELINE: BaselineId = BaselineId(Uuid::from_u128(3));

    fn own() -> Candidate {
        Candidate { baseline_id: BASELINE, owner: Some(ACME), retired: false }
    }

    fn group_of(customer_id: CustomerId) -> ApprovalScope {
        ApprovalScope::Group { customer_id, group_id: DeviceGroupId(Uuid::from_u128(4)) }
    }

    #[test]
    fn a_customers_baseline_holds_within_the_customer() {
        let scope = group_of(ACME);
        given::<Assignment>([]).when(Command::Assign { baseline: own(), scope }).then([BaselineAssigned {
            baseline_id: BASELINE,
            scope,
        }
        .into()]);
        let partner_id = PartnerId(Uuid::from_u128(5));
        for scope in [group_of(BISTRO), BISTRO.into(), ApprovalScope::Partner { partner_id }] {
            given::<Assignment>([])
                .when(Command::Assign { baseline: own(), scope })
                .then_refused(&Refusal::Elsewhere);
        }
    }

    #[test]
    fn a_partners_template_holds_wherever_it_is_assigned() {
        let baseline = Candidate { owner: None, ..own() };
        for scope in [group_of(BISTRO), ApprovalScope::Partner { partner_id: PartnerId(Uuid::from_u128(5)) }]
        {
            given::<Assignment>([]).when(Command::Assign { baseline, scope }).then([BaselineAssigned {
                baseline_id: BASELINE,
                scope,
            }
            .into()]);
        }
    }

    #[test]
    fn what_is_retired_is_not_assigned_any_more_and_can_be_taken_away() {
        let (scope, baseline) = (ACME.into(), Candidate { retired: true, ..own() });
        given::<Assignment>([]).when(Command::Assign { baseline, scope }).then_refused(&Refusal::Retired);
        given::<Assignment>([BaselineAssigned { baseline_id: BASELINE, scope }.into()])
            .when(Command::Unassign { baseline_id: BASELINE, scope })
            .then([BaselineUnassigned { baseline_id: BASELINE, scope }.into()]);
    }
}
