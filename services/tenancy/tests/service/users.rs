//! Users, their roles, and what the tenant boundary stopped.

use crate::system::{System, caller, invite, operator, seen};
use contracts::permissions::Role;
use contracts::tenancy::{
    CrossTenantAccessDenied, GrantRole, InviteUser, RecordDeniedAccess, RevokeRole, RoleGranted, RoleRevoked,
    UserInvited,
};
use kernel::{Tenant, UserId};
use testkit::id;

fn grant(user_id: UserId, role: Role, tenant: Tenant) -> GrantRole {
    GrantRole { user_id, role, customer_id: tenant.customer_id }
}

fn denied_access() -> RecordDeniedAccess {
    RecordDeniedAccess {
        object_kind: "device".to_owned(),
        object_id: "ZGV2aWNlOjE".to_owned(),
        operation: "device".to_owned(),
    }
}

#[tokio::test]
async fn every_role_is_held_where_it_belongs() {
    let system = System::start().await;
    let partner = Tenant::partner(system.partner().await);
    let customer = system.customer(partner.partner_id).await;
    for role in Role::ALL.into_iter().filter(|role| *role != Role::PlatformOperator) {
        let (right, wrong) = if role.is_customer_level() { (customer, partner) } else { (partner, customer) };
        let subject = format!("{role:?}");
        let refused = system.send(&operator(), invite(wrong, &subject, role)).await.unwrap_err();
        assert_eq!(seen(&refused), (422, "tenancy.role_level_wrong"), "{role:?}");
        let user_id = system.user(invite(right, &subject, role)).await;

        let invited = system.facts::<UserInvited>(UserInvited::TYPE).await;
        let (tenant, fact) = invited.last().unwrap();
        assert_eq!((*tenant, fact.user_id, fact.subject.subject_id().0), (right, user_id, user_id.0));
        let granted = system.facts::<RoleGranted>(RoleGranted::TYPE).await;
        let expected = RoleGranted { user_id, role, customer_id: right.customer_id };
        assert_eq!(granted.last().unwrap(), &(right, expected));
    }
    system.stop().await;
}

#[tokio::test]
async fn nobody_can_be_made_an_operator() {
    let system = System::start().await;
    let partner = Tenant::partner(system.partner().await);
    let user_id = system.user(invite(partner, "alice", Role::PartnerViewer)).await;
    let admin = caller(Role::PartnerAdmin, partner);
    for caller in [operator(), admin] {
        let wish = invite(partner, "mallory", Role::PlatformOperator);
        assert_eq!(seen(&system.send(&caller, wish).await.unwrap_err()), (403, "access.forbidden"));
        let wish = grant(user_id, Role::PlatformOperator, partner);
        assert_eq!(seen(&system.send(&caller, wish).await.unwrap_err()), (403, "access.forbidden"));
    }
    system.stop().await;
}

#[tokio::test]
async fn an_admin_gives_away_no_more_than_they_have() {
    let system = System::start().await;
    let partner = Tenant::partner(system.partner().await);
    let acme = system.customer(partner.partner_id).await;
    let user_id = system.user(invite(acme, "alice", Role::CustomerAuditor)).await;
    let before = system.event_count().await;

    let customers = caller(Role::CustomerAdmin, acme);
    let refused = system.send(&customers, invite(partner, "mallory", Role::PartnerAdmin)).await.unwrap_err();
    assert_eq!(seen(&refused), (403, "access.forbidden"));
    let refused = system.send(&customers, grant(user_id, Role::PartnerAdmin, partner)).await.unwrap_err();
    assert_eq!(seen(&refused), (403, "access.forbidden"));
    let refused = system.send(&customers, grant(user_id, Role::PartnerAdmin, acme)).await.unwrap_err();
    assert_eq!(seen(&refused), (422, "tenancy.role_level_wrong"));
    for role in [Role::PartnerOperator, Role::PartnerViewer] {
        let wish = invite(partner, "mallory", Role::PartnerViewer);
        let refused = system.send(&caller(role, partner), wish).await.unwrap_err();
        assert_eq!(seen(&refused), (403, "access.forbidden"));
    }
    assert_eq!(system.event_count().await, before);

    system.send(&customers, invite(acme, "bob", Role::CustomerApprover)).await.unwrap();
    system.send(&customers, grant(user_id, Role::CustomerApprover, acme)).await.unwrap();
    system.stop().await;
}

