//! Past states in a mount: `.nexus/at/<point>`.
//!
//! The directory `.nexus` in the root is not listed, but it is there for who asks for it, like
//! `.zfs` and `.snapshot` elsewhere. The kernel knows what is in it by numbers with the top bit
//! set ([`numbers`]); behind each point stands a past state of the volume ([`states`]).

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use nexus_fs::{
    At, DirEntry, FileKind, Ino, KeyPresence, NewInode, OpenMode, Record, Replace, SetAttributes,
    Stat, Version,
};
use nexus_kernel::{Error, Kind, Result, Revision, Timestamp};

use crate::volume::{Caller, Name, Volume, VolumeFile, read_only};

use numbers::{Door, Node};
pub(crate) use states::States;

mod numbers;
mod states;

/// The directory in the root that past states are reached by.
const NAME: &str = ".nexus";
/// The directory in it whose entries are points in time.
const POINTS: &str = "at";
/// How long the kernel may go by what it knows of the past, which never changes.
const KEPT_FOR: Duration = Duration::from_secs(60 * 60);
/// How long a point stays what it was when it was first looked up: `2h` moves on with the
/// clock, but not under the feet of a program that reads.
const POINT_KEPT_FOR: Duration = Duration::from_secs(60);

/// A volume with its past.
pub(crate) struct WithPast {
    present: Arc<dyn Volume>,
    states: Arc<States>,
}

impl WithPast {
    pub(crate) fn new(present: Arc<dyn Volume>, states: Arc<States>) -> Self {
        Self { present, states }
    }

    /// Refuses to change the past, and the way to it.
    fn check_present(&self, ino: Ino) -> Result<()> {
        match Node::of(ino) {
            Node::Present => Ok(()),
            _ => Err(read_only()),
        }
    }

    fn check_name(&self, name: Name<'_>) -> Result<()> {
        self.check_present(name.0)?;
        if is_door(name) {
            return Err(read_only());
        }
        Ok(())
    }

    fn check_new_name(&self, name: Name<'_>) -> Result<()> {
        self.check_present(name.0)?;
        if is_door(name) {
            return Err(Error::already_exists(
                "past states are found under this name; choose another",
            )
            .with("name", NAME));
        }
        Ok(())
    }

    fn door(&self, door: Door) -> Stat {
        let time = self.states.since();
        Stat {
            ino: door.ino(),
            kind: FileKind::Directory,
            size: 0,
            etag: None,
            version: 0,
            revision: Revision::ZERO,
            mode: 0o555,
            uid: 0,
            gid: 0,
            owner: String::new(),
            links: 1,
            created: time,
            accessed: time,
            modified: time,
            changed: time,
            target: None,
        }
    }

    /// The root of the state that a point names.
    async fn point(&self, name: &str) -> Result<Stat> {
        let found = async {
            let state = self.present.as_of(name.parse()?).await?;
            let (revision, root) = (state.revision().await?, state.getattr(Ino::ROOT).await?);
            let ino = self.states.insert(name, revision, state)?;
            Ok::<_, Error>(Stat { ino, ..root })
        };
        found.await.map_err(|error| match error.kind() {
            Kind::InvalidArgument | Kind::NotFound => {
                // Programs look for `.git` and the like wherever they are.
                if !name.starts_with('.') {
                    tracing::info!(point = %name.escape_debug(), %error, "no such past state");
                }
                no_entry(name)
            }
            _ => error,
        })
    }
}

/// Whether a number is that of an inode of a past state, under `.nexus/at`.
pub(crate) fn is_past(ino: Ino) -> bool {
    matches!(Node::of(ino), Node::Past(..))
}

/// How long the kernel may keep what it is told of an inode, if longer than of others.
pub(crate) fn attributes_kept_for(ino: Ino) -> Option<Duration> {
    (Node::of(ino) != Node::Present).then_some(KEPT_FOR)
}

/// How long the kernel may keep what it is told of a name in `parent`, or that there is no
/// such name, if not as long as elsewhere.
pub(crate) fn name_kept_for(parent: Ino, found: Option<Ino>) -> Option<Duration> {
    match Node::of(parent) {
        Node::Door(Door::Points) => Some(found.map_or(Duration::ZERO, |_| POINT_KEPT_FOR)),
        Node::Door(Door::Top) | Node::Past(..) => Some(KEPT_FOR),
        Node::Present => found.and_then(attributes_kept_for),
    }
}

