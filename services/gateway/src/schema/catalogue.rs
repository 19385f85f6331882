//! Feeds and patches: what all tenants share.

use crate::errors::failed;
use crate::reading::{Seen, View};
use crate::schema::connection::page_size;
use crate::schema::global_id::{Kind, global};
use crate::views::feed::FeedRow;
use crate::views::patch::{PatchRow, SEARCH, SEARCH_COUNT};
use crate::words::{
    Classification, DevicePlatform, FeedFormat, FeedKind, PatchState, RebootBehaviour, Severity, name,
};
use async_graphql::connection::{Connection, Edge};
use async_graphql::{ID, Object, Result, SimpleObject};
use chrono::{DateTime, NaiveDate, Utc};
use contracts::FixTarget;
use sqlx::{FromRow, Row};
use uuid::Uuid;

/// Longer than any vendor's title of a patch.
const SEARCH_CHARACTERS_MAX: usize = 200;

/// One installable correction of software.
#[Object(name = "Patch")]
impl Seen<PatchRow> {
    pub(crate) async fn id(&self) -> ID {
        global(Kind::Patch, self.row.patch_id)
    }

    async fn feed(&self) -> Result<Option<Seen<FeedRow>>> {
        self.view.find(self.row.feed_id).await
    }

    /// The vendor's own id: `KB5034123`, `DSA-5380-1`.
    async fn vendor_patch_id(&self) -> &str {
        &self.row.vendor_patch_id
    }

    async fn name(&self) -> &str {
        &self.row.name
    }

    async fn platform(&self) -> DevicePlatform {
        self.row.platform
    }

    async fn os_versions(&self) -> &[String] {
        &self.row.os_versions
    }

    /// On one scale for all vendors.
    async fn severity(&self) -> Severity {
        self.row.severity
    }

    /// The vendor's own word, empty if there is none.
    async fn vendor_severity(&self) -> &str {
        &self.row.vendor_severity
    }

    async fn classification(&self) -> Classification {
        self.row.classification
    }

    async fn release_date(&self) -> NaiveDate {
        self.row.release_date
    }

    async fn cves(&self) -> &[String] {
        &self.row.cves
    }

    /// Vendor ids of the patches that this one replaces.
    async fn supersedes(&self) -> &[String] {
        &self.row.supersedes
    }

    async fn superseded_by(&self) -> Result<Option<Seen<PatchRow>>> {
        self.view.find_some(self.row.superseded_by).await
    }

    /// First good version of each source package, for Linux.
    async fn fixed_packages(&self) -> Vec<FixedPackage> {
        self.row.targets.iter().filter_map(FixedPackage::of).collect()
    }

    /// The KB number, for Windows.
    async fn kb(&self) -> Option<&str> {
        self.row.targets.iter().find_map(|target| match target {
            FixTarget::Kb { kb, .. } => Some(kb.as_str()),
            FixTarget::SourcePackage { .. }
            | FixTarget::BinaryPackage { .. }
            | FixTarget::OemComponent { .. } => None,
        })
    }

    async fn reboot(&self) -> RebootBehaviour {
        self.row.reboot
    }

    /// Where a person reads more.
    async fn url(&self) -> Option<&str> {
        self.row.url.as_deref()
    }

    async fn state(&self) -> PatchState {
        self.row.state
    }
}

/// A source package that is good from a version on.
#[derive(SimpleObject)]
pub(crate) struct FixedPackage {
    /// `debian:12`
    os: String,
    source: String,
    fixed_version: String,
}

impl FixedPackage {
    fn of(target: &FixTarget) -> Option<Self> {
        match target {
            FixTarget::SourcePackage { os, source, fixed_version } => {
                Some(Self { os: os.key(), source: source.clone(), fixed_version: fixed_version.clone() })
            }
            FixTarget::BinaryPackage { os, package, fixed_version, .. } => {
                Some(Self { os: os.key(), source: package.clone(), fixed_version: fixed_version.clone() })
            }
            FixTarget::Kb { .. } | FixTarget::OemComponent { .. } => None,
        }
    }
}

/// A source of published patch information.
#[Object(name = "Feed")]
impl Seen<FeedRow> {
    pub(crate) async fn id(&self) -> ID {
        global(Kind::Feed, self.row.feed_id)
    }

    async fn name(&self) -> &str {
        &self.row.name
    }

