//! The part of an archive that an export has written so far.

use std::path::{Path, PathBuf};

use futures::stream::{self, BoxStream, StreamExt};
use nexus_archive::{BlobName, Block, Progress as Archived, Reader, blob_named_by};
use nexus_client::{ByteStream, Result};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncSeekExt, AsyncWriteExt, BufReader};

use super::{cannot, open};
use crate::transfer::Progress;

/// A file beside the archive, which gets its name when it is whole.
pub(super) struct Part {
    pub(super) path: PathBuf,
    file: File,
}

/// How much of an archive a part has.
pub(super) enum Found {
    /// Nothing that can be gone on with: without all rows, another state has others.
    Nothing,
    /// All rows, and blobs up to there.
    Rows(Archived),
    /// Everything.
    Whole(Archived),
}

impl Part {
    pub(super) fn path_of(archive: &Path) -> PathBuf {
        let mut name = archive.as_os_str().to_owned();
        name.push(".part");
        name.into()
    }

    pub(super) async fn open(path: PathBuf) -> Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).await;
        let file = file.map_err(|error| cannot("could not write the archive", &path, &error))?;
        Ok(Self { path, file })
    }

    /// Reads what there is, as far as it is good.
    pub(super) async fn inspect(&self) -> Result<Found> {
        let Ok(mut reader) = Reader::begin(open(&self.path).await?).await else {
            return Ok(Found::Nothing);
        };
        loop {
            match reader.next().await {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(Found::Whole(*reader.progress())),
                Err(_) if reader.progress().has_all_rows => {
                    return Ok(Found::Rows(*reader.progress()));
                }
                Err(_) => return Ok(Found::Nothing),
            }
        }
    }

    /// The names of the blobs that its rows want and that it does not have, in their order.
    pub(super) async fn wanted(&self, found: &Archived) -> Result<BoxStream<'static, BlobName>> {
        let reader = Reader::begin(open(&self.path).await?).await?;
        let there = usize::try_from(found.blobs).unwrap_or(usize::MAX);
        let names = stream::unfold(reader, next_names).flat_map(stream::iter);
        Ok(names.skip(there).boxed())
    }

    /// Goes on after so many bytes with those of a stream.
    pub(super) async fn write(
        &mut self,
        after: u64,
        mut body: ByteStream,
        bar: &Progress,
    ) -> Result<()> {
        let path = &self.path;
        let failed = |error| cannot("could not write the archive", path, &error);
        self.file.set_len(after).await.map_err(failed)?;
        self.file
            .seek(std::io::SeekFrom::Start(after))
            .await
            .map_err(failed)?;
        let mut written = after;
        while let Some(piece) = body.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => {
                    // What there is can be gone on with.
                    self.file.flush().await.map_err(failed)?;
                    return Err(error.with("part", path.display()));
                }
            };
            self.file.write_all(&piece).await.map_err(failed)?;
            written += piece.len() as u64;
            bar.say(&crate::format::size(written));
        }
        self.file.flush().await.map_err(failed)?;
        self.file.sync_all().await.map_err(failed)
    }
}

/// The names in the next block of rows; none after the last.
async fn next_names(
    mut reader: Reader<BufReader<File>>,
) -> Option<(Vec<BlobName>, Reader<BufReader<File>>)> {
    match reader.next().await {
        Ok(Some(Block::Rows(rows))) => {
            let names = rows
                .iter()
                .filter_map(|row| blob_named_by(row).ok().flatten());
            Some((names.collect(), reader))
        }
        // The node counts the names: fewer than were wanted make no archive.
        _ => None,
    }
}
