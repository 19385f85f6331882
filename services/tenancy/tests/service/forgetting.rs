//! Forgetting people: who may, what it does, and that no restored backup undoes it.

use crate::system::{System, caller, invite, operator, seen};
use contracts::permissions::Role;
use contracts::tenancy::{ForgetUser, GrantRole, RoleRevoked, UserForgotten, UserInvited};
use eventstore::{Database, Privacy, StoreError};
use kernel::{Scope, SubjectId, Tenant, UserId};
use testkit::{eventually, id};
use uuid::Uuid;

/// Another key than that of a desk.
const NEXT_KEY: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
const DESK_KEY: &str = "cGF0Y2hmbGVldCBkZXZlbG9wbWVudCBrZXkgb25seS4=";

/// The user's names as the key of a desk opens them.
async fn names(system: &System, user_id: UserId) -> Result<Vec<Option<String>>, StoreError> {
    let invited = system.facts::<UserInvited>(UserInvited::TYPE).await;
    let (_, fact) = invited.into_iter().find(|(_, fact)| fact.user_id == user_id).unwrap();
    let database: Database = system.database.connect().await;
    let mut payload = serde_json::to_value(fact).unwrap();
    let mut tx = database.begin(&Scope::Platform).await?;
    Privacy::new(database.clone()).open(&mut tx, [&mut payload]).await?;
    let fact: UserInvited = serde_json::from_value(payload).unwrap();
    Ok([fact.subject, fact.display_name].iter().map(|name| name.text().map(ToOwned::to_owned)).collect())
}

