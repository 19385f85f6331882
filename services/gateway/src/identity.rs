//! Who is asking: a token's subject, looked up in the views with every request, so that a revoked role ends at once.

use crate::asking::{Asking, Services};
use crate::front::{Authenticator, Denied, Session};
use crate::words::Role;
use access::{Caller, Grant, TokenError, TokenVerifier};
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use contracts::permissions;
use eventstore::{Database, StoreError};
use kernel::{CorrelationId, CustomerId, PartnerId, Position, Scope, UserId};
use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;

/// The request that all of an operation's effects follow from, if the client names it.
const CORRELATION_HEADER: &str = "x-correlation-id";

/// The position that a query waits for, for clients that would rather not put it into the document.
const WAIT_HEADER: &str = "x-wait-for-position";

/// Knows callers by their tokens.
pub(crate) struct Identity {
    pub(crate) verifier: TokenVerifier,
    pub(crate) database: Database,
    pub(crate) operators: BTreeSet<String>,
}

#[derive(sqlx::FromRow)]
struct HeldRow {
    user_id: Uuid,
    partner_id: Uuid,
    home: Option<Uuid>,
    role: Option<Role>,
    customer_id: Option<Uuid>,
}

impl Identity {
    /// The caller whom the identity provider calls `subject`, with the roles of this moment.
    pub(crate) async fn caller(&self, subject: &str) -> Result<Option<Caller>, StoreError> {
        if self.operators.contains(subject) {
            return Ok(Some(operator(subject)));
        }
        let mut tx = self.database.begin(&Scope::Platform).await?;
        let held: Vec<HeldRow> = sqlx::query_as(
            "select u.user_id, u.partner_id, u.customer_id as home, g.role, g.customer_id
               from (select user_id, partner_id, customer_id
                       from views.app_user
                      where subject = $1
                      order by seq
                      limit 1) u
               left join views.role_grant g on g.user_id = u.user_id
              order by g.seq",
        )
        .bind(subject)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(user(subject, &held))
    }
}

fn operator(subject: &str) -> Caller {
    Caller {
        user_id: UserId::derived(contracts::NAMESPACE, &format!("operator/{subject}")),
        subject: subject.to_owned(),
        scope: Scope::Platform,
        grants: vec![Grant::everywhere(permissions::Role::PlatformOperator)],
    }
}

fn user(subject: &str, held: &[HeldRow]) -> Option<Caller> {
    let first = held.first()?;
    let grants: Vec<Grant> = held
        .iter()
        .filter_map(|row| {
            let role = row.role?.into();
            Some(Grant { role, customer_id: row.customer_id.map(CustomerId) })
        })
        .collect();
    let partner_id = PartnerId(first.partner_id);
    Some(Caller {
        user_id: UserId(first.user_id),
        subject: subject.to_owned(),
        scope: scope(partner_id, first.home.map(CustomerId), &grants),
        grants,
    })
}

/// As narrow as the roles allow: the database then refuses whatever a mistake above it would show.
fn scope(partner_id: PartnerId, home: Option<CustomerId>, grants: &[Grant]) -> Scope {
    let customers: BTreeSet<_> = grants.iter().map(|grant| grant.customer_id).collect();
    let only = match (customers.len(), customers.first()) {
        (0, _) => home,
        (1, Some(customer)) => *customer,
        _ => None,
    };
    match only {
        Some(customer_id) => Scope::Customer { partner_id, customer_id },
        None => Scope::Partner { partner_id },
    }
}

/// The seam to the HTTP front.
pub(crate) struct Gatekeeper {
    pub(crate) services: Arc<Services>,
}

