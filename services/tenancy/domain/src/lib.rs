//! Rules of partners, customers, users and their roles.

pub mod access;
pub mod customer;
pub mod partner;
mod text;
pub mod user;

pub use text::InvalidText;
