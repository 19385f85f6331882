//! Whether a document may take the place of the one that is known under its name.

use chrono::{DateTime, Utc};
use kernel::Refused;

/// A document may lose this many records whatever its size: small lists do.
const RECORDS_LOST_FREE: u64 = 20;

/// One issue of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// The publisher's own date.
    pub date: Option<DateTime<Utc>>,
    /// Records that it holds.
    pub records: u64,
}

/// What is known of a document when another issue of it arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The issue that was taken in last.
    pub last: Issue,
    /// Whether the one that arrived had been taken in before the last one.
    pub seen_before: bool,
    /// Whether each issue lists everything, so that a short one has lost something.
    pub lists_all: bool,
}

/// Why an issue is not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssueRefusal {
    /// An older issue must not replace a newer one.
    #[error("the document of {date} is older than the one of {newest} that is known")]
    Older {
        /// Of the document.
        date: DateTime<Utc>,
        /// Of the newest one known.
        newest: DateTime<Utc>,
    },
    /// It was replaced by another issue of the same date.
    #[error("the document was replaced by another issue already")]
    Replaced,
    /// It lost more than half of its records.
    #[error("the document has {records} records, and the one before it had {known}")]
    Shrunken {
        /// Its own.
        records: u64,
        /// Of the one that is known.
        known: u64,
    },
}

impl Refused for IssueRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Older { .. } => "feeds.document_older",
            Self::Replaced => "feeds.document_replaced",
            Self::Shrunken { .. } => "feeds.document_shrunken",
        }
    }
}

/// Whether the issue may take its place: by the publisher's own date, and by content where the dates are the same.
///
/// The same bytes may always be taken in again: what they say is no news.
pub fn examine(known: Option<&Known>, found: &Issue) -> Result<(), IssueRefusal> {
    let Some(known) = known else { return Ok(()) };
    if known.last.sha256 == found.sha256 {
        return Ok(());
    }
    match (found.date, known.last.date) {
        (Some(date), Some(newest)) if date < newest => return Err(IssueRefusal::Older { date, newest }),
        (Some(date), Some(newest)) if date == newest && known.seen_before => {
            return Err(IssueRefusal::Replaced);
        }
        (Some(_) | None, _) => {}
    }
    if known.lists_all && is_shrunken(known.last.records.saturating_sub(found.records), known.last.records) {
        return Err(IssueRefusal::Shrunken { records: found.records, known: known.last.records });
    }
    Ok(())
}

fn is_shrunken(lost: u64, known: u64) -> bool {
    lost > RECORDS_LOST_FREE && lost > known / 2
}

/// Whether a list may have lost so many of the patches that are known from it: as with its records, half of them.
///
/// Records and patches differ (one notice describes a patch of each release), so both are looked at.
pub fn is_believable_loss(lost: usize, known: usize) -> bool {
    !is_shrunken(lost as u64, known as u64)
}

#[cfg(test)]
mod tests {
    use super::{Issue, IssueRefusal, Known, examine, is_believable_loss};
    use chrono::{DateTime, Utc};

    fn issue(hash: u8, day: Option<i64>, records: u64) -> Issue {
        let date = day.and_then(|day| DateTime::<Utc>::from_timestamp(1_760_000_000 + day * 86_400, 0));
        Issue { sha256: [hash; 32], date, records }
    }

    fn known(last: Issue) -> Known {
        Known { last, seen_before: false, lists_all: true }
    }

    #[test]
    fn an_older_issue_does_not_replace_a_newer_one() {
        let refused = examine(Some(&known(issue(1, Some(9), 100))), &issue(2, Some(8), 100)).unwrap_err();
        assert!(matches!(refused, IssueRefusal::Older { .. }));
        assert_eq!(examine(Some(&known(issue(1, Some(9), 100))), &issue(2, Some(10), 100)), Ok(()));
    }

    #[test]
    fn a_reissue_of_the_same_day_is_welcome_once() {
        let mut known = known(issue(1, Some(9), 100));
        assert_eq!(examine(Some(&known), &issue(2, Some(9), 100)), Ok(()));
        known.seen_before = true;
        assert_eq!(examine(Some(&known), &issue(2, Some(9), 100)), Err(IssueRefusal::Replaced));
    }

    #[test]
    fn the_same_bytes_are_always_welcome() {
        assert_eq!(examine(Some(&known(issue(1, Some(9), 100))), &issue(1, Some(9), 100)), Ok(()));
        assert_eq!(examine(None, &issue(1, None, 0)), Ok(()));
    }

    #[test]
    fn half_of_the_patches_of_a_list_may_be_gone_and_no_more() {
        assert!(is_believable_loss(20, 20) && is_believable_loss(50, 100));
        assert!(!is_believable_loss(51, 100));
    }

    #[test]
    fn a_list_that_lost_half_of_its_records_is_not_believed() {
        let of = |records| issue(2, Some(10), records);
        let before = known(issue(1, Some(9), 100));
        assert_eq!(examine(Some(&before), &of(50)), Ok(()));
        assert_eq!(examine(Some(&before), &of(49)), Err(IssueRefusal::Shrunken { records: 49, known: 100 }));
        assert_eq!(examine(Some(&Known { lists_all: false, ..before }), &of(0)), Ok(()));
        assert_eq!(examine(Some(&known(issue(1, Some(9), 20))), &of(0)), Ok(()));
    }
}