#[tokio::test]
async fn another_tenants_customers_and_users_do_not_exist() {
    let system = System::start().await;
    let north = Tenant::partner(system.partner().await);
    let south = Tenant::partner(system.partner().await);
    let foreign = system.customer(south.partner_id).await;
    let stranger = system.user(invite(foreign, "stranger", Role::CustomerAuditor)).await;
    let before = system.event_count().await;
    let admin = caller(Role::PartnerAdmin, north);

    let refused = system.send(&admin, invite(south, "mallory", Role::PartnerAdmin)).await.unwrap_err();
    assert_eq!(seen(&refused), (404, "tenancy.partner_unknown"));
    let refused = system.send(&admin, invite(foreign, "mallory", Role::CustomerAdmin)).await.unwrap_err();
    assert_eq!(seen(&refused), (404, "tenancy.partner_unknown"));
    // The partner is one's own, the customer is not.
    let crossed = Tenant { partner_id: north.partner_id, customer_id: foreign.customer_id };
    for caller in [&admin, &operator()] {
        let refused = system.send(caller, invite(crossed, "mallory", Role::CustomerAdmin)).await.unwrap_err();
        assert_eq!(seen(&refused), (404, "tenancy.customer_unknown"));
    }
    for user_id in [stranger, id()] {
        let refused = system.send(&admin, grant(user_id, Role::PartnerAdmin, north)).await.unwrap_err();
        assert_eq!(seen(&refused), (404, "tenancy.user_unknown"));
        let revoke = RevokeRole { user_id, role: Role::CustomerAuditor, customer_id: foreign.customer_id };
        let refused = system.send(&admin, revoke).await.unwrap_err();
        assert_eq!(seen(&refused), (404, "tenancy.user_unknown"));
    }
    assert_eq!(system.event_count().await, before);
    system.stop().await;
}

#[tokio::test]
async fn one_subject_is_one_person_on_the_whole_platform() {
    let system = System::start().await;
    let north = Tenant::partner(system.partner().await);
    let south = Tenant::partner(system.partner().await);
    system.user(invite(north, "alice", Role::PartnerViewer)).await;
    let before = system.event_count().await;
    for tenant in [north, south] {
        let admin = caller(Role::PartnerAdmin, tenant);
        let refused = system.send(&admin, invite(tenant, "alice", Role::PartnerViewer)).await.unwrap_err();
        assert_eq!(seen(&refused), (409, "tenancy.user_exists"));
        for told in [north.partner_id.to_string(), "alice".to_owned()] {
            assert!(!refused.message.contains(&told), "{}", refused.message);
        }
    }
    for (subject, code) in [
        (String::new(), "tenancy.name_invalid"),
        ("x".repeat(201), "tenancy.name_invalid"),
        ("two\nlines".to_owned(), "tenancy.name_invalid"),
        ("nul\0".to_owned(), "web.text_invalid"),
    ] {
        let refused = system.send(&operator(), invite(south, &subject, Role::PartnerViewer)).await;
        assert_eq!(seen(&refused.unwrap_err()), (422, code), "{subject:?}");
    }
    assert_eq!(system.event_count().await, before);
    // A refused invitation has not reserved the name.
    let nameless = InviteUser { display_name: String::new(), ..invite(south, "bob", Role::PartnerViewer) };
    let refused = system.send(&operator(), nameless).await.unwrap_err();
    assert_eq!(seen(&refused), (422, "tenancy.name_invalid"));
    system.user(invite(north, "bob", Role::PartnerViewer)).await;
    system.stop().await;
}

#[tokio::test]
async fn the_same_invitation_twice_invites_once() {
    let system = System::start().await;
    let partner = Tenant::partner(system.partner().await);
    let (command_id, wish) = (id(), || invite(partner, "alice", Role::PartnerViewer));
    let first = system.send_as(&operator(), wish(), command_id).await.unwrap();
    let again = system.send_as(&operator(), wish(), command_id).await.unwrap();
    assert_eq!((again.answer, again.written, again.repeated), (first.answer, first.written, true));
    assert_eq!(system.facts::<UserInvited>(UserInvited::TYPE).await.len(), 1);
    assert_eq!(system.facts::<RoleGranted>(RoleGranted::TYPE).await.len(), 1);
    system.stop().await;
}

