//! Blobs by key, streamed both ways.

use std::borrow::Borrow;
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;

use crate::{Durability, Error, Result, Timestamp};

/// A body on its way: pieces of any size, in order. An `Err` ends it.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send + 'static>>;

/// A flat store of blobs.
///
/// # Contract
///
/// * A blob becomes visible whole or not at all; a failed, cut short or cancelled put
///   leaves what was there before.
/// * With [`PutMode::IfAbsent`] exactly one of many concurrent puts creates the blob, and
///   an existing blob is never touched.
/// * A `Sync` put is durable when it returns. A `Relaxed` one is visible when it returns
///   and durable after the next [`sync`](Self::sync), so that many blobs share a flush.
/// * Keys never reach outside the store, whatever they contain.
///
/// # Errors
///
/// A missing blob is `NotFound`, a range that begins beyond the end `InvalidArgument`, a
/// full disk `LimitExceeded`, other I/O trouble `Unavailable`.
///
/// # Cancel safety
///
/// Every future may be dropped; see above for what a dropped put leaves. A dropped delete may still
/// happen, but not after a later put of the same key has answered.
#[async_trait]
pub trait ObjectStore: Send + Sync + 'static {
    /// What this store can do.
    fn capabilities(&self) -> Capabilities;

    /// Stores a blob. A `body` that yields an error aborts the put and returns that error.
    async fn put(
        &self,
        key: &ObjectKey,
        body: ByteStream,
        options: PutOptions,
    ) -> Result<PutOutcome>;

    /// Opens a blob, whole or a range of it. A range is cut at the blob's end.
    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Blob>;

    /// What is known of a blob without opening it.
    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta>;

    /// Opens the file that has a blob and nothing else, byte for byte, where the filesystem of
    /// this machine has one: for who reads past this store. None at any time, for instance while
    /// the bytes are still in a journal, and for a missing blob. What was opened never changes:
    /// a put that replaces the blob leaves it as it is, and so does a delete.
    async fn local_file(&self, key: &ObjectKey) -> Result<Option<File>>;

    /// Removes a blob; says whether there was one.
    async fn delete(&self, key: &ObjectKey) -> Result<bool>;

    /// Up to `limit` blobs whose keys begin with `prefix` and come after `after`, in key
    /// order.
    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<ObjectPage>;

    /// Copies a blob inside the store.
    async fn copy(
        &self,
        from: &ObjectKey,
        to: &ObjectKey,
        options: PutOptions,
    ) -> Result<PutOutcome>;

    /// Makes every put and delete that returned before the call durable.
    async fn sync(&self) -> Result<()>;
}

/// The name of a blob: 1 to 512 bytes of ASCII letters, digits and `-_.=/`, of non-empty
/// `/`-separated segments, none of them `.` or `..`.
///
/// ```
/// use nexus_kernel::ObjectKey;
/// assert!(ObjectKey::new("blobs/ab/abcdef").is_ok());
/// assert!(ObjectKey::new("../etc/passwd").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(Box<str>);

impl ObjectKey {
    /// Most bytes in a key.
    pub const BYTES_MAX: usize = 512;

    /// Checks and takes a name.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` when the name breaks the rules of the type.
    pub fn new(name: impl Into<Box<str>>) -> Result<Self> {
        let name = name.into();
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"-_.=/".contains(&b);
        let whole = !name.is_empty() && name.len() <= Self::BYTES_MAX && name.bytes().all(legal);
        if whole && name.split('/').all(|part| !matches!(part, "" | "." | "..")) {
            return Ok(Self(name));
        }
        Err(Error::invalid(
            "an object key is 1 to 512 ASCII letters, digits or -_.=/ without empty, . or .. segments",
        )
        .with("key", name.escape_debug()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ObjectKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a store can do beyond the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// `copy` happens inside the store, without the bytes passing through this process.
    pub server_side_copy: bool,
    /// Largest blob, in bytes.
    pub blob_bytes_max: u64,
    /// Whether blobs survive the process.
    pub durable: bool,
}

/// What a put does when the key is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PutMode {
    /// Replaces the blob atomically.
    #[default]
    Overwrite,
    /// Leaves it and answers [`PutOutcome::AlreadyExists`].
    IfAbsent,
}

/// How a blob is to be stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PutOptions {
    /// What to do when the key is taken.
    pub mode: PutMode,
    /// When the put may return.
    pub durability: Durability,
}

/// What a put did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// The blob is stored.
    Stored {
        /// Its length in bytes.
        size: u64,
    },
    /// The key was taken and the mode was [`PutMode::IfAbsent`]. The existing blob is as
    /// durable as the options asked for.
    AlreadyExists,
}

/// What is known of a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Its name.
    pub key: ObjectKey,
    /// Its length in bytes.
    pub size: u64,
    /// When it was stored, by the store's clock.
    pub modified: Timestamp,
}

impl ObjectMeta {
    /// The bytes that `range` selects of this blob: all of them without a range, else the
    /// range cut at the blob's end.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` when the range begins beyond the end or runs backwards.
    pub fn select(&self, range: Option<Range<u64>>) -> Result<Range<u64>> {
        let range = range.unwrap_or(0..self.size);
        if range.start > self.size || range.start > range.end {
            return Err(Error::invalid(
                "ask for a range that begins inside the blob and runs forward",
            )
            .with("key", &self.key)
            .with("range", format_args!("{}..{}", range.start, range.end))
            .with("size", self.size));
        }
        Ok(range.start..range.end.min(self.size))
    }
}

/// An open blob.
pub struct Blob {
    /// Facts of the whole blob.
    pub meta: ObjectMeta,
    /// Which bytes `body` carries.
    pub range: Range<u64>,
    /// The bytes.
    pub body: ByteStream,
}

/// One page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectPage {
    /// The blobs, in key order.
    pub objects: Vec<ObjectMeta>,
    /// Whether there are more after the last.
    pub more: bool,
}