async fn subject(system: &System, user_id: UserId) -> Option<String> {
    sqlx::query_scalar("select subject from tenancy.subject where user_id = $1")
        .bind(user_id.0)
        .fetch_one(&mut system.database.owner().await)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_forgotten_person_loses_roles_subject_and_key_at_once() {
    let system = System::start().await;
    let partner = Tenant::partner(system.partner().await);
    let acme = system.customer(partner.partner_id).await;
    let user_id = system.user(invite(acme, "alice", Role::CustomerApprover)).await;
    let other = system.user(invite(acme, "bob", Role::CustomerAuditor)).await;
    let admin = caller(Role::PartnerAdmin, partner);
    let grant = |role| GrantRole { user_id, role, customer_id: acme.customer_id };
    system.send(&admin, grant(Role::CustomerAuditor)).await.unwrap();
    assert_eq!(names(&system, user_id).await.unwrap(), [Some("alice".to_owned()), Some("Alice".to_owned())]);

    let command_id = id();
    let forgotten = system.send_as(&admin, ForgetUser { user_id }, command_id).await.unwrap();
    assert!(forgotten.written.is_some() && !forgotten.repeated);
    assert_eq!(names(&system, user_id).await.unwrap(), [None, None]);
    assert_eq!(subject(&system, user_id).await, None);
    let revoked = system.facts::<RoleRevoked>(RoleRevoked::TYPE).await;
    assert_eq!(revoked.iter().map(|(_, fact)| fact.user_id).collect::<Vec<_>>(), [user_id; 2]);
    let facts = system.facts::<UserForgotten>(UserForgotten::TYPE).await;
    assert_eq!(facts, [(acme, UserForgotten { user_id })]);
    // Again, and by another command: nothing more happens.
    let again = system.send_as(&admin, ForgetUser { user_id }, command_id).await.unwrap();
    assert_eq!((again.written, again.repeated), (forgotten.written, true));
    assert_eq!(system.send(&admin, ForgetUser { user_id }).await.unwrap().written, None);
    let refused = system.send(&admin, grant(Role::CustomerAuditor)).await.unwrap_err();
    assert_eq!(seen(&refused), (409, "tenancy.user_forgotten"));

    assert_eq!(names(&system, other).await.unwrap()[0], Some("bob".to_owned()));
    assert_eq!(subject(&system, other).await, Some("bob".to_owned()));
    system.stop().await;
}

#[tokio::test]
async fn an_invitation_that_comes_again_after_forgetting_brings_nothing_back() {
    let system = System::start().await;
    let partner = Tenant::partner(system.partner().await);
    let (command_id, wish) = (id(), || invite(partner, "alice", Role::PartnerViewer));
    let first = system.send_as(&operator(), wish(), command_id).await.unwrap();
    system.send(&operator(), ForgetUser { user_id: first.answer }).await.unwrap();
    let again = system.send_as(&operator(), wish(), command_id).await.unwrap();
    assert_eq!((again.answer, again.repeated), (first.answer, true));
    assert_eq!(subject(&system, first.answer).await, None);
    // Another invitation makes another person of them.
    let anew = system.user(wish()).await;
    assert_ne!(anew, first.answer);
    assert_eq!(names(&system, anew).await.unwrap()[0], Some("alice".to_owned()));
    assert_eq!(names(&system, first.answer).await.unwrap(), [None, None]);
    system.stop().await;
}

#[tokio::test]
async fn nobody_forgets_whom_they_could_not_have_invited() {
    let system = System::start().await;
    let partner = Tenant::partner(system.partner().await);
    let (acme, bistro) =
        (system.customer(partner.partner_id).await, system.customer(partner.partner_id).await);
    let at_partner = system.user(invite(partner, "paula", Role::PartnerViewer)).await;
    let at_acme = system.user(invite(acme, "alice", Role::CustomerApprover)).await;
    let elsewhere = Tenant::partner(system.partner().await);
    let before = system.event_count().await;

    for (caller, user_id) in [
        (caller(Role::PartnerAdmin, elsewhere), at_partner),
        (caller(Role::PartnerAdmin, elsewhere), at_acme),
        (caller(Role::CustomerAdmin, bistro), at_acme),
        (caller(Role::CustomerAdmin, acme), at_partner),
        (caller(Role::PartnerAdmin, partner), id()),
    ] {
        let refused = system.send(&caller, ForgetUser { user_id }).await.unwrap_err();
        assert_eq!(seen(&refused), (404, "tenancy.user_unknown"));
    }
    for (caller, user_id) in [
        (caller(Role::PartnerOperator, partner), at_partner),
        (caller(Role::CustomerApprover, acme), at_acme),
    ] {
        let refused = system.send(&caller, ForgetUser { user_id }).await.unwrap_err();
        assert_eq!(seen(&refused), (403, "access.forbidden"));
    }
    assert_eq!(system.event_count().await, before);
    assert_eq!(names(&system, at_acme).await.unwrap()[0], Some("alice".to_owned()));

    // With a role in the whole partner she is more than the customer's admin could make of her.
    let admin = caller(Role::PartnerAdmin, partner);
    let grant = GrantRole { user_id: at_acme, role: Role::PartnerViewer, customer_id: None };
    system.send(&admin, grant).await.unwrap();
    let customer_admin = caller(Role::CustomerAdmin, acme);
    let refused = system.send(&customer_admin, ForgetUser { user_id: at_acme }).await.unwrap_err();
    assert_eq!(seen(&refused), (403, "access.forbidden"));
    system.send(&admin, ForgetUser { user_id: at_acme }).await.unwrap();
    system.stop().await;
}

#[tokio::test]
async fn a_start_forgets_again_whom_a_restored_backup_has_brought_back() {
    let system = System::start().await;
    let partner = Tenant::partner(system.partner().await);
    let alice = system.user(invite(partner, "alice", Role::PartnerViewer)).await;
    let bob = system.user(invite(partner, "bob", Role::PartnerViewer)).await;
    let mut owner = system.database.owner().await;
    let backup = "create table public.keys as select * from privacy.subject_key;
                  create table public.subjects as select * from tenancy.subject";
    sqlx::raw_sql(backup).execute(&mut owner).await.unwrap();
    system.send(&operator(), ForgetUser { user_id: alice }).await.unwrap();
    let restore = "truncate privacy.subject_key, tenancy.subject;
                   insert into privacy.subject_key select * from public.keys;
                   insert into tenancy.subject select * from public.subjects";
    sqlx::raw_sql(restore).execute(&mut owner).await.unwrap();
    assert_eq!(names(&system, alice).await.unwrap()[0], Some("alice".to_owned()));

    let system = system.restarted_with(&[]).await;
    assert_eq!(names(&system, alice).await.unwrap(), [None, None]);
    assert_eq!(subject(&system, alice).await, None);
    assert_eq!(names(&system, bob).await.unwrap()[0], Some("bob".to_owned()));
    assert_eq!(subject(&system, bob).await, Some("bob".to_owned()));
    system.stop().await;
}

#[tokio::test]
async fn a_start_with_another_key_wraps_the_old_ones_anew() {
    let system = System::start().await;
    let partner = Tenant::partner(system.partner().await);
    let alice = system.user(invite(partner, "alice", Role::PartnerViewer)).await;
    let wrapped = async |system: &System| -> Vec<u8> {
        sqlx::query_scalar("select wrapped_key from privacy.subject_key where subject_id = $1")
            .bind(Uuid::from(alice))
            .fetch_one(&mut system.database.owner().await)
            .await
            .unwrap()
    };
    let before = wrapped(&system).await;
    let system = system
        .restarted_with(&[
            ("PATCHFLEET__PRIVACY__KEY", NEXT_KEY),
            ("PATCHFLEET__PRIVACY__PREVIOUS_KEYS", DESK_KEY),
        ])
        .await;
    eventually("the key to be wrapped anew", async || wrapped(&system).await != before).await;
    // The old key alone is not enough any more.
    let refused = names(&system, alice).await.unwrap_err().to_string();
    assert!(refused.contains(&SubjectId(alice.0).to_string()), "{refused}");
    let system = system
        .restarted_with(&[
            ("PATCHFLEET__PRIVACY__KEY", DESK_KEY),
            ("PATCHFLEET__PRIVACY__PREVIOUS_KEYS", NEXT_KEY),
        ])
        .await;
    eventually("the key to be wrapped as at first", async || names(&system, alice).await.is_ok()).await;
    assert_eq!(names(&system, alice).await.unwrap()[0], Some("alice".to_owned()));
    system.stop().await;
}
