//! Reads files ahead of the search, in batches of bounded size.

use std::collections::VecDeque;
use std::iter::Peekable;
use std::sync::Arc;

use async_stream::try_stream;
use bytes::{Buf, BytesMut};
use futures::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};
use memchr::{memchr, memchr_iter, memrchr};
use nexus_kernel::{Error, Result};

use super::GrepQuery;
use super::lines::{Batch, Piece, Plan, byte_order_mark, start_of_last};
use super::select::{Selection, single_file};
use crate::cache::CachedInode;
use crate::path;
use crate::pattern::PathPattern;
use crate::records::InodeRecord;
use crate::session::Session;
use crate::types::DirEntry;
use crate::view::View;

/// How much is searched in one go.
const BATCH_BYTES: usize = 4 << 20;
const BATCH_FILES: usize = 256;
/// Larger files are searched as they stream.
const SMALL_BYTES_MAX: u64 = 1 << 20;
/// Small files read at the same time.
const READ_AHEAD: usize = 16;
/// Longest line, and largest file in which matches may span lines; such files are read ahead up to
/// as many bytes.
const HELD_BYTES_MAX: usize = 64 << 20;

/// The contents of all files to search, in order.
pub(super) fn batches(
    session: Session,
    plan: Arc<Plan>,
    query: GrepQuery,
) -> BoxStream<'static, Result<Batch>> {
    Box::pin(try_stream! {
        let mut pieces = Box::pin(pieces(session, plan, query));
        let (mut batch, mut bytes) = (VecDeque::new(), 0);
        while let Some(piece) = pieces.try_next().await? {
            bytes += piece.bytes.len();
            batch.push_back(piece);
            if bytes >= BATCH_BYTES || batch.len() >= BATCH_FILES {
                bytes = 0;
                yield std::mem::take(&mut batch);
            }
        }
        yield batch;
    })
}

fn pieces(
    session: Session,
    plan: Arc<Plan>,
    query: GrepQuery,
) -> impl Stream<Item = Result<Piece>> {
    try_stream! {
        let view = session.view(query.at).await?;
        let reader = Reader { session: &session, view, plan: &plan, bytes_max: query.file_bytes_max };
        let from = path::normalize(&query.path)?;
        if let Some(file) = single_file(&session, &view, from).await? {
            let mut pieces = Box::pin(reader.read(vec![file]));
            while let Some(piece) = pieces.try_next().await? {
                yield piece;
            }
            return;
        }
        let pattern = match &query.file_pattern {
            Some(glob) => Some(PathPattern::for_names(glob, from)?),
            None => None,
        };
        let Some(mut found) = Selection::begin(&session, view, from, query.ignore).await? else {
            return;
        };
        if let Some(pattern) = &pattern {
            found.prune_by(pattern);
        }
        loop {
            let wanted = |path: &str| pattern.as_ref().is_none_or(|pattern| pattern.matches(path));
            let files = found.next_readable(wanted).await?;
            if files.is_empty() {
                return;
            }
            let mut pieces = Box::pin(reader.read(files));
            while let Some(piece) = pieces.try_next().await? {
                yield piece;
            }
        }
    }
}

struct Reader<'a> {
    session: &'a Session,
    view: View<'a>,
    plan: &'a Plan,
    bytes_max: u64,
}

struct File {
    path: Arc<str>,
    ino: u64,
    inode: Arc<CachedInode>,
}

