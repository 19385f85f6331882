//! Partners and customers.

use crate::system::{System, caller, operator, register_customer, seen};
use contracts::permissions::Role;
use contracts::tenancy::{CustomerRegistered, PartnerRegistered, RegisterCustomer, RegisterPartner};
use kernel::Tenant;
use testkit::id;

#[tokio::test]
async fn an_operator_registers_partners_and_they_their_customers() {
    let system = System::start().await;
    let partner_id = system.partner().await;
    let admin = caller(Role::PartnerAdmin, Tenant::partner(partner_id));
    let accepted = system.send(&admin, register_customer(partner_id)).await.unwrap();
    assert!(accepted.written.is_some() && !accepted.repeated);
    let customer_id = accepted.answer;

    let partners = system.facts::<PartnerRegistered>(PartnerRegistered::TYPE).await;
    let name = "Nordlicht IT".to_owned();
    assert_eq!(partners, [(Tenant::partner(partner_id), PartnerRegistered { partner_id, name })]);
    let (name, time_zone) = ("Bäckerei Acker".to_owned(), "Europe/Berlin".to_owned());
    let registered = CustomerRegistered { customer_id, partner_id, name, time_zone };
    let customers = system.facts::<CustomerRegistered>(CustomerRegistered::TYPE).await;
    assert_eq!(customers, [(Tenant::customer(partner_id, customer_id), registered)]);
    system.stop().await;
}

#[tokio::test]
async fn the_same_registration_twice_makes_one_thing() {
    let system = System::start().await;
    let (partner_command, customer_command) = (id(), id());
    let register = || RegisterPartner { name: "Nordlicht IT".to_owned() };
    let first = system.send_as(&operator(), register(), partner_command).await.unwrap();
    let again = system.send_as(&operator(), register(), partner_command).await.unwrap();
    assert!(!first.repeated && again.repeated);
    assert_eq!((again.answer, again.written), (first.answer, first.written));

    let register = || register_customer(first.answer);
    let first = system.send_as(&operator(), register(), customer_command).await.unwrap();
    let again = system.send_as(&operator(), register(), customer_command).await.unwrap();
    assert_eq!((again.answer, again.written, again.repeated), (first.answer, first.written, true));
    assert_eq!(system.event_count().await, 2);
    system.stop().await;
}

#[tokio::test]
async fn only_operators_register_partners_and_only_admins_customers() {
    let system = System::start().await;
    let partner = Tenant::partner(system.partner().await);
    for role in [Role::PartnerAdmin, Role::PartnerOperator, Role::PartnerViewer] {
        let register = RegisterPartner { name: "Second".to_owned() };
        let refused = system.send(&caller(role, partner), register).await.unwrap_err();
        assert_eq!(seen(&refused), (403, "access.forbidden"));
    }
    let customer = system.customer(partner.partner_id).await;
    for caller in [
        caller(Role::PartnerOperator, partner),
        caller(Role::PartnerViewer, partner),
        caller(Role::CustomerAdmin, customer),
    ] {
        let register = register_customer(partner.partner_id);
        let refused = system.send(&caller, register).await.unwrap_err();
        assert_eq!(seen(&refused), (403, "access.forbidden"));
    }
    assert_eq!(system.event_count().await, 2);
    system.stop().await;
}

#[tokio::test]
async fn another_partner_does_not_exist() {
    let system = System::start().await;
    let (north, south) = (system.partner().await, system.partner().await);
    let admin = caller(Role::PartnerAdmin, Tenant::partner(north));
    for partner_id in [south, id()] {
        let refused = system.send(&admin, register_customer(partner_id)).await.unwrap_err();
        assert_eq!(seen(&refused), (404, "tenancy.partner_unknown"));
    }
    let refused = system.send(&operator(), register_customer(id())).await.unwrap_err();
    assert_eq!(seen(&refused), (404, "tenancy.partner_unknown"));
    assert_eq!(system.event_count().await, 2);
    system.stop().await;
}

#[tokio::test]
async fn names_and_time_zones_must_make_sense() {
    let system = System::start().await;
    let partner_id = system.partner().await;
    for (name, code) in [
        (String::new(), "tenancy.name_invalid"),
        (" ".to_owned(), "tenancy.name_invalid"),
        ("x".repeat(201), "tenancy.name_invalid"),
        ("two\nlines".to_owned(), "tenancy.name_invalid"),
        ("nul\0".to_owned(), "web.text_invalid"),
    ] {
        let refused = system.send(&operator(), RegisterPartner { name }).await.unwrap_err();
        assert_eq!(seen(&refused), (422, code));
    }
    for time_zone in ["", "CET now", "Europe/", "../../etc/passwd"] {
        let (name, time_zone) = ("Acker".to_owned(), time_zone.to_owned());
        let register = RegisterCustomer { partner_id, name, time_zone };
        let refused = system.send(&operator(), register).await.unwrap_err();
        assert_eq!(seen(&refused), (422, "tenancy.time_zone_invalid"));
    }
    assert_eq!(system.event_count().await, 1);
    // What was refused has left nothing behind.
    let admin = caller(Role::PartnerAdmin, Tenant::partner(partner_id));
    system.send(&admin, register_customer(partner_id)).await.unwrap();
    system.stop().await;
}
