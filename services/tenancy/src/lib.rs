//! Partners, customers, users and their roles; on a fresh machine also the issuer of tokens.

mod commands;
mod forgetting;
mod issuer;
mod lookup;

use access::BuiltinIssuer;
use contracts::Service;
use foundation::Foundation;
use runtime::{Lifecycle, Settings, settings::Environment};
use std::{net::SocketAddr, sync::Arc};

/// Starts the service; answers with its address once it listens.
pub async fn run(settings: &Settings, lifecycle: &Lifecycle) -> anyhow::Result<SocketAddr> {
    let foundation = Foundation::lay(Service::Tenancy, settings, lifecycle).await?;
    forgetting::forget_again(&foundation).await?;
    foundation.background("keys", forgetting::rewrap(foundation.clone()));
    let mut server = foundation.server().configure({
        let foundation = foundation.clone();
        move |routes| commands::routes(&foundation, routes)
    });
    if settings.identity.builtin && settings.environment == Environment::Development {
        let issuer =
            BuiltinIssuer::new(&settings.identity, foundation.clock.clone(), foundation.ids.clone())?;
        let state = issuer::State::new(issuer, &settings.identity);
        let state = Arc::new(state);
        server = server.configure(move |routes| issuer::routes(&state, routes));
    }
    Ok(server.start(lifecycle)?)
}
