//! Cuts a content into chunks at places that depend on it, and hashes them.

use bytes::Bytes;
use fastcdc::v2020::FastCDC;

use crate::etag::{Etag, HashAlgorithm, Hasher};

/// Where contents are cut. Other sizes than the default are for tests: nothing that is stored
/// depends on them, but contents that were cut otherwise share no chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkSizes {
    /// A content up to this many bytes is one blob.
    pub whole_bytes_max: usize,
    /// Chunks are never smaller, the last one excepted.
    pub bytes_min: usize,
    /// What chunks of noise have on average.
    pub bytes_average: usize,
    /// Chunks are never larger.
    pub bytes_max: usize,
}

impl ChunkSizes {
    /// What a zone has unless it is told otherwise.
    pub const DEFAULT: Self = Self {
        whole_bytes_max: super::WHOLE_BYTES_MAX,
        bytes_min: 256 << 10,
        bytes_average: 1 << 20,
        bytes_max: 4 << 20,
    };

    /// How much is gathered before it is cut: enough that most of it is whole chunks.
    pub(crate) fn window(&self) -> usize {
        2 * self.bytes_max
    }
}

impl Default for ChunkSizes {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[derive(Clone)]
pub(crate) struct Chunk {
    pub etag: Etag,
    pub bytes: Bytes,
}

/// Cuts chunks off the beginning of a window and adds them to the hash of the `whole`: those
/// that later bytes cannot change, or at the `end` all there is.
pub(crate) fn cut(
    sizes: ChunkSizes,
    algorithm: HashAlgorithm,
    whole: &mut Hasher,
    mut window: Bytes,
    end: bool,
) -> Vec<Chunk> {
    let cutter = FastCDC::new(
        &window,
        sizes.bytes_min,
        sizes.bytes_average,
        sizes.bytes_max,
    );
    let mut lengths: Vec<usize> = cutter.map(|chunk| chunk.length).collect();
    if !end {
        // The last cut may only be where the bytes ran out.
        lengths.pop();
    }
    let chunks = lengths.into_iter().map(|length| {
        let bytes = window.split_to(length);
        whole.update(&bytes);
        let etag = Etag::of(algorithm, &bytes);
        Chunk { etag, bytes }
    });
    chunks.collect()
}
