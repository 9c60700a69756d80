//! A zone for tests, and how an operation is done to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use futures::StreamExt;
use nexus_driver_memory::MemoryObjectStore;
use nexus_fs::{
    BatchStep, Changed, ForkOptions, MkdirOptions, MoveOptions, RemoveOptions, Session,
    SetAttributes, Stores, WriteOptions, Zone, ZoneConfig,
};
use nexus_kernel::{
    Durability, Freshness, KeyRange, Metastore, ObjectStore, Result, Scan, Timestamp,
};
use nexus_service_api::{Clock, SystemClock};
use nexus_testkit::authorizer::Open;

use crate::ops::{Op, Write};

/// How far the clock goes between operations. The zone's own time goes on by at least 1 with
/// each commit; rounded to this, both agree.
pub(crate) const TICK: i64 = 1_000_000;

/// A clock that stands still during an operation.
#[derive(Default)]
pub(crate) struct ManualClock(AtomicI64);

impl ManualClock {
    pub(crate) fn set(&self, now: i64) {
        self.0.store(now, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

/// A metastore with objects in memory.
pub(crate) fn stores(metastore: Arc<dyn Metastore>) -> Stores {
    let objects: Arc<dyn ObjectStore> = Arc::new(MemoryObjectStore::new(Arc::new(SystemClock)));
    Stores { metastore, objects }
}

/// Few contents lie inline, few rows stay in memory.
pub(crate) fn tight_config(clock: Arc<dyn Clock>) -> ZoneConfig {
    ZoneConfig {
        clock,
        inline_bytes_max: 16,
        metadata_cache_bytes: 4_000,
        content_cache_bytes: 100,
        ..ZoneConfig::default()
    }
}

pub(crate) async fn open(stores: &Stores, config: &ZoneConfig) -> Result<Zone> {
    Zone::open(stores.clone(), Arc::new(Open), config.clone()).await
}

/// What `verify` finds wrong.
pub(crate) async fn problems(session: &Session) -> Vec<String> {
    let found = session
        .verify()
        .filter_map(|item| async { item.unwrap().problem });
    found.collect().await
}

/// Waits until every tree that was deleted has been cleared away.
pub(crate) async fn purged(stores: &Stores) {
    let queue = || Scan::forward(KeyRange::prefix("q"), 1);
    while !stores
        .metastore
        .scan(queue(), Freshness::Linearizable)
        .await
        .unwrap()
        .entries
        .is_empty()
    {
        tokio::task::yield_now().await;
    }
}

/// Does an operation; answers the last change of it.
pub(crate) async fn change(session: &Session, op: &Op, durability: Durability) -> Result<Changed> {
    match op {
        Op::Mkdir(..)
        | Op::Remove { .. }
        | Op::Rename(..)
        | Op::Copy(..)
        | Op::Symlink { .. }
        | Op::HardLink { .. }
        | Op::Fork { .. } => change_names(session, op, durability).await,
        Op::Batch(steps) => {
            let steps = steps.iter().map(batch_step).collect();
            let changed = session.batch(steps, durability).await?;
            Ok(changed.into_iter().next_back().unwrap())
        }
        op => change_file(session, op, durability).await,
    }
}

async fn change_names(session: &Session, op: &Op, durability: Durability) -> Result<Changed> {
    let moved = |options: &MoveOptions| MoveOptions {
        durability,
        ..*options
    };
    match op {
        Op::Mkdir(path, options) => {
            let options = MkdirOptions {
                durability,
                ..*options
            };
            session.mkdir(path, options).await
        }
        Op::Remove {
            path,
            recursive,
            only_directory,
        } => {
            let options = RemoveOptions {
                recursive: *recursive,
                durability,
                ..RemoveOptions::default()
            };
            match only_directory {
                true => session.rmdir(path, options).await,
                false => session.remove(path, options).await,
            }
        }
        Op::Rename(from, to, options) => session.rename(from, to, moved(options)).await,
        Op::Copy(from, to, options) => session.copy(from, to, moved(options)).await,
        Op::Symlink { target, path } => session.symlink(target, path, durability).await,
        Op::HardLink { existing, path } => session.hard_link(existing, path, durability).await,
        Op::Fork { from, to, parents } => {
            let options = ForkOptions {
                parents: *parents,
                durability,
            };
            session.fork(from, to, options).await
        }
        op => unreachable!("not a change of names: {op:?}"),
    }
}

async fn change_file(session: &Session, op: &Op, durability: Durability) -> Result<Changed> {
    match op {
        Op::Write(path, write) => {
            let content = write.content.0.clone();
            let options = write.options(durability);
            session.write(path, content, options).await
        }
        Op::Append(path, write) => {
            let content = write.content.0.clone();
            let options = write.options(durability);
            session.append(path, content, options).await
        }
        Op::Truncate(path, size) => {
            let set = SetAttributes {
                size: Some(*size),
                ..SetAttributes::default()
            };
            session.set_attributes(path, set, durability).await
        }
        Op::SetAttributes {
            path,
            mode,
            uid,
            modified,
        } => {
            let set = SetAttributes {
                mode: *mode,
                uid: *uid,
                modified: modified.map(Timestamp),
                ..SetAttributes::default()
            };
            session.set_attributes(path, set, durability).await
        }
        Op::SetMetadata(path, set) => session.set_metadata(path, set.clone(), durability).await,
        Op::SetTags { path, add, remove } => session.set_tags(path, add, remove, durability).await,
        Op::Rollback(path, version) => session.rollback(path, *version, durability).await,
        op => unreachable!("not a change of a file: {op:?}"),
    }
}

impl Write {
    fn options(&self, durability: Durability) -> WriteOptions {
        WriteOptions {
            precondition: self.precondition.clone(),
            durability,
            parents: self.parents,
            mode: self.mode,
            metadata: self.metadata.clone(),
            source: None,
        }
    }
}

fn batch_step(op: &Op) -> BatchStep {
    match op.clone() {
        Op::Write(path, write) => BatchStep::Write {
            path,
            content: write.content.0.clone(),
            options: write.options(Durability::default()),
        },
        Op::Mkdir(path, options) => BatchStep::Mkdir { path, options },
        Op::Remove {
            path, recursive, ..
        } => BatchStep::Remove {
            path,
            recursive,
            if_match: None,
        },
        Op::Rename(from, to, options) => BatchStep::Rename { from, to, options },
        Op::Copy(from, to, options) => BatchStep::Copy { from, to, options },
        other => unreachable!("not a step of a batch: {other:?}"),
    }
}
