//! From an archive onto the node.

use std::io::{BufReader, Read, Seek};
use std::path::Path;

use bytes::Bytes;
use nexus_client::{Client, Error, Result};
use tokio::sync::mpsc;

use super::prepare::{Attributes, Source};
use super::tasks::{blocking, repeat_panic};
use super::tree_writer::shared;
use super::{Progress, SMALL_BYTES_MAX, Summary, TreeWriter};
use crate::archive::{Entry, EntryKind, Reader, verify};
use crate::io::io_error;

/// Bytes of a large file that are read at once.
const PIECE: usize = 256 * 1024;
/// Pieces and entries that the reading may be ahead.
const AHEAD: usize = 16;

/// Writes what an archive holds at and below `to`, an absolute path; `name` is the archive's, for
/// the lineage of what it becomes. The whole archive is checked
/// before anything is written.
pub(crate) async fn import(
    client: Client,
    archive: impl Read + Seek + Send + 'static,
    name: Option<&Path>,
    to: &str,
    watch: bool,
) -> Result<Summary> {
    let checking = Progress::spinner(watch);
    checking.say("checking the archive");
    let (archive, total) = blocking(move || checked(archive)).await?;
    checking.end();
    let progress = Progress::bar(watch, total);
    let mut writer = TreeWriter::new(client, to, progress.clone()).reading(name);
    let (send, mut pieces) = mpsc::channel(AHEAD);
    let reading = tokio::task::spawn_blocking(move || read(archive, &send));
    let written = write(&mut writer, &mut pieces).await;
    drop(pieces);
    let read = reading
        .await
        .unwrap_or_else(|failure| repeat_panic(failure));
    written.and(read)?;
    let summary = writer.finish().await;
    progress.end();
    summary
}

/// Reads the archive to its end and goes back to its beginning.
fn checked<A: Read + Seek>(mut archive: A) -> Result<(A, u64)> {
    let total = verify(BufReader::with_capacity(PIECE, &mut archive))?;
    archive.rewind().map_err(|error| {
        io_error(
            "the archive cannot be read twice; save it to a file first",
            &error,
        )
    })?;
    Ok((archive, total.bytes))
}

/// What the reader passes on.
enum Piece {
    Entry(Box<Entry>),
    /// Content of the file before it; all of it, if that is small.
    Content(Bytes),
}

/// Passes on what the archive holds, as long as somebody takes it.
fn read(archive: impl Read, send: &mpsc::Sender<Piece>) -> Result<()> {
    let mut reader = Reader::new(BufReader::with_capacity(PIECE, archive))?;
    while let Some(entry) = reader.next_entry()? {
        let mut taken = send.blocking_send(Piece::Entry(Box::new(entry)));
        while taken.is_ok() {
            let mut buffer = vec![0; PIECE];
            let count = reader.read_content(&mut buffer)?;
            if count == 0 {
                break;
            }
            buffer.truncate(count);
            taken = send.blocking_send(Piece::Content(buffer.into()));
        }
        if taken.is_err() {
            break;
        }
    }
    Ok(())
}

async fn write(writer: &mut TreeWriter, pieces: &mut mpsc::Receiver<Piece>) -> Result<()> {
    let mut next = pieces.recv().await;
    while let Some(piece) = next {
        next = match piece {
            Piece::Entry(entry) => write_entry(writer, *entry, pieces).await?,
            // Of a file that is there already.
            Piece::Content(_) => pieces.recv().await,
        };
    }
    Ok(())
}

/// Writes one entry; gives what came after it.
async fn write_entry(
    writer: &mut TreeWriter,
    entry: Entry,
    pieces: &mut mpsc::Receiver<Piece>,
) -> Result<Option<Piece>> {
    let path = if entry.path == "." {
        ""
    } else {
        entry.path.as_str()
    };
    let attributes = Attributes {
        mode: entry.mode,
        modified: entry.modified,
        owner: Some((entry.uid, entry.gid)),
        metadata: shared(entry.metadata),
        tags: entry.tags,
    };
    match entry.kind {
        EntryKind::Directory => writer.directory(path, attributes).await?,
        EntryKind::Symlink { target } => writer.symlink(path, target).await?,
        EntryKind::HardLink { target } => writer.hard_link(path, &target).await?,
        EntryKind::File { size, etag } => {
            if writer.has_file(path, size, &etag).await? {
                writer.keep(path, size, attributes).await?;
            } else if size <= SMALL_BYTES_MAX {
                let (content, next) = collect(pieces).await;
                writer
                    .file(path, size, attributes, Source::Memory(content))
                    .await?;
                return Ok(next);
            } else {
                return stream(writer, path, size, attributes, pieces).await;
            }
        }
    }
    Ok(pieces.recv().await)
}

/// A small content, and what came after it.
async fn collect(pieces: &mut mpsc::Receiver<Piece>) -> (Bytes, Option<Piece>) {
    let mut content = Vec::new();
    loop {
        match pieces.recv().await {
            Some(Piece::Content(piece)) => content.extend_from_slice(&piece),
            next => return (content.into(), next),
        }
    }
}

/// Hands a large content on while it arrives; gives what came after it.
async fn stream(
    writer: &mut TreeWriter,
    path: &str,
    size: u64,
    attributes: Attributes,
    pieces: &mut mpsc::Receiver<Piece>,
) -> Result<Option<Piece>> {
    let (send, receive) = mpsc::channel(AHEAD);
    let body = futures::stream::unfold((receive, size), |(mut receive, left)| async move {
        match receive.recv().await {
            Some(piece) => {
                let piece: Bytes = piece;
                let left = left - piece.len() as u64;
                Some((Ok(piece), (receive, left)))
            }
            None if left == 0 => None,
            None => Some((Err(cut_off()), (receive, 0))),
        }
    });
    writer
        .file(path, size, attributes, Source::Stream(Box::pin(body)))
        .await?;
    loop {
        match pieces.recv().await {
            Some(Piece::Content(piece)) => {
                if send.send(piece).await.is_err() {
                    // Nobody listens: the write has failed, and says why.
                    writer.check().await?;
                }
            }
            next => return Ok(next),
        }
    }
}

fn cut_off() -> Error {
    Error::unavailable("the archive could not be read to its end; run the command again")
}
