//! Partners, customers, users and roles.

use crate::permissions::Role;
use kernel::{CustomerId, PERSONAL_KEY, PartnerId, Personal, UserId};
use serde_json::{Value, json};

events! {
    /// Facts of a partner.
    PartnerEvent in "tenancy" {
        /// A partner was registered.
        PartnerRegistered = 1 {
            /// The partner.
            partner_id: PartnerId,
            /// Display name.
            name: String,
        },
    }
}

events! {
    /// Facts of a customer.
    CustomerEvent in "tenancy" {
        /// A customer was registered.
        CustomerRegistered = 1 {
            /// The customer.
            customer_id: CustomerId,
            /// Its partner.
            partner_id: PartnerId,
            /// Display name.
            name: String,
            /// IANA time zone in which its windows are meant.
            time_zone: String,
        },
    }
}

events! {
    /// Facts of a user.
    UserEvent in "tenancy" {
        /// A person was invited.
        UserInvited = 2 {
            /// The user, who is the subject of the sealed texts.
            user_id: UserId,
            /// The name by which the identity provider knows the person (the token's `sub`).
            subject: Personal,
            /// Display name.
            display_name: Personal,
        } upcast { 1 => name_the_person },
        /// A role was granted.
        RoleGranted = 1 {
            /// The user.
            user_id: UserId,
            /// The role.
            role: Role,
            /// Where it holds: one customer, or (for partner roles) the whole partner.
            customer_id: Option<CustomerId>,
        },
        /// A role was taken away.
        RoleRevoked = 1 {
            /// The user.
            user_id: UserId,
            /// The role.
            role: Role,
            /// Where it held.
            customer_id: Option<CustomerId>,
        },
        /// A person was forgotten: the key of all texts about them is destroyed.
        UserForgotten = 1 {
            /// The user.
            user_id: UserId,
        },
    }
}

/// Version 1 held the person's texts as they were, and still does where it was written.
fn name_the_person(mut fact: Value) -> Result<Value, String> {
    let user_id = fact["user_id"].clone();
    for field in ["subject", "display_name"] {
        // Nothing of the text may end in a message.
        let Some(text) = fact[field].as_str() else { return Err(format!("{field} is no text")) };
        fact[field] = json!({ PERSONAL_KEY: { "subject_id": user_id, "text": text } });
    }
    Ok(fact)
}

events! {
    /// Attempts that the tenant boundary stopped; one stream per attempt.
    AccessEvent in "tenancy" {
        /// Somebody reached for an object of another tenant and was told that it does not exist.
        CrossTenantAccessDenied = 1 {
            /// Who.
            user_id: UserId,
            /// What was asked for (`device`, `approval` …).
            object_kind: String,
            /// Its id.
            object_id: String,
            /// The GraphQL field.
            operation: String,
        },
    }
}

commands! {
    Tenancy {
        /// Registers a partner.
        RegisterPartner -> PartnerId, needs ManagePartners {
            /// Display name, 1 to 200 characters.
            name: String,
        }
        /// Registers a customer of a partner.
        RegisterCustomer -> CustomerId, needs ManageCustomers {
            /// Its partner.
            partner_id: PartnerId,
            /// Display name, 1 to 200 characters.
            name: String,
            /// IANA time zone.
            time_zone: String,
        }
        /// Invites a person and grants a first role.
        InviteUser -> UserId, needs ManageUsers {
            /// The partner whose user this is.
            partner_id: PartnerId,
            /// The token's `sub`, 1 to 200 characters.
            subject: String,
            /// Display name.
            display_name: String,
            /// First role.
            role: Role,
            /// The customer, for customer roles.
            customer_id: Option<CustomerId>,
        }
        /// Grants a further role.
        GrantRole -> (), needs ManageUsers {
            /// The user.
            user_id: UserId,
            /// The role.
            role: Role,
            /// The customer, for customer roles.
            customer_id: Option<CustomerId>,
        }
        /// Takes a role away.
        RevokeRole -> (), needs ManageUsers {
            /// The user.
            user_id: UserId,
            /// The role.
            role: Role,
            /// The customer, for customer roles.
            customer_id: Option<CustomerId>,
        }
        /// Forgets a person: takes every role away and destroys the key of all texts about them, for good.
        ForgetUser -> (), needs ManageUsers {
            /// The user.
            user_id: UserId,
        }
        /// Records an attempt that the tenant boundary stopped.
        RecordDeniedAccess -> (), needs RecordDeniedAccess {
            /// What was asked for.
            object_kind: String,
            /// Its id.
            object_id: String,
            /// The GraphQL field.
            operation: String,
        }
    }
}
