//! Reading on in a large content: where its chunks lie is looked up once, each is fetched and
//! checked once, and the next ones while the present one is served.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use nexus_kernel::Result;
use parking_lot::Mutex;

use super::reader::Located;
use crate::etag::Etag;
use crate::records::{InodeRecord, place, unreadable};
use crate::zone::Shared;

/// Chunks fetched ahead of who reads on.
const AHEAD: usize = 2;
/// So far from where the last read ended, the next one reads on: those of a kernel come a
/// little out of order.
const NEAR_BYTES: u64 = 2 << 20;

/// Where somebody reads.
#[derive(Default)]
pub(crate) struct ChunkReader(Arc<Mutex<Position>>);

#[derive(Default)]
struct Position {
    page: Option<Arc<Page>>,
    /// Where the last read ended.
    end: u64,
    /// Chunks that begin before here have been asked for.
    asked: u64,
    /// The present chunk and those after it, of who reads on: a cache may drop them early.
    kept: VecDeque<(Etag, Bytes)>,
}

impl Position {
    fn find(&self, etag: &Etag) -> Option<Bytes> {
        let kept = self.kept.iter().find(|(kept, _)| kept == etag);
        kept.map(|(_, bytes)| bytes.clone())
    }

    fn keep(&mut self, etag: Etag, bytes: Bytes) {
        if self.find(&etag).is_some() {
            return;
        }
        self.kept.push_back((etag, bytes));
        if self.kept.len() > AHEAD + 2 {
            self.kept.pop_front();
        }
    }
}

/// Where a run of the chunks of a content lies.
pub(super) struct Page {
    pub content: Etag,
    pub chunks: Vec<Located>,
}

impl Page {
    fn holds(&self, content: &Etag, at: u64) -> bool {
        let first = self.chunks.first().map_or(u64::MAX, |chunk| chunk.offset);
        let end = self.chunks.last().map_or(0, Located::end);
        self.content == *content && (first..end).contains(&at)
    }
}

impl ChunkReader {
    /// A range of a record's content, which must lie within it.
    pub(crate) async fn read(
        &self,
        zone: &Arc<Shared>,
        record: &InodeRecord,
        range: Range<u64>,
    ) -> Result<Bytes> {
        if record.place != place::CHUNKS {
            return zone.content_bytes(record, range).await;
        }
        let content = record.content_etag()?.ok_or_else(|| unreadable("chunks"))?;
        let bytes = self.gather(zone, content, range.clone()).await;
        if range.end == record.size {
            // Who has come to the end needs no more of it.
            self.0.lock().kept.clear();
        }
        bytes
    }

    async fn gather(&self, zone: &Arc<Shared>, content: Etag, range: Range<u64>) -> Result<Bytes> {
        let mut bytes = BytesMut::new();
        let mut at = range.start;
        while at < range.end {
            let page = self.page(zone, &content, at).await?;
            let index = page.chunks.partition_point(|chunk| chunk.end() <= at);
            self.read_ahead(zone, &page, index, at..range.end);
            let chunk = &page.chunks[index];
            let part = chunk.part(&self.chunk(zone, chunk).await?, at..range.end)?;
            at += part.len() as u64;
            if bytes.is_empty() && at == range.end {
                return Ok(part);
            }
            bytes.reserve(usize::try_from(range.end - at).unwrap_or(0) + part.len());
            bytes.extend_from_slice(&part);
        }
        Ok(bytes.freeze())
    }

    async fn page(&self, zone: &Shared, content: &Etag, at: u64) -> Result<Arc<Page>> {
        let known = self.0.lock().page.clone();
        if let Some(known) = known.filter(|page| page.holds(content, at)) {
            return Ok(known);
        }
        let page = Arc::new(zone.content.page(content, at).await?);
        if !page.holds(content, at) {
            return Err(unreadable("manifest").with("etag", content));
        }
        self.0.lock().page = Some(Arc::clone(&page));
        Ok(page)
    }

    /// Asks for the chunks that come next, if this read goes on from the last one.
    fn read_ahead(&self, zone: &Arc<Shared>, page: &Page, index: usize, range: Range<u64>) {
        let mut position = self.0.lock();
        let goes_on = position.end > 0 && position.end.abs_diff(range.start) <= NEAR_BYTES;
        position.end = range.end;
        if !goes_on {
            position.asked = 0;
            position.kept.clear();
            return;
        }
        for chunk in page.chunks.iter().skip(index + 1).take(AHEAD) {
            if chunk.offset < position.asked {
                continue;
            }
            position.asked = chunk.end();
            let (reader, zone, chunk) = (Self(Arc::clone(&self.0)), Arc::clone(zone), *chunk);
            tokio::spawn(async move {
                // It may come too late. If it fails, who reads the chunk is told.
                if reader.0.lock().end < chunk.end() {
                    _ = reader.chunk(&zone, &chunk).await;
                }
            });
        }
    }

    /// A whole chunk.
    async fn chunk(&self, zone: &Shared, chunk: &Located) -> Result<Bytes> {
        let kept = self.0.lock().find(&chunk.etag);
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let bytes = zone.content.blob(&chunk.etag).await?;
        self.0.lock().keep(chunk.etag, bytes.clone());
        Ok(bytes)
    }
}
