//! The HTTP side of every service: one server, one form of error, commands from service to service.

pub mod body;
pub mod commands;
pub mod error;
pub mod server;

pub use body::Body;
pub use commands::client::{CommandClient, CommandFailure};
pub use commands::route::{CommandContext, Commands};
pub use error::ApiError;
pub use server::Server;
