//! Blocks as bytes, and the hash that joins them.
//!
//! ```text
//! kind (1)  length (4, big-endian)  payload (length)  hash (32)
//! ```

use bytes::{BufMut, Bytes, BytesMut};
use nexus_kernel::{Error, Result};
use prost::Message;

use crate::VERSION;

/// Most bytes in a block, its head and hash aside.
pub const PAYLOAD_BYTES_MAX: usize = 16 << 20;

/// Most rows or blobs in a block: each of them takes memory beside its bytes.
pub const BLOCK_ITEMS_MAX: usize = 200_000;

pub(crate) const HEAD_LEN: usize = 5;
pub(crate) const HASH_LEN: usize = 32;
pub(crate) const PREAMBLE_LEN: usize = 12;

const MAGIC: [u8; 8] = *b"NXZONE\r\n";
const CONTEXT: &str = "nexus 2026-11 zone archive, version 1: block";

/// The hash over an archive from its first byte to the end of some block.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ChainHash([u8; HASH_LEN]);

impl ChainHash {
    /// Takes a hash from its bytes.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` when there are not 32.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        let hash = bytes.try_into().map_err(|_| {
            Error::invalid("the hash of an archive has 32 bytes").with("bytes", bytes.len())
        })?;
        Ok(Self(hash))
    }

    /// As it is written.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; HASH_LEN] {
        &self.0
    }

    /// Where a chain begins: with what comes before the first block.
    pub(crate) fn beginning() -> Self {
        Self(blake3::derive_key(CONTEXT, &preamble()))
    }

    /// The hash at the end of the next block.
    pub(crate) fn after(&self, head: &[u8], payload: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(&self.0).update(head).update(payload);
        Self(*hasher.finalize().as_bytes())
    }
}

impl std::fmt::Display for ChainHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl std::fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Header = 1,
    Rows = 2,
    RowsEnd = 3,
    Blobs = 4,
    Trailer = 5,
}

impl Kind {
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        let all = [
            Self::Header,
            Self::Rows,
            Self::RowsEnd,
            Self::Blobs,
            Self::Trailer,
        ];
        all.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// What comes before the first block.
pub(crate) fn preamble() -> [u8; PREAMBLE_LEN] {
    let mut preamble = [0; PREAMBLE_LEN];
    preamble[..MAGIC.len()].copy_from_slice(&MAGIC);
    preamble[MAGIC.len()..].copy_from_slice(&VERSION.to_be_bytes());
    preamble
}

/// Checks what comes before the first block.
pub(crate) fn check_preamble(found: &[u8; PREAMBLE_LEN]) -> Result<()> {
    let (magic, version) = found.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(Error::invalid(
            "this is no archive of a zone; name a file that `nexus zone export` wrote",
        ));
    }
    let version = u32::from_be_bytes(version.try_into().expect("four bytes are left"));
    if version != VERSION {
        return Err(Error::unsupported(
            "the archive has a format that this version cannot read; use the version that wrote it, or a newer one",
        )
        .with("format", version)
        .with("supported format", VERSION));
    }
    Ok(())
}

/// A block as it is written, and the chain after it.
pub(crate) fn frame(
    before: &ChainHash,
    kind: Kind,
    payload: &impl Message,
) -> Result<(Bytes, ChainHash)> {
    let len = payload.encoded_len();
    if len > PAYLOAD_BYTES_MAX {
        return Err(too_large(len));
    }
    let mut block = BytesMut::with_capacity(HEAD_LEN + len + HASH_LEN);
    block.put_u8(kind as u8);
    block.put_u32(u32::try_from(len).expect("a block is below 4 GiB"));
    payload
        .encode(&mut block)
        .expect("the room for it was reserved");
    let after = before.after(&block[..HEAD_LEN], &block[HEAD_LEN..]);
    block.put_slice(after.as_bytes());
    Ok((block.freeze(), after))
}

pub(crate) fn check_items(items: usize) -> Result<()> {
    if items <= BLOCK_ITEMS_MAX {
        return Ok(());
    }
    Err(
        Error::limit("a block of an archive has at most 200000 rows or blobs; make more blocks")
            .with("limit", BLOCK_ITEMS_MAX),
    )
}

pub(crate) fn too_large(bytes: usize) -> Error {
    Error::limit(
        "a block of an archive has at most 16 MiB; a row or blob is larger than any can be",
    )
    .with("bytes", bytes)
    .with("most", PAYLOAD_BYTES_MAX)
}
