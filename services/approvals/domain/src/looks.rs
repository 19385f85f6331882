//! What rules said last of a patch that is pending, so that nothing is recorded twice.

use chrono::{DateTime, Utc};
use contracts::approvals::{ApprovalScheduled, AutoApprovalRefused, RefusalReason};
use kernel::RuleId;
use std::collections::BTreeMap;

/// The last word of each rule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Looks(BTreeMap<RuleId, Look>);

/// What a rule said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    rule_version: u32,
    said: Said,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Refused { reason: RefusalReason, next_change_at: Option<DateTime<Utc>> },
    Scheduled { at: DateTime<Utc> },
}

impl Looks {
    /// Whether the rule said the same before, and nothing else since.
    pub(crate) fn has(&self, rule_id: RuleId, look: Look) -> bool {
        self.0.get(&rule_id) == Some(&look)
    }

    /// With what the rule said now.
    #[must_use]
    pub(crate) fn with(mut self, rule_id: RuleId, look: Look) -> Self {
        self.0.insert(rule_id, look);
        self
    }
}

impl From<&AutoApprovalRefused> for Look {
    fn from(fact: &AutoApprovalRefused) -> Self {
        let said = Said::Refused { reason: fact.reason, next_change_at: fact.next_change_at };
        Self { rule_version: fact.rule_version, said }
    }
}

impl From<&ApprovalScheduled> for Look {
    fn from(fact: &ApprovalScheduled) -> Self {
        Self { rule_version: fact.rule_version, said: Said::Scheduled { at: fact.approves_at } }
    }
}