impl<'a> Reader<'a> {
    /// The pieces of some files, in order.
    fn read(&'a self, entries: Vec<DirEntry>) -> impl Stream<Item = Result<Piece>> + 'a {
        try_stream! {
            let inos: Vec<u64> = entries.iter().map(|entry| entry.ino.0).collect();
            let inodes = self.view.inodes(&inos).await?;
            // A file that went meanwhile has no inode any more.
            let files = entries.into_iter().zip(inodes).filter_map(|(entry, inode)| {
                let inode = inode.filter(|inode| (1..=self.bytes_max).contains(&inode.record.size))?;
                Some(File { path: entry.path.into(), ino: entry.ino.0, inode })
            });
            let mut files = files.peekable();
            while files.peek().is_some() {
                let files = fitting(&mut files, HELD_BYTES_MAX as u64, |file| self.held_bytes(file));
                let mut read = stream::iter(files).map(|file| self.open(file)).buffered(READ_AHEAD);
                while let Some(pieces) = read.next().await {
                    let mut pieces = pieces?;
                    while let Some(piece) = pieces.try_next().await? {
                        yield piece;
                    }
                }
            }
        }
    }

    /// How much of a file is held between its reading and its search, if that is much.
    fn held_bytes(&self, file: &File) -> u64 {
        if self.plan.multi_line {
            file.inode.record.size
        } else {
            0
        }
    }

    /// A file's pieces: one that is there, or a stream of them.
    async fn open(&'a self, file: File) -> Result<BoxStream<'a, Result<Piece>>> {
        if file.inode.record.size > SMALL_BYTES_MAX && !self.plan.multi_line {
            return Ok(self.stream(file));
        }
        let piece = self.whole(file).await?;
        Ok(Box::pin(stream::iter(
            piece.filter(|piece| !piece.is_binary()).map(Ok),
        )))
    }

    /// A file in one piece; none if it went meanwhile.
    async fn whole(&self, mut file: File) -> Result<Option<Piece>> {
        loop {
            let record = &file.inode.record;
            if record.size > HELD_BYTES_MAX as u64 {
                return Err(Error::limit(
                    "the file is too large for a match across lines; leave it out with a file pattern, or search by lines",
                )
                .with("path", &file.path)
                .with("bytes_max", HELD_BYTES_MAX));
            }
            match self
                .session
                .zone
                .content_bytes(record, 0..record.size)
                .await
            {
                Ok(bytes) => {
                    return Ok(Some(Piece::whole(file.path, bytes, self.plan.max_per_file)));
                }
                Err(error) => match self.newer(&file).await? {
                    None => return Ok(None),
                    Some(inode) if inode.record.etag == record.etag => return Err(error),
                    Some(inode) => file.inode = inode,
                },
            }
        }
    }

    /// The inode as it is after its content could not be read: a write may have replaced it and
    /// the old content be gone.
    async fn newer(&self, file: &File) -> Result<Option<Arc<CachedInode>>> {
        View {
            fresh: true,
            regrown: None,
            ..self.view
        }
        .inode(file.ino)
        .await
    }

    fn stream(&'a self, file: File) -> BoxStream<'a, Result<Piece>> {
        Box::pin(try_stream! {
            let record: &InodeRecord = &file.inode.record;
            let mut body = self.session.zone.content_stream(record, 0..record.size).await?;
            let mut window = Window::new(Arc::clone(&file.path), self.plan, BATCH_BYTES);
            while let Some(bytes) = body.try_next().await? {
                if memchr(0, &bytes).is_some() {
                    return;
                }
                if let Some(piece) = window.push(&bytes)? {
                    yield piece;
                }
            }
            yield window.last();
        })
    }
}

/// The next items that take `bytes_max` together, or one that takes more.
fn fitting<T>(
    items: &mut Peekable<impl Iterator<Item = T>>,
    bytes_max: u64,
    bytes: impl Fn(&T) -> u64,
) -> Vec<T> {
    let mut fitting = Vec::new();
    let mut left = bytes_max;
    while let Some(item) = items.next_if(|item| fitting.is_empty() || bytes(item) <= left) {
        left = left.saturating_sub(bytes(&item));
        fitting.push(item);
    }
    fitting
}

/// The part of a large file that is held: what is still to be searched, and the lines of
/// context before it.
struct Window<'a> {
    path: Arc<str>,
    plan: &'a Plan,
    /// How many bytes make a piece.
    enough: usize,
    begun: bool,
    held: BytesMut,
    /// Where in `held` the search goes on, and the number of the line there.
    next: usize,
    line: u64,
}

impl<'a> Window<'a> {
    fn new(path: Arc<str>, plan: &'a Plan, enough: usize) -> Self {
        Self {
            path,
            plan,
            enough,
            begun: false,
            held: BytesMut::new(),
            next: 0,
            line: 1,
        }
    }

    /// Adds bytes; once there are enough, cuts off the lines whose context is complete.
    fn push(&mut self, bytes: &[u8]) -> Result<Option<Piece>> {
        let mark = if self.begun {
            0
        } else {
            byte_order_mark(bytes)
        };
        self.begun = true;
        self.held.extend_from_slice(&bytes[mark..]);
        if self.held.len() - self.next < self.enough {
            return Ok(None);
        }
        let whole_lines = memrchr(b'\n', &self.held).map_or(0, |at| at + 1);
        let end = start_of_last(&self.held[..whole_lines], self.plan.after);
        if end > self.next {
            return Ok(Some(self.cut(end)));
        }
        if self.held.len() <= HELD_BYTES_MAX {
            return Ok(None);
        }
        Err(Error::limit(
            "a line is too long to be searched; leave the file out with a file pattern",
        )
        .with("path", &self.path)
        .with("bytes_max", HELD_BYTES_MAX))
    }

    fn last(&mut self) -> Piece {
        self.cut(self.held.len())
    }

    fn cut(&mut self, end: usize) -> Piece {
        let piece = Piece {
            path: Arc::clone(&self.path),
            bytes: self.held.clone().freeze(),
            rest: self.next..end,
            line: self.line,
            wanted: self.plan.max_per_file,
        };
        self.line += memchr_iter(b'\n', &self.held[self.next..end]).count() as u64;
        let kept = start_of_last(&self.held[..end], self.plan.before);
        self.held.advance(kept);
        self.next = end - kept;
        piece
    }
}

#[cfg(test)]
mod tests;
