//! A zone on a node elsewhere.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use nexus_client::{Client, Inodes, KeyPresence as Presence, LogQuery, Opened};
use nexus_fs::{
    At, DirEntry, Ino, KeyPresence, NewInode, NewKind, OpenMode, Record, Replace, SetAttributes,
    Stat, Version,
};
use nexus_fuse::{Caller, Name, PastVolume, Volume, VolumeFile};
use nexus_kernel::{Durability, Kind, Result, Revision, Timestamp};
use nexus_service_api::Clock;

use crate::convert;
use crate::feed;
use crate::file::{HEAD_BYTES, OpenFile};
use crate::open_files::OpenFiles;
use crate::past::RemotePast;
use crate::patience::{Patience, patiently};
use crate::remote_file::RemoteFile;

/// Versions in one answer.
const VERSIONS_MAX: usize = 10_000;
/// Commits looked through for a change whose answer was lost.
const LOOKED_THROUGH: u32 = 256;

/// How a zone elsewhere is used.
#[derive(Clone)]
pub struct Options {
    /// How long a call is made again before it fails.
    pub patience: Duration,
    /// When a change is acknowledged, and what was written to a file, once it is flushed. What
    /// is relaxed, a node that dies may forget, and nobody here hears of it.
    pub durability: Durability,
    /// Tells the time that a change made now gets.
    pub clock: Arc<dyn Clock>,
    /// Names the volume's changes in the operation log; nobody else's may be called the same.
    pub request_id: String,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("patience", &self.patience)
            .field("durability", &self.durability)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

/// A zone on a node elsewhere.
pub struct RemoteVolume {
    client: Client,
    inodes: Inodes,
    shared: Arc<Shared>,
}

/// What a volume has in common with those that act for others.
pub(crate) struct Shared {
    pub(crate) patience: Duration,
    pub(crate) durability: Durability,
    pub(crate) open: Arc<OpenFiles>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The connection without anybody's name.
    client: Client,
    request_id: String,
    /// As the operation log has it.
    actor: String,
}

impl Shared {
    /// Makes everything durable that was done before.
    pub(crate) async fn sync(&self) -> Result<()> {
        patiently(self.patience, |_| self.client.sync())
            .await
            .map(drop)
    }
}

impl RemoteVolume {
    /// The zone of a client, which must send the same request id with every call.
    ///
    /// # Errors
    ///
    /// `Unauthenticated`, `Unavailable`.
    pub async fn start(client: Client, options: Options) -> Result<Self> {
        let who = client.whoami().await?;
        let inodes = client.inodes(options.durability);
        let shared = Arc::new(Shared {
            patience: options.patience,
            durability: options.durability,
            open: OpenFiles::start(inodes.clone()),
            client: client.clone(),
            clock: options.clock,
            request_id: options.request_id,
            actor: format!("{}:{}", who.kind.as_str(), who.id),
        });
        Ok(Self {
            client,
            inodes,
            shared,
        })
    }

    /// Asks for something that may be asked twice.
    async fn ask<T, F>(&self, call: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        patiently(self.shared.patience, |_| call()).await
    }

    fn open_file(&self, opened: &Opened, writes: bool) -> Arc<OpenFile> {
        let (shared, inodes) = (Arc::clone(&self.shared), self.inodes.clone());
        OpenFile::new(shared, inodes, opened, writes)
    }

    /// A file that was just opened to be written, as all who write to it have it.
    fn writer(&self, opened: &Opened) -> RemoteFile {
        let mut is_made = false;
        let file = self.shared.open.join(opened.stat.ino, || {
            is_made = true;
            self.open_file(opened, true)
        });
        if let (false, Some(handle)) = (is_made, opened.handle) {
            // Theirs will do.
            self.shared.open.add_handle(handle);
            self.shared.open.close_handle(handle);
        }
        RemoteFile::new(file, opened.stat.version)
    }

    /// Opens a file to be read, of which something is read at once as a rule.
    async fn open_to_read(&self, ino: Ino) -> Result<RemoteFile> {
        let writes = self.shared.open.writes();
        self.shared.open.send(ino.0).await?;
        let opened = self.ask(|| self.inodes.open(ino.0, false, HEAD_BYTES));
        // A key that opens nothing any more reads nothing that came before either.
        let opened = opened
            .await
            .inspect_err(|_| self.shared.open.count_write())?;
        let file = self.open_file(&opened, false);
        file.keep_head(opened.head, writes);
        Ok(RemoteFile::new(file, opened.stat.version))
    }

