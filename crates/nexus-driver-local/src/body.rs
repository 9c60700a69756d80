//! The bytes of a blob on their way out.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream};
use nexus_kernel::{Blob, ByteStream, Result};

use crate::disk::DiskFile;
use crate::error::Failure;
use crate::lookup::{Opened, Source};

/// What is read at once, when it is asked for.
const AT_ONCE_BYTES_MAX: u64 = 1 << 20;
/// Pieces of what is streamed.
const PIECE_BYTES: u64 = 1 << 20;

/// Opens a range of a blob. A small one is read right away.
pub(crate) async fn read(opened: Opened, range: Option<Range<u64>>) -> Result<Blob> {
    let Opened { meta, source } = opened;
    let range = meta.select(range)?;
    let (reader, start) = match source {
        Source::File(file) => (
            Reader {
                file,
                at: range.start,
                end: range.end,
            },
            None,
        ),
        Source::Journal { segment, at } => {
            let file = Arc::clone(&segment.file);
            let (at, end) = (at + range.start, at + range.end);
            (Reader { file, at, end }, Some(segment))
        }
    };
    let body = match start {
        // A segment may be written again once nobody holds it, so it is held to the end.
        Some(segment) => {
            let bytes = reader.whole().await?;
            drop(segment);
            once(bytes)
        }
        None if range.end - range.start <= AT_ONCE_BYTES_MAX => once(reader.whole().await?),
        None => reader.stream(),
    };
    Ok(Blob { meta, range, body })
}

fn once(bytes: Bytes) -> ByteStream {
    stream::iter([Ok(bytes)]).boxed()
}

struct Reader {
    file: Arc<dyn DiskFile>,
    at: u64,
    end: u64,
}

impl Reader {
    async fn whole(mut self) -> Result<Bytes> {
        let length = self.end - self.at;
        Ok(self.next(length).await?)
    }

    fn stream(self) -> ByteStream {
        stream::try_unfold(self, |mut reader| async {
            if reader.at == reader.end {
                return Ok(None);
            }
            let piece = reader.next(PIECE_BYTES).await?;
            Ok(Some((piece, reader)))
        })
        .boxed()
    }

    /// The next `length` bytes, fewer at the end. Without a detour if they are in memory.
    async fn next(&mut self, length: u64) -> Result<Bytes, Failure> {
        let at = self.at;
        let length = usize::try_from(length.min(self.end - at)).expect("a piece fits in memory");
        if length == 0 {
            return Ok(Bytes::new());
        }
        let bytes = match self.file.read_at_once(at, length) {
            Some(bytes) => bytes,
            None => {
                let file = Arc::clone(&self.file);
                blocking(move || Ok(file.read_at(at, length)?)).await?
            }
        };
        if bytes.len() != length {
            return Err(Failure::corrupt(format!(
                "a blob is cut short at byte {at}"
            )));
        }
        self.at += length as u64;
        Ok(bytes.into())
    }
}

/// Runs what waits for a disk where waiting is fine.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_ended| Err(Failure::stopped()))
}
