//! The one table from GraphQL fields to permissions. A field of a gated type that is not in it is refused.

use contracts::permissions::Permission;

/// Types of which every field stands in the table.
const GATED: [&str; 5] = ["Query", "Mutation", "Subscription", "Viewer", "Partner"];

/// What each field needs. Fields of other types are reached only through these; the few that need more are listed.
pub(crate) const FIELDS: &[(&str, &str, Permission)] = &[
    ("Query", "position", Permission::ReadCatalogue),
    ("Query", "viewer", Permission::ReadCatalogue),
    // What the id leads to is checked by its type.
    ("Query", "node", Permission::ReadCatalogue),
    ("Query", "patches", Permission::ReadCatalogue),
    ("Query", "catalogueAt", Permission::ReadCatalogue),
    ("Query", "vulnerability", Permission::ReadCatalogue),
    ("Query", "feeds", Permission::ReadCatalogue),
    ("Query", "packages", Permission::ReadCatalogue),
    ("Query", "package", Permission::ReadCatalogue),
    ("Query", "availableUpdates", Permission::ReadCatalogue),
    ("Query", "effectiveApproval", Permission::ReadFleet),
    ("Query", "explainPatch", Permission::ReadFleet),
    ("Query", "partners", Permission::ManagePartners),
    ("Query", "auditTrail", Permission::ReadAudit),
    ("Viewer", "user", Permission::ReadCatalogue),
    ("Viewer", "roles", Permission::ReadCatalogue),
    ("Viewer", "partner", Permission::ReadCatalogue),
    ("Viewer", "customers", Permission::ReadFleet),
    ("Viewer", "customer", Permission::ReadFleet),
    ("Viewer", "groups", Permission::ReadFleet),
    ("Viewer", "updateHistory", Permission::ReadFleet),
    ("Partner", "id", Permission::ReadCatalogue),
    ("Partner", "name", Permission::ReadCatalogue),
    ("Partner", "customers", Permission::ReadFleet),
    ("Partner", "webhooks", Permission::ManageWebhooks),
    ("Partner", "alerts", Permission::ReadFleet),
    ("Partner", "rules", Permission::ReadFleet),
    ("Partner", "whitelist", Permission::ReadFleet),
    ("Customer", "webhooks", Permission::ManageWebhooks),
    // The patch is everybody's; where it is missing and what a tenant thinks of it is not.
    ("Patch", "missingOn", Permission::ReadFleet),
    ("Patch", "missingCount", Permission::ReadFleet),
    ("Patch", "rating", Permission::ReadFleet),
    ("Mutation", "registerPartner", Permission::ManagePartners),
    ("Mutation", "registerCustomer", Permission::ManageCustomers),
    ("Mutation", "inviteUser", Permission::ManageUsers),
    ("Mutation", "grantRole", Permission::ManageUsers),
    ("Mutation", "revokeRole", Permission::ManageUsers),
    ("Mutation", "forgetUser", Permission::ManageUsers),
    ("Mutation", "registerFeed", Permission::ManageFeeds),
    ("Mutation", "changeFeed", Permission::ManageFeeds),
    ("Mutation", "disableFeed", Permission::ManageFeeds),
    ("Mutation", "enableFeed", Permission::ManageFeeds),
    ("Mutation", "testFeed", Permission::ManageFeeds),
    ("Mutation", "syncFeed", Permission::ManageFeeds),
    ("Mutation", "markPatchOutOfBand", Permission::ManageFeeds),
    ("Mutation", "ratePatch", Permission::RatePatches),
    ("Mutation", "clearPatchRating", Permission::RatePatches),
    ("Mutation", "registerPackage", Permission::ManagePackages),
    ("Mutation", "submitOemPackage", Permission::ManagePackages),
    ("Mutation", "certifyOemPackage", Permission::CertifyPackages),
    ("Mutation", "refuseCertification", Permission::CertifyPackages),
    ("Mutation", "preparePackage", Permission::ManagePackages),
    ("Mutation", "startPackageUpload", Permission::ManagePackages),
    ("Mutation", "reviewPackage", Permission::ManagePackages),
    ("Mutation", "completePackageUpload", Permission::ManagePackages),
    ("Mutation", "exportPackage", Permission::ReadCatalogue),
    ("Mutation", "removePackage", Permission::ManagePackages),
    ("Mutation", "setSiteConnectivity", Permission::ManageDevices),
    ("Mutation", "recordSiteVersion", Permission::ManageDevices),
    ("Mutation", "startPackageUpdate", Permission::Deploy),
    ("Mutation", "completePackageUpdate", Permission::Deploy),
    ("Mutation", "failPackageUpdate", Permission::Deploy),
    ("Mutation", "issueEnrolmentToken", Permission::ManageDevices),
    ("Mutation", "defineGroup", Permission::ManageDevices),
    ("Mutation", "changeGroup", Permission::ManageDevices),
    ("Mutation", "removeGroup", Permission::ManageDevices),
    ("Mutation", "setDeviceExposure", Permission::ManageDevices),
    ("Mutation", "setDeviceRegion", Permission::ManageDevices),
    ("Mutation", "addToWhitelist", Permission::ManageRules),
    ("Mutation", "removeFromWhitelist", Permission::ManageRules),
    ("Mutation", "createRule", Permission::ManageRules),
    ("Mutation", "changeRule", Permission::ManageRules),
    ("Mutation", "disableRule", Permission::ManageRules),
    ("Mutation", "enableRule", Permission::ManageRules),
    ("Mutation", "simulateRule", Permission::ManageRules),
    ("Mutation", "approvePatch", Permission::ApprovePatches),
    ("Mutation", "giveSecondApproval", Permission::ApprovePatches),
    ("Mutation", "rejectPatch", Permission::ApprovePatches),
    ("Mutation", "deferPatch", Permission::ApprovePatches),
    ("Mutation", "revokeApproval", Permission::ApprovePatches),
    ("Mutation", "decidePatches", Permission::ApprovePatches),
    ("Mutation", "blockPatch", Permission::BlockPatches),
    ("Mutation", "unblockPatch", Permission::BlockPatches),
    ("Mutation", "setApprovalPolicy", Permission::SetApprovalPolicies),
    ("Mutation", "requestScan", Permission::RequestScans),
    ("Mutation", "patchNow", Permission::Deploy),
    ("Mutation", "registerWebhook", Permission::ManageWebhooks),
    ("Mutation", "disableWebhook", Permission::ManageWebhooks),
    ("Mutation", "acknowledgeAlert", Permission::ManageAlerts),
    ("Mutation", "resolveAlert", Permission::ManageAlerts),
    ("Subscription", "deploymentChanged", Permission::ReadFleet),
    ("Subscription", "alertRaised", Permission::ReadFleet),
];

