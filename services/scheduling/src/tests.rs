//! The service against a real database: other services' facts go in, its own come out.

mod commands;
mod life;
mod precedence;
mod watchdog;
mod world;
