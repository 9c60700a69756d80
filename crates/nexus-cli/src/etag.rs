//! Content hashes as a node writes them: `b3-<hex>` or `sha256-<hex>`.

use nexus_client::{Error, Result};
use sha2::Digest as _;

/// Hashes content with the same hash as a given etag, so that the two can be compared.
pub(crate) enum EtagHasher {
    Blake3(Box<blake3::Hasher>),
    Sha256(sha2::Sha256),
}

impl EtagHasher {
    /// A hasher of the kind that made `etag`.
    pub(crate) fn like(etag: &str) -> Result<Self> {
        match etag.split_once('-') {
            Some(("b3", _)) => Ok(Self::Blake3(Box::default())),
            Some(("sha256", _)) => Ok(Self::Sha256(sha2::Sha256::new())),
            _ => Err(Error::unsupported(
                "this etag names a hash that this version of nexus does not know; upgrade it",
            )
            .with("etag", etag.escape_debug())),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Blake3(hasher) => {
                hasher.update(bytes);
            }
            Self::Sha256(hasher) => hasher.update(bytes),
        }
    }

    /// The etag of all that was added.
    pub(crate) fn finish(self) -> String {
        match self {
            Self::Blake3(hasher) => format!("b3-{}", hasher.finalize().to_hex()),
            Self::Sha256(hasher) => format!("sha256-{}", hex::encode(hasher.finalize())),
        }
    }
}
