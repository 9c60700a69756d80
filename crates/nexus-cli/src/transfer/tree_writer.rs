//! Writing a tree onto the node, from whatever walks one in order.

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use nexus_client::{
    At, Client, DirEntry, Durability, Error, FileKind, Kind, ListOptions, RemoveOptions, Result,
};

use super::prepare::{Attributes, Planned, Source, Step, send_batch, send_large};
use super::tasks::Tasks;
use super::{Progress, SMALL_BYTES_MAX, Summary, holds, origin};
use crate::location::join;

/// Files of one commit, and their bytes.
const BATCH_STEPS: usize = 256;
const BATCH_BYTES: u64 = 1 << 20;
/// Batches and large files on their way at the same time.
const IN_FLIGHT: usize = 16;
/// What waits for the files before it, until all of those are there.
const LATER_MAX: usize = 4096;

/// Takes the entries of a tree, a directory before what is in it, and makes them on the node:
/// many files in one commit, many commits at a time, and nothing that is there already.
/// Everything is written `relaxed`, and made durable by [`finish`](Self::finish).
pub(crate) struct TreeWriter {
    client: Client,
    top: String,
    progress: Progress,
    /// The directories that lead to the next entry.
    open: Vec<OpenDirectory>,
    batch: Vec<Step>,
    batch_bytes: u64,
    tasks: Tasks,
    links: Vec<Link>,
    left: Vec<(String, Attributes)>,
    /// The archive that is read, if it has a name.
    archive: Option<String>,
}

struct OpenDirectory {
    /// Below the top.
    path: String,
    attributes: Attributes,
    /// What was in it before; none for a new directory.
    there: Option<HashMap<String, DirEntry>>,
}

enum Link {
    Symbolic { target: String, path: String },
    Hard { existing: String, path: String },
}

impl TreeWriter {
    /// Writes at and below `top`, an absolute path.
    pub(crate) fn new(client: Client, top: &str, progress: Progress) -> Self {
        Self {
            client,
            top: top.to_owned(),
            progress,
            open: Vec::new(),
            batch: Vec::new(),
            batch_bytes: 0,
            tasks: Tasks::new(IN_FLIGHT),
            links: Vec::new(),
            left: Vec::new(),
            archive: None,
        }
    }

    /// Names the archive that content comes from, for its lineage.
    pub(crate) fn reading(mut self, archive: Option<&Path>) -> Self {
        self.archive = archive.and_then(origin::of_file);
        self
    }

    /// Makes a directory; paths are relative to the top, itself empty.
    pub(crate) async fn directory(&mut self, path: &str, attributes: Attributes) -> Result<()> {
        self.leave_for(path).await?;
        let there = match path.is_empty() || self.room(path).await?.is_some_and(is_directory) {
            true => self.list(path).await?,
            false => None,
        };
        if there.is_none() {
            self.push(Step::Mkdir(join(&self.top, path)), 0).await?;
        }
        self.open.push(OpenDirectory {
            path: path.to_owned(),
            attributes,
            there,
        });
        Ok(())
    }

    /// Makes a file.
    pub(crate) async fn file(
        &mut self,
        path: &str,
        size: u64,
        attributes: Attributes,
        source: Source,
    ) -> Result<()> {
        self.leave_for(path).await?;
        let there = self.room(path).await?;
        let there = there.filter(|entry| entry.kind == FileKind::File);
        let there = there.and_then(|entry| entry.stat);
        let origin = match (&source, &self.archive) {
            (Source::Disk(file), _) => origin::of_file(file),
            (_, Some(archive)) => origin::of_member(archive, path),
            (_, None) => None,
        };
        let path = join(&self.top, path);
        let streamed = matches!(source, Source::Stream(_)) || size > SMALL_BYTES_MAX;
        let planned = Planned {
            path,
            size,
            attributes,
            source,
            origin,
            there,
        };
        if streamed {
            let send = send_large(self.client.clone(), planned, self.progress.clone());
            return self.tasks.spawn(send).await;
        }
        self.push(Step::File(Box::new(planned)), size).await
    }

