//! Complexity as counted by the schema: refused with a code above the limit, else reported with the answer.

use std::sync::{Arc, OnceLock};

use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextRequest, NextValidation};
use async_graphql::{ErrorExtensionValues, Response, ServerError, ValidationResult, Value};

/// Where the extension leaves its count for the front, which moves it into `extensions.cost`.
pub(super) const RESPONSE_KEY: &str = "complexity";

pub(super) struct ComplexityLimit {
    pub(super) max: usize,
}

impl ExtensionFactory for ComplexityLimit {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Count { max: self.max, counted: OnceLock::new() })
    }
}

struct Count {
    max: usize,
    counted: OnceLock<usize>,
}

#[async_trait::async_trait]
impl Extension for Count {
    async fn request(&self, ctx: &ExtensionContext<'_>, next: NextRequest<'_>) -> Response {
        let response = next.run(ctx).await;
        match self.counted.get() {
            Some(counted) => response.extension(RESPONSE_KEY, Value::from(*counted)),
            None => response,
        }
    }

    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        let result = next.run(ctx).await?;
        let counted = *self.counted.get_or_init(|| result.complexity);
        if counted <= self.max {
            return Ok(result);
        }
        let message = format!("the operation has a complexity of {counted}, at most {} is allowed", self.max);
        let mut error = ServerError::new(message, None);
        let mut extensions = ErrorExtensionValues::default();
        extensions.set("code", "graphql.too_complex");
        error.extensions = Some(extensions);
        Err(vec![error])
    }
}
