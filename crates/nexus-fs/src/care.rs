//! Keeping the stores clean and sound: garbage collection, verification, duplicates.

use std::collections::HashMap;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use nexus_kernel::{
    Commit, Durability, Error, Guard, KeyRange, Kind, Op, Result, Revision, Txn, Value,
};

use crate::content::{BLOB_PREFIX, blob_key, parse_blob_key};
use crate::etag::Etag;
use crate::fork::WHITEOUT;
use crate::keys;
use crate::records::{self, Ended, InodeRecord, ManifestPage, place};
use crate::retention::Manner;
use crate::session::Session;
use crate::types::{At, FileKind};
use crate::view::{View, next_key};

mod duplicates;

pub use duplicates::Duplicates;

/// Rows or blobs read at a time.
const PAGE: usize = 500;

/// What a collection removed, or would remove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Rows of history that retention let go.
    pub rows: u64,
    /// Versions of files that went with them.
    pub versions: u64,
    /// Blobs that nothing refers to.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Nothing was removed.
    pub dry_run: bool,
}

/// How far a verification is, and what it has just found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Inodes checked, past states included.
    pub checked_files: u64,
    /// Blobs whose hash was checked.
    pub checked_blobs: u64,
    /// Their bytes.
    pub checked_bytes: u64,
    /// Something that is wrong.
    pub problem: Option<String>,
    /// This is the last item.
    pub done: bool,
}

impl Session {
    /// Removes what the policies of retention let go of history, and stored content that no file,
    /// past or present, refers to: what uploads left behind that never got to their commit, and
    /// what the collection of history released. Safe while others write.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` without the right to administer; whatever the stores answer.
    pub async fn gc(&self, dry_run: bool) -> Result<GcReport> {
        self.administer().await?;
        let manner = if dry_run { Manner::DryRun } else { Manner::Now };
        let now = self.zone.config.clock.now();
        let compacted = self.collect_history(now, manner).await?;
        if !dry_run {
            self.release_manifests().await?;
        }
        let mut report = GcReport {
            rows: compacted.report.rows,
            versions: compacted.report.versions,
            blobs: compacted.blobs.count,
            bytes: compacted.blobs.bytes,
            dry_run,
        };
        let objects = &self.zone.content.objects;
        let mut after = None;
        loop {
            let page = objects.list(BLOB_PREFIX, after.as_ref(), PAGE).await?;
            for blob in &page.objects {
                let Some(etag) = parse_blob_key(&blob.key) else {
                    continue;
                };
                if self.collect(etag, dry_run).await? {
                    report.blobs += 1;
                    report.bytes += blob.size;
                }
            }
            self.check_goes_on()?;
            match page.objects.last().filter(|_| page.more) {
                Some(last) => after = Some(last.key.clone()),
                None => return Ok(report),
            }
        }
    }

    /// Removes one blob if nothing refers to it and nobody is about to. Once begun this goes on
    /// though nobody waits for it any more: a removal that lands after its lock was given up would
    /// take what has come into use again.
    async fn collect(&self, etag: Etag, dry_run: bool) -> Result<bool> {
        let session = self.clone();
        let removal = tokio::spawn(async move { session.collect_locked(&etag, dry_run).await });
        removal.await.map_err(|why| {
            Error::unavailable("the collection was interrupted; run it again").because(why)
        })?
    }

    async fn collect_locked(&self, etag: &Etag, dry_run: bool) -> Result<bool> {
        let content = &self.zone.content;
        let Some(_locked) = content.pins.lock(etag) else {
            return Ok(false);
        };
        let view = self.zone.view(At::Latest).await?;
        let count = view.get(&keys::references(etag)).await?;
        if count.as_ref().is_some_and(|count| !is_zero(count)) {
            return Ok(false);
        }
        if dry_run {
            return Ok(true);
        }
        if let Some(count) = count
            && !self
                .drop_zero(keys::references(etag), &count, vec![])
                .await?
        {
            return Ok(false);
        }
        content.forget(etag);
        content.objects.delete(&blob_key(etag)).await
    }