    /// Whether the node has a file of this size and etag there already.
    pub(crate) async fn has_file(&mut self, path: &str, size: u64, etag: &str) -> Result<bool> {
        self.leave_for(path).await?;
        let there = self.room(path).await?.and_then(|entry| entry.stat);
        Ok(there.is_some_and(|stat| stat.size == size && stat.etag.as_deref() == Some(etag)))
    }

    /// Keeps a file as it is on the node, but for its attributes.
    pub(crate) async fn keep(
        &mut self,
        path: &str,
        size: u64,
        attributes: Attributes,
    ) -> Result<()> {
        self.progress.advance(size);
        self.progress.file();
        self.tasks.count(Summary {
            unchanged: 1,
            ..Summary::default()
        });
        self.left.push((join(&self.top, path), attributes));
        self.settle_if_much().await
    }

    /// Makes a symbolic link.
    pub(crate) async fn symlink(&mut self, path: &str, target: String) -> Result<()> {
        self.leave_for(path).await?;
        self.links.push(Link::Symbolic {
            target,
            path: join(&self.top, path),
        });
        self.settle_if_much().await
    }

    /// Gives a file that was made before another name.
    pub(crate) async fn hard_link(&mut self, path: &str, existing: &str) -> Result<()> {
        self.leave_for(path).await?;
        let existing = join(&self.top, existing);
        self.links.push(Link::Hard {
            existing,
            path: join(&self.top, path),
        });
        self.settle_if_much().await
    }

    /// Counts what has no place on the node.
    pub(crate) fn leave_out(&mut self) {
        self.tasks.count(Summary {
            left_out: 1,
            ..Summary::default()
        });
    }

    /// Waits until everything is there, and durable.
    pub(crate) async fn finish(mut self) -> Result<Summary> {
        while let Some(OpenDirectory {
            path, attributes, ..
        }) = self.open.pop()
        {
            self.left.push((join(&self.top, &path), attributes));
        }
        self.settle().await?;
        self.client.sync().await?;
        Ok(self.tasks.summary())
    }

    /// Fails with the error of something in flight that failed; waits for all of it.
    pub(crate) async fn check(&mut self) -> Result<()> {
        self.tasks.join_all().await
    }

    /// Leaves the directories that do not lead to `path`.
    async fn leave_for(&mut self, path: &str) -> Result<()> {
        while let Some(last) = self.open.pop() {
            if holds(&last.path, path) {
                self.open.push(last);
                break;
            }
            self.left
                .push((join(&self.top, &last.path), last.attributes));
        }
        self.settle_if_much().await
    }

    /// What is at `path` on the node now. A symbolic link gives way at once, before anything is
    /// written there or below: it would lead that out of the tree. Only the top may be one, since
    /// that is the user's word.
    async fn room(&mut self, path: &str) -> Result<Option<DirEntry>> {
        let there = self.there(path).await?;
        let is_link = |entry: &DirEntry| entry.kind == FileKind::Symlink;
        if path.is_empty() || !there.as_ref().is_some_and(is_link) {
            return Ok(there);
        }
        let options = RemoveOptions {
            durability: Durability::Relaxed,
            ..RemoveOptions::default()
        };
        self.client.remove(&join(&self.top, path), options).await?;
        if let Some(names) = self
            .open
            .last_mut()
            .and_then(|parent| parent.there.as_mut())
        {
            names.remove(name(path));
        }
        Ok(None)
    }