fn is_door((parent, name): Name<'_>) -> bool {
    parent == Ino::ROOT && name == NAME
}

fn no_entry(name: &str) -> Error {
    Error::not_found("no such file or directory").with("name", name.escape_debug())
}

fn directory(name: &str) -> Error {
    Error::wrong_type("this is a directory")
        .with("expected", "file")
        .with("name", name)
}

#[async_trait]
impl Volume for WithPast {
    fn acting_for(&self, caller: &Caller) -> Arc<dyn Volume> {
        let present = self.present.acting_for(caller);
        Arc::new(Self::new(present, Arc::clone(&self.states)))
    }

    async fn as_of(&self, at: At) -> Result<Arc<dyn Volume>> {
        self.present.as_of(at).await
    }

    fn is_past(&self) -> bool {
        false
    }

    async fn revision(&self) -> Result<Revision> {
        self.present.revision().await
    }

    fn now(&self) -> Timestamp {
        self.present.now()
    }

    async fn lookup(&self, name: Name<'_>) -> Result<Stat> {
        match (Node::of(name.0), name.1) {
            (Node::Door(Door::Top), POINTS) => Ok(self.door(Door::Points)),
            (Node::Door(Door::Top), other) => Err(no_entry(other)),
            (Node::Door(Door::Points), point) => self.point(point).await,
            (Node::Past(state, parent), name) => {
                let (past, parent) = self.states.get(state, parent)?;
                let found = past.lookup((parent, name)).await?;
                self.states.shown_stat(state, found)
            }
            (Node::Present, _) if is_door(name) => Ok(self.door(Door::Top)),
            (Node::Present, _) => self.present.lookup(name).await,
        }
    }

    async fn getattr(&self, ino: Ino) -> Result<Stat> {
        match Node::of(ino) {
            Node::Present => self.present.getattr(ino).await,
            Node::Door(door) => Ok(self.door(door)),
            Node::Past(state, ino) => {
                let (past, ino) = self.states.get(state, ino)?;
                self.states.shown_stat(state, past.getattr(ino).await?)
            }
        }
    }

    async fn setattr(&self, ino: Ino, set: SetAttributes) -> Result<Stat> {
        self.check_present(ino)?;
        self.present.setattr(ino, set).await
    }

    async fn make(&self, name: Name<'_>, new: NewInode) -> Result<Stat> {
        self.check_new_name(name)?;
        self.present.make(name, new).await
    }

    async fn unlink(&self, name: Name<'_>) -> Result<()> {
        self.check_name(name)?;
        self.present.unlink(name).await
    }

    async fn rmdir(&self, name: Name<'_>) -> Result<()> {
        self.check_name(name)?;
        self.present.rmdir(name).await
    }

    async fn rename(&self, from: Name<'_>, to: Name<'_>, replace: Replace) -> Result<()> {
        self.check_name(from)?;
        self.check_new_name(to)?;
        self.present.rename(from, to, replace).await
    }

    async fn link(&self, ino: Ino, to: Name<'_>) -> Result<Stat> {
        self.check_present(ino)?;
        self.check_new_name(to)?;
        self.present.link(ino, to).await
    }

    async fn readdir(
        &self,
        directory: Ino,
        after: Option<&str>,
        limit: usize,
        details: bool,
    ) -> Result<Vec<DirEntry>> {
        match Node::of(directory) {
            Node::Present if directory == Ino::ROOT => self.root(after, limit, details).await,
            Node::Present => {
                let page = self.present.readdir(directory, after, limit, details);
                page.await
            }
            Node::Door(Door::Top) if after.is_none_or(|after| after < POINTS) => {
                Ok(vec![DirEntry {
                    path: format!("/{NAME}/{POINTS}"),
                    ino: Door::Points.ino(),
                    kind: FileKind::Directory,
                    stat: Some(self.door(Door::Points)),
                }])
            }
            // Any point can be looked up; those that have names are listed, and none has.
            Node::Door(_) => Ok(Vec::new()),
            Node::Past(state, directory) => {
                let (past, directory) = self.states.get(state, directory)?;
                let page = past.readdir(directory, after, limit, details).await?;
                let entries = page.into_iter();
                entries.map(|e| self.states.shown_entry(state, e)).collect()
            }
        }
    }

