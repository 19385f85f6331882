//! One table from permission to roles. Every command and every GraphQL field names a permission of it.

use serde::{Deserialize, Serialize};

/// A named set of permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Role {
    /// Runs the platform; creates partners; sees no tenant's data beyond names.
    PlatformOperator,
    /// Everything within the partner.
    PartnerAdmin,
    /// Operates patching for the partner's customers.
    PartnerOperator,
    /// Reads the partner's customers.
    PartnerViewer,
    /// Everything within one customer.
    CustomerAdmin,
    /// Decides what may be installed at one customer.
    CustomerApprover,
    /// Reads one customer, the audit trail included.
    CustomerAuditor,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 7] = [
        Self::PlatformOperator,
        Self::PartnerAdmin,
        Self::PartnerOperator,
        Self::PartnerViewer,
        Self::CustomerAdmin,
        Self::CustomerApprover,
        Self::CustomerAuditor,
    ];

    /// Whether the role is held at one customer (otherwise at a partner or the platform).
    pub fn is_customer_level(self) -> bool {
        match self {
            Self::CustomerAdmin | Self::CustomerApprover | Self::CustomerAuditor => true,
            Self::PlatformOperator | Self::PartnerAdmin | Self::PartnerOperator | Self::PartnerViewer => {
                false
            }
        }
    }
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident: [$($role:ident),*];)+) => {
        /// Something a caller may or may not do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Permission {$( $(#[$doc])* $name, )+}

        impl Permission {
            /// Every permission.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The roles that have it.
            pub fn roles(self) -> &'static [Role] {
                match self {$( Self::$name => &[$(Role::$role),*], )+}
            }
        }
    };
}

permissions! {
    /// Register partners and their first administrators.
    ManagePartners: [PlatformOperator];
    /// Register feeds and import documents: the platform into the shared catalogue, a partner into its own.
    ManageFeeds: [PlatformOperator, PartnerAdmin];
    /// Register update packages, import their files and remove them: the platform for everybody, a partner for its customers.
    ManagePackages: [PlatformOperator, PartnerAdmin];
    /// Say that a manufacturer's package may be offered to customers.
    CertifyPackages: [PlatformOperator];
    /// Mark how much a patch matters to the own customers.
    RatePatches: [PartnerAdmin, PartnerOperator, CustomerAdmin, CustomerApprover];
    /// Register customers of the own partner.
    ManageCustomers: [PlatformOperator, PartnerAdmin];
    /// Invite users, grant and revoke roles.
    ManageUsers: [PlatformOperator, PartnerAdmin, CustomerAdmin];
    /// Read the shared catalogue of patches.
    ReadCatalogue: [PlatformOperator, PartnerAdmin, PartnerOperator, PartnerViewer, CustomerAdmin, CustomerApprover, CustomerAuditor];
    /// Read customers, devices, approvals, deployments and alerts in scope.
    ReadFleet: [PartnerAdmin, PartnerOperator, PartnerViewer, CustomerAdmin, CustomerApprover, CustomerAuditor];
    /// Issue enrolment tokens, define groups, quarantine and decommission devices.
    ManageDevices: [PartnerAdmin, PartnerOperator, CustomerAdmin];
    /// Request scans.
    RequestScans: [PartnerAdmin, PartnerOperator, CustomerAdmin];
    /// Keep the whitelist and the auto-approval rules.
    ManageRules: [PartnerAdmin, PartnerOperator, CustomerAdmin];
    /// Approve, reject, defer and revoke.
    ApprovePatches: [PartnerAdmin, CustomerAdmin, CustomerApprover];
    /// Keep a patch from all of the partner's customers.
    BlockPatches: [PartnerAdmin];
    /// Say whether approvals at a customer need a second person.
    SetApprovalPolicies: [PartnerAdmin, CustomerAdmin];
    /// Make, start and stop deployments.
    Deploy: [PartnerAdmin, PartnerOperator, CustomerAdmin];
    /// Acknowledge and resolve alerts.
    ManageAlerts: [PartnerAdmin, PartnerOperator, CustomerAdmin];
    /// Register webhooks and read their deliveries.
    ManageWebhooks: [PartnerAdmin, CustomerAdmin];
    /// Read the audit trail.
    ReadAudit: [PlatformOperator, PartnerAdmin, CustomerAdmin, CustomerAuditor];
    /// Record that somebody reached for another tenant's object. Every signed-in caller causes it, nobody asks for it.
    RecordDeniedAccess: [PlatformOperator, PartnerAdmin, PartnerOperator, PartnerViewer, CustomerAdmin, CustomerApprover, CustomerAuditor];
}
