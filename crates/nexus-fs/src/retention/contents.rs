//! Contents that lose a version that had them.

use std::collections::BTreeMap;

use bytes::Bytes;
use nexus_kernel::{Guard, Kind, Op, Result, Value};
use tokio::sync::OwnedRwLockWriteGuard;

use crate::care::{chunks, manifest_release};
use crate::content::blob_key;
use crate::etag::Etag;
use crate::keys;
use crate::records::{InodeRecord, place};
use crate::types::At;
use crate::zone::Shared;

/// Which share of a transaction's items manifests may take: one of a few large files has more
/// chunks than a transaction has room for.
const RELEASE_SHARE: usize = 4;

/// By how much counts of contents fall, by their keys.
#[derive(Default)]
pub(super) struct Released(BTreeMap<Bytes, i64>);

/// What the counts of a step become in its transaction.
#[derive(Default)]
pub(super) struct Release {
    pub guards: Vec<Guard>,
    pub ops: Vec<Op>,
    /// Keep writers off the manifests that go, until the commit is over.
    pub locked: Vec<OwnedRwLockWriteGuard<()>>,
}

/// Blobs that would have no use left.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Blobs {
    pub count: u64,
    pub bytes: u64,
}

impl Blobs {
    fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }
}

impl Released {
    /// A version that had this record goes with its last state.
    pub(super) fn version(&mut self, record: &InodeRecord) -> Result<()> {
        if let Some(etag) = record.stored_content()? {
            let key = match record.place {
                place::CHUNKS => keys::manifest_references(&etag),
                _ => keys::references(&etag),
            };
            *self.0.entry(key).or_default() += 1;
        }
        Ok(())
    }

    pub(super) fn add(&mut self, other: Self) {
        for (key, count) in other.0 {
            *self.0.entry(key).or_default() += count;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Lowers the counts. A manifest that nothing refers to any more goes at once, with its
    /// references to chunks, unless a writer is at work on it or the transaction has enough to do:
    /// then `gc` removes it.
    pub(super) async fn into_release(self, zone: &Shared) -> Result<Release> {
        let mut release = Release::default();
        let view = zone.view(At::Latest).await?;
        let enough = zone.metastore.limits().txn_items_max / RELEASE_SHARE;
        for (key, count) in self.0 {
            if key.first() == Some(&keys::MANIFEST_TAG) && release.ops.len() < enough {
                let etag = keys::parse_references(&key)?;
                let locked = zone.content.pins.lock(&etag);
                let value = view.get(&key).await?;
                if let (Some(locked), Some(value)) = (locked, value)
                    && number(&value) == count
                    && let chunks = manifest_release(&view, &etag).await?
                    && release.ops.len() + chunks.len() <= enough
                {
                    release.ops.extend(chunks);
                    release.ops.push(Op::Delete(key.clone()));
                    release.guards.push(Guard::RevisionIs(key, value.revision));
                    release.locked.push(locked);
                    continue;
                }
            }
            release.ops.push(Op::Add(key, -count));
        }
        Ok(release)
    }

    /// The blobs that would have no use left.
    pub(super) async fn blobs(mut self, zone: &Shared) -> Result<Blobs> {
        let view = zone.view(At::Latest).await?;
        let is_manifest = |key: &Bytes| key.first() == Some(&keys::MANIFEST_TAG);
        let manifests: Vec<Bytes> = self
            .0
            .keys()
            .filter(|key| is_manifest(key))
            .cloned()
            .collect();
        for key in manifests {
            let count = self.0.remove(&key).unwrap_or_default();
            if view
                .get(&key)
                .await?
                .is_some_and(|value| number(&value) <= count)
            {
                for (_, chunk) in chunks(&view, &keys::parse_references(&key)?).await? {
                    *self.0.entry(keys::references(&chunk)).or_default() += 1;
                }
            }
        }
        let mut blobs = Blobs::default();
        for (key, count) in self.0 {
            if view
                .get(&key)
                .await?
                .is_some_and(|value| number(&value) <= count)
            {
                let etag: Etag = keys::parse_references(&key)?;
                match zone.content.objects.head(&blob_key(&etag)).await {
                    Ok(blob) => blobs.add(blob.size),
                    Err(error) if error.kind() == Kind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(blobs)
    }
}

fn number(count: &Value) -> i64 {
    count
        .bytes
        .first_chunk()
        .map_or(0, |bytes| i64::from_be_bytes(*bytes))
}
