//! Who signed a document at hand.

use anyhow::Context;
use feeds_documents::openpgp::{Verified, verify_clearsigned, verify_detached};
use kernel::Refused;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes of a signed document, of a signature or of a keyring: how much of each is believed is looked at there.
const BYTES_MAX: u64 = 16 << 20;

/// The signature of a document by somebody of the keyring.
pub(super) fn run(document: &Path, signature: Option<&Path>, keyring: &Path) -> anyhow::Result<Verified> {
    let (text, keyring) = (bytes(document)?, bytes(keyring)?);
    let verified = match signature {
        Some(signature) => verify_detached(&text, &bytes(signature)?, &keyring),
        None => verify_clearsigned(&text, &keyring),
    };
    verified.map_err(|refusal| anyhow::anyhow!("{}: {refusal} ({})", document.display(), refusal.code()))
}

fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let reading = || format!("reading {}", path.display());
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).with_context(reading)?;
    anyhow::ensure!(bytes.len() as u64 <= BYTES_MAX, "{} has more than {BYTES_MAX} bytes", path.display());
    Ok(bytes)
}
