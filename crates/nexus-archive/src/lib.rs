//! The archive of a whole zone: every row of its metastore with the revision that wrote it, then
//! every blob that those rows name. `docs/ARCHIVE.md` draws the bytes.
//!
//! An archive is a chain of blocks. Each ends with a hash over itself and the one before, so that
//! what is cut, changed or moved is noticed at the first block that it touches, and the last hash
//! is one over everything. A [`Writer`] makes blocks, a [`Reader`] takes them apart and believes
//! nothing that it has not checked. Neither keeps more than a block in memory.
//!
//! Only the order of rows and the names of blobs mean something here; what a row says is the
//! business of whoever puts it into a store.
//!
//! | file | holds |
//! | --- | --- |
//! | `blob` | how blobs are named, and which row names one |
//! | `chain` | blocks as bytes, and the hash that joins them |
//! | `messages` | what is in a block |
//! | `tally` | what has to agree between the parts of an archive |
//! | `reader`, `writer` | archives |
#![deny(missing_docs)]

mod blob;
mod chain;
mod messages;
mod reader;
mod tally;
#[cfg(test)]
mod tests;
mod writer;

pub use blob::{BLOB_NAME_LEN, BlobName, blob_named_by};
pub use chain::{BLOCK_ITEMS_MAX, ChainHash, PAYLOAD_BYTES_MAX};
pub use messages::{HashAlgorithm, Header, Rows, Trailer};
pub use reader::{Block, Reader};
pub use tally::Progress;
pub use writer::Writer;

/// The version of the format that this build writes, and the only one that it reads.
pub const VERSION: u32 = 1;

/// How much a writer gathers in a block of rows or blobs before it begins another.
pub const BLOCK_BYTES: usize = 1 << 20;
