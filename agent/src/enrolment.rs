//! How a device gets known to a server.

use crate::AgentError;
use crate::backend::Backend;
use crate::client::Client;
use crate::config::Config;
use crate::state::{Identity, State};
use contracts::agent::EnrolRequest;

/// The version that the agent says it has.
pub const AGENT_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Enrols the device with the configured one-time token and keeps who it is.
pub async fn enrol(config: &Config, state: &State, backend: &Backend) -> Result<Identity, AgentError> {
    if let Some(known) = state.identity()? {
        return Err(AgentError::AlreadyEnrolled { server: known.server, device_id: known.device_id });
    }
    let missing = |key: &str| AgentError::Config { detail: format!("enrolment needs {key}") };
    let server = config.server.as_deref().ok_or_else(|| missing("server"))?;
    let token = config.token.as_deref().ok_or_else(|| missing("token"))?;
    let client = Client::new(config, server)?;
    let device = backend.describe()?;
    let request = EnrolRequest {
        token: token.trim().to_owned(),
        public_key: signing::public_key_text(&state.key()?.verifying_key()),
        name: device_name(config),
        platform: device.platform,
        os: device.os,
        os_name: device.os_name,
        mode: config.mode.into(),
        agent_version: AGENT_VERSION.to_owned(),
    };
    let answer = client.enrol(&request).await?;
    // A job key that cannot be used would show only at the first job: better now.
    signing::public_key(&answer.job_public_key)
        .map_err(|e| AgentError::Misunderstood { doing: "enrolling", detail: format!("job key: {e}") })?;
    let identity = Identity {
        server: server.to_owned(),
        device_id: answer.device_id,
        customer_id: answer.customer_id,
        job_public_key: answer.job_public_key,
    };
    state.keep_identity(&identity)?;
    tracing::info!(
        device.id = %identity.device_id,
        customer.id = %identity.customer_id,
        server,
        "the device is enrolled"
    );
    Ok(identity)
}

fn device_name(config: &Config) -> String {
    let host = || {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let name = name.trim().to_owned();
        if name.is_empty() { "unnamed".to_owned() } else { name }
    };
    config.name.clone().unwrap_or_else(host)
}
