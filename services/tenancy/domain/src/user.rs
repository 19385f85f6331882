//! A person and the roles they hold.

use crate::{InvalidText, text::check_name};
use contracts::permissions::Role;
use contracts::tenancy::{RoleGranted, RoleRevoked, UserEvent, UserInvited};
use kernel::{Aggregate, CustomerId, Refused, UserId};
use std::collections::BTreeSet;

/// The aggregate.
#[derive(Debug)]
pub struct User;

/// A role and where it holds.
pub type Grant = (Role, Option<CustomerId>);

/// Whether the person is known, and with which roles.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    /// Not known.
    #[default]
    Unknown,
    /// Invited.
    Invited {
        /// The token's `sub`.
        subject: String,
        /// Roles held.
        grants: BTreeSet<Grant>,
    },
}

/// What may be wished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Invites a person with a first role.
    Invite {
        /// Their id.
        user_id: UserId,
        /// The token's `sub`.
        subject: String,
        /// Display name.
        display_name: String,
        /// First role.
        grant: Grant,
    },
    /// Grants a role.
    Grant {
        /// Their id.
        user_id: UserId,
        /// The role.
        grant: Grant,
    },
    /// Takes a role away.
    Revoke {
        /// Their id.
        user_id: UserId,
        /// The role.
        grant: Grant,
    },
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A name cannot be one.
    #[error(transparent)]
    InvalidName(#[from] InvalidText),
    /// No such person.
    #[error("there is no such user")]
    Unknown,
    /// The person is known already.
    #[error("a user with subject {subject:?} exists already")]
    Exists {
        /// The token's `sub`.
        subject: String,
    },
    /// A customer's role needs a customer, a partner's role has none.
    #[error("role {role:?} is held {}", if role.is_customer_level() { "at one customer, and none is named" } else { "in the whole partner, not at one customer" })]
    WrongLevel {
        /// The role.
        role: Role,
    },
}

impl Refused for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::InvalidName(_) => "tenancy.name_invalid",
            Self::Unknown => "tenancy.user_unknown",
            Self::Exists { .. } => "tenancy.user_exists",
            Self::WrongLevel { .. } => "tenancy.role_level_wrong",
        }
    }

    fn is_not_found(&self) -> bool {
        matches!(self, Self::Unknown)
    }

    fn is_conflict(&self) -> bool {
        matches!(self, Self::Exists { .. })
    }
}

impl Aggregate for User {
    const STREAM: &'static str = "tenancy.user";
    type State = State;
    type Command = Command;
    type Event = UserEvent;
    type Refusal = Refusal;

    fn decide(state: &State, command: Command) -> Result<Vec<UserEvent>, Refusal> {
        match (command, state) {
            (Command::Invite { user_id, subject, display_name, grant }, State::Unknown) => {
                check_name("subject", &subject)?;
                check_name("displayName", &display_name)?;
                check_level(grant)?;
                Ok(vec![UserInvited { user_id, subject, display_name }.into(), granted(user_id, grant)])
            }
            (Command::Invite { subject, grant, .. }, State::Invited { subject: known, grants }) => {
                if *known == subject && grants.contains(&grant) {
                    return Ok(vec![]);
                }
                Err(Refusal::Exists { subject })
            }
            (Command::Grant { .. } | Command::Revoke { .. }, State::Unknown) => Err(Refusal::Unknown),
            (Command::Grant { user_id, grant }, State::Invited { grants, .. }) => {
                check_level(grant)?;
                Ok(if grants.contains(&grant) { vec![] } else { vec![granted(user_id, grant)] })
            }
            (Command::Revoke { user_id, grant: (role, customer_id) }, State::Invited { grants, .. }) => {
                let held = grants.contains(&(role, customer_id));
                Ok(if held { vec![RoleRevoked { user_id, role, customer_id }.into()] } else { vec![] })
            }
        }
    }

    fn evolve(state: State, event: &UserEvent) -> State {
        let (subject, mut grants) = match state {
            State::Unknown => (String::new(), BTreeSet::new()),
            State::Invited { subject, grants } => (subject, grants),
        };
        match event {
            UserEvent::UserInvited(fact) => return State::Invited { subject: fact.subject.clone(), grants },
            UserEvent::RoleGranted(fact) => {
                grants.insert((fact.role, fact.customer_id));
            }
            UserEvent::RoleRevoked(fact) => {
                grants.remove(&(fact.role, fact.customer_id));
            }
        }
        State::Invited { subject, grants }
    }
}

fn granted(user_id: UserId, (role, customer_id): Grant) -> UserEvent {
    RoleGranted { user_id, role, customer_id }.into()
}

fn check_level((role, customer_id): Grant) -> Result<(), Refusal> {
    if role.is_customer_level() == customer_id.is_some() { Ok(()) } else { Err(Refusal::WrongLevel { role }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scenario::given;
    use uuid::Uuid;

    const ALICE: UserId = UserId(Uuid::from_u128(1));
    const ACME: CustomerId = CustomerId(Uuid::from_u128(2));

    fn invited() -> UserEvent {
        UserInvited { user_id: ALICE, subject: "alice".into(), display_name: "Alice".into() }.into()
    }

    fn invite(grant: Grant) -> Command {
        Command::Invite { user_id: ALICE, subject: "alice".into(), display_name: "Alice".into(), grant }
    }

    #[test]
    fn an_invited_person_has_a_first_role() {
        let grant = (Role::CustomerApprover, Some(ACME));
        given::<User>([]).when(invite(grant)).then([invited(), granted(ALICE, grant)]);
    }

    #[test]
    fn a_customers_role_needs_a_customer() {
        let role = Role::CustomerApprover;
        given::<User>([]).when(invite((role, None))).then_refused(&Refusal::WrongLevel { role });
    }

    #[test]
    fn a_partners_role_is_not_held_at_one_customer() {
        let role = Role::PartnerViewer;
        given::<User>([]).when(invite((role, Some(ACME)))).then_refused(&Refusal::WrongLevel { role });
    }

    #[test]
    fn a_role_that_is_not_held_cannot_be_lost() {
        let grant = (Role::PartnerViewer, None);
        given::<User>([invited()]).when(Command::Revoke { user_id: ALICE, grant }).then_nothing();
    }

    #[test]
    fn a_revoked_role_is_gone() {
        let grant = (Role::PartnerViewer, None);
        given::<User>([invited(), granted(ALICE, grant)])
            .when(Command::Revoke { user_id: ALICE, grant })
            .then([RoleRevoked { user_id: ALICE, role: grant.0, customer_id: None }.into()]);
    }

    #[test]
    fn nobody_can_grant_to_a_stranger() {
        let grant = (Role::PartnerViewer, None);
        given::<User>([]).when(Command::Grant { user_id: ALICE, grant }).then_refused(&Refusal::Unknown);
    }
}