#[tokio::test]
async fn a_role_can_be_taken_away_and_given_back() {
    let system = System::start().await;
    let partner = Tenant::partner(system.partner().await);
    let acme = system.customer(partner.partner_id).await;
    let user_id = system.user(invite(acme, "alice", Role::CustomerApprover)).await;
    let admin = caller(Role::PartnerAdmin, partner);
    let revoke = || RevokeRole { user_id, role: Role::CustomerApprover, customer_id: acme.customer_id };
    let revoked_by = id();
    assert!(system.send_as(&admin, revoke(), revoked_by).await.unwrap().written.is_some());
    // Not held any more: nothing to do.
    assert_eq!(system.send(&admin, revoke()).await.unwrap().written, None);
    system.send(&admin, grant(user_id, Role::CustomerApprover, acme)).await.unwrap();
    // The first revocation again, late: it does not take away what was given since.
    assert!(system.send_as(&admin, revoke(), revoked_by).await.unwrap().repeated);
    assert_eq!(system.facts::<RoleRevoked>(RoleRevoked::TYPE).await.len(), 1);
    assert_eq!(system.facts::<RoleGranted>(RoleGranted::TYPE).await.len(), 2);
    system.stop().await;
}

#[tokio::test]
async fn what_the_tenant_boundary_stopped_is_a_fact_of_the_one_who_reached() {
    let system = System::start().await;
    let partner = Tenant::partner(system.partner().await);
    let acme = system.customer(partner.partner_id).await;
    let viewer = caller(Role::PartnerViewer, partner);
    let command_id = id();
    assert!(!system.send_as(&viewer, denied_access(), command_id).await.unwrap().repeated);
    assert!(system.send_as(&viewer, denied_access(), command_id).await.unwrap().repeated);
    let auditor = caller(Role::CustomerAuditor, acme);
    system.send(&auditor, denied_access()).await.unwrap();
    system.send(&operator(), denied_access()).await.unwrap();
    let denied = system.facts::<CrossTenantAccessDenied>(CrossTenantAccessDenied::TYPE).await;
    let tenants: Vec<_> = denied.iter().map(|(tenant, _)| *tenant).collect();
    assert_eq!(tenants, [partner, acme, Tenant::PLATFORM]);
    assert_eq!((denied[0].1.user_id, denied[1].1.user_id), (viewer.user_id, auditor.user_id));
    system.stop().await;
}

#[tokio::test]
async fn a_person_can_be_stopped_as_the_partners_and_at_one_customer() {
    let system = System::start().await;
    let partner = Tenant::partner(system.partner().await);
    let acme = system.customer(partner.partner_id).await;
    let admin = caller(Role::PartnerAdmin, partner);
    system.send(&admin, denied_access()).await.unwrap();
    let at_acme = admin.narrowed_to(acme.customer_id.unwrap()).unwrap();
    system.send(&at_acme, denied_access()).await.unwrap();
    let denied = system.facts::<CrossTenantAccessDenied>(CrossTenantAccessDenied::TYPE).await;
    assert_eq!(denied.iter().map(|(tenant, _)| *tenant).collect::<Vec<_>>(), [partner, acme]);
    system.stop().await;
}

#[tokio::test]
async fn another_customer_does_not_exist_for_a_customers_admin() {
    let system = System::start().await;
    let partner = Tenant::partner(system.partner().await);
    let (acme, bistro) =
        (system.customer(partner.partner_id).await, system.customer(partner.partner_id).await);
    let admin = caller(Role::CustomerAdmin, acme);
    let unknown = Tenant::customer(partner.partner_id, id());
    for tenant in [bistro, unknown] {
        let refused = system.send(&admin, invite(tenant, "mallory", Role::CustomerAdmin)).await.unwrap_err();
        assert_eq!(seen(&refused), (404, "tenancy.customer_unknown"));
    }
    system.stop().await;
}
