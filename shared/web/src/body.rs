//! A request's body, which has to arrive in time.

use crate::ApiError;
use actix_web::{FromRequest, HttpRequest, dev::Payload, http::StatusCode, web::Bytes};
use std::{future::Future, pin::Pin, time::Duration};

/// Enough for the largest scan report over a slow line. A client that sends a head and then nothing would otherwise
/// hold its connection and what it has sent for ever, before anybody has asked who it is.
const BODY_DEADLINE: Duration = Duration::from_secs(20);

/// The bytes of a body, at most as many as the server's limit allows.
#[derive(Debug, Clone)]
pub struct Body(pub Bytes);

impl FromRequest for Body {
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, actix_web::Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = Bytes::from_request(request, payload);
        Box::pin(async move {
            match tokio::time::timeout(BODY_DEADLINE, bytes).await {
                Ok(bytes) => Ok(Self(bytes?)),
                Err(_elapsed) => {
                    let seconds = BODY_DEADLINE.as_secs();
                    let message = format!("the body did not arrive within {seconds} s");
                    Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "web.request_timeout", message).into())
                }
            }
        })
    }
}
