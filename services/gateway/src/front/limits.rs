//! Limits of the GraphQL transport, each with the reason for its default.

use std::time::Duration;

use async_graphql::{ObjectType, SchemaBuilder, SubscriptionType};

use super::complexity::ComplexityLimit;
use super::nulls::NullWhereFailed;

/// Nesting of selection sets and fragments together; async-graphql stops at the same depth, but only after
/// following every path to it, which doubling fragments turn into hours.
pub(super) const NESTING_MAX: usize = 32;

/// Nesting of brackets in the text: the parser recurses once per bracket and would overflow the stack.
pub(super) const BRACKETS_MAX: usize = 100;

/// Operations in one document: validation walks the fragments once per operation.
pub(super) const OPERATIONS_MAX: usize = 20;

/// Validation also walks every fragment on its own, so the fragments together may expand to this many times
/// what the operations may.
pub(super) const FRAGMENTS_FACTOR: u64 = 4;

/// Estimated values an introspection may produce: the widest standard query is estimated at a quarter,
/// while `fields { type { fields … } }` multiplies the schema by itself at every level.
pub(super) const INTROSPECTION_WEIGHT_MAX: u64 = 1_000_000;

/// Errors listed in one answer: five thousand unknown fields would be answered with a megabyte.
pub(super) const ERRORS_MAX: usize = 20;

/// Time for a client to send its body or to take a WebSocket message off our hands.
pub(super) const TRANSFER_TIMEOUT: Duration = Duration::from_secs(20);

/// Bounds on what one client may ask of the GraphQL front.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of a request body; the largest document of the console is below 20 kB.
    pub body_bytes: usize,
    /// Tokens of a document: what parsing and validation cost.
    pub tokens: usize,
    /// Selections after expanding fragments: what execution costs, and what a short document can multiply.
    pub expanded_fields: u64,
    /// Nesting of fields; the standard introspection query needs 15.
    pub depth: usize,
    /// Complexity as the schema counts it, page sizes multiplied in.
    pub complexity: usize,
    /// Aliases after expanding fragments: they repeat an expensive field under other names.
    pub aliases: u64,
    /// Directives after expanding fragments.
    pub directives: u64,
    /// Fields at the root of an operation: each is a separate database query or command.
    pub root_fields: u64,
    /// Time for one query or mutation.
    pub execution: Duration,
    /// Sockets and event streams open at once, over all clients.
    pub streams: usize,
    /// Operations running at once in one socket.
    pub operations_per_socket: usize,
    /// Bytes of one WebSocket message.
    pub message_bytes: usize,
    /// Time from opening a socket to its `connection_init`.
    pub initialisation: Duration,
    /// Time between signs of life on sockets and event streams; below the idle timeouts of common proxies.
    pub heartbeat: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 256 * 1024,
            tokens: 15_000,
            expanded_fields: 5_000,
            depth: 15,
            complexity: 20_000,
            aliases: 100,
            directives: 100,
            root_fields: 20,
            execution: Duration::from_secs(10),
            streams: 10_000,
            operations_per_socket: 50,
            message_bytes: 256 * 1024,
            initialisation: Duration::from_secs(10),
            heartbeat: Duration::from_secs(15),
        }
    }
}

impl Limits {
    /// Gives a schema the limits that only it can check, and nulls where fields fail.
    ///
    /// Spelling suggestions are switched off: they compare every unknown name with every field of the type,
    /// which makes a document of unknown names cost a hundred times its reading.
    #[must_use]
    pub fn guard<Q, M, S>(&self, schema: SchemaBuilder<Q, M, S>) -> SchemaBuilder<Q, M, S>
    where
        Q: ObjectType + 'static,
        M: ObjectType + 'static,
        S: SubscriptionType + 'static,
    {
        schema
            .limit_recursive_depth(NESTING_MAX)
            .disable_suggestions()
            .extension(ComplexityLimit { max: self.complexity })
            .extension(NullWhereFailed)
    }
}
