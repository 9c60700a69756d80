//! Blobs, by their hash.

use std::fmt;

use bytes::Bytes;
use nexus_kernel::{Entry, Error, Result};
use sha2::Digest;

/// How many bytes a blob's name has: which hash, and 256 bits of it.
pub const BLOB_NAME_LEN: usize = 33;

/// The kind of row that counts how often a blob is used.
const COUNT_TAG: u8 = b'c';
const BLAKE3: u8 = 1;
const SHA256: u8 = 2;

/// The name of a blob: the hash of its bytes, after a byte that says which hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobName([u8; BLOB_NAME_LEN]);

impl BlobName {
    /// Takes a name apart from its bytes.
    ///
    /// # Errors
    ///
    /// `Corrupt` for another length or an unknown hash.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        let known = |name: &[u8; BLOB_NAME_LEN]| [BLAKE3, SHA256].contains(&name[0]);
        let name = bytes.try_into().ok().filter(known);
        name.map(Self).ok_or_else(|| {
            Error::corrupt("a blob of the archive has no name that this version knows").with(
                "name",
                hex::encode(&bytes[..bytes.len().min(BLOB_NAME_LEN)]),
            )
        })
    }

    /// The name as it is written.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; BLOB_NAME_LEN] {
        &self.0
    }

    /// Whether these are the bytes of the blob.
    #[must_use]
    pub fn is_of(&self, blob: &[u8]) -> bool {
        let (algorithm, hash) = (self.0[0], &self.0[1..]);
        match algorithm {
            BLAKE3 => blake3::hash(blob).as_bytes() == hash,
            _ => sha2::Sha256::digest(blob)[..] == *hash,
        }
    }
}

impl fmt::Display for BlobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0[0] == BLAKE3 {
            "b3-"
        } else {
            "sha256-"
        })?;
        f.write_str(&hex::encode(&self.0[1..]))
    }
}

impl fmt::Debug for BlobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The blob that a row says is in use: a row `c` counts uses, and one that counts none names a
/// blob that may be gone.
///
/// # Errors
///
/// `Corrupt` for such a row without a blob's name.
pub fn blob_named_by(row: &Entry) -> Result<Option<BlobName>> {
    let Some((&COUNT_TAG, name)) = row.key.split_first() else {
        return Ok(None);
    };
    let unused = |count: &Bytes| count.iter().all(|byte| *byte == 0);
    if unused(&row.value.bytes) {
        return Ok(None);
    }
    BlobName::new(name).map(Some)
}
