//! Every webhook's keys come from the service's one secret, so that none of them is stored.

use super::sign::Keys;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use kernel::WebhookId;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// Derives keys.
#[derive(Debug, Clone)]
pub struct KeyRing {
    secret: SecretString,
    key_id: String,
}

impl KeyRing {
    /// From the service's secret.
    pub fn new(secret: &SecretString) -> Self {
        let key_id = STANDARD_NO_PAD.encode(&derive(secret, "key id")[..9]);
        Self { secret: secret.clone(), key_id }
    }

    /// Names the secret without telling it: keys that another one made are not ours.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The keys of one webhook.
    pub fn keys(&self, webhook_id: WebhookId) -> Keys {
        let secret = derive(&self.secret, &format!("{webhook_id} v1"));
        let seed = derive(&self.secret, &format!("{webhook_id} v1a"));
        Keys::new(secret, &seed)
    }
}

fn derive(secret: &SecretString, purpose: &str) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).expect("HMAC takes any key length");
    mac.update(b"patchfleet webhook ");
    mac.update(purpose.as_bytes());
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::KeyRing;
    use kernel::WebhookId;
    use uuid::Uuid;

    const ONE: WebhookId = WebhookId(Uuid::from_u128(1));
    const OTHER: WebhookId = WebhookId(Uuid::from_u128(2));

    #[test]
    fn a_webhook_always_has_the_same_keys_and_no_other_has_them() {
        let ring = KeyRing::new(&"the first secret of the service ....".into());
        let changed = KeyRing::new(&"the second secret of the service ...".into());
        let keys = ring.keys(ONE);
        assert_eq!(keys.secret_text(), ring.keys(ONE).secret_text());
        assert_eq!(keys.public_key_text(), ring.keys(ONE).public_key_text());
        for other in [ring.keys(OTHER), changed.keys(ONE)] {
            assert_ne!(keys.secret_text(), other.secret_text());
            assert_ne!(keys.public_key_text(), other.public_key_text());
        }
        assert_ne!(ring.key_id(), changed.key_id());
    }
}
