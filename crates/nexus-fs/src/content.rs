//! Where the bytes of files lie.
//!
//! A content is named by its hash (its etag). Small ones lie inline in the inode; up to
//! [`WHOLE_BYTES_MAX`] a content is one blob; beyond, it is cut into chunks at places that
//! depend on the content (FastCDC, Xia et al. 2020), so that a change in the middle leaves
//! most chunks shared, and a manifest in the metastore lists them. A blob is durable before
//! the commit that names it is: that of a durable commit when it is sent, that of a relaxed one
//! when the metastore makes it durable (`barrier`). Every read checks the hash of what it read.

use std::sync::Arc;

use bytes::Bytes;
use nexus_kernel::{
    Durability, Error, FlushBarrier, Kind, Metastore, ObjectKey, ObjectStore, PutMode, PutOptions,
    Result,
};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::etag::{Etag, HashAlgorithm};
use crate::keys;
use crate::retention::Floor;
use crate::zone::{Stores, ZoneConfig};

mod barrier;
mod chunk_reader;
mod chunker;
mod pins;
mod reader;
mod upload;

use barrier::RelaxedPuts;
pub(crate) use chunk_reader::ChunkReader;
pub(crate) use chunker::Chunk;
pub use chunker::ChunkSizes;
pub(crate) use pins::Pinned;
pub(crate) use reader::collect;
pub(crate) use upload::{Placement, Stored, Upload};

/// A content up to this many bytes is one blob.
pub const WHOLE_BYTES_MAX: usize = 1 << 20;
/// The largest content.
pub const CONTENT_BYTES_MAX: u64 = 64 << 30;
/// Key prefix of all blobs in the object store.
pub(crate) const BLOB_PREFIX: &str = "b/";

#[derive(Clone)]
struct ByBytes;

impl Weighter<Etag, Bytes> for ByBytes {
    fn weight(&self, _: &Etag, bytes: &Bytes) -> u64 {
        bytes.len() as u64 + 64
    }
}

pub(crate) struct ContentStore {
    pub(crate) objects: Arc<dyn ObjectStore>,
    relaxed: Arc<RelaxedPuts>,
    metastore: Arc<dyn Metastore>,
    cache: Cache<Etag, Bytes, ByBytes>,
    pub(crate) pins: pins::Pins,
    /// Where history begins.
    floor: Floor,
    algorithm: HashAlgorithm,
    inline_bytes_max: usize,
    pub(crate) sizes: ChunkSizes,
}

impl ContentStore {
    pub(crate) fn new(stores: Stores, config: &ZoneConfig, floor: Floor) -> Self {
        let bytes = config.content_cache_bytes;
        let entries = usize::try_from(bytes >> 14).unwrap_or(usize::MAX).max(64);
        Self {
            relaxed: Arc::new(RelaxedPuts::new(Arc::clone(&stores.objects))),
            objects: stores.objects,
            metastore: stores.metastore,
            cache: Cache::with_weighter(entries, bytes, ByBytes),
            pins: pins::Pins::default(),
            floor,
            algorithm: config.hash,
            inline_bytes_max: config.inline_bytes_max,
            sizes: config.chunks,
        }
    }

    /// What commits have to wait for before they become durable.
    pub(crate) fn barrier(&self) -> Arc<dyn FlushBarrier> {
        Arc::clone(&self.relaxed) as Arc<dyn FlushBarrier>
    }

    pub(crate) fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// Makes everything stored so far durable.
    pub(crate) async fn sync(&self) -> Result<()> {
        self.relaxed.flush().await
    }

    /// A whole blob, from memory or the object store, its hash checked. Those who want the
    /// same one at the same time wait for one of them to read it.
    pub(crate) async fn blob(&self, etag: &Etag) -> Result<Bytes> {
        self.cache
            .get_or_insert_async(etag, self.read_blob(etag))
            .await
    }

    /// A whole blob from the object store, its hash checked.
    pub(crate) async fn read_blob(&self, etag: &Etag) -> Result<Bytes> {
        let lost = |why: &'static str| Error::corrupt(why).with("etag", etag);
        let blob = match self.objects.get(&blob_key(etag), None).await {
            Err(error) if error.kind() == Kind::NotFound => {
                self.floor
                    .check_in_use(&*self.metastore, &keys::references(etag))
                    .await?;
                let missing = lost("stored content is missing; restore it from a backup");
                return Err(missing.because(error));
            }
            opened => opened?,
        };
        let size = usize::try_from(blob.meta.size).unwrap_or(usize::MAX);
        if size > ChunkSizes::DEFAULT.bytes_max.max(self.sizes.bytes_max) {
            return Err(lost(
                "stored content has the wrong size; restore it from a backup",
            ));
        }
        let bytes = collect(blob.body, size).await?;
        if Etag::of(etag.algorithm, &bytes) == *etag {
            return Ok(bytes);
        }
        Err(lost(
            "stored content is damaged; restore it from a backup or roll the file back",
        ))
    }

    /// Drops a blob from memory.
    pub(crate) fn forget(&self, etag: &Etag) {
        self.cache.remove(etag);
    }

    async fn put_blob(&self, etag: &Etag, bytes: Bytes, durability: Durability) -> Result<()> {
        let body = Box::pin(futures::stream::once(async move { Ok(bytes) }));
        let options = PutOptions {
            mode: PutMode::IfAbsent,
            durability,
        };
        self.objects.put(&blob_key(etag), body, options).await?;
        if durability == Durability::Relaxed {
            self.relaxed.note();
        }
        Ok(())
    }
}

/// Where a blob lies: spread over 256 folders by the first byte of its hash.
pub(crate) fn blob_key(etag: &Etag) -> ObjectKey {
    ObjectKey::new(format!("{BLOB_PREFIX}{:02x}/{etag}", etag.hash[0]))
        .expect("an etag is a legal key")
}

/// The etag in a blob's key.
pub(crate) fn parse_blob_key(key: &ObjectKey) -> Option<Etag> {
    key.as_str().rsplit('/').next()?.parse().ok()
}
