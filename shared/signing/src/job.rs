//! Jobs as they travel: the exact bytes that were signed, so that no two JSON writers need to agree.

use base64::{Engine, prelude::BASE64_STANDARD};
use contracts::agent::{AGENT_BODY_BYTES_MAX, JOB_SIGNATURE_CONTEXT, Job, SignedJob};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

/// Why a job is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// Payload or signature cannot be read.
    #[error("the job cannot be read: {detail}")]
    Malformed {
        /// What is wrong with it.
        detail: String,
    },
    /// The server's key did not sign these bytes.
    #[error("the job's signature is not by the server's key")]
    Forged,
}

impl JobError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "agent.job_malformed",
            Self::Forged => "agent.job_signature_invalid",
        }
    }
}

/// Signs a job.
pub fn sign_job(key: &SigningKey, job: &Job) -> SignedJob {
    #[expect(
        clippy::expect_used,
        reason = "a job holds texts, numbers and lists: JSON has a form for all of them"
    )]
    let payload = serde_json::to_vec(job).expect("a job has a JSON form");
    let signature = key.sign(&signed_bytes(&payload));
    SignedJob {
        payload: BASE64_STANDARD.encode(&payload),
        signature: BASE64_STANDARD.encode(signature.to_bytes()),
    }
}

/// Reads a job after checking its signature. Device, number and expiry are the agent's to check.
pub fn verify_job(key: &VerifyingKey, signed: &SignedJob) -> Result<Job, JobError> {
    let malformed = |detail: &str| JobError::Malformed { detail: detail.to_owned() };
    if signed.payload.len() > AGENT_BODY_BYTES_MAX {
        return Err(malformed("payload is too long"));
    }
    let payload = BASE64_STANDARD.decode(&signed.payload).map_err(|e| malformed(&format!("payload: {e}")))?;
    let signature = BASE64_STANDARD
        .decode(&signed.signature)
        .ok()
        .and_then(|bytes| Signature::from_slice(&bytes).ok())
        .ok_or_else(|| malformed("signature is not the base64 of 64 bytes"))?;
    if key.verify_strict(&signed_bytes(&payload), &signature).is_err() {
        return Err(JobError::Forged);
    }
    serde_json::from_slice(&payload).map_err(|e| malformed(&e.to_string()))
}

fn signed_bytes(payload: &[u8]) -> Vec<u8> {
    [JOB_SIGNATURE_CONTEXT, payload].concat()
}

#[cfg(test)]
mod tests {
    use super::{JobError, sign_job, verify_job};
    use base64::{Engine, prelude::BASE64_STANDARD};
    use chrono::DateTime;
    use contracts::agent::{Job, SignedJob, Work};
    use ed25519_dalek::{Signer, SigningKey};
    use kernel::{DeviceId, JobId};
    use uuid::Uuid;

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[1; 32])
    }

    fn job() -> Job {
        Job {
            job_id: JobId(Uuid::from_u128(1)),
            device_id: DeviceId(Uuid::from_u128(2)),
            number: 3,
            expires_at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
            work: Work::Scan,
            traceparent: None,
        }
    }

    #[test]
    fn a_signed_job_is_read_back() {
        assert_eq!(verify_job(&key().verifying_key(), &sign_job(&key(), &job())), Ok(job()));
    }

    #[test]
    fn a_changed_payload_is_forged() {
        let good = sign_job(&key(), &job());
        let text = String::from_utf8(BASE64_STANDARD.decode(&good.payload).unwrap()).unwrap();
        let changed = text.replace("\"number\":3", "\"number\":4");
        assert_ne!(text, changed);
        let bad = SignedJob { payload: BASE64_STANDARD.encode(changed), ..good };
        assert_eq!(verify_job(&key().verifying_key(), &bad), Err(JobError::Forged));
    }

    #[test]
    fn another_key_is_forged() {
        let signed = sign_job(&SigningKey::from_bytes(&[2; 32]), &job());
        assert_eq!(verify_job(&key().verifying_key(), &signed), Err(JobError::Forged));
    }

    #[test]
    fn a_signature_made_for_something_else_is_forged() {
        let payload = serde_json::to_vec(&job()).unwrap();
        let signed = SignedJob {
            signature: BASE64_STANDARD.encode(key().sign(&payload).to_bytes()),
            payload: BASE64_STANDARD.encode(payload),
        };
        assert_eq!(verify_job(&key().verifying_key(), &signed), Err(JobError::Forged));
    }

    #[test]
    fn unreadable_texts_are_malformed() {
        let good = sign_job(&key(), &job());
        for bad in [
            SignedJob { payload: "*".to_owned(), ..good.clone() },
            SignedJob { signature: String::new(), ..good.clone() },
            SignedJob { signature: "AAAA".to_owned(), ..good },
        ] {
            assert_eq!(
                verify_job(&key().verifying_key(), &bad).unwrap_err().code(),
                "agent.job_malformed",
                "{bad:?}"
            );
        }
    }
}
