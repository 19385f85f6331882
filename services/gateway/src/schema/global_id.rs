//! Global ids: opaque to clients, `Kind:uuid` to us.

use async_graphql::ID;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

macro_rules! kinds {
    ($($name:ident in $service:literal as $words:literal),+ $(,)?) => {
        /// What an id is the id of.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Kind { $($name),+ }

        impl Kind {
            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The GraphQL type.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }

            fn by_name(name: &str) -> Option<Self> {
                match name { $(stringify!($name) => Some(Self::$name),)+ _ => None }
            }

            /// Its name in a sentence.
            pub(crate) fn words(self) -> &'static str {
                match self { $(Self::$name => $words),+ }
            }

            /// The code of an answer that there is none.
            pub(crate) fn not_found(self) -> String {
                match self { $(Self::$name => concat!($service, ".", $words, "_not_found").replace(' ', "_")),+ }
            }
        }
    };
}

kinds! {
    Partner in "tenancy" as "partner",
    Customer in "tenancy" as "customer",
    User in "tenancy" as "user",
    Feed in "feeds" as "feed",
    Patch in "feeds" as "patch",
    Package in "feeds" as "package",
    Device in "devices" as "device",
    DeviceGroup in "devices" as "device group",
    Approval in "approvals" as "approval",
    Rule in "approvals" as "rule",
    Deployment in "scheduling" as "deployment",
    DeviceJob in "scheduling" as "device job",
    ScanJob in "scheduling" as "scan job",
    Alert in "alerts" as "alert",
    Webhook in "alerts" as "webhook",
}

/// A decoded id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct GlobalId {
    pub(crate) kind: Kind,
    pub(crate) id: Uuid,
}

impl GlobalId {
    pub(crate) fn read(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (kind, id) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
        Some(Self { kind: Kind::by_name(kind)?, id: Uuid::try_parse(id).ok()? })
    }
}

/// The global id of an object.
pub(crate) fn global(kind: Kind, id: Uuid) -> ID {
    ID(URL_SAFE_NO_PAD.encode(format!("{}:{id}", kind.name())))
}

#[cfg(test)]
mod tests {
    use super::{GlobalId, Kind, global};
    use uuid::Uuid;

    #[test]
    fn an_id_leads_back_to_its_object() {
        for kind in Kind::ALL {
            let id = Uuid::from_u128(7);
            assert_eq!(GlobalId::read(&global(*kind, id)), Some(GlobalId { kind: *kind, id }));
        }
    }

    #[test]
    fn what_is_no_id_is_none() {
        // The last is base64 of `Planet:` and an id.
        for text in ["", "x", "Device:1", "UGxhbmV0OjAwMDAwMDAwLTAwMDAtMDAwMC0wMDAwLTAwMDAwMDAwMDAwNw"] {
            assert_eq!(GlobalId::read(text), None, "{text}");
        }
    }

    #[test]
    fn every_kind_says_by_a_stable_code_that_there_is_none() {
        assert_eq!(Kind::DeviceJob.not_found(), "scheduling.device_job_not_found");
        assert_eq!(Kind::Customer.not_found(), "tenancy.customer_not_found");
    }
}
