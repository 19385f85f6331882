//! A short run of `cargo xtask chaos`: every kind of blow once, under load, with servers of its own.

#![expect(clippy::disallowed_methods, reason = "a test is told by variables")]

use std::process::Command;

#[test]
fn nothing_is_lost_and_nothing_doubled_when_everything_is_killed_once() {
    let Ok(xtask) = std::env::var("PATCHFLEET_XTASK") else {
        panic!("PATCHFLEET_XTASK is not set: run the tests with `cargo xtask test`");
    };
    // Fewer events than in a long run: the machine may be slow, and has less than a minute for thirteen blows.
    let output = Command::new(xtask)
        .args(["chaos", "--minutes", "0.5", "--kills", "9", "--seed", "3"])
        .args(["--rate", "60", "--scans", "3", "--lanes", "12", "--at-least", "10"])
        .env_remove("PATCHFLEET_INFRA_STATE")
        .output()
        .unwrap();
    let (told, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "chaos ended with {}\n{told}\n{log}", output.status);
    assert!(told.contains("Nothing was lost, nothing doubled."), "{told}\n{log}");
}
