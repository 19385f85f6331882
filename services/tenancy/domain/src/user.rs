//! A person and the roles they hold.
//!
//! Unknown --invite--> Invited --forget--> Forgotten

use crate::{InvalidText, text::check_name};
use contracts::permissions::Role;
use contracts::tenancy::{RoleGranted, RoleRevoked, UserEvent, UserForgotten, UserInvited};
use kernel::{Aggregate, CustomerId, Personal, Refused, SubjectId, UserId};
use std::collections::BTreeSet;

/// The aggregate.
#[derive(Debug)]
pub struct User;

/// A role and where it holds.
pub type Grant = (Role, Option<CustomerId>);

/// Whether the person is known, and with which roles. No rule needs their name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    /// Not known.
    #[default]
    Unknown,
    /// Invited.
    Invited {
        /// Roles held.
        grants: BTreeSet<Grant>,
    },
    /// Nobody can say any more who it was.
    Forgotten,
}

impl State {
    /// Roles held.
    pub fn grants(&self) -> impl Iterator<Item = Grant> {
        let grants = match self {
            Self::Invited { grants } => Some(grants),
            Self::Unknown | Self::Forgotten => None,
        };
        grants.into_iter().flatten().copied()
    }
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
    /// Forgets the person, with every role.
    Forget {
        /// Their id.
        user_id: UserId,
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
    #[error("user {user_id} exists already")]
    Exists {
        /// Their id.
        user_id: UserId,
    },
    /// The person is forgotten, and so are their roles.
    #[error("user {user_id} is forgotten")]
    Forgotten {
        /// Their id.
        user_id: UserId,
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
            Self::Forgotten { .. } => "tenancy.user_forgotten",
            Self::WrongLevel { .. } => "tenancy.role_level_wrong",
        }
    }

    fn is_not_found(&self) -> bool {
        matches!(self, Self::Unknown)
    }

    fn is_conflict(&self) -> bool {
        matches!(self, Self::Exists { .. } | Self::Forgotten { .. })
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
                Ok(vec![invited(user_id, subject, display_name), granted(user_id, grant)])
            }
            // The id is derived from the command's: what comes to this person again is the same invitation.
            (Command::Invite { grant, .. }, State::Invited { grants }) if grants.contains(&grant) => {
                Ok(vec![])
            }
            (Command::Invite { user_id, .. }, State::Invited { .. }) => Err(Refusal::Exists { user_id }),
            (Command::Grant { .. } | Command::Revoke { .. } | Command::Forget { .. }, State::Unknown) => {
                Err(Refusal::Unknown)
            }
            (Command::Grant { user_id, grant }, State::Invited { grants }) => {
                check_level(grant)?;
                Ok(if grants.contains(&grant) { vec![] } else { vec![granted(user_id, grant)] })
            }
            (Command::Revoke { user_id, grant }, State::Invited { grants }) => {
                Ok(if grants.contains(&grant) { vec![revoked(user_id, grant)] } else { vec![] })
            }
            (Command::Forget { user_id }, State::Invited { grants }) => {
                let mut facts: Vec<_> = grants.iter().map(|grant| revoked(user_id, *grant)).collect();
                facts.push(UserForgotten { user_id }.into());
                Ok(facts)
            }
            (Command::Invite { user_id, .. } | Command::Grant { user_id, .. }, State::Forgotten) => {
                Err(Refusal::Forgotten { user_id })
            }
            (Command::Revoke { .. } | Command::Forget { .. }, State::Forgotten) => Ok(vec![]),
        }
    }

    fn evolve(state: State, event: &UserEvent) -> State {
        let mut grants = match state {
            State::Unknown => BTreeSet::new(),
            State::Invited { grants } => grants,
            State::Forgotten => return State::Forgotten,
        };
        match event {
            UserEvent::UserInvited(_) => {}
            UserEvent::RoleGranted(fact) => {
                grants.insert((fact.role, fact.customer_id));
            }
            UserEvent::RoleRevoked(fact) => {
                grants.remove(&(fact.role, fact.customer_id));
            }
            UserEvent::UserForgotten(_) => return State::Forgotten,
        }
        State::Invited { grants }
    }
}

/// What is personal is about the user themselves: they are forgotten under their own id.
fn invited(user_id: UserId, subject: String, display_name: String) -> UserEvent {
    let personal = |text| Personal::clear(SubjectId(user_id.0), text);
    UserInvited { user_id, subject: personal(subject), display_name: personal(display_name) }.into()
}

fn granted(user_id: UserId, (role, customer_id): Grant) -> UserEvent {
    RoleGranted { user_id, role, customer_id }.into()
}

fn revoked(user_id: UserId, (role, customer_id): Grant) -> UserEvent {
    RoleRevoked { user_id, role, customer_id }.into()
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
        super::invited(ALICE, "alice".into(), "Alice".into())
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
            .then([revoked(ALICE, grant)]);
    }

    #[test]
    fn nobody_can_grant_to_a_stranger() {
        let grant = (Role::PartnerViewer, None);
        given::<User>([]).when(Command::Grant { user_id: ALICE, grant }).then_refused(&Refusal::Unknown);
    }
    #[test]
    fn who_is_forgotten_loses_every_role_first() {
        let (home, other) = ((Role::CustomerApprover, Some(ACME)), (Role::PartnerViewer, None));
        given::<User>([invited(), granted(ALICE, home), granted(ALICE, other)])
            .when(Command::Forget { user_id: ALICE })
            .then([revoked(ALICE, other), revoked(ALICE, home), UserForgotten { user_id: ALICE }.into()]);
    }

    #[test]
    fn who_is_forgotten_gets_no_role_and_is_not_invited_again() {
        let grant = (Role::PartnerViewer, None);
        let forgotten = || given::<User>([invited(), UserForgotten { user_id: ALICE }.into()]);
        let refusal = Refusal::Forgotten { user_id: ALICE };
        forgotten().when(Command::Grant { user_id: ALICE, grant }).then_refused(&refusal);
        forgotten().when(invite(grant)).then_refused(&refusal);
        forgotten().when(Command::Revoke { user_id: ALICE, grant }).then_nothing();
        forgotten().when(Command::Forget { user_id: ALICE }).then_nothing();
    }

    #[test]
    fn nobody_can_forget_a_stranger() {
        given::<User>([]).when(Command::Forget { user_id: ALICE }).then_refused(&Refusal::Unknown);
    }
}
