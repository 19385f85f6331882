//! The story as a test: in one process and in one process per service, the latter with outages on the way.
//!
//! Each run brings its own servers, so that a restart disturbs no other test.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking and is told by variables"
)]

use std::process::Command;

fn tell(arguments: &[&str]) {
    let Ok(xtask) = std::env::var("PATCHFLEET_XTASK") else {
        panic!("PATCHFLEET_XTASK is not set: run the tests with `cargo xtask test`");
    };
    let output = Command::new(xtask)
        .args(["demo", "--once", "--any-ports"])
        .args(arguments)
        .env_remove("PATCHFLEET_DATABASE_URL")
        .env_remove("PATCHFLEET_AMQP_URL")
        .env_remove("PATCHFLEET_INFRA_STATE")
        .output()
        .unwrap();
    let (told, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the story ended with {}\n{told}\n{log}", output.status);
    assert!(told.contains("Every step was verified."), "{told}\n{log}");
}

#[test]
fn the_story_holds_with_all_services_in_one_process() {
    tell(&[]);
}

#[test]
fn the_story_holds_with_one_process_per_service_while_broker_and_database_are_restarted() {
    tell(&["--separate", "--outages"]);
}
