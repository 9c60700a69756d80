//! [`ObjectStore`] in memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::{Bound, Range};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream};
use nexus_kernel::{
    Blob, ByteStream, Capabilities, Error, ObjectKey, ObjectMeta, ObjectPage, ObjectStore, PutMode,
    PutOptions, PutOutcome, Result, Timestamp,
};
use nexus_service_api::Clock;
use parking_lot::RwLock;

/// Largest piece a body is delivered in.
const PIECE_BYTES_MAX: usize = 256 << 10;

/// Blobs in a sorted map. Everything is gone when the store is dropped, so both
/// durabilities mean the same.
pub struct MemoryObjectStore {
    clock: Arc<dyn Clock>,
    blobs: RwLock<BTreeMap<String, Stored>>,
}

#[derive(Clone)]
struct Stored {
    bytes: Bytes,
    modified: Timestamp,
}

impl MemoryObjectStore {
    /// An empty store that dates its blobs by `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            blobs: RwLock::default(),
        }
    }

    fn insert(&self, key: &ObjectKey, bytes: Bytes, mode: PutMode) -> PutOutcome {
        let modified = self.clock.now();
        let mut blobs = self.blobs.write();
        if mode == PutMode::IfAbsent && blobs.contains_key(key.as_str()) {
            return PutOutcome::AlreadyExists;
        }
        let size = bytes.len() as u64;
        blobs.insert(key.to_string(), Stored { bytes, modified });
        PutOutcome::Stored { size }
    }

    fn find(&self, key: &ObjectKey) -> Result<Stored> {
        let found = self.blobs.read().get(key.as_str()).cloned();
        found.ok_or_else(|| Error::not_found("no such blob; check the key").with("key", key))
    }
}

#[async_trait]
impl ObjectStore for MemoryObjectStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            server_side_copy: true,
            blob_bytes_max: isize::MAX as u64,
            durable: false,
        }
    }

    async fn put(
        &self,
        key: &ObjectKey,
        mut body: ByteStream,
        options: PutOptions,
    ) -> Result<PutOutcome> {
        let mut bytes = BytesMut::new();
        while let Some(piece) = body.try_next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(self.insert(key, bytes.freeze(), options.mode))
    }

    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Blob> {
        let stored = self.find(key)?;
        let meta = stored.meta(key);
        let range = meta.select(range)?;
        let body = pieces(stored.slice(&range));
        Ok(Blob { meta, range, body })
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta> {
        Ok(self.find(key)?.meta(key))
    }

    async fn local_file(&self, _: &ObjectKey) -> Result<Option<File>> {
        Ok(None)
    }

    async fn delete(&self, key: &ObjectKey) -> Result<bool> {
        Ok(self.blobs.write().remove(key.as_str()).is_some())
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<ObjectPage> {
        let blobs = self.blobs.read();
        let start = match after {
            Some(after) if after.as_str() >= prefix => Bound::Excluded(after.as_str()),
            _ => Bound::Included(prefix),
        };
        let mut found = blobs
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(name, _)| name.starts_with(prefix));
        let page = found.by_ref().take(limit);
        let objects = page.map(|(name, stored)| Ok(stored.meta(&ObjectKey::new(name.as_str())?)));
        let objects = objects.collect::<Result<_>>()?;
        let more = found.next().is_some();
        Ok(ObjectPage { objects, more })
    }

    async fn copy(
        &self,
        from: &ObjectKey,
        to: &ObjectKey,
        options: PutOptions,
    ) -> Result<PutOutcome> {
        let stored = self.find(from)?;
        Ok(self.insert(to, stored.bytes, options.mode))
    }

    async fn sync(&self) -> Result<()> {
        Ok(())
    }
}

impl Stored {
    fn meta(&self, key: &ObjectKey) -> ObjectMeta {
        ObjectMeta {
            key: key.clone(),
            size: self.bytes.len() as u64,
            modified: self.modified,
        }
    }

    fn slice(&self, range: &Range<u64>) -> Bytes {
        let index = |at: u64| usize::try_from(at).expect("a range was cut at a length in memory");
        self.bytes.slice(index(range.start)..index(range.end))
    }
}

fn pieces(mut bytes: Bytes) -> ByteStream {
    let next = move || {
        let piece = bytes.split_to(bytes.len().min(PIECE_BYTES_MAX));
        (!piece.is_empty()).then_some(Ok(piece))
    };
    stream::iter(std::iter::from_fn(next)).boxed()
}

#[cfg(test)]
mod tests;
