//! From the node into an archive.

use std::collections::HashMap;
use std::io::Write;

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use nexus_client::{At, Client, DirEntry, Error, FileKind, ListOptions, ReadOptions, Result, Stat};

use super::{Progress, SMALL_BYTES_MAX, pin};
use crate::archive::{Entry, EntryKind, Total, Writer};
use crate::location::below;

/// Entries whose content and metadata are asked for ahead.
const AHEAD: usize = 32;
/// Entries of a page.
const PAGE: u32 = 1000;

/// What to export.
pub(crate) struct Export {
    /// Absolute.
    pub(crate) from: String,
    pub(crate) at: At,
    /// Show progress.
    pub(crate) watch: bool,
}

/// Writes a file or a tree, as it is at one point, into an archive; gives back `out` and what the
/// archive holds.
pub(crate) async fn export<W: Write>(
    client: Client,
    options: Export,
    out: W,
) -> Result<(W, Total)> {
    let at = pin(&client, options.at).await?;
    let bytes = match options.watch {
        true => client.usage(&options.from, at.clone()).await?.bytes,
        false => 0,
    };
    let progress = Progress::bar(options.watch, bytes);
    let mut writer = Writer::new(out)?;
    let listed = entries(&client, options.from.clone(), at.clone()).await?;
    let mut first_names = HashMap::new();
    let gathered = listed
        .map(|named| named.map(|named| named.with_kind(&mut first_names)))
        .map(|named| gather(&client, &at, named))
        .buffered(AHEAD);
    let mut gathered = std::pin::pin!(gathered);
    while let Some(gathered) = gathered.try_next().await? {
        write(&mut writer, &client, &at, gathered, &progress).await?;
    }
    let done = writer.finish();
    progress.end();
    done
}

/// An entry of the node with its path in the archive.
struct Named {
    path: String,
    name: String,
    stat: Stat,
}

/// The top, and then all below it.
async fn entries(
    client: &Client,
    from: String,
    at: At,
) -> Result<impl Stream<Item = Result<Named>> + use<>> {
    let stat = client.lstat(&from, at.clone()).await?;
    let is_directory = stat.is_dir();
    let file_name = from.rsplit('/').next().unwrap_or_default().to_owned();
    let name = if is_directory {
        ".".to_owned()
    } else {
        file_name
    };
    let top = Named {
        path: from.clone(),
        name,
        stat,
    };
    let list = ListOptions {
        at,
        recursive: true,
        details: true,
        limit: PAGE,
        cursor: None,
    };
    let below_top = match is_directory {
        true => client.list_all(&from, list),
        false => stream::empty().boxed(),
    };
    let named = below_top.map(move |entry| named(entry?, &from));
    Ok(stream::once(async { Ok(top) }).chain(named))
}

fn named(entry: DirEntry, from: &str) -> Result<Named> {
    let stat = entry.stat.ok_or_else(|| {
        Error::unsupported("the node lists no attributes; use a client of its version")
    })?;
    Ok(Named {
        name: below(&entry.path, from)?.to_owned(),
        path: entry.path,
        stat,
    })
}

impl Named {
    /// Another name of a file that is in the archive already becomes a link to it.
    fn with_kind(self, first_names: &mut HashMap<u64, String>) -> (Self, EntryKind) {
        let stat = &self.stat;
        let kind = match (stat.kind, first_names.get(&stat.ino)) {
            (FileKind::Directory, _) => EntryKind::Directory,
            (FileKind::Symlink, _) => EntryKind::Symlink {
                target: stat.target.clone().unwrap_or_default(),
            },
            (FileKind::File, Some(first)) => EntryKind::HardLink {
                target: first.clone(),
            },
            (FileKind::File, None) => {
                let etag = stat.etag.clone().unwrap_or_default();
                EntryKind::File {
                    size: stat.size,
                    etag,
                }
            }
        };
        if stat.links > 1 && stat.kind == FileKind::File {
            first_names
                .entry(stat.ino)
                .or_insert_with(|| self.name.clone());
        }
        (self, kind)
    }
}

/// An archive's entry, with its content if that is small.
struct Gathered {
    entry: Entry,
    path: String,
    content: Option<Bytes>,
}

async fn gather(client: &Client, at: &At, named: Result<(Named, EntryKind)>) -> Result<Gathered> {
    let (Named { path, name, stat }, kind) = named?;
    let is_link = matches!(kind, EntryKind::Symlink { .. } | EntryKind::HardLink { .. });
    let (metadata, tags) = match is_link {
        // A symbolic link has none, and a hard link's are its file's.
        true => (Vec::new(), Vec::new()),
        false => futures::try_join!(
            client.metadata(&path, at.clone()),
            client.tags(&path, at.clone())
        )?,
    };
    let content = match &kind {
        EntryKind::File { size, .. } if *size <= SMALL_BYTES_MAX => {
            let options = ReadOptions {
                at: at.clone(),
                ..ReadOptions::default()
            };
            Some(client.read(&path, options).await?.bytes)
        }
        _ => None,
    };
    let entry = Entry {
        path: name,
        kind,
        mode: stat.mode,
        uid: stat.uid,
        gid: stat.gid,
        modified: stat.modified,
        metadata: metadata
            .into_iter()
            .map(|(key, value)| (key, value.to_vec()))
            .collect(),
        tags,
    };
    Ok(Gathered {
        entry,
        path,
        content,
    })
}

async fn write<W: Write>(
    writer: &mut Writer<W>,
    client: &Client,
    at: &At,
    gathered: Gathered,
    progress: &Progress,
) -> Result<()> {
    let Gathered {
        entry,
        path,
        content,
    } = gathered;
    writer.entry(&entry)?;
    if !matches!(entry.kind, EntryKind::File { .. }) {
        return Ok(());
    }
    progress.file();
    let mut body = match content {
        Some(bytes) => stream::iter([Ok(bytes)]).boxed(),
        None => {
            let options = ReadOptions {
                at: at.clone(),
                ..ReadOptions::default()
            };
            client.open(&path, options).await?.body
        }
    };
    while let Some(piece) = body.try_next().await? {
        writer.content(&piece)?;
        progress.advance(piece.len() as u64);
    }
    Ok(())
}