    /// The attributes of an inode that was seen with what the node knew of it.
    async fn settled(&self, stat: nexus_client::Stat) -> Result<Stat> {
        if self.shared.open.is_unsettled(stat.ino) {
            return self.getattr(Ino(stat.ino)).await;
        }
        convert::stat(stat)
    }

    /// Whether a name that is taken was made by an earlier try of the same call.
    async fn is_made(&self, (parent, name): Name<'_>) -> Result<Option<nexus_client::Stat>> {
        let found = self.inodes.lookup(parent.0, name, &latest()).await?;
        let query = LogQuery {
            request_id: Some(self.shared.request_id.clone()),
            newest_first: true,
            limit: LOOKED_THROUGH,
            ..LogQuery::default()
        };
        let log = self.client.log(query).await?;
        let mut changes = log.records.iter().flat_map(|record| &record.changes);
        let ours = changes.any(|change| change.ino == found.ino && change.parent == parent.0);
        Ok(ours.then_some(found))
    }

    async fn try_make(&self, at: Name<'_>, new: &NewInode, again: bool) -> Result<Opened> {
        let is_file = new.kind == NewKind::File;
        let made = self
            .inodes
            .make(at.0.0, at.1, convert::new_inode(new), is_file);
        match made.await {
            Err(error) if again && error.kind() == Kind::AlreadyExists => {
                let stat = self.is_made(at).await?.ok_or(error)?;
                Ok(Opened {
                    stat,
                    handle: None,
                    head: Bytes::new(),
                })
            }
            made => made,
        }
    }

    async fn remove(&self, (parent, name): Name<'_>, directory: bool) -> Result<()> {
        let remove = |again| async move {
            match self.inodes.remove(parent.0, name, directory).await {
                // An earlier try of the same call did it.
                Err(error) if again && error.kind() == Kind::NotFound => Ok(()),
                removed => removed,
            }
        };
        patiently(self.shared.patience, remove).await
    }

    async fn try_rename(
        &self,
        from: Name<'_>,
        to: Name<'_>,
        replace: Replace,
        again: bool,
    ) -> Result<()> {
        let (from, to) = ((from.0.0, from.1), (to.0.0, to.1));
        let renamed = self.inodes.rename(from, to, convert::replace(replace));
        match renamed.await {
            // An earlier try of the same call did it.
            Err(error) if again && error.kind() == Kind::NotFound => {
                let moved = self.inodes.lookup(to.0, to.1, &latest()).await;
                moved.map(drop).map_err(|_| error)
            }
            renamed => renamed,
        }
    }
}

#[async_trait]
impl Volume for RemoteVolume {
    fn acting_for(&self, caller: &Caller) -> Arc<dyn Volume> {
        let (session, program) = (caller.session.as_deref(), caller.program.as_deref());
        let client = self.client.acting_for(session, program);
        Arc::new(Self {
            inodes: client.inodes(self.shared.durability),
            client,
            shared: Arc::clone(&self.shared),
        })
    }

    async fn as_of(&self, at: At) -> Result<Arc<dyn Volume>> {
        let past = RemotePast::new(&self.inodes, Arc::clone(&self.shared), at);
        Ok(Arc::new(PastVolume(past.await?)))
    }

    fn is_past(&self) -> bool {
        false
    }