/// What the table says about a field.
pub(crate) enum Needed {
    /// This permission, somewhere in the caller's scope.
    Permission(Permission),
    /// Nothing beyond what led to it.
    Nothing,
    /// It was forgotten here.
    Unlisted,
}

/// What a field needs.
pub(crate) fn needed(parent_type: &str, field: &str) -> Needed {
    if field.starts_with("__") {
        return Needed::Nothing;
    }
    let listed = FIELDS.iter().find(|(on, name, _)| *on == parent_type && *name == field);
    match listed {
        Some((_, _, permission)) => Needed::Permission(*permission),
        None if GATED.contains(&parent_type) => Needed::Unlisted,
        None => Needed::Nothing,
    }
}

/// What a mutation needs.
pub(crate) fn of_mutation(field: &str) -> Option<Permission> {
    match needed("Mutation", field) {
        Needed::Permission(permission) => Some(permission),
        Needed::Nothing | Needed::Unlisted => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{FIELDS, GATED, Needed, needed};
    use crate::schema::bare;
    use contracts::{Service, catalogue::COMMANDS};
    use std::collections::BTreeSet;

    /// Every field of every object, by introspection.
    async fn fields() -> BTreeSet<(String, String)> {
        let answer = bare().execute("{ __schema { types { name fields { name } } } }").await;
        let answer = answer.into_result().unwrap().data.into_json().unwrap();
        let types = answer["__schema"]["types"].as_array().unwrap();
        let text = |value: &serde_json::Value| value["name"].as_str().unwrap().to_owned();
        types
            .iter()
            .flat_map(|on| {
                on["fields"].as_array().into_iter().flatten().map(move |field| (text(on), text(field)))
            })
            .collect()
    }

    #[tokio::test]
    async fn every_field_of_a_gated_type_has_a_permission() {
        let fields = fields().await;
        for gated in GATED {
            assert!(fields.iter().any(|(on, _)| on == gated), "{gated} is not in the schema");
        }
        let forgotten: Vec<_> =
            fields.iter().filter(|(on, field)| matches!(needed(on, field), Needed::Unlisted)).collect();
        assert!(forgotten.is_empty(), "no permission for {forgotten:?}");
    }

    #[tokio::test]
    async fn every_entry_is_one_field_of_the_schema() {
        let fields = fields().await;
        let listed: BTreeSet<_> =
            FIELDS.iter().map(|(on, name, _)| ((*on).to_owned(), (*name).to_owned())).collect();
        assert_eq!(listed.len(), FIELDS.len());
        let unknown: Vec<_> = listed.difference(&fields).collect();
        assert!(unknown.is_empty(), "not in the schema: {unknown:?}");
    }

    #[test]
    fn every_command_is_a_mutation_with_the_command_s_own_permission() {
        // The audit trail is read, not written: its command is a query's.
        let sets = COMMANDS.iter().filter(|(service, _)| *service != Service::Auditing);
        for &(command, permission) in sets.flat_map(|(_, commands)| *commands) {
            if command == "RecordDeniedAccess" {
                continue;
            }
            let mutation = format!("{}{}", command[..1].to_lowercase(), &command[1..]);
            match needed("Mutation", &mutation) {
                Needed::Permission(needed) => assert_eq!(needed, permission, "{mutation}"),
                Needed::Nothing | Needed::Unlisted => panic!("there is no mutation {mutation}"),
            }
        }
    }
}
