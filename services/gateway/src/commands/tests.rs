//! How a service's "no" reaches the client.

use super::ids::Given;
use super::ownership::Owned;
use super::{Stop, UserError, none_such, refusal, target};
use crate::schema::global_id::{GlobalId, Kind};
use access::{Caller, Grant};
use contracts::permissions::Role;
use kernel::{CustomerId, PartnerId, Scope, Tenant, UserId};
use uuid::Uuid;
use web::CommandFailure;

const PARTNER: PartnerId = PartnerId(Uuid::from_u128(1));
const OTHER_PARTNER: PartnerId = PartnerId(Uuid::from_u128(2));
const CUSTOMER: CustomerId = CustomerId(Uuid::from_u128(3));
const OTHER_CUSTOMER: CustomerId = CustomerId(Uuid::from_u128(4));

fn approver() -> Caller {
    Caller {
        user_id: UserId(Uuid::from_u128(5)),
        subject: "approver".into(),
        scope: Scope::Customer { partner_id: PARTNER, customer_id: CUSTOMER },
        grants: vec![Grant::at(Role::CustomerApprover, CUSTOMER)],
    }
}

fn owned(field: &str, kind: Kind, tenant: Option<Tenant>) -> Owned {
    let id = GlobalId { kind, id: Uuid::from_u128(9) };
    Owned { given: Given { field: field.into(), id }, tenant }
}

fn failure(status: u16, code: &str) -> CommandFailure {
    CommandFailure { code: code.into(), status, message: "no".into(), retryable: status >= 502 }
}

fn refused(stop: Stop) -> Vec<UserError> {
    match stop {
        Stop::Refused(errors) => errors,
        Stop::Failed(error) => panic!("failed: {error:?}"),
    }
}

fn failed(stop: Stop) -> (String, String) {
    match stop {
        Stop::Refused(errors) => panic!("refused: {errors:?}"),
        Stop::Failed(error) => {
            let code = error.extensions.as_ref().and_then(|values| values.get("code")).unwrap();
            (code.to_string(), error.message)
        }
    }
}

#[test]
fn a_rule_s_no_is_data_with_the_rule_s_own_code() {
    for status in [400, 403, 409, 422] {
        let stop = refusal(&approver(), &[], failure(status, "approvals.own_request"));
        assert_eq!(refused(stop), [UserError::new("approvals.own_request", "no")]);
    }
}

#[test]
fn an_outage_is_an_error_that_shows_no_reason() {
    let unreachable = refusal(&approver(), &[], failure(503, "web.service_unavailable"));
    assert_eq!(failed(unreachable), ("\"web.service_unavailable\"".into(), "temporarily unavailable".into()));
    let broken = refusal(&approver(), &[], failure(500, "web.internal"));
    assert_eq!(failed(broken), ("\"web.internal\"".into(), "internal error".into()));
}

#[test]
fn services_that_do_not_trust_each_other_are_no_business_of_the_client() {
    let (code, message) = failed(refusal(&approver(), &[], failure(401, "access.assertion_invalid")));
    assert_eq!((code.as_str(), message.as_str()), ("\"access.assertion_invalid\"", "internal error"));
}

#[test]
fn what_is_another_tenant_s_and_what_does_not_exist_are_answered_alike() {
    let caller = approver();
    let foreign = owned("customerId", Kind::Customer, Some(Tenant::customer(OTHER_PARTNER, OTHER_CUSTOMER)));
    let sibling = owned("customerId", Kind::Customer, Some(Tenant::customer(PARTNER, OTHER_CUSTOMER)));
    let unknown = owned("customerId", Kind::Customer, None);
    let answer = UserError::new("tenancy.customer_not_found", "there is no such customer").at("customerId");
    assert!(foreign.is_foreign_to(&caller) && sibling.is_foreign_to(&caller));
    assert!(!unknown.is_foreign_to(&caller));
    assert_eq!(none_such(&caller, &[foreign]), answer);
    assert_eq!(none_such(&caller, &[sibling]), answer);
    let from_service = refusal(&caller, &[unknown], failure(404, "approvals.customer_unknown"));
    assert_eq!(refused(from_service), [answer]);
}

#[test]
fn what_a_service_does_not_find_of_the_caller_s_own_keeps_the_service_s_code() {
    let own = owned("customerId", Kind::Customer, Some(Tenant::customer(PARTNER, CUSTOMER)));
    let patch = owned("patchId", Kind::Patch, None);
    let stop = refusal(&approver(), &[patch, own], failure(404, "approvals.patch_unknown"));
    assert_eq!(refused(stop), [UserError::new("approvals.patch_unknown", "no")]);
}

#[test]
fn everyone_may_name_their_own_partner() {
    let id = GlobalId { kind: Kind::Partner, id: PARTNER.0 };
    let given = Given { field: "partnerId".into(), id };
    let partner = Owned { given, tenant: Some(Tenant::partner(PARTNER)) };
    assert!(!partner.is_foreign_to(&approver()));
}

#[test]
fn somebody_with_roles_at_two_customers_reaches_no_third_one() {
    let third = CustomerId(Uuid::from_u128(7));
    let caller = Caller {
        scope: Scope::Partner { partner_id: PARTNER },
        grants: vec![
            Grant::at(Role::CustomerApprover, CUSTOMER),
            Grant::at(Role::CustomerApprover, OTHER_CUSTOMER),
        ],
        ..approver()
    };
    let device = |customer| owned("deviceId", Kind::Device, Some(Tenant::customer(PARTNER, customer)));
    assert!(!device(CUSTOMER).is_foreign_to(&caller));
    assert!(device(third).is_foreign_to(&caller));
    let of_partner = owned("alertId", Kind::Alert, Some(Tenant::partner(PARTNER)));
    assert!(of_partner.is_foreign_to(&caller));
}

#[test]
fn a_wish_about_two_customers_is_about_none_of_them_alone() {
    let at = |customer| owned("deviceIds", Kind::Device, Some(Tenant::customer(PARTNER, customer)));
    assert_eq!(target(&[at(CUSTOMER), at(CUSTOMER)]), Some(CUSTOMER));
    assert_eq!(target(&[at(CUSTOMER), at(OTHER_CUSTOMER)]), None);
}
