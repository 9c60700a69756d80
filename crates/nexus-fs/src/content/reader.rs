//! Reading content, whole or in part.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, TryStreamExt};
use nexus_kernel::{ByteStream, Error, Freshness, Result, Scan};

use super::ContentStore;
use crate::etag::Etag;
use crate::keys;
use crate::records::{self, InodeRecord, ManifestPage, place, unreadable};
use crate::zone::Shared;

/// Chunks fetched ahead of the reader.
const READ_AHEAD: usize = 3;

/// A chunk and where it begins in its content.
struct Located {
    offset: u64,
    size: u32,
    etag: Etag,
}

impl Shared {
    /// A range of a record's content, which must lie within it, held in memory.
    pub(crate) async fn content_bytes(
        self: &Arc<Self>,
        record: &InodeRecord,
        range: Range<u64>,
    ) -> Result<Bytes> {
        if record.place != place::CHUNKS {
            return self.content.small(record, &range).await;
        }
        let size = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        collect(self.content_stream(record, range).await?, size).await
    }

    /// A range of a record's content, which must lie within it, as it is read.
    pub(crate) async fn content_stream(
        self: &Arc<Self>,
        record: &InodeRecord,
        range: Range<u64>,
    ) -> Result<ByteStream> {
        if record.place != place::CHUNKS {
            let bytes = self.content.small(record, &range).await?;
            return Ok(Box::pin(stream::once(async move { Ok(bytes) })));
        }
        let etag = record.content_etag()?.ok_or_else(|| unreadable("chunks"))?;
        let zone = Arc::clone(self);
        let pages = zone.content.pages(etag, range.clone());
        let wanted = range.clone();
        let chunks = pages.try_filter(move |chunk| {
            let end = chunk.offset + u64::from(chunk.size);
            std::future::ready(chunk.offset < wanted.end && end > wanted.start)
        });
        // Each chunk on a task of its own, so that hashing it overlaps with reading others.
        let bytes = chunks
            .map_ok(move |chunk| {
                let fetched = tokio::spawn(fetch(Arc::clone(&zone), chunk, range.clone()));
                async { fetched.await.map_err(interrupted)? }
            })
            .try_buffered(READ_AHEAD);
        Ok(Box::pin(bytes))
    }
}

fn interrupted(why: tokio::task::JoinError) -> Error {
    Error::unavailable("reading was interrupted; try again").because(why)
}

async fn fetch(zone: Arc<Shared>, chunk: Located, range: Range<u64>) -> Result<Bytes> {
    let bytes = zone.content.blob(&chunk.etag).await?;
    if bytes.len() as u64 != u64::from(chunk.size) {
        return Err(unreadable("chunk size").with("etag", chunk.etag));
    }
    let start = range.start.saturating_sub(chunk.offset);
    let end = (range.end - chunk.offset).min(u64::from(chunk.size));
    Ok(slice(&bytes, &(start..end)))
}

impl ContentStore {
    /// A range of a content that is inline or one blob.
    async fn small(&self, record: &InodeRecord, range: &Range<u64>) -> Result<Bytes> {
        if record.place == place::INLINE {
            return Ok(slice(&record.inline, range));
        }
        let etag = record.content_etag()?.ok_or_else(|| unreadable("blob"))?;
        Ok(slice(&self.blob(&etag).await?, range))
    }

    /// The chunks of a content from the manifest page that covers the start of `range`.
    fn pages(&self, etag: Etag, range: Range<u64>) -> ChunkList {
        let metastore = Arc::clone(&self.metastore);
        Box::pin(async_stream::try_stream! {
            let mut keys_left = keys::manifest(&etag);
            keys_left.start = {
                let mut upto = keys_left.clone();
                upto.end = keys::manifest_page(&etag, range.start.saturating_add(1));
                let page = metastore.scan(Scan::backward(upto, 1), Freshness::Linearizable).await?;
                let first = page.entries.into_iter().next();
                first.ok_or_else(|| unreadable("manifest").with("etag", etag))?.key
            };
            loop {
                let page = metastore.scan(Scan::forward(keys_left.clone(), 1), Freshness::Linearizable).await?;
                let Some(entry) = page.entries.into_iter().next() else { return };
                keys_left.start = crate::view::next_key(&entry.key);
                let mut offset = keys::last_number(&entry.key);
                let manifest: ManifestPage = records::decode(entry.value.bytes)?;
                for chunk in manifest.chunks {
                    let located = Located { offset, size: chunk.size, etag: Etag::from_bytes(&chunk.etag)? };
                    offset += u64::from(chunk.size);
                    yield located;
                }
                if offset >= range.end || !page.more {
                    return;
                }
            }
        })
    }
}

type ChunkList = std::pin::Pin<Box<dyn futures::Stream<Item = Result<Located>> + Send>>;

/// A body as one piece; `size` is a hint.
pub(crate) async fn collect(mut body: ByteStream, size: usize) -> Result<Bytes> {
    let Some(first) = body.try_next().await? else {
        return Ok(Bytes::new());
    };
    if first.len() >= size {
        return match body.try_next().await? {
            None => Ok(first),
            Some(second) => gather(body, size, &[first, second]).await,
        };
    }
    gather(body, size, &[first]).await
}

async fn gather(mut body: ByteStream, size: usize, head: &[Bytes]) -> Result<Bytes> {
    let mut bytes = BytesMut::with_capacity(size);
    head.iter().for_each(|piece| bytes.extend_from_slice(piece));
    while let Some(piece) = body.try_next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

fn slice(bytes: &Bytes, range: &Range<u64>) -> Bytes {
    let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(index(range.start)..index(range.end))
}
