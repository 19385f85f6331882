//! The systems of one customer that packages update: how they reach publishers, and what is installed there.

use super::checks::is_text;
use super::version::compare;
use contracts::NAMESPACE;
use contracts::packages::{
    Connectivity, PackageFacts, PackagePrerequisite, PackageUpdateCompleted, PackageUpdateFailed,
    PackageUpdateStarted, SiteConnectivityChanged, SiteEvent, SiteVersionRecorded,
};
use kernel::{Aggregate, CustomerId, PackageId, Refused, StreamId, derived_id};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Products of one customer: far more than anybody has, and few enough for one state.
const PRODUCTS_MAX: usize = 1_000;

/// The systems of one customer.
#[derive(Debug)]
pub struct Site;

impl Site {
    /// The stream of a customer's systems.
    pub fn stream_of(customer_id: CustomerId) -> StreamId {
        StreamId(derived_id(NAMESPACE, &format!("site/{customer_id}")))
    }
}

/// What is known of a customer's systems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteState {
    /// How they reach publishers.
    pub connectivity: Connectivity,
    /// What is installed, by product in small letters.
    products: BTreeMap<String, Installed>,
    /// What is being installed, by product in small letters.
    running: BTreeMap<String, Running>,
    /// What failed last, by product in small letters.
    failed: BTreeMap<String, PackageId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Installed {
    version: String,
    /// None where somebody only said so.
    by: Option<PackageId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Running {
    package_id: PackageId,
    product: String,
    version: String,
}

impl Default for SiteState {
    fn default() -> Self {
        Self {
            connectivity: Connectivity::Connected,
            products: BTreeMap::new(),
            running: BTreeMap::new(),
            failed: BTreeMap::new(),
        }
    }
}

impl SiteState {
    fn installed(&self, product: &str) -> Option<&str> {
        self.products.get(&key(product)).map(|known| known.version.as_str())
    }
}

/// How far a package's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// They are there and were read.
    Ready,
    /// They come by themselves when the package is installed.
    Automatic,
    /// Somebody has to bring them first.
    NotReady {
        /// Where the package is.
        stage: String,
    },
}

/// A wish about a customer's systems.
#[derive(Debug, Clone, PartialEq)]
pub enum SiteCommand {
    /// They reach publishers in another way.
    SetConnectivity {
        /// How they do.
        connectivity: Connectivity,
    },
    /// A version is installed there.
    RecordVersion {
        /// Which product.
        product: String,
        /// Its version.
        version: String,
    },
    /// Install a package there now.
    StartUpdate {
        /// The package.
        package_id: PackageId,
        /// What is said of it.
        package: Box<PackageFacts>,
        /// What its own metadata asks for besides.
        prerequisites: Vec<PackagePrerequisite>,
        /// How far its files are.
        readiness: Readiness,
    },
    /// It is installed there.
    CompleteUpdate {
        /// The package.
        package_id: PackageId,
    },
    /// It could not be installed there.
    FailUpdate {
        /// The package.
        package_id: PackageId,
        /// Why.
        reason: String,
    },
}

/// A "no" about a customer's systems.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SiteRefusal {
    /// A product or version that cannot be shown.
    #[error("a product and its version have 1 to 200 printable characters")]
    InvalidVersion,
    /// More products than anybody has.
    #[error("a customer has at most {PRODUCTS_MAX} products")]
    TooManyProducts,
    /// Point 59: it is the vendor's own business.
    #[error("the package is installed by its vendor's own means: record the version when that is done")]
    External,
    /// Point 68.
    #[error("the package is {stage}, and only one that is READY can be installed")]
    NotReady {
        /// Where it is.
        stage: String,
    },
    /// Point 50.
    #[error("{product:?} must be at version {needed} or newer first, {}", installed_text(.installed.as_deref()))]
    PrerequisiteMissing {
        /// Which product.
        product: String,
        /// The lowest version that is enough.
        needed: String,
        /// What is installed.
        installed: Option<String>,
    },
    /// It is there already, or a newer one.
    #[error("version {installed} of {product:?} is installed, which is not older")]
    NotNewer {
        /// Which product.
        product: String,
        /// What is installed.
        installed: String,
    },
    /// One after the other.
    #[error("{product:?} is being updated to version {version}")]
    Running {
        /// Which product.
        product: String,
        /// To which version.
        version: String,
    },
    /// Nobody started it.
    #[error("the package is not being installed at this customer")]
    NotRunning,
    /// People are owed a reason.
    #[error("a failed update has a reason of 1 to 200 printable characters")]
    NoReason,
}

fn installed_text(installed: Option<&str>) -> String {
    installed.map_or_else(
        || "of which no version is known to be installed".to_owned(),
        |version| format!("and {version} is installed"),
    )
}

impl Refused for SiteRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::InvalidVersion => "feeds.site_version_invalid",
            Self::TooManyProducts => "feeds.site_products_too_many",
            Self::External => "feeds.package_external",
            Self::NotReady { .. } => "feeds.package_not_ready",
            Self::PrerequisiteMissing { .. } => "feeds.package_prerequisite_missing",
            Self::NotNewer { .. } => "feeds.package_not_newer",
            Self::Running { .. } => "feeds.package_update_running",
            Self::NotRunning => "feeds.package_update_not_running",
            Self::NoReason => "feeds.package_reason_missing",
        }
    }

    fn is_conflict(&self) -> bool {
        matches!(self, Self::Running { .. })
    }
}

