//! Cuts a stream into content-defined chunks and hashes them.

use bytes::{Bytes, BytesMut};
use fastcdc::v2020::FastCDC;
use nexus_kernel::Result;

use crate::compute::compute;
use crate::etag::{Etag, HashAlgorithm, Hasher};

/// Chunks are never smaller than this, the last one excepted.
const CHUNK_BYTES_MIN: usize = 256 << 10;
const CHUNK_BYTES_AVERAGE: usize = 1 << 20;
/// Chunks are never larger than this.
pub(crate) const CHUNK_BYTES_MAX: usize = 4 << 20;
/// How much is gathered before it is cut: enough that most of it is whole chunks.
const WINDOW_BYTES: usize = 8 << 20;

pub(crate) struct Chunk {
    pub etag: Etag,
    pub bytes: Bytes,
}

/// The state of a cut between pieces of the stream.
pub(crate) struct Chunker {
    algorithm: HashAlgorithm,
    whole: Hasher,
    rest: BytesMut,
}

impl Chunker {
    pub(crate) fn new(algorithm: HashAlgorithm) -> Self {
        Self {
            algorithm,
            whole: Hasher::new(algorithm),
            rest: BytesMut::new(),
        }
    }

    /// Takes in the next piece.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.rest.extend_from_slice(piece);
    }

    /// Whether enough has gathered for [`cut`](Self::cut).
    pub(crate) fn is_full(&self) -> bool {
        self.rest.len() >= WINDOW_BYTES
    }

    /// Everything pushed since the last cut.
    pub(crate) fn pending(&self) -> &[u8] {
        &self.rest
    }

    pub(crate) fn take_pending(&mut self) -> Bytes {
        std::mem::take(&mut self.rest).freeze()
    }

    /// Cuts off the chunks that later bytes cannot change, or at the `end` all there is.
    /// Runs on a thread where computing does no harm.
    pub(crate) async fn cut(mut self, end: bool) -> Result<(Self, Vec<Chunk>)> {
        compute(move || {
            let chunks = self.cut_now(end);
            (self, chunks)
        })
        .await
    }

    fn cut_now(&mut self, end: bool) -> Vec<Chunk> {
        let sizes = (CHUNK_BYTES_MIN, CHUNK_BYTES_AVERAGE, CHUNK_BYTES_MAX);
        let cutter = FastCDC::new(&self.rest, sizes.0, sizes.1, sizes.2);
        let mut lengths: Vec<usize> = cutter.map(|chunk| chunk.length).collect();
        if !end {
            // The last cut may only be where the bytes ran out.
            lengths.pop();
        }
        lengths
            .into_iter()
            .map(|length| self.split(length))
            .collect()
    }

    fn split(&mut self, length: usize) -> Chunk {
        let bytes = self.rest.split_to(length).freeze();
        self.whole.update(&bytes);
        Chunk {
            etag: Etag::of(self.algorithm, &bytes),
            bytes,
        }
    }

    /// The etag of all that was cut off.
    pub(crate) fn finish(self) -> Etag {
        self.whole.finish()
    }
}
