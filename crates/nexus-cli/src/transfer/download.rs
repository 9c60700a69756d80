//! From the node to the disk.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use futures::TryStreamExt;
use nexus_client::{
    At, ByteStream, Client, DirEntry, Error, FileKind, ListOptions, ReadOptions, Result, Stat,
};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;

use super::disk::cannot_write;
use super::tasks::{Tasks, blocking};
use super::{Progress, Summary, holds, pin};
use crate::archive::check_path;
use crate::etag::EtagHasher;
use crate::location::below;

mod place;

use place::{Links, give_way, is_there, make_directory, open_directory, set_attributes};

/// Files on their way at the same time.
const IN_FLIGHT: usize = 32;
/// Directories whose attributes wait for the files in them.
const LEFT_MAX: usize = 4096;
/// Entries of a page.
const PAGE: u32 = 1000;

/// What to copy from the node.
pub(crate) struct Download {
    /// Absolute.
    pub(crate) from: String,
    pub(crate) at: At,
    /// The file or folder to make.
    pub(crate) to: PathBuf,
    /// A directory with all below it.
    pub(crate) recursive: bool,
    /// Show progress.
    pub(crate) watch: bool,
}

/// Copies a file or a tree, as it is at one point, to the disk.
pub(crate) async fn download(client: Client, options: Download) -> Result<Summary> {
    let at = pin(&client, options.at).await?;
    let top = client.stat(&options.from, at.clone()).await?;
    if top.is_dir() && !options.recursive {
        return Err(
            Error::wrong_type("this is a directory; add -r to copy all of it")
                .with("path", &options.from),
        );
    }
    let bytes = match options.watch {
        true => client.usage(&options.from, at.clone()).await?.bytes,
        false => 0,
    };
    let progress = Progress::bar(options.watch, bytes);
    let mut writer = DiskWriter::new(client.clone(), at.clone(), options.to, progress.clone());
    if !top.is_dir() {
        writer.file(options.from, "", top).await?;
    } else {
        writer.directory("", top)?;
        let list = ListOptions {
            at,
            recursive: true,
            details: true,
            limit: PAGE,
            cursor: None,
        };
        let mut entries = client.list_all(&options.from, list);
        while let Some(entry) = entries.try_next().await? {
            writer.entry(entry, &options.from).await?;
        }
    }
    let summary = writer.finish().await;
    progress.end();
    summary
}

/// Makes the entries of a tree, a directory before what is in it. Nothing lands outside of the top:
/// every directory below it is one that this writer made or saw to be no link, and an entry comes
/// right into the last of them that it leads to.
struct DiskWriter {
    client: Client,
    at: At,
    top: PathBuf,
    progress: Progress,
    tasks: Tasks,
    /// The directories that lead to the next entry, below the top.
    open: Vec<(String, Stat)>,
    left: Vec<(String, Stat)>,
    /// The first name of every file that has several.
    first_names: HashMap<u64, PathBuf>,
    links: Vec<(PathBuf, PathBuf)>,
}

impl DiskWriter {
    fn new(client: Client, at: At, top: PathBuf, progress: Progress) -> Self {
        Self {
            client,
            at,
            top,
            progress,
            tasks: Tasks::new(IN_FLIGHT),
            open: Vec::new(),
            left: Vec::new(),
            first_names: HashMap::new(),
            links: Vec::new(),
        }
    }

    async fn entry(&mut self, entry: DirEntry, from: &str) -> Result<()> {
        let relative = below(&entry.path, from)?.to_owned();
        // The node promises this; a disk must not depend on it.
        check_path(&relative)?;
        let stat = entry.stat.ok_or_else(|| {
            Error::unsupported("the node lists no attributes; use a client of its version")
        })?;
        self.leave_for(&relative).await?;
        if self.open.is_empty() {
            return Err(
                Error::corrupt("the node listed an entry before the directory it is in")
                    .with("path", entry.path.escape_debug()),
            );
        }
        match stat.kind {
            FileKind::Directory => self.directory(&relative, stat),
            FileKind::File => self.file(entry.path, &relative, stat).await,
            FileKind::Symlink => self.symlink(&relative, &stat),
        }
    }

    fn place(&self, relative: &str) -> PathBuf {
        if relative.is_empty() {
            self.top.clone()
        } else {
            self.top.join(relative)
        }
    }

    fn directory(&mut self, relative: &str, stat: Stat) -> Result<()> {
        if make_directory(&self.place(relative), links_at(relative))? {
            self.tasks.count(Summary {
                directories: 1,
                ..Summary::default()
            });
        }
        self.open.push((relative.to_owned(), stat));
        Ok(())
    }

