//! The root of queries.

use crate::asking::{Asking, forbidden, reaches, require};
use crate::commands::ownership;
use crate::reading::{Page, Seen, View};
use crate::schema::audit::{self, AuditFilter, Trail};
use crate::schema::catalogue::history::CatalogueAt;
use crate::schema::catalogue::search::{self, PatchOrder, PatchSearch};
use crate::schema::connection::{ConnectionOf, page_cost};
use crate::schema::global_id::{GlobalId, Kind};
use crate::schema::position::Position;
use crate::schema::tenancy::Viewer;
use crate::views::alert::AlertRow;
use crate::views::approval::ApprovalRow;
use crate::views::customer::CustomerRow;
use crate::views::deployment::DeploymentRow;
use crate::views::device::DeviceRow;
use crate::views::device_group::DeviceGroupRow;
use crate::views::device_job::DeviceJobRow;
use crate::views::feed::{FEEDS, FeedRow};
use crate::views::package::PackageRow;
use crate::views::partner::{PARTNERS, PartnerRow};
use crate::views::patch::PatchRow;
use crate::views::rule::RuleRow;
use crate::views::scan_job::ScanJobRow;
use crate::views::user::UserRow;
use crate::views::vulnerability::VulnerabilityRow;
use crate::views::webhook::WebhookRow;
use crate::words::{DevicePlatform, Severity};
use async_graphql::{Context, ID, Interface, Object, Result};
use chrono::{DateTime, Utc};
use contracts::permissions::Permission;
use kernel::{CustomerId, PartnerId, Tenant};
use uuid::Uuid;

/// An object with a global id.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID"))]
pub(crate) enum Node {
    Partner(Seen<PartnerRow>),
    Customer(Seen<CustomerRow>),
    User(Seen<UserRow>),
    Feed(Seen<FeedRow>),
    Patch(Seen<PatchRow>),
    Package(Seen<PackageRow>),
    Device(Seen<DeviceRow>),
    DeviceGroup(Seen<DeviceGroupRow>),
    Approval(Seen<ApprovalRow>),
    Rule(Seen<RuleRow>),
    Deployment(Seen<DeploymentRow>),
    DeviceJob(Seen<DeviceJobRow>),
    ScanJob(Seen<ScanJobRow>),
    Alert(Seen<AlertRow>),
    Webhook(Seen<WebhookRow>),
}

impl Node {
    async fn find(view: &View, GlobalId { kind, id }: GlobalId) -> Result<Option<Self>> {
        Ok(match kind {
            Kind::Partner => view.find(id).await?.map(Self::Partner),
            Kind::Customer => view.find(id).await?.map(Self::Customer),
            Kind::User => view.find(id).await?.map(Self::User),
            Kind::Feed => view.find(id).await?.map(Self::Feed),
            Kind::Patch => view.find(id).await?.map(Self::Patch),
            Kind::Package => view.find(id).await?.map(Self::Package),
            Kind::Device => view.find(id).await?.map(Self::Device),
            Kind::DeviceGroup => view.find(id).await?.map(Self::DeviceGroup),
            Kind::Approval => view.find(id).await?.map(Self::Approval),
            Kind::Rule => view.find(id).await?.map(Self::Rule),
            Kind::Deployment => view.find(id).await?.map(Self::Deployment),
            Kind::DeviceJob => view.find(id).await?.map(Self::DeviceJob),
            Kind::ScanJob => view.find(id).await?.map(Self::ScanJob),
            Kind::Alert => view.find(id).await?.map(Self::Alert),
            Kind::Webhook => view.find(id).await?.map(Self::Webhook),
        })
    }

    /// What somebody needs to see an object of this kind.
    fn needs(kind: Kind) -> Permission {
        match kind {
            Kind::Partner | Kind::Feed | Kind::Patch | Kind::Package => Permission::ReadCatalogue,
            Kind::Webhook => Permission::ManageWebhooks,
            Kind::Customer
            | Kind::User
            | Kind::Device
            | Kind::DeviceGroup
            | Kind::Approval
            | Kind::Rule
            | Kind::Deployment
            | Kind::DeviceJob
            | Kind::ScanJob
            | Kind::Alert => Permission::ReadFleet,
        }
    }

    /// The customer that it belongs to; the catalogue and partners belong to none.
    fn customer(&self) -> Option<CustomerId> {
        let id = match self {
            Self::Partner(_) | Self::Feed(_) | Self::Patch(_) | Self::Package(_) => None,
            Self::Customer(seen) => Some(seen.row.customer_id),
            Self::User(seen) => seen.row.customer_id,
            Self::Device(seen) => Some(seen.row.customer_id),
            Self::DeviceGroup(seen) => Some(seen.row.customer_id),
            Self::Approval(seen) => Some(seen.row.customer_id),
            Self::Rule(seen) => seen.row.customer_id,
            Self::Deployment(seen) => Some(seen.row.customer_id),
            Self::DeviceJob(seen) => seen.row.customer_id,
            Self::ScanJob(seen) => seen.row.customer_id,
            Self::Alert(seen) => seen.row.customer_id,
            Self::Webhook(seen) => seen.row.customer_id,
        };
        id.map(CustomerId)
    }
}

