//! Lists that GraphQL pages through: one statement for all parents that a query meets at once.

use sqlx::FromRow;
use sqlx::postgres::PgRow;
use std::marker::PhantomData;

/// A row of a view.
pub(crate) trait Row: for<'r> FromRow<'r, PgRow> + Clone + Send + Sync + Unpin + 'static {}
impl<T: for<'r> FromRow<'r, PgRow> + Clone + Send + Sync + Unpin + 'static> Row for T {}

/// A row that can be looked up by an id.
pub(crate) trait ById: Row {
    /// Takes `$1 uuid[]`; answers with `key uuid` and the row's columns.
    const BY_IDS: &'static str;
}

/// A row that can be looked up by a name.
pub(crate) trait ByName: Row {
    /// Takes `$1 text[]`; answers with `key text` and the row's columns.
    const BY_NAMES: &'static str;
}

/// Rows below a parent, in the order of the log or against it. Made by `list!`.
pub(crate) struct List<T> {
    /// Unique: part of every cursor, so that a cursor of one list is none of another.
    pub(crate) name: &'static str,
    /// Takes parents, filter, key to start after, limit; answers with `parent`, `seq` and the row's columns.
    pub(crate) page: &'static str,
    /// Takes parents and filter; answers with `parent` and `total`.
    pub(crate) count: &'static str,
    pub(crate) row: PhantomData<fn() -> T>,
}

/// Rows `t` of the catalogue that exist for the caller: the platform's, and the own partner's. Row-level security says the
/// same to partners and customers; the platform's operators see no partner's data either.
macro_rules! offered {
    () => {
        "t.partner_id = any (array['00000000-0000-0000-0000-000000000000'::uuid,
                                   (select nullif(current_setting('app.partner_id', true), '')::uuid)])"
    };
}
pub(crate) use offered;

/// Declares a list: `$2` is the filter, which names words of one column (`only`) or is taken apart (`filter`); `newest` lists start with what was written last; `offered` rows are `t`.
macro_rules! list {
    (@after oldest) => { " > " };
    (@after newest) => { " < " };
    (@order oldest) => { "" };
    (@order newest) => { " desc" };
    (@offered) => { "" };
    (@offered offered) => { concat!($crate::reading::list::offered!(), " and ") };
    (@only) => { " and $2::text[] is null" };
    (@only filter $filter:literal) => { concat!(" and ($2::text[] is null or (", $filter, "))") };
    (@only $only:literal) => { concat!(" and ($2::text[] is null or ", $only, " = any($2))") };
    (
        $(#[$doc:meta])*
        $name:ident: $row:ty, $columns:ident from $from:literal
        where $($offered:ident)? $condition:literal $(only $only:literal)? $(filter $filter:literal)?, $first:ident first by $seq:literal
    ) => {
        $(#[$doc])*
        pub(crate) static $name: $crate::reading::list::List<$row> = $crate::reading::list::List {
            name: stringify!($name),
            page: concat!(
                "select p.parent, l.* from unnest($1::uuid[]) as p (parent) cross join lateral (select ",
                $columns!(), " from ", $from, " where ", $crate::reading::list::list!(@offered $($offered)?),
                $condition, $crate::reading::list::list!(@only $($only)? $(filter $filter)?),
                " and ($3::bigint is null or ", $seq, $crate::reading::list::list!(@after $first), "$3)",
                " order by ", $seq, $crate::reading::list::list!(@order $first), " limit $4) l",
                " order by l.seq", $crate::reading::list::list!(@order $first),
            ),
            count: concat!(
                "select p.parent, (select count(*) from ", $from, " where ",
                $crate::reading::list::list!(@offered $($offered)?), $condition,
                $crate::reading::list::list!(@only $($only)? $(filter $filter)?), ") as total from unnest($1::uuid[]) as p (parent)",
            ),
            row: std::marker::PhantomData,
        };
    };
}
pub(crate) use list;
