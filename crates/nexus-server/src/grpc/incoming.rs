//! Content on its way in and out, as messages of a stream.

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use nexus_fs::{Content, WriteOptions};
use nexus_kernel::{ByteStream, Error, Result};
use nexus_proto::v1::read_response::Part as ReadPart;
use nexus_proto::v1::write_request::Part as WritePart;
use nexus_proto::v1::{ReadHeader, ReadResponse, WriteHeader, WriteRequest};
use tonic::{Code, Status, Streaming};

use super::{Answers, convert, status, too_large};

/// Clients accept messages of up to 4 MiB unless told otherwise.
const PIECE_BYTES_MAX: usize = 1 << 20;

/// What a writing call begins with, and the bytes that follow.
pub(super) async fn incoming(
    mut messages: Streaming<WriteRequest>,
) -> Result<(String, WriteOptions, ByteStream)> {
    let first = messages.message().await.map_err(broken_off)?;
    let Some(WritePart::Header(WriteHeader { path, options })) = first.and_then(|first| first.part)
    else {
        return Err(Error::invalid("the first message of a write is its header"));
    };
    let pieces = messages.map(|message| piece(message.map_err(broken_off)?));
    Ok((path, convert::write_options(options)?, Box::pin(pieces)))
}

fn piece(message: WriteRequest) -> Result<Bytes> {
    match message.part {
        Some(WritePart::Data(bytes)) => Ok(bytes),
        None => Ok(Bytes::new()),
        Some(WritePart::Header(_)) => Err(Error::invalid(
            "only the first message of a write is a header",
        )),
    }
}

pub(super) fn broken_off(source: Status) -> Error {
    if source.code() == Code::OutOfRange {
        return too_large(&source);
    }
    Error::invalid("the stream broke off and nothing was changed; send it again").because(source)
}

/// A content as messages: its header, then its bytes.
pub(super) fn outgoing(content: Content) -> Answers<ReadResponse> {
    let header = ReadHeader {
        stat: Some(convert::stat(content.stat)),
        offset: content.range.start,
        length: content.range.end - content.range.start,
    };
    let header = Ok(ReadResponse {
        part: Some(ReadPart::Header(header)),
    });
    let pieces = content
        .body
        .map_ok(|piece| stream::iter(cut(piece).map(Ok)));
    let pieces = pieces.try_flatten().map(|piece| match piece {
        Ok(bytes) => Ok(ReadResponse {
            part: Some(ReadPart::Data(bytes)),
        }),
        Err(error) => Err(status(error)),
    });
    stream::iter([header]).chain(pieces).boxed()
}

/// A piece in parts that fit into a message.
pub(super) fn cut(mut piece: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let length = piece.len().min(PIECE_BYTES_MAX);
        (length > 0).then(|| piece.split_to(length))
    })
}
