//! Mutations: one per command. Each file holds one service's.

mod alerts;
mod decisions;
mod devices;
mod feeds;
mod packages;
mod rules;
mod scheduling;
mod tenancy;

use async_graphql::MergedObject;

/// The root of mutations.
///
/// Every mutation takes an `idempotencyKey` of 1 to 200 characters: the same key with the same input gives the same
/// answer and has one effect. Refusals are `userErrors`.
#[derive(MergedObject, Default)]
pub(crate) struct Mutation(
    tenancy::TenancyMutations,
    feeds::FeedsMutations,
    packages::PackagesMutations,
    packages::SitesMutations,
    devices::DevicesMutations,
    decisions::DecisionsMutations,
    rules::RulesMutations,
    scheduling::SchedulingMutations,
    alerts::AlertsMutations,
);

/// Declares a mutation's payload: what it reads from the service's answer, and what every payload has.
macro_rules! payload {
    ($(#[$doc:meta])* $name:ident of $answer:ty {
        $($(#[$field_doc:meta])* $field:ident: $type:ty = $read:expr,)*
    }) => {
        $(#[$doc])*
        #[derive(async_graphql::SimpleObject)]
        pub(crate) struct $name {
            $($(#[$field_doc])* $field: Option<$type>,)*
            /// What to wait for to see the effect; the current position where nothing was written.
            position: $crate::schema::position::Position,
            /// Whether the same mutation had been carried out before.
            repeated: bool,
            /// Refusals; empty when it was done.
            user_errors: Vec<$crate::commands::UserError>,
        }

        impl From<$crate::commands::Outcome<$answer>> for $name {
            fn from(outcome: $crate::commands::Outcome<$answer>) -> Self {
                let $crate::commands::Outcome { answer, position, repeated, user_errors } = outcome;
                // Not every answer says something.
                let _ = &answer;
                $(let $field = answer.as_ref().and_then::<$type, fn(&$answer) -> Option<$type>>($read);)*
                Self { $($field,)* position, repeated, user_errors }
            }
        }
    };
}
use payload;