    /// Removes the manifests that nothing refers to, and their references to chunks.
    async fn release_manifests(&self) -> Result<()> {
        let view = self.zone.view(At::Latest).await?;
        let mut range = keys::all_manifest_references();
        while let Some((entries, next)) = page(&view, &range).await? {
            for entry in entries.iter().filter(|entry| is_zero(&entry.value)) {
                let etag = keys::parse_references(&entry.key)?;
                let Some(_locked) = self.zone.content.pins.lock(&etag) else {
                    continue;
                };
                let ops = manifest_release(&view, &etag).await?;
                self.drop_zero(entry.key.clone(), &entry.value, ops).await?;
            }
            range.start = next;
        }
        Ok(())
    }

    /// Removes a count that is zero, unless it has changed; says whether it did.
    async fn drop_zero(&self, key: Bytes, count: &Value, mut ops: Vec<Op>) -> Result<bool> {
        let guards = vec![Guard::RevisionIs(key.clone(), count.revision)];
        ops.push(Op::Delete(key));
        let txn = Txn {
            id: None,
            guards,
            ops,
            durability: Durability::Sync,
        };
        Ok(matches!(
            self.zone.metastore.commit(txn).await?,
            Commit::Applied(_)
        ))
    }

    /// Checks everything: every inode, past and present, that its content is there; every
    /// blob, that its hash is right; every name, that its inode exists. Reports problems as
    /// it finds them, and how far it is now and then.
    #[must_use]
    pub fn verify(&self) -> BoxStream<'static, Result<VerifyProgress>> {
        let session = self.clone();
        let stream = async_stream::try_stream! {
            session.administer().await?;
            let mut progress = VerifyProgress::default();
            for (range, past) in [(keys::all_inodes(), false), (keys::all_inode_history(), true)] {
                let mut range = range;
                while let Some((entries, next)) = page(&session.zone.view(At::Latest).await?, &range).await? {
                    for entry in entries {
                        let problem = session.check_inode(&entry.key, entry.value.bytes, past).await?;
                        progress.checked_files += 1;
                        if problem.is_some() {
                            yield VerifyProgress { problem, ..progress.clone() };
                        }
                    }
                    range.start = next;
                    yield progress.clone();
                }
            }
            let mut range = keys::all_dentries();
            while let Some((entries, next)) = page(&session.zone.view(At::Latest).await?, &range).await? {
                let problems = session.check_dentries(entries).await?;
                for problem in problems {
                    yield VerifyProgress { problem: Some(problem), ..progress.clone() };
                }
                range.start = next;
            }
            let mut range = keys::all_references();
            while let Some((entries, next)) = page(&session.zone.view(At::Latest).await?, &range).await? {
                for entry in entries.iter().filter(|entry| !is_zero(&entry.value)) {
                    let etag = keys::parse_references(&entry.key)?;
                    let problem = match session.zone.content.read_blob(&etag).await {
                        Ok(bytes) => {
                            progress.checked_bytes += bytes.len() as u64;
                            None
                        }
                        Err(error) if error.kind() == Kind::Corrupt => Some(error.to_string()),
                        // It lost its last use since its count was read.
                        Err(error) if error.kind() == Kind::NotFound => None,
                        Err(error) => Err(error)?,
                    };
                    progress.checked_blobs += 1;
                    if problem.is_some() {
                        yield VerifyProgress { problem, ..progress.clone() };
                    }
                }
                range.start = next;
                yield progress.clone();
            }
            yield VerifyProgress { done: true, ..progress };
        };
        stream.boxed()
    }

    async fn check_inode(&self, key: &Bytes, value: Bytes, past: bool) -> Result<Option<String>> {
        if value == WHITEOUT {
            return Ok(None);
        }
        let record = if past {
            match records::decode::<Ended>(value) {
                Ok(ended) if ended.collected().is_some() => return Ok(None),
                Ok(ended) => ended.into_state(Revision(keys::last_number(key))),
                Err(error) => Err(error),
            }
        } else {
            Ok(value)
        };
        let record = record.and_then(records::decode::<InodeRecord>);
        let ino = key
            .get(1..9)
            .and_then(|b| b.first_chunk())
            .map_or(0, |b| u64::from_be_bytes(*b));
        let named = |what: &str| Some(format!("inode {ino}: {what}"));
        let Ok(record) = record else {
            return Ok(named("its record cannot be read"));
        };
        if record.file_kind() != FileKind::File {
            return Ok(None);
        }
        let Ok(Some(etag)) = record.content_etag() else {
            return Ok(named("it has no content hash"));
        };
        let view = self.zone.view(At::Latest).await?;
        let count = match record.place {
            place::INLINE => {
                let whole = Etag::of(etag.algorithm, &record.inline) == etag;
                return Ok(if whole {
                    None
                } else {
                    named("its content is damaged")
                });
            }
            place::BLOB => view.get(&keys::references(&etag)).await?,
            _ => {
                let size: u64 = chunks(&view, &etag)
                    .await?
                    .iter()
                    .map(|(size, _)| u64::from(*size))
                    .sum();
                if size != record.size {
                    return Ok(named("its list of chunks is not complete"));
                }
                view.get(&keys::manifest_references(&etag)).await?
            }
        };
        let counted = count.is_some_and(|count| !is_zero(&count));
        Ok(if counted {
            None
        } else {
            named("nothing counts its use of its content")
        })
    }

    async fn check_dentries(&self, entries: Vec<nexus_kernel::Entry>) -> Result<Vec<String>> {
        let mut problems = Vec::new();
        let view = self.zone.view(At::Latest).await?;
        for entry in entries {
            let dentry: records::DentryRecord = records::decode(entry.value.bytes)?;
            if dentry.ino == 0 || view.has_inode(dentry.ino).await? {
                continue;
            }
            // It may have gone between the two reads; then its name went with it.
            let still = view.get(&entry.key).await?;
            if still.is_some_and(|still| still.revision == entry.value.revision) {
                let name =
                    String::from_utf8_lossy(entry.key.get(9..).unwrap_or_default()).into_owned();
                problems.push(format!(
                    "name {name:?}: its inode {} is missing",
                    dentry.ino
                ));
            }
        }
        Ok(problems)
    }
}

