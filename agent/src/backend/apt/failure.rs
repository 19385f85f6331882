//! Why the package manager did not do what it was asked, in classes and in its own words.

use crate::AgentError;
use crate::backend::tool::Finished;
use crate::error::chain;

/// Characters of the package manager's words that are reported.
const REASON_CHARS_MAX: usize = 1_500;
/// Lines of it.
const REASON_LINES_MAX: usize = 15;

/// Marks of the classes in dpkg's and apt's messages (with `LC_ALL=C`), the most telling first.
const MARKS: &[(&str, &[&str])] = &[
    (
        "disk_full",
        &[
            "No space left on device",
            "don't have enough free space",
            "Not enough free disk space",
            "Disk quota exceeded",
        ],
    ),
    (
        "locked",
        &["Could not get lock", "frontend lock", "status database is locked", "Unable to acquire the dpkg"],
    ),
    ("install_script", &["installation script subprocess", "removal script subprocess", "maintainer script"]),
    (
        "not_offered",
        &[
            "Unable to locate package",
            "was not found",
            "has no installation candidate",
            "has no available version",
        ],
    ),
    (
        "dependency",
        &[
            "unmet dependencies",
            "held broken packages",
            "Unable to correct",
            "but remove is disabled",
            "dependency problems",
            "but it is not going to be installed",
        ],
    ),
    (
        "download",
        &[
            "Failed to fetch",
            "Unable to fetch",
            "Could not resolve",
            "Temporary failure resolving",
            "Hash Sum mismatch",
            "Could not connect",
            "Connection failed",
            "unauthenticated packages",
        ],
    ),
];

/// A failed install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Stable class.
    pub class: &'static str,
    /// In words, bounded, never empty.
    pub reason: String,
}

impl Failure {
    /// A failure that the agent itself noticed.
    pub fn new(class: &'static str, reason: impl Into<String>) -> Self {
        Self { class, reason: reason.into() }
    }

    /// Reads the end of an `apt-get` run. `otherwise` is the class of what has no mark.
    pub(super) fn of(finished: &Finished, otherwise: &'static str) -> Self {
        let said = last_words(&finished.stderr);
        let said = if said.is_empty() { last_words(&finished.stdout) } else { said };
        if finished.timed_out() {
            return Self::new("timeout", format!("the package manager took too long: {said}"));
        }
        let class = MARKS
            .iter()
            .find(|(_, marks)| marks.iter().any(|mark| finished.stderr.contains(mark)))
            .map_or(otherwise, |(class, _)| class);
        let status =
            finished.status.map_or_else(|| "a signal".to_owned(), |status| format!("status {status}"));
        Self::new(class, if said.is_empty() { format!("apt-get ended with {status}") } else { said })
    }
}

impl From<AgentError> for Failure {
    fn from(error: AgentError) -> Self {
        Self::new("other", chain(&error))
    }
}

/// The last lines that say something, without control characters.
pub(in crate::backend) fn last_words(text: &str) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.rsplit('\r').next().unwrap_or_default())
        .map(|line| line.chars().filter(|c| !c.is_control()).collect::<String>())
        .filter(|line| !line.trim().is_empty())
        .collect();
    let joined = lines[lines.len().saturating_sub(REASON_LINES_MAX)..].join("\n");
    let surplus = joined.chars().count().saturating_sub(REASON_CHARS_MAX);
    joined.chars().skip(surplus).collect()
}

#[cfg(test)]
mod tests {
    use super::{Failure, REASON_CHARS_MAX, last_words};
    use crate::backend::tool::Finished;

    fn class(stderr: &str) -> &'static str {
        Failure::of(
            &Finished { status: Some(100), stdout: String::new(), stderr: stderr.to_owned() },
            "other",
        )
        .class
    }

    #[test]
    fn messages_of_apt_and_dpkg_have_their_class() {
        for (message, expected) in [
            ("E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1", "locked"),
            (
                "dpkg: error processing archive /x.deb (--unpack):\n cannot copy: No space left on device",
                "disk_full",
            ),
            ("E: You don't have enough free space in /var/cache/apt/archives/.", "disk_full"),
            (
                "dpkg: error processing package pfbad (--configure):\n installed pfbad package post-installation script subprocess returned error exit status 1",
                "install_script",
            ),
            ("E: Version '9' for 'pfdemo' was not found", "not_offered"),
            (
                "The following packages have unmet dependencies:\nE: Unable to correct problems, you have held broken packages.",
                "dependency",
            ),
            ("E: Packages need to be removed but remove is disabled.", "dependency"),
            ("E: Failed to fetch http://x/y.deb  404  Not Found", "download"),
            ("E: something new", "other"),
            ("", "other"),
        ] {
            assert_eq!(class(message), expected, "{message}");
        }
    }

    #[test]
    fn a_reason_is_never_empty_and_always_bounded() {
        let silent = Finished { status: Some(100), stdout: String::new(), stderr: "\n \n".to_owned() };
        assert_eq!(Failure::of(&silent, "other").reason, "apt-get ended with status 100");
        let long = "x".repeat(5_000) + "\u{1b}[1mthe end\n";
        let words = last_words(&long);
        assert!(words.ends_with("[1mthe end") && words.chars().count() == REASON_CHARS_MAX, "{words}");
        assert_eq!(last_words("(Reading 5%\r(Reading 100%\nE: no\n"), "(Reading 100%\nE: no");
    }
}
