//! Given, when, then for the rules of an aggregate, without I/O.

use kernel::{Aggregate, fold};
use std::fmt::Debug;

/// The past of an aggregate.
pub struct Given<A: Aggregate> {
    past: Vec<A::Event>,
}

/// An aggregate's answer to one command.
pub struct When<A: Aggregate> {
    past: Vec<A::Event>,
    command: A::Command,
    answer: Result<Vec<A::Event>, A::Refusal>,
}

/// Starts from these facts.
pub fn given<A: Aggregate>(past: impl IntoIterator<Item = A::Event>) -> Given<A> {
    Given { past: past.into_iter().collect() }
}

impl<A: Aggregate> Given<A> {
    /// Sends a command.
    pub fn when(self, command: A::Command) -> When<A> {
        let answer = A::decide(&fold::<A>(&self.past), command.clone());
        When { past: self.past, command, answer }
    }
}

impl<A: Aggregate> When<A>
where
    A::Event: Debug + PartialEq,
    A::Refusal: Debug + PartialEq,
{
    /// Expects these facts, and no further ones when the command is repeated.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = A::Event>) {
        let expected: Vec<_> = expected.into_iter().collect();
        assert_eq!(self.answer.as_ref(), Ok(&expected));
        let after: Vec<_> = self.past.iter().chain(&expected).cloned().collect();
        let again = A::decide(&fold::<A>(&after), self.command);
        assert_eq!(again, Ok(Vec::new()), "a repeated command must add nothing");
    }

    /// Expects that nothing is to be done.
    #[track_caller]
    pub fn then_nothing(self) {
        assert_eq!(self.answer, Ok(Vec::new()));
    }

    /// Expects a "no" with this reason.
    #[track_caller]
    pub fn then_refused(self, refusal: &A::Refusal) {
        assert_eq!(self.answer.as_ref(), Err(refusal));
    }
}