impl View<'_> {
    /// Whether an inode is there, past the cache.
    async fn has_inode(&self, ino: u64) -> Result<bool> {
        match self.get(&keys::inode(ino)).await? {
            Some(row) => Ok(row.bytes != WHITEOUT),
            None => Ok(self.shown_inode(ino).await?.is_some()),
        }
    }
}

type Rows = (Vec<nexus_kernel::Entry>, Bytes);

/// A page of a range and where the next begins; none at the end.
async fn page(view: &View<'_>, range: &KeyRange) -> Result<Option<Rows>> {
    let page = view.scan(range.clone(), PAGE).await?;
    let Some(last) = page.entries.last() else {
        return Ok(None);
    };
    let next = next_key(&last.key);
    Ok(Some((page.entries, next)))
}

/// What removes a manifest, with its references to chunks.
pub(crate) async fn manifest_release(view: &View<'_>, etag: &Etag) -> Result<Vec<Op>> {
    let mut counts: HashMap<Bytes, i64> = HashMap::new();
    for (_, chunk) in chunks(view, etag).await? {
        *counts.entry(keys::references(&chunk)).or_default() -= 1;
    }
    let mut ops: Vec<Op> = counts
        .into_iter()
        .map(|(key, delta)| Op::Add(key, delta))
        .collect();
    ops.push(Op::DeleteRange(keys::manifest(etag)));
    Ok(ops)
}

/// Sizes and etags of the chunks of a content.
pub(crate) async fn chunks(view: &View<'_>, etag: &Etag) -> Result<Vec<(u32, Etag)>> {
    let mut range = keys::manifest(etag);
    let mut chunks = Vec::new();
    while let Some((entries, next)) = page(view, &range).await? {
        for entry in entries {
            let manifest: ManifestPage = records::decode(entry.value.bytes)?;
            for chunk in manifest.chunks {
                chunks.push((chunk.size, Etag::from_bytes(&chunk.etag)?));
            }
        }
        range.start = next;
    }
    Ok(chunks)
}

fn is_zero(count: &Value) -> bool {
    count.bytes.iter().all(|byte| *byte == 0)
}
