//! Small values kept with the zone they belong to.

use async_trait::async_trait;
use bytes::Bytes;
use nexus_kernel::{Result, Revision};

/// A durable map of names to small values, in the zone's own metastore.
#[async_trait]
pub trait Settings: Send + Sync + 'static {
    /// The value of a name.
    async fn get(&self, name: &str) -> Result<Option<Setting>>;

    /// Up to `limit` settings whose names begin with `prefix` and come after `after`.
    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Setting>>;

    /// Sets a name durably, or removes it when `value` is `None`.
    ///
    /// # Errors
    ///
    /// `Conflict` when the present value is not the one expected.
    async fn put(&self, name: &str, value: Option<Bytes>, expect: Expect) -> Result<Revision>;
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Bytes,
    /// The revision that wrote it.
    pub revision: Revision,
}

/// What must hold for a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Anything.
    Any,
    /// No value yet.
    Absent,
    /// The value this revision wrote.
    Revision(Revision),
}