    /// What is at `path` on the node now.
    async fn there(&self, path: &str) -> Result<Option<DirEntry>> {
        if let Some(directory) = self.open.last() {
            return Ok(directory
                .there
                .as_ref()
                .and_then(|names| names.get(name(path)))
                .cloned());
        }
        let path = join(&self.top, path);
        match self.client.lstat(&path, At::latest()).await {
            Ok(stat) => Ok(Some(DirEntry {
                path,
                ino: stat.ino,
                kind: stat.kind,
                stat: Some(stat),
            })),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What is in a directory; none if there is no directory.
    async fn list(&self, path: &str) -> Result<Option<HashMap<String, DirEntry>>> {
        let options = ListOptions {
            details: true,
            ..ListOptions::default()
        };
        let entries = self.client.list_all(&join(&self.top, path), options);
        let named = entries.map_ok(|entry| (entry.name().to_owned(), entry));
        match named.try_collect().await {
            Ok(names) => Ok(Some(names)),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn push(&mut self, step: Step, bytes: u64) -> Result<()> {
        self.batch.push(step);
        self.batch_bytes += bytes;
        match self.batch.len() >= BATCH_STEPS || self.batch_bytes >= BATCH_BYTES {
            true => self.send().await,
            false => Ok(()),
        }
    }

    async fn send(&mut self) -> Result<()> {
        let steps = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        if steps.is_empty() {
            return Ok(());
        }
        self.tasks
            .spawn(send_batch(
                self.client.clone(),
                steps,
                self.progress.clone(),
            ))
            .await
    }

    async fn settle_if_much(&mut self) -> Result<()> {
        match self.links.len() + self.left.len() >= LATER_MAX {
            true => self.settle().await,
            false => Ok(()),
        }
    }

    /// Waits for the files, then makes links, then sets what making something in a directory
    /// would have changed again.
    async fn settle(&mut self) -> Result<()> {
        self.send().await?;
        self.tasks.join_all().await?;
        let (client, top) = (&self.client, self.top.as_str());
        let links = std::mem::take(&mut self.links);
        self.tasks.count(Summary {
            links: links.len() as u64,
            ..Summary::default()
        });
        let made =
            futures::stream::iter(links).map(|link| async move { link.make(client, top).await });
        made.buffer_unordered(IN_FLIGHT).try_collect::<()>().await?;
        let left = std::mem::take(&mut self.left);
        let set = futures::stream::iter(left)
            .map(|(path, attributes)| async move { attributes.apply(client, &path).await });
        set.buffer_unordered(IN_FLIGHT).try_collect::<()>().await
    }
}

impl Link {
    /// Makes the link, in place of what may be there.
    async fn make(&self, client: &Client, top: &str) -> Result<()> {
        if let Self::Hard { existing, .. } = self {
            check_way(client, top, existing).await?;
        }
        match self.try_make(client).await {
            Err(error) if error.kind() == Kind::AlreadyExists => {
                if self.is_there(client).await? {
                    return Ok(());
                }
                self.replace(client, error).await
            }
            done => done,
        }
    }

    async fn try_make(&self, client: &Client) -> Result<()> {
        let relaxed = Durability::Relaxed;
        match self {
            Self::Symbolic { target, path } => client.symlink(target, path, relaxed).await?,
            Self::Hard { existing, path } => client.hard_link(existing, path, relaxed).await?,
        };
        Ok(())
    }

    async fn is_there(&self, client: &Client) -> Result<bool> {
        let there = client.lstat(self.path(), At::latest()).await?;
        match self {
            Self::Symbolic { target, .. } => Ok(there.target.as_ref() == Some(target)),
            Self::Hard { existing, .. } => {
                Ok(client.lstat(existing, At::latest()).await?.ino == there.ino)
            }
        }
    }

    /// A file or another link gives way, a directory does not.
    async fn replace(&self, client: &Client, error: Error) -> Result<()> {
        if client.lstat(self.path(), At::latest()).await?.is_dir() {
            return Err(error);
        }
        client.remove(self.path(), RemoveOptions::default()).await?;
        self.try_make(client).await
    }

    fn path(&self) -> &str {
        match self {
            Self::Symbolic { path, .. } | Self::Hard { path, .. } => path,
        }
    }
}

/// By way of a symbolic link a file of the tree could turn out to be any file of the node.
async fn check_way(client: &Client, top: &str, existing: &str) -> Result<()> {
    let mut rest = existing;
    while let Some((directory, _)) = rest.rsplit_once('/')
        && directory.len() > top.len()
    {
        if !client.lstat(directory, At::latest()).await?.is_dir() {
            return Err(Error::invalid(
                "a hard link leads through something that is no directory; export the tree again",
            )
            .with("path", existing));
        }
        rest = directory;
    }
    Ok(())
}

fn is_directory(entry: DirEntry) -> bool {
    entry.kind == FileKind::Directory
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Metadata as the client takes it.
pub(super) fn shared(metadata: Vec<(String, Vec<u8>)>) -> Vec<(String, Bytes)> {
    metadata
        .into_iter()
        .map(|(key, value)| (key, value.into()))
        .collect()
}