    async fn revision(&self) -> Result<Revision> {
        self.ask(|| self.client.revision()).await
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    async fn lookup(&self, (parent, name): Name<'_>) -> Result<Stat> {
        let at = latest();
        let found = self.ask(|| self.inodes.lookup(parent.0, name, &at)).await?;
        self.settled(found).await
    }

    async fn getattr(&self, ino: Ino) -> Result<Stat> {
        self.shared.open.settle(ino.0).await?;
        let at = latest();
        let stat = self.ask(|| self.inodes.attributes(ino.0, &at)).await?;
        convert::stat(stat)
    }

    async fn setattr(&self, ino: Ino, mut set: SetAttributes) -> Result<Stat> {
        if let (Some(size), Some(writer)) = (set.size, self.shared.open.writer(ino.0)) {
            // Among the writes, in their order.
            writer.resize(size).await?;
            set.size = None;
        }
        self.shared.open.settle(ino.0).await?;
        let set = convert::attributes(set);
        let stat = self.ask(|| self.inodes.set_attributes(ino.0, set)).await?;
        self.shared.open.count_write();
        convert::stat(stat)
    }

    async fn make(&self, at: Name<'_>, new: NewInode) -> Result<Stat> {
        let make = |again| self.try_make(at, &new, again);
        let opened = patiently(self.shared.patience, make).await?;
        let stat = convert::stat(opened.stat.clone())?;
        self.shared.open.keep_made(opened);
        Ok(stat)
    }

    async fn unlink(&self, name: Name<'_>) -> Result<()> {
        self.remove(name, false).await
    }

    async fn rmdir(&self, name: Name<'_>) -> Result<()> {
        self.remove(name, true).await
    }

    async fn rename(&self, from: Name<'_>, to: Name<'_>, replace: Replace) -> Result<()> {
        let rename = |again| self.try_rename(from, to, replace, again);
        match replace {
            // Twice would be as good as never.
            Replace::Exchange => {
                let patience = Patience::new(self.shared.patience);
                patience.once(rename(false)).await
            }
            Replace::Allow | Replace::Refuse => patiently(self.shared.patience, rename).await,
        }
    }

    async fn link(&self, ino: Ino, (parent, name): Name<'_>) -> Result<Stat> {
        let link = |again| async move {
            match self.inodes.link(ino.0, parent.0, name).await {
                Err(error) if again && error.kind() == Kind::AlreadyExists => {
                    let found = self.inodes.lookup(parent.0, name, &latest()).await?;
                    // An earlier try of the same call did it.
                    if found.ino == ino.0 {
                        Ok(found)
                    } else {
                        Err(error)
                    }
                }
                linked => linked,
            }
        };
        let linked = patiently(self.shared.patience, link).await?;
        self.settled(linked).await
    }

    async fn readdir(
        &self,
        directory: Ino,
        after: Option<&str>,
        limit: usize,
        details: bool,
    ) -> Result<Vec<DirEntry>> {
        let at = latest();
        let page = || {
            self.inodes
                .read_directory(directory.0, after, limit, details, &at)
        };
        let mut entries = Vec::new();
        for entry in self.ask(page).await? {
            let mut entry = convert::entry(entry)?;
            if entry.stat.is_some() && self.shared.open.is_unsettled(entry.ino.0) {
                entry.stat = Some(self.getattr(entry.ino).await?);
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    async fn parent_of(&self, ino: Ino) -> Result<Ino> {
        let at = latest();
        let parent = self.ask(|| self.inodes.parent_of(ino.0, &at));
        parent.await.map(Ino)
    }

    async fn metadata_value(&self, ino: Ino, key: &str) -> Result<Bytes> {
        let at = latest();
        self.ask(|| self.inodes.metadata_value(ino.0, key, &at))
            .await
    }

    async fn metadata_keys(&self, ino: Ino) -> Result<Vec<String>> {
        let at = latest();
        self.ask(|| self.inodes.metadata_keys(ino.0, &at)).await
    }

    async fn set_metadata_value(
        &self,
        ino: Ino,
        key: &str,
        value: Option<Bytes>,
        must: KeyPresence,
    ) -> Result<()> {
        let set = |again| {
            // Of a call made again, an earlier try may have made it untrue.
            let must = if again {
                Presence::Any
            } else {
                convert::presence(must)
            };
            self.inodes
                .set_metadata_value(ino.0, key, value.clone(), must)
        };
        patiently(self.shared.patience, set).await
    }

    async fn versions(&self, ino: Ino, limit: usize) -> Result<Vec<Version>> {
        let (at, limit) = (latest(), page(limit));
        let versions = self.ask(|| self.inodes.versions(ino.0, limit, &at));
        let versions = versions.await?.into_iter().map(convert::version);
        versions.collect()
    }

    async fn open(&self, ino: Ino, mode: OpenMode, truncate: bool) -> Result<Arc<dyn VolumeFile>> {
        let writes = mode != OpenMode::Read;
        let file = match self.shared.open.take_made(ino.0) {
            Some(opened) if writes => self.writer(&opened),
            Some(opened) => RemoteFile::new(self.open_file(&opened, false), opened.stat.version),
            None if writes => {
                let opened = self.ask(|| self.inodes.open(ino.0, true, 0));
                self.writer(&opened.await?)
            }
            None => self.open_to_read(ino).await?,
        };
        let file = Arc::new(file);
        if truncate {
            file.truncate(0).await?;
        }
        Ok(file)
    }

    async fn sync(&self) -> Result<()> {
        self.shared.sync().await
    }

    fn changes(&self, after: Revision) -> BoxStream<'static, Result<Record>> {
        feed::changes(self.client.clone(), after)
    }

    fn is_own(&self, record: &Record) -> bool {
        record.request_id.as_ref() == Some(&self.shared.request_id)
            && record.actor == self.shared.actor
    }
}

/// What one answer of the node may hold.
pub(crate) fn page(limit: usize) -> u32 {
    limit.clamp(1, VERSIONS_MAX) as u32
}

fn latest() -> nexus_client::At {
    nexus_client::At::latest()
}