#[async_trait::async_trait]
impl Authenticator for Gatekeeper {
    async fn authenticate(&self, headers: &HeaderMap) -> Result<Session, Denied> {
        let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let identity = &self.services.identity;
        let token = identity.verifier.verify_header(authorization).await.map_err(|error| refused(&error))?;
        let wait_for = header(headers, WAIT_HEADER).and_then(|text| text.parse().ok()).map(Position);
        if let Some(position) = wait_for {
            self.wait(position).await?;
        }
        let caller = identity.caller(&token.subject).await.map_err(|error| unavailable(&error))?;
        let Some(caller) = caller else {
            return Err(Denied::Unauthenticated {
                code: "access.unknown_user".to_owned(),
                message: "nobody is known by the token's subject".to_owned(),
            });
        };

        let correlation_id = header(headers, CORRELATION_HEADER).and_then(|text| Uuid::try_parse(text).ok());
        let now = self.services.clock.now();
        let (services, caller) = (self.services.clone(), Arc::new(caller));
        let remaining = (token.expires_at - now).to_std().unwrap_or_default();
        let session = Session::new(move |request| {
            let correlation_id = correlation_id.unwrap_or_else(|| services.ids.uuid());
            let asking =
                Asking::new(services.clone(), (caller.clone(), now), CorrelationId(correlation_id), wait_for);
            request.data(Arc::new(asking))
        });
        Ok(session.expires_in(remaining))
    }
}

impl Gatekeeper {
    /// Roles are part of the state that an answer reflects: somebody just invited may wait to be known.
    async fn wait(&self, position: Position) -> Result<(), Denied> {
        if self.services.library.reach(position).await {
            return Ok(());
        }
        let reached = self.services.library.position();
        Err(Denied::Unavailable {
            code: "views.behind".to_owned(),
            message: format!("the views are at position {reached}, {position} was not reached in time"),
        })
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn refused(error: &TokenError) -> Denied {
    let (code, message) = (error.code().to_owned(), error.to_string());
    match error {
        TokenError::IssuerUnavailable => Denied::Unavailable { code, message },
        TokenError::Missing
        | TokenError::Malformed { .. }
        | TokenError::Expired { .. }
        | TokenError::WrongIssuer
        | TokenError::WrongAudience
        | TokenError::UnknownKey
        | TokenError::Invalid { .. } => Denied::Unauthenticated { code, message },
    }
}

fn unavailable(error: &StoreError) -> Denied {
    let source: &(dyn std::error::Error + 'static) = error;
    tracing::error!(error = source, "a caller could not be looked up");
    Denied::Unavailable {
        code: "store.unavailable".to_owned(),
        message: "callers cannot be looked up now".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::scope;
    use access::Grant;
    use contracts::permissions::Role;
    use kernel::{CustomerId, PartnerId, Scope};
    use uuid::Uuid;

    const PARTNER: PartnerId = PartnerId(Uuid::from_u128(1));
    const ONE: CustomerId = CustomerId(Uuid::from_u128(2));
    const OTHER: CustomerId = CustomerId(Uuid::from_u128(3));

    #[test]
    fn roles_at_one_customer_never_open_the_partner() {
        let grants = [Grant::at(Role::CustomerApprover, ONE), Grant::at(Role::CustomerAuditor, ONE)];
        let narrow = Scope::Customer { partner_id: PARTNER, customer_id: ONE };
        assert_eq!(scope(PARTNER, Some(ONE), &grants), narrow);
    }

    #[test]
    fn somebody_without_roles_sees_no_more_than_their_customer() {
        let narrow = Scope::Customer { partner_id: PARTNER, customer_id: ONE };
        assert_eq!(scope(PARTNER, Some(ONE), &[]), narrow);
    }

    #[test]
    fn roles_of_the_partner_or_at_two_customers_need_its_scope() {
        let partner = Scope::Partner { partner_id: PARTNER };
        let two = [Grant::at(Role::CustomerApprover, ONE), Grant::at(Role::CustomerApprover, OTHER)];
        let mixed = [Grant::everywhere(Role::PartnerViewer), Grant::at(Role::CustomerApprover, ONE)];
        for grants in [&two[..], &mixed[..], &[]] {
            assert_eq!(scope(PARTNER, None, grants), partner);
        }
    }
}
