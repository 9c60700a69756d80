//! What the tests of undo have in common.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use nexus_fs::{
    At, FileKind, ListOptions, MoveOptions, RemoveOptions, Session, SetAttributes, Stores,
    UndoEffect, UndoKind, UndoOptions, UndoReport, UndoWhat, Zone, ZoneConfig,
};
use nexus_kernel::{Durability, Error, Freshness, KeyRange, Kind, Result, Revision, Scan};
use nexus_service_api::Context;

use crate::rows;
use crate::support::{memory_stores, open_with};

/// A zone, what it stands on, and two callers.
pub(crate) struct World {
    pub stores: Stores,
    zone: Zone,
    pub ours: Session,
    pub others: Session,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::on(memory_stores()).await
    }

    pub(crate) async fn on(stores: Stores) -> Self {
        Self::with(stores, ZoneConfig::default()).await
    }

    pub(crate) async fn with(stores: Stores, config: ZoneConfig) -> Self {
        let zone = open_with(&stores, config).await;
        Self {
            ours: run(&zone, "ours"),
            others: run(&zone, "others"),
            zone,
            stores,
        }
    }

    /// Another caller.
    pub(crate) fn run(&self, name: &str) -> Session {
        run(&self.zone, name)
    }

    /// Undoes all that we did.
    pub(crate) async fn undo(&self) -> UndoReport {
        match self.others.undo(of("ours")).await {
            Ok(report) => report,
            Err(error) => {
                let dry_run = UndoOptions {
                    dry_run: true,
                    ..of("ours")
                };
                panic!("{error}: {:#?}", self.others.undo(dry_run).await);
            }
        }
    }

    /// Waits until every tree that was deleted has been cleared away.
    pub(crate) async fn cleared(&self) {
        cleared(&self.stores).await;
    }

    /// Nothing stored contradicts anything else.
    pub(crate) async fn assert_sound(&self) {
        assert_sound(&self.stores, &self.others).await;
    }
}

/// Nothing stored contradicts anything else.
pub(crate) async fn assert_sound(stores: &Stores, files: &Session) {
    cleared(stores).await;
    let verified = files.verify();
    let problems = verified.filter_map(|item| async { item.unwrap().problem });
    let mut problems: Vec<String> = problems.collect().await;
    problems.extend(rows::problems(&*stores.metastore).await);
    assert!(problems.is_empty(), "{problems:#?}");
}

/// Waits until every tree that was deleted has been cleared away.
pub(crate) async fn cleared(stores: &Stores) {
    let queue = || Scan::forward(KeyRange::prefix("q"), 1);
    let queued = || stores.metastore.scan(queue(), Freshness::Linearizable);
    while !queued().await.unwrap().entries.is_empty() {
        tokio::task::yield_now().await;
    }
}

/// The same caller in a run of its own.
pub(crate) fn run(zone: &Zone, name: &str) -> Session {
    let context = Context {
        session: Some(Arc::from(name)),
        ..Context::system()
    };
    zone.session(context)
}

pub(crate) fn of(run: &str) -> UndoOptions {
    UndoOptions::new(UndoWhat::OfSession(run.to_owned()))
}

pub(crate) fn operation(revision: Revision) -> UndoOptions {
    UndoOptions::new(UndoWhat::Operation(revision))
}

pub(crate) async fn undo(files: &Session, revision: Revision) -> UndoReport {
    files.undo(operation(revision)).await.unwrap()
}

pub(crate) fn effect(path: &str, kind: UndoKind) -> UndoEffect {
    UndoEffect {
        path: path.to_owned(),
        kind,
        from: None,
    }
}

pub(crate) async fn rename(files: &Session, from: &str, to: &str) -> Revision {
    let moved = files.rename(from, to, MoveOptions::default()).await;
    moved.unwrap().revision
}

pub(crate) async fn remove(files: &Session, path: &str) -> Revision {
    let recursive = RemoveOptions {
        recursive: true,
        ..RemoveOptions::default()
    };
    files.remove(path, recursive).await.unwrap().revision
}

pub(crate) async fn mode(files: &Session, path: &str, mode: u32) -> Revision {
    let set = SetAttributes {
        mode: Some(mode),
        ..SetAttributes::default()
    };
    let changed = files.set_attributes(path, set, Durability::Sync).await;
    changed.unwrap().revision
}

pub(crate) async fn label(files: &Session, path: &str, key: &str, value: Option<&str>) -> Revision {
    let value = value.map(|value| Bytes::copy_from_slice(value.as_bytes()));
    let set = vec![(key.to_owned(), value)];
    let changed = files.set_metadata(path, set, Durability::Sync).await;
    changed.unwrap().revision
}

/// One entry of a tree, with all that an undo has to give back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub path: String,
    pub ino: u64,
    pub kind: FileKind,
    pub content: Option<Bytes>,
    pub target: Option<String>,
    pub mode: u32,
    pub owner: String,
    pub links: u32,
    pub modified: Option<i64>,
    pub metadata: Vec<(String, Bytes)>,
    pub tags: Vec<String>,
}

/// Everything there is, as an undo has to give it back.
pub(crate) async fn everything(files: &Session) -> Vec<Entry> {
    let options = ListOptions {
        recursive: true,
        details: true,
        limit: 10_000,
        ..ListOptions::default()
    };
    let page = files.list("/", options).await.unwrap();
    let mut all = Vec::new();
    for entry in page.entries {
        let stat = entry.stat.unwrap();
        let path = entry.path;
        let is_file = stat.kind == FileKind::File;
        let metadata = match stat.kind {
            FileKind::Symlink => vec![],
            _ => files.metadata(&path, At::Latest).await.unwrap(),
        };
        let tags = match stat.kind {
            FileKind::Symlink => vec![],
            _ => files.tags(&path, At::Latest).await.unwrap(),
        };
        all.push(Entry {
            content: match is_file {
                true => Some(files.read(&path, At::Latest).await.unwrap().bytes),
                false => None,
            },
            ino: stat.ino.0,
            kind: stat.kind,
            target: stat.target,
            mode: stat.mode,
            owner: stat.owner,
            links: stat.links,
            modified: is_file.then_some(stat.modified.0),
            metadata,
            tags,
            path,
        });
    }
    all
}

pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T>, kind: Kind) -> Error {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error:?}");
    error
}
