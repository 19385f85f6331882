//! The closed sets of words in the views and in the schema: one enum each, in the database as in GraphQL.

use async_graphql::Enum;

macro_rules! words {
    ($($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident),+ $(,)? })+) => {$(
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Enum, sqlx::Type)]
        #[sqlx(type_name = "text", rename_all = "SCREAMING_SNAKE_CASE")]
        $(#[$meta])*
        pub(crate) enum $name {
            $($(#[$doc])* $variant,)+
        }
    )+};
}

words! {
    /// A named set of permissions.
    #[graphql(remote = "contracts::permissions::Role")]
    Role {
        PlatformOperator, PartnerAdmin, PartnerOperator, PartnerViewer,
        CustomerAdmin, CustomerApprover, CustomerAuditor,
    }
    /// What an agent runs on.
    #[graphql(remote = "contracts::DevicePlatform")]
    DevicePlatform { Windows, Linux }
    /// One scale for all vendors' words.
    #[graphql(remote = "contracts::Severity")]
    Severity { Unknown, None, Low, Medium, High, Critical }
    /// Kind of update.
    #[graphql(remote = "contracts::Classification")]
    Classification {
        Security, Critical, Feature, Driver, Firmware, Definition, ServicePack, Configuration, Content, System,
        Other,
    }
    /// How regularly a kind of patch is published.
    #[graphql(remote = "contracts::Cadence")]
    Cadence { Unscheduled, Regular, Monthly, OutOfBand }
    /// Why a patch came outside of the regular cycle.
    #[graphql(remote = "contracts::OutOfBandReason")]
    OutOfBandReason { SecurityFix, KnownIssue, NotSaid }
    /// What the vendor says about restarting.
    #[graphql(remote = "contracts::RebootBehaviour")]
    RebootBehaviour { Never, Maybe, Always, Unknown }
    /// When to restart.
    #[graphql(remote = "contracts::scheduling::RebootPolicy")]
    RebootPolicy { Never, IfRequired }
    /// What an agent is allowed to do on its device.
    #[graphql(remote = "contracts::devices::AgentMode")]
    AgentMode { Full, ScanOnly }
    /// How old a device's last scan is.
    ScanFreshness {
        NeverScanned,
        Current,
        /// Older than 30 days.
        Stale,
    }
    /// Why a scan was asked for.
    #[graphql(remote = "contracts::scheduling::ScanReason")]
    ScanReason { Enrolled, OnDemand }
    /// How far a scan job is.
    ScanJobState { Requested, Initiated, Completed, Failed }
    /// Where a patch stands in the catalogue.
    PatchState { Published, Superseded, Withdrawn }
    /// The three statuses people see.
    PatchStatus { InProgress, Installed, Failed }
    /// Where a patch stands on a device.
    DevicePatchState {
        Missing,
        /// Missing and approved.
        ApprovedWaiting,
        Downloading,
        Installing,
        PendingReboot,
        Verifying,
        /// Seen by a scan.
        Installed,
        /// Still missing; the reason says why.
        Failed,
    }
    /// Who stands behind a feed.
    #[graphql(remote = "contracts::feeds::FeedKind")]
    FeedKind { OsVendor, PackageProvider, Partner }
    /// How a feed's documents are written.
    #[graphql(remote = "contracts::feeds::FeedFormat")]
    FeedFormat {
        DebianDsaList, DebianTracker, MsrcCvrf, MsrcDeployment, WsusExport, Wesng, DebianRepository, Csaf, Oval,
        UbuntuUsnDatabase, UbuntuNotices, Osv, RpmRepository, AlpineSecdb, Kev, Epss, Nvd, Cve, DellCatalog,
        LenovoCatalog, AzureStackUpdates,
    }
    /// Where an approval stands.
    ApprovalState {
        Pending,
        /// Somebody approves; the customer's policy asks for a second person.
        AwaitingSecondApprover,
        Approved,
        Rejected,
        /// Put off until a date.
        Deferred,
        /// The patch was superseded or withdrawn.
        Lapsed,
    }
    /// How near to a device a decision is taken, the nearest first: it decides first.
    #[graphql(remote = "contracts::approvals::ApprovalLevel")]
    ApprovalLevel {
        Device,
        Group,
        Customer,
        /// All customers of the partner.
        Partner,
    }
    /// What stands in a scope.
    DecisionState {
        /// Nothing is decided until a second person agrees.
        AwaitingSecondApprover,
        Approved,
        Rejected,
        /// Put off until a date.
        Deferred,
        /// The partner keeps the patch from all of its customers.
        Blocked,
    }
    /// What holds for a patch on a device.
    EffectiveState {
        /// Superseded or withdrawn.
        NotInstallable,
        /// The partner keeps it from all of its customers.
        Blocked,
        Rejected,
        /// Put off until a date.
        Deferred,
        Approved,
        /// Nobody has decided.
        Pending,
    }
    /// A level of the order of precedence: the first that says something decides.
    #[graphql(remote = "contracts::approvals::precedence::Level")]
    EffectiveLevel {
        /// The patch itself: superseded or withdrawn.
        Catalogue,
        /// The partner's hard block.
        Block,
        Device,
        Group,
        Customer,
        Partner,
        /// Auto-approval rules.
        Rule,
    }
    /// Whether a patch is wanted on a device.
    PatchApplicability {
        Missing,
        Installed,
        /// No scan has found it missing or installed.
        NotApplicable,
    }
    /// What would change an answer.
    ChangeKind {
        /// The newer patch takes this one's place.
        DecideOnNewerPatch,
        /// The partner ends its block.
        EndBlock,
        /// The decision is taken back.
        Revoke,
        /// The deferral's time comes.
        DeferralEnds,
        /// A second person agrees.
        GiveSecondApproval,
        /// Somebody approves, or approves nearer to the device.
        Approve,
        /// Somebody rejects, on the same level or nearer to the device.
        Reject,
        /// A rule approves.
        RuleApproves,
    }
    /// By what a patch was approved.
    ApprovalMode {
        /// By a person.
        Manual,
        /// By a rule.
        Auto,
    }
    /// Why a rule did not approve a patch.
    #[graphql(remote = "contracts::approvals::RefusalReason")]
    RefusalReason {
        PlatformNotEligible, NotWhitelisted, SeverityNotChosen, NotInstallable, ProductNotChosen, VendorNotChosen,
        OsReleaseNotChosen, RatingTooLow, NotExploited, ReleasedTooLate, TooYoung,
    }
    /// What there is to say about a rule.
    #[graphql(remote = "contracts::approvals::RuleWarningKind")]
    RuleWarningKind {
        /// Another rule says the same.
        Duplicate,
        /// The winning rule approves everything that the other one would, and not later.
        NeverDecides,
        /// Some patches match both.
        Overlaps,
        /// Nothing can match.
        NeverMatches,
    }
    /// What a whitelist entry lets through.
    WhitelistKind {
        /// One patch, by the vendor's id.
        VendorPatchId,
        /// Every patch whose name or OS version contains the text, ignoring case.
        Product,
        /// Every patch of the classification.
        Classification,
    }
    /// Where a run stands.
    RunState {
        Running,
        Completed,
        CompletedWithFailures,
        /// No device took part.
        NothingToDo,
    }
    /// Where a device job stands.
    DeviceJobState {
        Queued,
        /// The agent fetched it.
        Dispatched,
        /// The agent will do it.
        Acknowledged,
        Downloading,
        Installing,
        PendingReboot,
        /// The package manager is done; only a scan can say that it worked.
        Verifying,
        Succeeded,
        Failed,
        Skipped,
        TimedOut,
    }
    /// The condition an alert is about.
    #[graphql(remote = "contracts::alerts::AlertType")]
    AlertType {
        Initiate, Search, DownloadInitiated, InstallComplete, PatchFailed, PendingReboot, FeedSyncFailed,
        WebhookDisabled,
    }
    /// How much an alert matters.
    #[graphql(remote = "contracts::alerts::AlertSeverity")]
    AlertSeverity { Info, Warning, Critical }
    /// Where an alert stands.
    AlertState { Open, Acknowledged, Resolved }
    /// Whether a webhook gets anything.
    WebhookState { Active, Disabled }
    /// How the delivery of one event to one webhook goes.
    DeliveryState { Delivered, Retrying, DeadLettered }
    /// What a package is.
    #[graphql(remote = "contracts::packages::PackageType")]
    PackageType {
        Software,
        Hotfix,
        /// Of a hardware manufacturer.
        Oem,
    }
    /// Where a package stands.
    PackageState {
        Registered, Downloading, DownloadFailed, Downloaded, Uploading, Uploaded, Validating,
        /// The update is available.
        Ready,
        Invalid, Refused, Removed,
    }
    /// Whether customers may see a package.
    PackageCertification { NotNeeded, Awaiting, Certified, Refused }
    /// Why a package's files are gone.
    #[graphql(remote = "contracts::packages::PackageRemovalReason")]
    PackageRemovalReason {
        ByHand,
        Superseded,
        /// Wherever it was approved.
        Installed,
        /// Its import was never completed.
        Abandoned,
    }
    /// How a package's way to a customer goes.
    PackageUpdateState { Started, Completed, Failed }
    /// How systems reach publishers.
    #[graphql(remote = "contracts::packages::Connectivity")]
    Connectivity { Connected, Disconnected, Weak }
    /// What kind of originator an event has.
    #[graphql(remote = "kernel::ActorKind")]
    ActorKind { User, Agent, Rule, System }
}

/// The name of a word, as the database and GraphQL write it.
pub(crate) fn name<E: async_graphql::resolver_utils::EnumType>(word: E) -> &'static str {
    E::items().iter().find(|item| item.value == word).map_or("", |item| item.name)
}
