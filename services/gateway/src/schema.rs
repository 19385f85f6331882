//! The GraphQL schema.

pub(crate) mod alert;
pub(crate) mod approval;
pub(crate) mod audit;
pub(crate) mod catalogue;
pub(crate) mod connection;
pub(crate) mod decision;
pub(crate) mod deployment;
pub(crate) mod device;
pub(crate) mod device_group;
pub(crate) mod effective;
pub(crate) mod explaining;
pub(crate) mod explanation;
pub(crate) mod global_id;
pub(crate) mod guard;
pub(crate) mod mutation;
pub(crate) mod package;
pub(crate) mod permissions;
pub(crate) mod position;
pub(crate) mod query;
pub(crate) mod rule;
pub(crate) mod subscription;
pub(crate) mod tenancy;

use crate::front::Limits;
use async_graphql::{SDLExportOptions, Schema};
use explanation::ApprovalQueries;
use mutation::Mutation;
use package::{PackageQueries, Queries};
use query::Query;
use subscription::Subscription;

pub(crate) type Api = Schema<Queries, Mutation, Subscription>;

/// The schema with everything that guards it.
pub(crate) fn guarded(limits: &Limits) -> Api {
    limits
        .guard(Schema::build(
            Queries(Query, PackageQueries, ApprovalQueries),
            Mutation::default(),
            Subscription,
        ))
        .extension(guard::Guarding)
        .finish()
}

/// The schema alone, for looking at its types.
pub(crate) fn bare() -> Api {
    Schema::build(Queries(Query, PackageQueries, ApprovalQueries), Mutation::default(), Subscription).finish()
}

/// The schema in the schema definition language, as `docs/schema.graphql` has it.
pub fn sdl() -> String {
    let options = SDLExportOptions::new().prefer_single_line_descriptions().use_space_ident();
    bare().sdl_with_options(options)
}