impl Aggregate for Site {
    const STREAM: &'static str = "feeds.site";
    type State = SiteState;
    /// The command and the customer that it is about.
    type Command = (CustomerId, SiteCommand);
    type Event = SiteEvent;
    type Refusal = SiteRefusal;

    fn decide(
        state: &SiteState,
        (customer_id, command): (CustomerId, SiteCommand),
    ) -> Result<Vec<SiteEvent>, SiteRefusal> {
        match command {
            SiteCommand::SetConnectivity { connectivity } => Ok(if state.connectivity == connectivity {
                Vec::new()
            } else {
                vec![SiteConnectivityChanged { customer_id, connectivity }.into()]
            }),
            SiteCommand::RecordVersion { product, version } => {
                if !is_text(&product) || !is_text(&version) {
                    return Err(SiteRefusal::InvalidVersion);
                }
                if state.installed(&product) == Some(version.as_str()) {
                    return Ok(Vec::new());
                }
                if state.products.len() >= PRODUCTS_MAX && state.installed(&product).is_none() {
                    return Err(SiteRefusal::TooManyProducts);
                }
                Ok(vec![SiteVersionRecorded { customer_id, product, version }.into()])
            }
            SiteCommand::StartUpdate { package_id, package, prerequisites, readiness } => {
                start(state, customer_id, package_id, *package, &prerequisites, readiness)
            }
            SiteCommand::CompleteUpdate { package_id } => {
                if state.products.values().any(|known| known.by == Some(package_id)) {
                    return Ok(Vec::new());
                }
                let running = state.running.values().find(|running| running.package_id == package_id);
                let Running { product, version, .. } = running.ok_or(SiteRefusal::NotRunning)?.clone();
                Ok(vec![PackageUpdateCompleted { package_id, customer_id, product, version }.into()])
            }
            SiteCommand::FailUpdate { package_id, reason } => {
                if !is_text(&reason) {
                    return Err(SiteRefusal::NoReason);
                }
                if !state.running.values().any(|running| running.package_id == package_id) {
                    let known = state.failed.values().any(|failed| *failed == package_id);
                    return if known { Ok(Vec::new()) } else { Err(SiteRefusal::NotRunning) };
                }
                Ok(vec![PackageUpdateFailed { package_id, customer_id, reason }.into()])
            }
        }
    }

    fn evolve(mut state: SiteState, event: &SiteEvent) -> SiteState {
        match event {
            SiteEvent::SiteConnectivityChanged(fact) => state.connectivity = fact.connectivity,
            SiteEvent::SiteVersionRecorded(fact) => {
                let installed = Installed { version: fact.version.clone(), by: None };
                state.products.insert(key(&fact.product), installed);
            }
            SiteEvent::PackageUpdateStarted(fact) => {
                let running = Running {
                    package_id: fact.package_id,
                    product: fact.product.clone(),
                    version: fact.version.clone(),
                };
                state.failed.remove(&key(&fact.product));
                state.running.insert(key(&fact.product), running);
            }
            SiteEvent::PackageUpdateCompleted(fact) => {
                state.running.remove(&key(&fact.product));
                let installed = Installed { version: fact.version.clone(), by: Some(fact.package_id) };
                state.products.insert(key(&fact.product), installed);
            }
            SiteEvent::PackageUpdateFailed(fact) => {
                let failed = state.running.extract_if(.., |_, running| running.package_id == fact.package_id);
                state.failed.extend(failed.map(|(product, running)| (product, running.package_id)));
            }
        }
        state
    }
}

fn start(
    state: &SiteState,
    customer_id: CustomerId,
    package_id: PackageId,
    package: PackageFacts,
    more: &[PackagePrerequisite],
    readiness: Readiness,
) -> Result<Vec<SiteEvent>, SiteRefusal> {
    match state.running.get(&key(&package.product)) {
        Some(running) if running.package_id == package_id => return Ok(Vec::new()),
        Some(Running { product, version, .. }) => {
            return Err(SiteRefusal::Running { product: product.clone(), version: version.clone() });
        }
        None => {}
    }
    if !package.managed_in_band {
        return Err(SiteRefusal::External);
    }
    if let Some(installed) = state.installed(&package.product)
        && compare(installed, &package.version) != Ordering::Less
    {
        let (product, installed) = (package.product, installed.to_owned());
        return Err(SiteRefusal::NotNewer { product, installed });
    }
    let base = package
        .base_version
        .as_ref()
        .map(|version| PackagePrerequisite { product: package.product.clone(), version: version.clone() });
    let mut needed = package.prerequisites.iter().chain(more).chain(&base);
    if let Some(refusal) = needed.find_map(|one| missing(state, one)) {
        return Err(refusal);
    }
    match readiness {
        Readiness::Ready | Readiness::Automatic => {
            let PackageFacts { product, version, .. } = package;
            Ok(vec![PackageUpdateStarted { package_id, customer_id, product, version }.into()])
        }
        Readiness::NotReady { stage } => Err(SiteRefusal::NotReady { stage }),
    }
}

fn missing(state: &SiteState, needed: &PackagePrerequisite) -> Option<SiteRefusal> {
    let installed = state.installed(&needed.product);
    let enough = installed.is_some_and(|version| compare(version, &needed.version) != Ordering::Less);
    (!enough).then(|| SiteRefusal::PrerequisiteMissing {
        product: needed.product.clone(),
        needed: needed.version.clone(),
        installed: installed.map(str::to_owned),
    })
}

/// A product's name as it is looked up.
fn key(product: &str) -> String {
    product.trim().to_lowercase()
}
