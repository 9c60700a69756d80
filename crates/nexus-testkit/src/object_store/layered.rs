//! An object store that does something beside the calls of another one.

use std::fs::File;
use std::ops::{Deref, Range};
use std::sync::Arc;

use async_trait::async_trait;
use nexus_kernel::{
    Blob, ByteStream, Capabilities, ObjectKey, ObjectMeta, ObjectPage, ObjectStore, PutOptions,
    PutOutcome, Result,
};

/// What is done otherwise than the store below does it; what is left out is passed on.
#[async_trait]
pub trait Layer: Send + Sync + 'static {
    /// The store below.
    fn below(&self) -> &Arc<dyn ObjectStore>;

    /// Comes before every call.
    async fn before(&self) {}

    /// Puts.
    async fn put(&self, key: &ObjectKey, body: ByteStream, how: PutOptions) -> Result<PutOutcome> {
        self.below().put(key, body, how).await
    }

    /// Gets.
    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Blob> {
        self.below().get(key, range).await
    }

    /// Tells the file.
    async fn local_file(&self, key: &ObjectKey) -> Result<Option<File>> {
        self.below().local_file(key).await
    }

    /// Deletes.
    async fn delete(&self, key: &ObjectKey) -> Result<bool> {
        self.below().delete(key).await
    }

    /// Makes durable.
    async fn sync(&self) -> Result<()> {
        self.below().sync().await
    }
}

/// A [`Layer`] as a store.
pub struct Layered<L>(pub L);

impl<L> Deref for Layered<L> {
    type Target = L;

    fn deref(&self) -> &L {
        &self.0
    }
}

#[async_trait]
impl<L: Layer> ObjectStore for Layered<L> {
    fn capabilities(&self) -> Capabilities {
        self.0.below().capabilities()
    }

    async fn put(&self, key: &ObjectKey, body: ByteStream, how: PutOptions) -> Result<PutOutcome> {
        self.0.before().await;
        self.0.put(key, body, how).await
    }

    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Blob> {
        self.0.before().await;
        self.0.get(key, range).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta> {
        self.0.before().await;
        self.0.below().head(key).await
    }

    async fn local_file(&self, key: &ObjectKey) -> Result<Option<File>> {
        self.0.before().await;
        self.0.local_file(key).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<bool> {
        self.0.before().await;
        self.0.delete(key).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<ObjectPage> {
        self.0.before().await;
        self.0.below().list(prefix, after, limit).await
    }

    async fn copy(&self, from: &ObjectKey, to: &ObjectKey, how: PutOptions) -> Result<PutOutcome> {
        self.0.before().await;
        self.0.below().copy(from, to, how).await
    }

    async fn sync(&self) -> Result<()> {
        self.0.before().await;
        self.0.sync().await
    }
}