    async fn parent_of(&self, ino: Ino) -> Result<Ino> {
        match Node::of(ino) {
            Node::Present => self.present.parent_of(ino).await,
            Node::Door(Door::Top) => Ok(Ino::ROOT),
            Node::Door(Door::Points) => Ok(Door::Top.ino()),
            Node::Past(state, ino) => {
                let (past, ino) = self.states.get(state, ino)?;
                if ino == Ino::ROOT {
                    return Ok(Door::Points.ino());
                }
                self.states.shown(state, past.parent_of(ino).await?)
            }
        }
    }

    async fn metadata_value(&self, ino: Ino, key: &str) -> Result<Bytes> {
        match Node::of(ino) {
            Node::Present => self.present.metadata_value(ino, key).await,
            Node::Door(_) => Err(Error::not_found("no such metadata key").with("key", key)),
            Node::Past(state, ino) => {
                let (past, ino) = self.states.get(state, ino)?;
                past.metadata_value(ino, key).await
            }
        }
    }

    async fn metadata_keys(&self, ino: Ino) -> Result<Vec<String>> {
        match Node::of(ino) {
            Node::Present => self.present.metadata_keys(ino).await,
            Node::Door(_) => Ok(Vec::new()),
            Node::Past(state, ino) => {
                let (past, ino) = self.states.get(state, ino)?;
                past.metadata_keys(ino).await
            }
        }
    }

    async fn set_metadata_value(
        &self,
        ino: Ino,
        key: &str,
        value: Option<Bytes>,
        must: KeyPresence,
    ) -> Result<()> {
        self.check_present(ino)?;
        let set = self.present.set_metadata_value(ino, key, value, must);
        set.await
    }

    async fn versions(&self, ino: Ino, limit: usize) -> Result<Vec<Version>> {
        match Node::of(ino) {
            Node::Present => self.present.versions(ino, limit).await,
            Node::Door(_) => Err(directory(NAME)),
            Node::Past(state, ino) => {
                let (past, ino) = self.states.get(state, ino)?;
                past.versions(ino, limit).await
            }
        }
    }

    async fn open(&self, ino: Ino, mode: OpenMode, truncate: bool) -> Result<Arc<dyn VolumeFile>> {
        match Node::of(ino) {
            Node::Present => self.present.open(ino, mode, truncate).await,
            Node::Door(_) => Err(directory(NAME)),
            Node::Past(..) if mode != OpenMode::Read || truncate => Err(read_only()),
            Node::Past(state, in_part) => {
                let (past, in_state) = self.states.get(state, in_part)?;
                let file = past.open(in_state, mode, false).await?;
                Ok(Arc::new(PastFile { ino, file }))
            }
        }
    }

    async fn sync(&self) -> Result<()> {
        self.present.sync().await
    }

    fn changes(&self, after: Revision) -> BoxStream<'static, Result<Record>> {
        self.present.changes(after)
    }

    fn is_own(&self, record: &Record) -> bool {
        self.present.is_own(record)
    }
}

impl WithPast {
    /// The root as it is listed: an entry of the zone that has the name of the way to the past
    /// is hidden by it.
    async fn root(
        &self,
        after: Option<&str>,
        limit: usize,
        details: bool,
    ) -> Result<Vec<DirEntry>> {
        let list = |after| self.present.readdir(Ino::ROOT, after, limit, details);
        let mut page = list(after).await?;
        if let [only] = &page[..]
            && only.name() == NAME
        {
            return list(Some(NAME)).await;
        }
        page.retain(|entry| entry.name() != NAME);
        Ok(page)
    }
}

/// A file of the past, under the number that the kernel knows it by.
struct PastFile {
    ino: Ino,
    file: Arc<dyn VolumeFile>,
}

#[async_trait]
impl VolumeFile for PastFile {
    fn ino(&self) -> Ino {
        self.ino
    }

    fn version(&self) -> u64 {
        self.file.version()
    }

    async fn read(&self, offset: u64, length: usize) -> Result<Bytes> {
        self.file.read(offset, length).await
    }

    async fn backing(&self) -> Result<Option<File>> {
        self.file.backing().await
    }

    async fn write(&self, _: Option<u64>, _: Bytes) -> Result<()> {
        Err(read_only())
    }

    async fn truncate(&self, _: u64) -> Result<()> {
        Err(read_only())
    }

    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    async fn fsync(&self) -> Result<()> {
        Ok(())
    }

    async fn close(self: Arc<Self>) -> Result<()> {
        match Arc::into_inner(self) {
            Some(only) => only.file.close().await,
            None => Ok(()),
        }
    }
}
