//! Taking an archive apart.

use bytes::Bytes;
use nexus_kernel::{Entry, Error, Result};
use prost::encoding::{self, DecodeContext};
use prost::{DecodeError, Message};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::blob::BlobName;
use crate::chain::{
    self, ChainHash, HASH_LEN, HEAD_LEN, Kind, PAYLOAD_BYTES_MAX, PREAMBLE_LEN, check_items,
    too_large,
};
use crate::messages::{BlobsBlock, HashAlgorithm, Header, Rows, RowsBlock, Trailer};
use crate::tally::{Progress, Tally, damaged};

/// Reads an archive block by block. What it answers is checked: the hash of the block and of all
/// before it, the order of rows, the name of each blob; at the end, that nothing is missing.
///
/// Any error ends it. [`progress`](Self::progress) then tells where the last good block ends.
pub struct Reader<R> {
    input: R,
    header: Header,
    progress: Progress,
    tally: Tally,
    ended: bool,
}

/// A part of an archive.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// Rows, in key order.
    Rows(Vec<Entry>),
    /// There are no more rows.
    RowsEnd(Rows),
    /// Blobs, in the order of their names.
    Blobs(Vec<(BlobName, Bytes)>),
    /// The archive is whole; nothing follows.
    End(Trailer),
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// Begins with the first byte of an archive.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for something else, `Unsupported` for a format of another version,
    /// `Corrupt` for a damaged header, `Unavailable` when it cannot be read.
    pub async fn begin(mut input: R) -> Result<Self> {
        let mut preamble = [0; PREAMBLE_LEN];
        let len = fill(&mut input, &mut preamble).await?;
        if len < PREAMBLE_LEN {
            preamble[len..].fill(0);
        }
        chain::check_preamble(&preamble)?;
        let mut before = Progress {
            revision: nexus_kernel::Revision::MAX,
            blocks: 0,
            bytes: PREAMBLE_LEN as u64,
            chain: ChainHash::beginning(),
            rows: 0,
            blobs_named: 0,
            has_all_rows: false,
            blobs: 0,
            blob_bytes: 0,
        };
        let (kind, payload) = next_block(&mut input, &mut before).await?.ok_or_else(cut)?;
        if kind != Kind::Header {
            return Err(damaged("it does not begin with a header"));
        }
        let header: Header = decode(payload)?;
        check_header(&header)?;
        before.revision = header.revision();
        Ok(Self {
            input,
            header,
            progress: before,
            tally: Tally::new(),
            ended: false,
        })
    }

    /// What the archive is of.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How far it was read, as far as it is good.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The next block; none after the last.
    ///
    /// # Errors
    ///
    /// `Corrupt` for an archive that is cut short or not what was written, `Unavailable` when it
    /// cannot be read.
    pub async fn next(&mut self) -> Result<Option<Block>> {
        if self.ended {
            return Ok(None);
        }
        let mut progress = self.progress;
        let (kind, payload) = next_block(&mut self.input, &mut progress)
            .await?
            .ok_or_else(cut)?;
        let block = self.open(kind, payload, &mut progress)?;
        if let Block::End(_) = block {
            self.expect_no_more().await?;
            self.ended = true;
        }
        self.progress = progress;
        Ok(Some(block))
    }

    fn open(&mut self, kind: Kind, payload: Bytes, progress: &mut Progress) -> Result<Block> {
        match (kind, progress.has_all_rows) {
            (Kind::Rows, false) => self.rows(decode_items(payload)?, progress),
            (Kind::RowsEnd, false) => {
                let end: Rows = decode(payload)?;
                self.tally.rows_end(&end, progress)?;
                Ok(Block::RowsEnd(end))
            }
            (Kind::Blobs, true) => self.blobs(decode_items(payload)?, progress),
            (Kind::Trailer, true) => {
                let trailer: Trailer = decode(payload)?;
                self.tally.trailer(&trailer, progress)?;
                Ok(Block::End(trailer))
            }
            _ => Err(damaged("its parts are not in order")),
        }
    }

    fn rows(&mut self, block: RowsBlock, progress: &mut Progress) -> Result<Block> {
        let rows: Vec<Entry> = block.rows.into_iter().map(Into::into).collect();
        for row in &rows {
            self.tally.row(row, progress)?;
        }
        Ok(Block::Rows(rows))
    }

    fn blobs(&mut self, block: BlobsBlock, progress: &mut Progress) -> Result<Block> {
        let mut blobs = Vec::with_capacity(block.blobs.len());
        for blob in block.blobs {
            let name = BlobName::new(&blob.name)?;
            self.tally.blob(name, &blob.bytes, progress)?;
            blobs.push((name, blob.bytes));
        }
        Ok(Block::Blobs(blobs))
    }

    async fn expect_no_more(&mut self) -> Result<()> {
        match fill(&mut self.input, &mut [0]).await? {
            0 => Ok(()),
            _ => Err(damaged("something follows its end")),
        }
    }
}

