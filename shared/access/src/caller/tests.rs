//! The permission table is followed, everywhere and only there.

use super::{Caller, Grant, Reach};
use contracts::permissions::{Permission, Role};
use kernel::{CustomerId, PartnerId, Scope, UserId};
use proptest::prelude::*;
use uuid::Uuid;

const OWN: CustomerId = CustomerId(Uuid::from_u128(1));
const OTHER: CustomerId = CustomerId(Uuid::from_u128(2));
const PARTNER: PartnerId = PartnerId(Uuid::from_u128(9));
const IN_PARTNER: Scope = Scope::Partner { partner_id: PARTNER };
const IN_CUSTOMER: Scope = Scope::Customer { partner_id: PARTNER, customer_id: OWN };

fn caller(scope: Scope, grants: &[Grant]) -> Caller {
    Caller { user_id: UserId(Uuid::from_u128(5)), subject: "ann".into(), scope, grants: grants.to_vec() }
}

fn may(scope: Scope, grant: Grant, permission: Permission, customer: Option<CustomerId>) -> bool {
    caller(scope, &[grant]).require(permission, customer).is_ok()
}

fn every_pair() -> impl Iterator<Item = (Role, Permission)> {
    Role::ALL.into_iter().flat_map(|role| Permission::ALL.iter().map(move |permission| (role, *permission)))
}

#[test]
fn a_partner_role_counts_for_the_partner_and_every_customer() {
    for (role, permission) in every_pair() {
        let listed = permission.roles().contains(&role);
        let partner_role = !role.is_customer_level() && role != Role::PlatformOperator;
        for customer in [None, Some(OWN), Some(OTHER)] {
            let allowed = may(IN_PARTNER, Grant::everywhere(role), permission, customer);
            assert_eq!(allowed, listed && partner_role, "{role:?} {permission:?} {customer:?}");
        }
    }
}

#[test]
fn a_role_at_a_customer_counts_for_that_customer_only() {
    for (role, permission) in every_pair() {
        let listed = permission.roles().contains(&role) && role != Role::PlatformOperator;
        let grant = Grant::at(role, OWN);
        assert_eq!(may(IN_PARTNER, grant, permission, Some(OWN)), listed, "{role:?} {permission:?}");
        assert!(!may(IN_PARTNER, grant, permission, Some(OTHER)), "{role:?} {permission:?}");
        assert!(!may(IN_PARTNER, grant, permission, None), "{role:?} {permission:?}");
    }
}

#[test]
fn the_platform_operator_has_its_own_permissions_on_the_platform_only() {
    for (role, permission) in every_pair() {
        let listed = role == Role::PlatformOperator && permission.roles().contains(&role);
        let grant = Grant::everywhere(role);
        assert_eq!(may(Scope::Platform, grant, permission, None), listed, "{role:?} {permission:?}");
        assert_eq!(may(Scope::Platform, grant, permission, Some(OWN)), listed, "{role:?} {permission:?}");
    }
}

#[test]
fn a_scope_of_one_customer_is_never_left() {
    for (role, permission) in every_pair() {
        for grant in [Grant::everywhere(role), Grant::at(role, OWN), Grant::at(role, OTHER)] {
            assert!(!may(IN_CUSTOMER, grant, permission, Some(OTHER)), "{grant:?} {permission:?}");
            assert!(!may(IN_CUSTOMER, grant, permission, None), "{grant:?} {permission:?}");
        }
    }
}

#[test]
fn a_customer_role_without_a_customer_counts_nowhere() {
    let grant = Grant::everywhere(Role::CustomerAdmin);
    assert_eq!(
        caller(IN_PARTNER, &[grant]).reach(Permission::ReadFleet),
        Reach::Customers([].into_iter().collect())
    );
}

#[test]
fn a_partner_role_can_be_narrowed_to_one_customer() {
    let narrowed = caller(IN_PARTNER, &[Grant::everywhere(Role::PartnerAdmin)]).narrowed_to(OWN).unwrap();
    assert_eq!(narrowed.scope, IN_CUSTOMER);
    assert!(narrowed.require(Permission::ReadFleet, Some(OWN)).is_ok());
    assert_eq!(narrowed.narrowed_to(OTHER), None);
}

fn any_grant() -> impl Strategy<Value = Grant> {
    let customer = prop::sample::select(vec![None, Some(OWN), Some(OTHER)]);
    (prop::sample::select(Role::ALL.to_vec()), customer)
        .prop_map(|(role, customer_id)| Grant { role, customer_id })
}

proptest! {
    #[test]
    fn several_grants_allow_exactly_what_one_of_them_allows(
        grants in prop::collection::vec(any_grant(), 0..6),
        scope in prop::sample::select(vec![Scope::Platform, IN_PARTNER, IN_CUSTOMER]),
        permission in prop::sample::select(Permission::ALL.to_vec()),
        customer in prop::sample::select(vec![None, Some(OWN), Some(OTHER)]),
    ) {
        let together = caller(scope, &grants);
        let one_of_them = grants.iter().any(|grant| may(scope, *grant, permission, customer));
        prop_assert_eq!(together.require(permission, customer).is_ok(), one_of_them);
        if one_of_them {
            prop_assert!(together.require_anywhere(permission).is_ok());
        }
    }
}
