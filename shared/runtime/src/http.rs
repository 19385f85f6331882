//! HTTP clients with limits, so that no part of the program makes one without.

use std::time::Duration;

/// A peer that does not answer a TCP handshake in this time is treated as down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Makes ring the process's TLS provider. Harmless when repeated.
pub fn install_tls_provider() {
    // An error only says that a provider is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A client for Patchfleet's own services: no proxy, no redirects, `deadline` for the whole exchange.
pub fn internal_client(deadline: Duration) -> reqwest::Result<reqwest::Client> {
    builder(deadline).no_proxy().build()
}

/// A client for configured outside services such as the identity provider: the system's proxy, no redirects.
pub fn external_client(deadline: Duration) -> reqwest::Result<reqwest::Client> {
    builder(deadline).build()
}

fn builder(deadline: Duration) -> reqwest::ClientBuilder {
    install_tls_provider();
    reqwest::Client::builder()
        .user_agent(concat!("patchfleet/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(deadline)
        .redirect(reqwest::redirect::Policy::none())
}
