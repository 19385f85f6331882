//! The `GraphiQL` page for developers. Its scripts come from unpkg.com, so a machine without internet gets a page
//! that says so.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};

pub(super) fn page() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(include_str!("graphiql.html"))
}
