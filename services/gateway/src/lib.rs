//! The GraphQL API for partners and customers.

pub mod front;
