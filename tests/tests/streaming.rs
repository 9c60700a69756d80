//! Files much larger than what the node may hold in memory.

use std::fs;
use std::io::{self, Read};

use bytes::Bytes;
use futures::{TryStreamExt, stream};
use nexus_client::{ByteStream, ReadOptions, WriteOptions};
use nexus_tests::http::file;
use nexus_tests::{Home, Node, Random};

const FILE_BYTES: u64 = 512 << 20;
const BLOCK_BYTES: usize = 1 << 20;
/// Well below the size of any chunk.
const STAMP_EVERY: usize = 64 << 10;
/// Half of the file; the caches alone may take 144 MiB.
const MEMORY_BYTES_MAX: u64 = 256 << 20;

/// The most memory that the node has had resident.
fn peak_memory(node: &Node<'_>) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", node.process().id()));
    let status = status.expect("the process runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse().ok());
    kilobytes.map(|kb: u64| kb << 10).expect("Linux says so")
}

#[track_caller]
fn assert_memory_is_bounded(node: &Node<'_>) {
    let peak = peak_memory(node);
    assert!(peak < MEMORY_BYTES_MAX, "the node took {} MiB", peak >> 20);
}

/// A content that is quickly made, and of which no two chunks are alike.
struct Pattern {
    block: Vec<u8>,
    blocks: u64,
    read: usize,
}

impl Pattern {
    fn new(seed: u64) -> Self {
        Self {
            block: Random::new(seed).content(BLOCK_BYTES).to_vec(),
            blocks: 0,
            read: BLOCK_BYTES,
        }
    }

    /// What is left of the present block, or all of the next; nothing at the end.
    fn rest(&mut self) -> &[u8] {
        if self.read == BLOCK_BYTES && self.blocks < FILE_BYTES / BLOCK_BYTES as u64 {
            for stamped in self.block.chunks_mut(STAMP_EVERY) {
                stamped[..8].copy_from_slice(&self.blocks.to_le_bytes());
            }
            self.blocks += 1;
            self.read = 0;
        }
        &self.block[self.read..]
    }

    /// Compares what came with what had to come.
    #[track_caller]
    fn expect(&mut self, mut came: &[u8]) {
        while !came.is_empty() {
            let rest = self.rest();
            let length = rest.len().min(came.len());
            assert!(length > 0, "more came than was written");
            assert!(rest[..length] == came[..length], "something else came");
            self.read += length;
            came = &came[length..];
        }
    }

    #[track_caller]
    fn expect_end(&mut self) {
        assert!(self.rest().is_empty(), "the end is missing");
    }
}

impl Read for Pattern {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.rest().read(buffer)?;
        self.read += read;
        Ok(read)
    }
}

/// The content as a client makes it.
fn body(seed: u64) -> ByteStream {
    let pieces = stream::unfold(Pattern::new(seed), |mut pattern| async {
        let piece = Bytes::copy_from_slice(pattern.rest());
        pattern.read += piece.len();
        (!piece.is_empty()).then(|| (Ok(piece), pattern))
    });
    Box::pin(pieces)
}

#[test]
fn a_large_file_goes_in_and_out_by_http_in_bounded_memory() {
    let home = Home::new();
    let node = home.start();
    let put = node.http().request("PUT", &file("/large"));
    let put = put.send_stream(FILE_BYTES, Pattern::new(1)).ok();
    assert_eq!(put.json()["stat"]["size"], FILE_BYTES);
    let mut answer = node
        .http()
        .request("GET", &file("/large"))
        .open()
        .into_body();
    let mut expected = Pattern::new(1);
    let mut buffer = vec![0; BLOCK_BYTES];
    loop {
        match answer.read(&mut buffer).expect("the body is whole") {
            0 => break,
            read => expected.expect(&buffer[..read]),
        }
    }
    expected.expect_end();
    assert_memory_is_bounded(&node);
}

#[tokio::test]
async fn a_large_file_goes_in_and_out_by_grpc_in_bounded_memory() {
    let home = Home::new();
    let node = home.start();
    let client = node.client().await;
    let written = client
        .write_stream("/large", body(2), WriteOptions::default())
        .await;
    let stat = written
        .expect("there is room")
        .stat
        .expect("a write makes a file");
    assert_eq!(stat.size, FILE_BYTES);
    let content = client.open("/large", ReadOptions::default()).await;
    let mut content = content.expect("it is there");
    let mut expected = Pattern::new(2);
    while let Some(piece) = content.body.try_next().await.expect("the body is whole") {
        expected.expect(&piece);
    }
    expected.expect_end();
    assert_memory_is_bounded(&node);
}
