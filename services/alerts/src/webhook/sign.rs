//! The signatures of Standard Webhooks 1.0: `v1` (HMAC-SHA256) and `v1a` (Ed25519).

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use ed25519_dalek::{Signer, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use kernel::EventId;
use secrecy::{ExposeSecret, SecretBox};
use sha2::Sha256;

/// Bytes of a `v1` secret; the specification asks for 24 to 64.
pub const SECRET_BYTES: usize = 32;

/// What a webhook's deliveries are signed with.
pub struct Keys {
    secret: SecretBox<[u8; SECRET_BYTES]>,
    signing_key: SigningKey,
}

impl Keys {
    /// From the bytes of the shared secret and the seed of the Ed25519 key.
    pub fn new(secret: [u8; SECRET_BYTES], seed: &[u8; 32]) -> Self {
        Self { secret: SecretBox::new(Box::new(secret)), signing_key: SigningKey::from_bytes(seed) }
    }

    /// `whsec_…`, for the receiver's eyes only.
    pub fn secret_text(&self) -> String {
        format!("whsec_{}", STANDARD.encode(self.secret.expose_secret()))
    }

    /// `whpk_…`, with which anybody can check the `v1a` signature.
    pub fn public_key_text(&self) -> String {
        format!("whpk_{}", STANDARD.encode(self.signing_key.verifying_key().as_bytes()))
    }

    /// The value of the header `webhook-signature`.
    pub fn signatures(&self, event_id: EventId, sent_at: DateTime<Utc>, body: &[u8]) -> String {
        let mut signed = format!("{event_id}.{}.", sent_at.timestamp()).into_bytes();
        signed.extend_from_slice(body);
        let v1 = STANDARD.encode(self.mac(&signed));
        let v1a = STANDARD.encode(self.signing_key.sign(&signed).to_bytes());
        format!("v1,{v1} v1a,{v1a}")
    }

    fn mac(&self, signed: &[u8]) -> [u8; 32] {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.secret.expose_secret()).expect("HMAC takes any key length");
        mac.update(signed);
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys([REDACTED])")
    }
}

#[cfg(test)]
mod tests {
    use super::Keys;
    use base64::{Engine, engine::general_purpose::STANDARD};
    use chrono::{DateTime, Utc};
    use ed25519_dalek::{Signature, VerifyingKey};
    use kernel::EventId;
    use runtime::{Clock, SystemClock};
    use standardwebhooks::Webhook;
    use uuid::Uuid;

    const EVENT: EventId = EventId(Uuid::from_u128(7));
    const BODY: &[u8] = br#"{"type":"alerts.AlertRaised","data":{"message":"M\u00fcller"}}"#;

    fn keys() -> Keys {
        Keys::new([1; 32], &[2; 32])
    }

    fn headers(event_id: EventId, sent_at: DateTime<Utc>, signatures: &str) -> reqwest::header::HeaderMap {
        let timestamp = sent_at.timestamp().to_string();
        let pairs = [
            ("webhook-id", event_id.to_string()),
            ("webhook-timestamp", timestamp),
            ("webhook-signature", signatures.to_owned()),
        ];
        pairs.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    /// The `v1a` check as the specification words it, by somebody who has the public key only.
    fn v1a_holds(
        public_key: &str,
        event_id: EventId,
        sent_at: DateTime<Utc>,
        body: &[u8],
        header: &str,
    ) -> bool {
        let key = STANDARD.decode(public_key.strip_prefix("whpk_").unwrap()).unwrap();
        let key = VerifyingKey::from_bytes(&key.try_into().unwrap()).unwrap();
        let signed = [format!("{event_id}.{}.", sent_at.timestamp()).as_bytes(), body].concat();
        header.split(' ').filter_map(|part| part.strip_prefix("v1a,")).any(|part| {
            let signature = Signature::from_slice(&STANDARD.decode(part).unwrap()).unwrap();
            key.verify_strict(&signed, &signature).is_ok()
        })
    }

    // The other party's verifier reads the real clock, too.
    fn now() -> DateTime<Utc> {
        SystemClock.now()
    }

    #[test]
    fn somebody_elses_verifier_accepts_the_v1_signature() {
        let (keys, now) = (keys(), now());
        let signatures = keys.signatures(EVENT, now, BODY);
        let verifier = Webhook::new(&keys.secret_text()).unwrap();
        verifier.verify(BODY, &headers(EVENT, now, &signatures)).unwrap();
    }

    #[test]
    fn somebody_elses_verifier_refuses_another_body_id_time_or_secret() {
        let (keys, now) = (keys(), now());
        let signatures = keys.signatures(EVENT, now, BODY);
        let good = headers(EVENT, now, &signatures);
        let other_id = headers(EventId(Uuid::from_u128(8)), now, &signatures);
        let other_time = headers(EVENT, now - chrono::TimeDelta::seconds(1), &signatures);
        let verifier = Webhook::new(&keys.secret_text()).unwrap();
        let other_secret = Webhook::new(&Keys::new([9; 32], &[2; 32]).secret_text()).unwrap();
        assert!(verifier.verify(b"{}", &good).is_err());
        assert!(verifier.verify(BODY, &other_id).is_err());
        assert!(verifier.verify(BODY, &other_time).is_err());
        assert!(other_secret.verify(BODY, &good).is_err());
    }

    #[test]
    fn the_v1a_signature_holds_for_the_public_key_and_for_nothing_else() {
        let (keys, now) = (keys(), now());
        let signatures = keys.signatures(EVENT, now, BODY);
        let public_key = keys.public_key_text();
        let other_key = Keys::new([1; 32], &[3; 32]).public_key_text();
        assert!(v1a_holds(&public_key, EVENT, now, BODY, &signatures));
        assert!(!v1a_holds(&public_key, EVENT, now, b"{}", &signatures));
        assert!(!v1a_holds(&public_key, EventId(Uuid::nil()), now, BODY, &signatures));
        assert!(!v1a_holds(&other_key, EVENT, now, BODY, &signatures));
    }

    #[test]
    fn the_secret_does_not_show_in_debug_output() {
        assert_eq!(format!("{:?}", keys()), "Keys([REDACTED])");
    }
}