    async fn kind(&self) -> FeedKind {
        self.row.kind
    }

    async fn format(&self) -> FeedFormat {
        self.row.format
    }

    /// A path or an http(s) URL.
    async fn source(&self) -> &str {
        &self.row.source
    }

    /// The last document that was taken in.
    async fn last_sync(&self) -> Option<FeedSync> {
        Some(FeedSync {
            at: self.row.synced_at?,
            document_sha256: self.row.document_sha256.clone()?,
            document_date: self.row.document_date,
            published: crate::views::int(self.row.published),
            revised: crate::views::int(self.row.revised),
            unchanged: crate::views::int(self.row.unchanged),
            quarantined: self.row.quarantined.clone(),
        })
    }

    /// The last document that was refused.
    async fn last_failure(&self) -> Option<FeedFailure> {
        Some(FeedFailure {
            at: self.row.failed_at?,
            code: self.row.failure_code.clone()?,
            reason: self.row.failure_reason.clone()?,
        })
    }
}

/// A document that was taken in.
#[derive(SimpleObject)]
pub(crate) struct FeedSync {
    at: DateTime<Utc>,
    document_sha256: String,
    /// The publisher's own date.
    document_date: Option<DateTime<Utc>>,
    published: i32,
    revised: i32,
    unchanged: i32,
    /// Records left out, each with its reason.
    quarantined: Vec<String>,
}

/// A document that was refused.
#[derive(SimpleObject)]
pub(crate) struct FeedFailure {
    at: DateTime<Utc>,
    code: String,
    reason: String,
}

/// Which patches of the catalogue are wanted.
pub(crate) struct Search {
    pub(crate) text: Option<String>,
    pub(crate) platform: Option<DevicePlatform>,
    pub(crate) severities: Option<Vec<Severity>>,
}

/// A page of the catalogue, newest first.
pub(crate) async fn patches(
    view: &View,
    search: Search,
    first: Option<i32>,
    after: Option<String>,
) -> Result<Connection<String, Seen<PatchRow>, Matches>> {
    let limit = page_size(first)?;
    let cursors = view.cursors();
    let after = after.map(|text| cursors.read("PATCHES", Uuid::nil(), &text)).transpose()?;
    let wanted = Wanted::of(search);
    let mut rows = sqlx::query(SEARCH)
        .bind(&wanted.pattern)
        .bind(wanted.platform)
        .bind(&wanted.severities)
        .bind(after)
        .bind(i64::try_from(limit + 1).unwrap_or(i64::MAX))
        .fetch_all(&mut **view.tx().await)
        .await
        .map_err(|error| failed(error.into()))?;
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let matches = Matches { view: view.clone(), wanted };
    let mut connection = Connection::with_additional_fields(after.is_some(), has_more, matches);
    for row in rows {
        let seq: i64 = row.try_get("seq").map_err(|error| failed(error.into()))?;
        let patch = PatchRow::from_row(&row).map_err(|error| failed(error.into()))?;
        connection.edges.push(Edge::new(cursors.write("PATCHES", Uuid::nil(), seq), view.seen(patch)));
    }
    Ok(connection)
}

struct Wanted {
    pattern: Option<String>,
    platform: Option<&'static str>,
    severities: Option<Vec<&'static str>>,
}

impl Wanted {
    fn of(search: Search) -> Self {
        Self {
            pattern: search.text.map(|text| {
                // No text in the database holds U+0000, and it would refuse the question.
                let text: String = text.chars().filter(|c| *c != '\0').take(SEARCH_CHARACTERS_MAX).collect();
                format!("%{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"))
            }),
            platform: search.platform.map(name),
            severities: search.severities.map(|words| words.into_iter().map(name).collect()),
        }
    }
}

/// How many patches a search finds; counted only if asked for.
pub(crate) struct Matches {
    view: View,
    wanted: Wanted,
}

#[Object]
impl Matches {
    /// Entries on all pages together.
    async fn total_count(&self) -> Result<i32> {
        let total: i64 = sqlx::query_scalar(SEARCH_COUNT)
            .bind(&self.wanted.pattern)
            .bind(self.wanted.platform)
            .bind(&self.wanted.severities)
            .fetch_one(&mut **self.view.tx().await)
            .await
            .map_err(|error| failed(error.into()))?;
        Ok(crate::views::int(total))
    }
}
