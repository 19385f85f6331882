//! Enrolment.

use super::payload;
use crate::commands::{UserError, carry_out};
use crate::schema::global_id::Kind;
use async_graphql::{Context, ID, InputObject, Object, Result};
use chrono::{DateTime, Utc};
use contracts::devices;
use uuid::Uuid;

/// What devices does.
#[derive(Default)]
pub(crate) struct DevicesMutations;

#[derive(InputObject)]
pub(crate) struct IssueEnrolmentTokenInput {
    idempotency_key: String,
    customer_id: ID,
    /// 60 to 604,800.
    valid_for_seconds: i32,
}

payload! {
    IssueEnrolmentTokenPayload of devices::IssuedToken {
        token_id: Uuid = |issued| Some(issued.token_id.0),
        /// Shown here only, and again when the mutation is repeated with its key.
        token: String = |issued| issued.token.clone(),
        expires_at: DateTime<Utc> = |issued| Some(issued.expires_at),
    }
}

#[Object]
impl DevicesMutations {
    /// Issues a single-use token with which one device may enrol.
    async fn issue_enrolment_token(
        &self,
        ctx: &Context<'_>,
        input: IssueEnrolmentTokenInput,
    ) -> Result<IssueEnrolmentTokenPayload> {
        let IssueEnrolmentTokenInput { idempotency_key, customer_id, valid_for_seconds } = input;
        let outcome = carry_out(ctx, &idempotency_key, |ids| {
            let customer_id = ids.one("customerId", Kind::Customer, &customer_id);
            let Ok(valid_for_seconds) = u32::try_from(valid_for_seconds) else {
                let message = format!("a validity of {valid_for_seconds} seconds is none");
                ids.refuse(UserError::new("graphql.input_invalid", message).at("validForSeconds"));
                return None;
            };
            Some(devices::IssueEnrolmentToken { customer_id: customer_id?, valid_for_seconds })
        });
        Ok(outcome.await?.into())
    }
}
