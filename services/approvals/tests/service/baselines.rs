//! Who may make baselines and say where they hold.

use crate::fixtures::windows;
use crate::system::{System, caller};
use contracts::approvals::{
    ApprovalScope, AssignBaseline, BaselineAssigned, BaselineContent, BaselineCreated, BaselineRule,
    BaselineUnassigned, BaselineVersionCreated, ChangeBaseline, CreateBaseline, RetireBaseline,
    UnassignBaseline,
};
use contracts::permissions::Role;
use contracts::{Command, Severity};
use kernel::{BaselineId, CustomerId, Tenant};
use testkit::id;
use web::CommandFailure;

pub(crate) fn urgent() -> BaselineContent {
    let severities = vec![Severity::Critical, Severity::High];
    BaselineContent {
        rules: vec![BaselineRule { severities, ..BaselineRule::default() }],
        ..BaselineContent::default()
    }
}

pub(crate) fn create(customer_id: Option<CustomerId>, content: BaselineContent) -> CreateBaseline {
    CreateBaseline { customer_id, name: "Servers".to_owned(), content }
}

async fn refused<C: Command>(system: &System, role: Role, tenant: Tenant, command: C) -> (u16, String)
where
    C::Answer: std::fmt::Debug,
{
    let CommandFailure { status, code, .. } = system.send(&caller(role, tenant), command).await.unwrap_err();
    (status, code)
}

fn no(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn a_partners_template_is_inherited_and_a_customers_baseline_is_its_own() {
    let system = System::start().await;
    let acme = system.customer().await;
    let bistro = system.customer_of(acme.partner_id).await;
    let stranger = system.customer().await;
    let customer_id = acme.customer_id;
    let partner = caller(Role::PartnerOperator, acme);
    let template = system.send(&partner, create(None, urgent())).await.unwrap().answer;
    let admin = caller(Role::CustomerAdmin, acme);
    let own = system.send(&admin, create(customer_id, urgent())).await.unwrap().answer;

    // The template holds at the customer because the customer wants it, and stays the partner's.
    let scope = customer_id.unwrap().into();
    for baseline_id in [template, own] {
        system.send(&admin, AssignBaseline { baseline_id, scope }).await.unwrap();
    }
    let change = |baseline_id| ChangeBaseline { baseline_id, content: urgent() };
    assert_eq!(
        refused(&system, Role::CustomerAdmin, acme, change(template)).await,
        no(403, "access.forbidden")
    );
    assert_eq!(
        refused(&system, Role::CustomerAdmin, acme, create(None, urgent())).await,
        no(404, "approvals.customer_unknown")
    );

    for (role, tenant) in [(Role::CustomerAdmin, bistro), (Role::PartnerAdmin, stranger)] {
        assert_eq!(refused(&system, role, tenant, change(own)).await, no(404, "approvals.baseline_unknown"));
        let assign = AssignBaseline { baseline_id: own, scope: tenant.customer_id.unwrap().into() };
        assert_eq!(refused(&system, role, tenant, assign).await, no(404, "approvals.baseline_unknown"));
        let assign = AssignBaseline { baseline_id: own, scope };
        assert_eq!(refused(&system, role, tenant, assign).await, no(404, "approvals.customer_unknown"));
    }
    let elsewhere = AssignBaseline { baseline_id: own, scope: bistro.customer_id.unwrap().into() };
    assert_eq!(
        refused(&system, Role::PartnerAdmin, acme, elsewhere).await,
        no(422, "approvals.baseline_elsewhere")
    );
    let everywhere = ApprovalScope::Partner { partner_id: acme.partner_id };
    let assign = AssignBaseline { baseline_id: template, scope: everywhere };
    assert_eq!(
        refused(&system, Role::CustomerAdmin, acme, assign.clone()).await,
        no(404, "approvals.partner_unknown")
    );
    system.send(&partner, assign).await.unwrap();
    let assigned: Vec<BaselineAssigned> = system.facts(BaselineAssigned::TYPE).await;
    let expected = [(template, scope), (own, scope), (template, everywhere)]
        .map(|(baseline_id, scope)| BaselineAssigned { baseline_id, scope });
    assert_eq!(assigned, expected);
    // The assignment is a fact of the customer, whoever owns the baseline.
    let log = system.log().await;
    let first = log.iter().find(|event| event.event_type == BaselineAssigned::TYPE).unwrap();
    assert_eq!(first.tenant, acme);
    system.stop().await;
}

#[tokio::test]
async fn bad_wishes_about_baselines_are_refused_with_codes() {
    let system = System::start().await;
    let acme = system.customer().await;
    let customer_id = acme.customer_id;
    let admin = Role::CustomerAdmin;
    for role in [Role::PartnerViewer, Role::CustomerApprover, Role::CustomerAuditor] {
        let wish = create(customer_id, urgent());
        assert_eq!(refused(&system, role, acme, wish).await, no(403, "access.forbidden"), "{role:?}");
    }
    let nothing = create(customer_id, BaselineContent::default());
    assert_eq!(refused(&system, admin, acme, nothing).await, no(422, "approvals.baseline_empty"));
    let mistyped = BaselineContent { included: vec![id()], ..urgent() };
    let mistyped = create(customer_id, mistyped);
    assert_eq!(refused(&system, admin, acme, mistyped).await, no(404, "approvals.patch_unknown"));

    let patch_id = system.published(&windows()).await;
    system.has_read_all().await;
    let named = BaselineContent { included: vec![patch_id], ..BaselineContent::default() };
    let who = caller(admin, acme);
    let baseline_id: BaselineId = system.send(&who, create(customer_id, named)).await.unwrap().answer;
    let scope = |group_id| ApprovalScope::Group { customer_id: customer_id.unwrap(), group_id };
    let assign = AssignBaseline { baseline_id, scope: scope(id()) };
    assert_eq!(refused(&system, admin, acme, assign).await, no(404, "approvals.group_unknown"));
    let device = ApprovalScope::Device { customer_id: customer_id.unwrap(), device_id: id() };
    let assign = AssignBaseline { baseline_id, scope: device };
    assert_eq!(refused(&system, admin, acme, assign).await, no(404, "approvals.device_unknown"));

    let scope = customer_id.unwrap().into();
    system.send(&who, AssignBaseline { baseline_id, scope }).await.unwrap();
    let command_id = id();
    let change = ChangeBaseline { baseline_id, content: urgent() };
    let first = system.send_as(&who, change.clone(), command_id).await.unwrap();
    let again = system.send_as(&who, change.clone(), command_id).await.unwrap();
    assert_eq!((first.repeated, again.repeated, again.written), (false, true, first.written));
    system.send(&who, RetireBaseline { baseline_id }).await.unwrap();
    assert_eq!(refused(&system, admin, acme, change).await, no(422, "approvals.baseline_retired"));
    system.send(&who, UnassignBaseline { baseline_id, scope }).await.unwrap();
    let assign = AssignBaseline { baseline_id, scope };
    assert_eq!(refused(&system, admin, acme, assign).await, no(422, "approvals.baseline_retired"));

    assert_eq!(system.facts::<BaselineCreated>(BaselineCreated::TYPE).await.len(), 1);
    assert_eq!(system.facts::<BaselineVersionCreated>(BaselineVersionCreated::TYPE).await.len(), 1);
    assert_eq!(system.facts::<BaselineUnassigned>(BaselineUnassigned::TYPE).await.len(), 1);
    system.stop().await;
}
