//! SEARCH counts what is approved in effect, wherever that was decided.

use crate::facts::{approved_in, blocked, deferred_in, joined, missing, rejected_in, scanned};
use crate::system::System;
use contracts::alerts::{AlertRaised, AlertType};
use contracts::approvals::ApprovalScope;
use kernel::{DeviceGroupId, DeviceId, PatchId, Tenant};
use testkit::id;

async fn found(system: &System) -> Vec<AlertRaised> {
    system.has_read_all().await;
    system.alerts(AlertType::Search).await
}

#[tokio::test]
async fn a_partners_approval_is_found_at_each_of_its_customers_that_has_not_rejected_it() {
    let system = System::start().await;
    let acme = Tenant::customer(id(), id());
    let [bistro, cafe] = [(); 2].map(|()| Tenant::customer(acme.partner_id, id()));
    let foreign = Tenant::customer(id(), id());
    let patch: PatchId = id();
    let (one, other): (DeviceId, DeviceId) = (id(), id());
    for (tenant, device) in [(acme, one), (bistro, id()), (bistro, id()), (cafe, other), (foreign, id())] {
        system.happens(tenant, missing(device, patch)).await;
    }
    system.happens(cafe, rejected_in(cafe.customer_id.unwrap().into(), patch)).await;
    let everywhere = ApprovalScope::Partner { partner_id: acme.partner_id };
    system.happens(Tenant::partner(acme.partner_id), approved_in(everywhere, patch)).await;
    let mut alerts: Vec<_> =
        found(&system).await.into_iter().map(|alert| (alert.customer_id, alert.device_id)).collect();
    alerts.sort_unstable();
    let mut expected = [(acme.customer_id, Some(one)), (bistro.customer_id, None)];
    expected.sort_unstable();
    assert_eq!(alerts, expected);

    // A scan says the same.
    for (tenant, device) in [(acme, one), (cafe, other)] {
        system.happens(tenant, scanned(device)).await;
    }
    let alerts = found(&system).await;
    assert_eq!(alerts.len(), 3);
    assert_eq!((alerts[2].device_id, &alerts[2].patch_ids), (Some(one), &vec![patch]));
    system.stop().await;
}

#[tokio::test]
async fn what_is_nearer_decides_and_what_it_had_let_through_is_no_news() {
    let system = System::start().await;
    let acme = Tenant::customer(id(), id());
    let customer_id = acme.customer_id.unwrap();
    let (patch, device, group_id): (PatchId, DeviceId, DeviceGroupId) = (id(), id(), id());
    let group = ApprovalScope::Group { customer_id, group_id };
    system.happens(acme, missing(device, patch)).await;
    system.happens(acme, joined(acme, group_id, device)).await;
    system.happens(acme, rejected_in(customer_id.into(), patch)).await;
    system.happens(acme, approved_in(group, patch)).await;
    assert_eq!(found(&system).await.len(), 1);
    // It was approved before.
    let everywhere = ApprovalScope::Partner { partner_id: acme.partner_id };
    system.happens(Tenant::partner(acme.partner_id), approved_in(everywhere, patch)).await;
    assert_eq!(found(&system).await.len(), 1);
    let this_one = ApprovalScope::Device { customer_id, device_id: device };
    system.happens(acme, rejected_in(this_one, patch)).await;
    system.happens(acme, scanned(device)).await;
    assert_eq!(found(&system).await.len(), 1);
    system.stop().await;
}

#[tokio::test]
async fn the_end_of_a_deferral_and_of_a_block_lets_an_earlier_approval_count() {
    let system = System::start().await;
    let acme = Tenant::customer(id(), id());
    let customer_id = acme.customer_id.unwrap();
    let (patch, device): (PatchId, DeviceId) = (id(), id());
    let this_one = ApprovalScope::Device { customer_id, device_id: device };
    let [deferred, deferral_ended] = deferred_in(this_one, patch);
    let [blocked, unblocked] = blocked(acme.partner_id, patch);
    let partner = Tenant::partner(acme.partner_id);
    system.happens(acme, missing(device, patch)).await;
    system.happens(acme, deferred).await;
    system.happens(acme, approved_in(customer_id.into(), patch)).await;
    assert_eq!(found(&system).await, []);
    system.happens(acme, deferral_ended).await;
    assert_eq!(found(&system).await.len(), 1);
    system.happens(partner, blocked).await;
    system.happens(acme, scanned(device)).await;
    assert_eq!(found(&system).await.len(), 1);
    system.happens(partner, unblocked).await;
    assert_eq!(found(&system).await.len(), 2);
    system.stop().await;
}
