//! A tenant's own mark on a patch: how much it matters there.

use contracts::NAMESPACE;
use contracts::feeds::{PatchRated, PatchRatingCleared, RatingEvent};
use kernel::{Aggregate, PatchId, Refused, StreamId, Tenant, derived_id};

/// Characters of a comment.
const COMMENT_CHARS_MAX: usize = 1_000;

/// The stream of a tenant's mark on a patch.
pub fn stream_of(tenant: Tenant, patch_id: PatchId) -> StreamId {
    let whose = tenant.customer_id.map_or(tenant.partner_id.0, |customer_id| customer_id.0);
    StreamId(derived_id(NAMESPACE, &format!("rating/{whose}/{patch_id}")))
}

/// A tenant's own mark on a patch.
#[derive(Debug)]
pub struct PatchRating;

/// The mark as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PatchRatingState {
    /// There is none.
    #[default]
    Unrated,
    /// There is one.
    Rated {
        /// 1 to 5.
        rating: u8,
        /// Why.
        comment: Option<String>,
    },
}

/// A wish about a mark.
#[derive(Debug, Clone, PartialEq)]
pub enum PatchRatingCommand {
    /// Set it.
    Rate {
        /// The patch.
        patch_id: PatchId,
        /// 1 to 5.
        rating: u8,
        /// Why.
        comment: Option<String>,
    },
    /// Take it back.
    Clear {
        /// The patch.
        patch_id: PatchId,
    },
}

/// A "no" about a mark.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchRatingRefusal {
    /// Beyond the scale.
    #[error("a patch is rated from 1 to 5, not {rating}")]
    OutOfScale {
        /// What was given.
        rating: u8,
    },
    /// A document instead of a reason.
    #[error("a comment has at most {COMMENT_CHARS_MAX} characters")]
    CommentTooLong,
}

impl Refused for PatchRatingRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::OutOfScale { .. } => "feeds.rating_out_of_scale",
            Self::CommentTooLong => "feeds.rating_comment_too_long",
        }
    }
}

impl Aggregate for PatchRating {
    const STREAM: &'static str = "feeds.rating";
    type State = PatchRatingState;
    type Command = PatchRatingCommand;
    type Event = RatingEvent;
    type Refusal = PatchRatingRefusal;

    fn decide(
        state: &PatchRatingState,
        command: PatchRatingCommand,
    ) -> Result<Vec<RatingEvent>, PatchRatingRefusal> {
        match command {
            PatchRatingCommand::Rate { patch_id, rating, comment } => {
                if !(1..=5).contains(&rating) {
                    return Err(PatchRatingRefusal::OutOfScale { rating });
                }
                if comment.as_ref().is_some_and(|text| text.chars().count() > COMMENT_CHARS_MAX) {
                    return Err(PatchRatingRefusal::CommentTooLong);
                }
                let same = *state == PatchRatingState::Rated { rating, comment: comment.clone() };
                Ok(if same { Vec::new() } else { vec![PatchRated { patch_id, rating, comment }.into()] })
            }
            PatchRatingCommand::Clear { patch_id } => Ok(match state {
                PatchRatingState::Unrated => Vec::new(),
                PatchRatingState::Rated { .. } => vec![PatchRatingCleared { patch_id }.into()],
            }),
        }
    }

    fn evolve(_: PatchRatingState, event: &RatingEvent) -> PatchRatingState {
        match event {
            RatingEvent::PatchRated(fact) => {
                PatchRatingState::Rated { rating: fact.rating, comment: fact.comment.clone() }
            }
            RatingEvent::PatchRatingCleared(_) => PatchRatingState::Unrated,
        }
    }
}