    async fn file(&mut self, path: String, relative: &str, stat: Stat) -> Result<()> {
        let place = self.place(relative);
        if stat.links > 1 {
            if let Some(first) = self.first_names.get(&stat.ino) {
                self.links.push((first.clone(), place));
                return Ok(());
            }
            self.first_names.insert(stat.ino, place.clone());
        }
        let options = ReadOptions {
            at: self.at.clone(),
            ..ReadOptions::default()
        };
        let fetch = Fetch {
            path,
            options,
            stat,
            place,
        };
        self.tasks
            .spawn(fetch.run(self.client.clone(), self.progress.clone()))
            .await
    }

    fn symlink(&mut self, relative: &str, stat: &Stat) -> Result<()> {
        let place = self.place(relative);
        let target = stat.target.as_deref().unwrap_or_default();
        if fs::read_link(&place).is_ok_and(|there| there == Path::new(target)) {
            return Ok(());
        }
        give_way(&place)?;
        symlink(target, &place).map_err(|error| cannot_write(&place, &error))?;
        self.tasks.count(Summary {
            links: 1,
            ..Summary::default()
        });
        Ok(())
    }

    async fn leave_for(&mut self, path: &str) -> Result<()> {
        while let Some((directory, stat)) = self.open.pop() {
            if holds(&directory, path) {
                self.open.push((directory, stat));
                break;
            }
            self.left.push((directory, stat));
        }
        if self.left.len() + self.links.len() >= LEFT_MAX {
            self.settle().await
        } else {
            Ok(())
        }
    }

    /// Waits for the files, makes links to them, and then sets what making something in a
    /// directory would have changed again.
    async fn settle(&mut self) -> Result<()> {
        self.tasks.join_all().await?;
        for (first, place) in std::mem::take(&mut self.links) {
            give_way(&place)?;
            fs::hard_link(&first, &place).map_err(|error| cannot_write(&place, &error))?;
            self.tasks.count(Summary {
                links: 1,
                ..Summary::default()
            });
        }
        for (relative, stat) in std::mem::take(&mut self.left) {
            let place = self.place(&relative);
            open_directory(&place, links_at(&relative))
                .and_then(|directory| set_attributes(&directory, &stat))
                .map_err(|error| cannot_write(&place, &error))?;
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Summary> {
        while let Some((directory, stat)) = self.open.pop() {
            self.left.push((directory, stat));
        }
        self.settle().await?;
        Ok(self.tasks.summary())
    }
}

/// Where the top goes is the user's word, also by way of a link.
fn links_at(relative: &str) -> Links {
    match relative.is_empty() {
        true => Links::Follow,
        false => Links::Refuse,
    }
}

/// A file to bring.
struct Fetch {
    path: String,
    options: ReadOptions,
    stat: Stat,
    place: PathBuf,
}

impl Fetch {
    async fn run(self, client: Client, progress: Progress) -> Result<Summary> {
        progress.file();
        let Self {
            path,
            options,
            stat,
            place,
        } = self;
        let (there, expected) = (place.clone(), stat.clone());
        if blocking(move || is_there(&there, &expected)).await? {
            progress.advance(stat.size);
            return Ok(Summary {
                unchanged: 1,
                ..Summary::default()
            });
        }
        let content = client.open(&path, options).await?;
        let (bytes, stat) = (content.stat.size, content.stat);
        let part = receive(&place, content.body, stat.etag.as_deref(), &progress).await?;
        blocking(move || {
            set_attributes(part.as_file(), &stat).map_err(|error| cannot_write(&place, &error))?;
            part.persist(&place)
                .map_err(|error| cannot_write(&place, &error.error))
        })
        .await?;
        Ok(Summary {
            files: 1,
            bytes,
            ..Summary::default()
        })
    }
}

/// Puts the content into a file beside the place it goes, so that the place never has half of it.
async fn receive(
    place: &Path,
    mut body: ByteStream,
    etag: Option<&str>,
    progress: &Progress,
) -> Result<NamedTempFile> {
    let failed = |error| cannot_write(place, &error);
    let directory = place
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let part = NamedTempFile::with_prefix_in(".nexus-part-", directory.unwrap_or(Path::new(".")));
    let part = part.map_err(failed)?;
    let mut file = tokio::fs::File::from_std(part.reopen().map_err(failed)?);
    let mut hasher = etag.map(EtagHasher::like).transpose()?;
    while let Some(piece) = body.try_next().await? {
        if let Some(hasher) = &mut hasher {
            hasher.update(&piece);
        }
        file.write_all(&piece).await.map_err(failed)?;
        progress.advance(piece.len() as u64);
    }
    file.flush().await.map_err(failed)?;
    match (hasher.map(EtagHasher::finish), etag) {
        (Some(received), Some(etag)) if received != etag => Err(Error::corrupt(
            "what arrived is not what the node has; run the command again",
        )
        .with("path", place.display())),
        _ => Ok(part),
    }
}

#[cfg(test)]
mod tests;
