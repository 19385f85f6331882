//! Who is calling and what they may do: tokens of people, assertions between services, permissions.

pub mod caller;
pub mod internal;
pub mod issuer;
pub mod jwt;

pub use caller::{Caller, Denied, Grant, Reach};
pub use internal::{AssertionError, InternalAuth};
pub use issuer::{BuiltinIssuer, IssuerError};
pub use jwt::{TokenError, TokenVerifier, VerifiedToken};