/// The root of queries.
pub(crate) struct Query;

// Its fields are part of the merged object, whose name is `Query`.
#[Object(name = "RootQuery")]
impl Query {
    /// The log position that this answer reflects.
    ///
    /// `waitFor`, here and on every other field: the whole operation waits up to five seconds until the views have
    /// reached that position, else it fails with the code `views.behind`.
    async fn position(&self, ctx: &Context<'_>, wait_for: Option<Position>) -> Result<Position> {
        Ok(opened(ctx, wait_for).await?.position().into())
    }

    /// The signed-in person and what they may see.
    async fn viewer(&self, ctx: &Context<'_>, wait_for: Option<Position>) -> Result<Viewer> {
        Ok(Viewer { view: opened(ctx, wait_for).await? })
    }

    /// Any object by its global id; absent if there is none for this person.
    async fn node(&self, ctx: &Context<'_>, id: ID, wait_for: Option<Position>) -> Result<Option<Node>> {
        let view = opened(ctx, wait_for).await?;
        let Some(id) = GlobalId::read(&id) else { return Ok(None) };
        let (caller, permission) = (view.caller(), Node::needs(id.kind));
        caller.require_anywhere(permission).map_err(forbidden)?;
        let Some(node) = Node::find(&view, id).await? else {
            ownership::note_if_foreign(Asking::of(ctx), id, "node").await?;
            return Ok(None);
        };
        if permission == Permission::ReadCatalogue {
            return Ok(Some(node));
        }
        // The database has checked the partner; roles may reach less than that.
        let partner_id = caller.scope.partner_id().unwrap_or(PartnerId(Uuid::nil()));
        if !reaches(caller, Tenant { partner_id, customer_id: node.customer() }) {
            return Ok(None);
        }
        require(caller, permission, node.customer())?;
        Ok(Some(node))
    }

    /// The catalogue: the platform's patches, and those that the own partner has published for itself.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    #[expect(clippy::too_many_arguments, reason = "they are the arguments of the GraphQL field")]
    async fn patches(
        &self,
        ctx: &Context<'_>,
        search: Option<PatchSearch>,
        #[graphql(deprecation = "`search` has it")] platform: Option<DevicePlatform>,
        #[graphql(deprecation = "`search` has them")] severities: Option<Vec<Severity>>,
        #[graphql(default)] order_by: PatchOrder,
        first: Option<i32>,
        after: Option<String>,
        wait_for: Option<Position>,
    ) -> Result<ConnectionOf<PatchRow>> {
        let view = opened(ctx, wait_for).await?;
        let search = search.unwrap_or_default().and(platform, severities);
        search::patches(&view, search, order_by, first, after).await
    }

    /// The catalogue as it was known here at some time.
    async fn catalogue_at(
        &self,
        ctx: &Context<'_>,
        time: DateTime<Utc>,
        wait_for: Option<Position>,
    ) -> Result<CatalogueAt> {
        Ok(CatalogueAt { view: opened(ctx, wait_for).await?, time })
    }

    /// A vulnerability by its CVE id; absent if neither a patch nor any other source speaks of it.
    async fn vulnerability(
        &self,
        ctx: &Context<'_>,
        cve: String,
        wait_for: Option<Position>,
    ) -> Result<Option<Seen<VulnerabilityRow>>> {
        let view = opened(ctx, wait_for).await?;
        // No text in the database holds U+0000, and it would refuse the question.
        view.named(cve.trim().replace('\0', "").to_uppercase()).await
    }

    /// The platform's feeds, and the own partner's.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn feeds(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        wait_for: Option<Position>,
    ) -> Result<ConnectionOf<FeedRow>> {
        opened(ctx, wait_for).await?.page(&FEEDS, Uuid::nil(), Page::new(first, after)).await
    }

    /// For platform operators.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn partners(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        wait_for: Option<Position>,
    ) -> Result<ConnectionOf<PartnerRow>> {
        opened(ctx, wait_for).await?.page(&PARTNERS, Uuid::nil(), Page::new(first, after)).await
    }

    /// Who did what, when, to what and why; newest first. Reading is itself recorded.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn audit_trail(
        &self,
        ctx: &Context<'_>,
        filter: Option<AuditFilter>,
        customer_id: Option<ID>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Trail> {
        audit::trail(Asking::of(ctx), filter, customer_id, first, after).await
    }
}

/// The operation's state. The position to wait for has been read from the document before.
async fn opened(ctx: &Context<'_>, _wait_for: Option<Position>) -> Result<View> {
    Asking::of(ctx).view().await
}