fn check_header(header: &Header) -> Result<()> {
    if HashAlgorithm::try_from(header.hash).is_err() {
        return Err(Error::unsupported(
            "the zone's hash is not known to this version; use the version that wrote the archive, or a newer one",
        )
        .with("hash", header.hash));
    }
    if header.revision_number == 0 {
        return Err(damaged("it has no revision"));
    }
    Ok(())
}

/// The next block, its hash checked; none where the input ends before it.
async fn next_block(
    input: &mut (impl AsyncRead + Unpin),
    progress: &mut Progress,
) -> Result<Option<(Kind, Bytes)>> {
    let mut head = [0; HEAD_LEN];
    match fill(input, &mut head).await? {
        0 => return Ok(None),
        HEAD_LEN => {}
        _ => return Err(cut()),
    }
    let (kind, len) = head.split_at(1);
    let len = u32::from_be_bytes(len.try_into().expect("four bytes are left")) as usize;
    if len > PAYLOAD_BYTES_MAX {
        return Err(damaged("a block is larger than any can be").because(too_large(len)));
    }
    let mut rest = vec![0; len + HASH_LEN];
    if fill(input, &mut rest).await? < rest.len() {
        return Err(cut());
    }
    let rest = Bytes::from(rest);
    let (payload, hash) = (rest.slice(..len), &rest[len..]);
    let chain = progress.chain.after(&head, &payload);
    if hash != chain.as_bytes() {
        return Err(damaged("a block does not have the hash that it should"));
    }
    let kind = Kind::from_byte(kind[0]).ok_or_else(|| damaged("it has a part of unknown kind"))?;
    progress.chain = chain;
    progress.blocks += 1;
    progress.bytes += (HEAD_LEN + len + HASH_LEN) as u64;
    Ok(Some((kind, payload)))
}

/// Reads until the buffer is full or the input ends; answers how much there was.
async fn fill(input: &mut (impl AsyncRead + Unpin), buffer: &mut [u8]) -> Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match input.read(&mut buffer[len..]).await {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) => {
                return Err(
                    Error::unavailable("the archive cannot be read; check the file").because(error),
                );
            }
        }
    }
    Ok(len)
}

fn decode<M: Message + Default>(payload: Bytes) -> Result<M> {
    M::decode(payload).map_err(unreadable)
}

/// Decodes a block of rows or blobs. They are counted first: each takes memory, an empty one too.
fn decode_items<M: Message + Default>(payload: Bytes) -> Result<M> {
    let (mut rest, mut items) = (&payload[..], 0);
    while !rest.is_empty() {
        let (tag, wire) = encoding::decode_key(&mut rest).map_err(unreadable)?;
        encoding::skip_field(wire, tag, &mut rest, DecodeContext::default()).map_err(unreadable)?;
        items += 1;
    }
    check_items(items)
        .map_err(|why| damaged("a block has more rows or blobs than any can have").because(why))?;
    decode(payload)
}

fn unreadable(why: DecodeError) -> Error {
    damaged("a block cannot be read").because(why)
}

fn cut() -> Error {
    Error::corrupt(
        "the archive was cut short; go on with `nexus zone export --resume`, or export the zone again",
    )
}
