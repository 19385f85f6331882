//! How events and commands are written down.

/// Declares the events of one aggregate: a struct per fact and the enum that holds them.
///
/// ```text
/// events! {
///     /// Facts of a partner.
///     PartnerEvent in "tenancy" {
///         /// A partner was registered.
///         PartnerRegistered = 1 { /** Display name. */ name: String },
///     }
/// }
/// ```
/// The number is the version of the shape that is written today. A later version says how each older one is read, by one
/// pure step to the next, `fn(Value) -> Result<Value, String>`; the compiler asks for every step:
///
/// ```text
/// PartnerRegistered = 3 { … } upcast { 1 => steps::add_country, 2 => steps::split_name },
/// ```
macro_rules! events {
    ($(#[doc = $enum_doc:literal])* $enum:ident in $service:literal {$(
        $(#[$doc:meta])* $name:ident = $version:literal {$(
            $(#[$field_doc:meta])* $field:ident : $type:ty
        ),* $(,)?} $(upcast {$($from:literal => $step:path),+ $(,)?})?
    ),+ $(,)?}) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
            #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
            pub struct $name {$(
                $(#[$field_doc])* pub $field: $type,
            )*}

            impl $name {
                const STEPS: &'static [$crate::upcast::Step] = &[$($(($from, $step)),+)?];

                /// The stored name of this fact.
                pub const TYPE: &'static str = concat!($service, ".", stringify!($name));
            }

            impl From<$name> for $enum {
                fn from(fact: $name) -> Self {
                    Self::$name(fact)
                }
            }
        )+

        $(#[doc = $enum_doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub enum $enum {$(
            $(#[$doc])* $name($name),
        )+}

        impl $enum {
            /// The set itself, for those who look through all of them.
            pub const SET: $crate::catalogue::EventSet = $crate::catalogue::EventSet {
                name: stringify!($enum),
                service: $service,
                doc: concat!($($enum_doc, "\n"),*),
                types: Self::TYPES,
                rewrite: |event_type, schema_version, payload| {
                    let fact = <Self as kernel::EventData>::read(event_type, schema_version, payload)?;
                    Ok(kernel::EventData::payload(&fact))
                },
                #[cfg(feature = "schema")]
                shapes: || vec![$(
                    $crate::schema::Shape::of::<$name>($name::TYPE, $version)
                ),+],
            };

            /// Every type of this set with the version that is written today.
            pub const TYPES: &'static [(&'static str, i16)] = &[$(($name::TYPE, $version)),+];
        }

        impl kernel::EventData for $enum {
            fn event_type(&self) -> &'static str {
                match self {$( Self::$name(_) => $name::TYPE, )+}
            }

            fn schema_version(&self) -> i16 {
                match self {$( Self::$name(_) => $version, )+}
            }

            fn payload(&self) -> serde_json::Value {
                let value = match self {$( Self::$name(fact) => serde_json::to_value(fact), )+};
                value.expect("a fact is always JSON")
            }

            fn read(event_type: &str, schema_version: i16, payload: &serde_json::Value) -> Result<Self, kernel::MalformedEvent> {
                let malformed = |reason: String| kernel::MalformedEvent {
                    event_type: event_type.to_owned(), schema_version, reason,
                };
                match event_type {
                    $($name::TYPE => {
                        const { assert!($crate::upcast::is_complete($name::STEPS, $version), "one upcast from each older version, in order") };
                        let fact = if schema_version == $version {
                            <$name as serde::Deserialize>::deserialize(payload)
                        } else if (1..$version).contains(&schema_version) {
                            let today = $crate::upcast::upcast(payload, schema_version, $version, $name::STEPS).map_err(malformed)?;
                            <$name as serde::Deserialize>::deserialize(today)
                        } else {
                            return Err(malformed(format!("no such event or version in {}; versions 1 to {} are known", stringify!($enum), $version)));
                        };
                        fact.map(Self::$name).map_err(|e| malformed(e.to_string()))
                    })+
                    _ => Err(malformed(format!("no such event or version in {}", stringify!($enum)))),
                }
            }

            fn owns(event_type: &str) -> bool {
                [$($name::TYPE),+].contains(&event_type)
            }
        }
    };
}

/// Declares the commands a service takes over HTTP, with what each answers and the permission it needs.
macro_rules! commands {
    ($service:ident {$(
        $(#[$doc:meta])* $name:ident -> $answer:ty, needs $permission:ident {$(
            $(#[$field_doc:meta])* $field:ident : $type:ty
        ),* $(,)?}
    )+}) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
            #[serde(deny_unknown_fields)]
            pub struct $name {$(
                $(#[$field_doc])* pub $field: $type,
            )*}

            impl $crate::Command for $name {
                const NAME: &'static str = stringify!($name);
                const SERVICE: $crate::Service = $crate::Service::$service;
                const PERMISSION: $crate::permissions::Permission = $crate::permissions::Permission::$permission;
                type Answer = $answer;
            }
        )+

        /// Every command of the service with the permission it needs.
        pub const COMMANDS: &[(&str, $crate::permissions::Permission)] =
            &[$((stringify!($name), $crate::permissions::Permission::$permission)),+];
    };
}
