//! Writing through a handle, each piece once.

use nexus_fs::Handle;
use nexus_kernel::{Error, Result};
use nexus_proto::v1::write_piece::What;
use nexus_proto::v1::{WriteHandleResponse, WritePiece};

use super::handles::Open;

/// Pieces of one call. Its bytes, the transport limits.
const PIECES_MAX: usize = 1_024;

/// What of the last call of a handle was done.
#[derive(Default)]
pub(super) struct Progress {
    sequence: u64,
    /// The file's before the first piece.
    version: u64,
    /// What the call consists of.
    shapes: Vec<Shape>,
    ends: Vec<u64>,
}

/// A piece without its bytes: what tells it from others at no cost.
#[derive(PartialEq, Eq)]
enum Shape {
    Put(u64, usize),
    Append(usize),
    Truncate(u64),
}

/// Does the pieces in order, without those that an earlier try of the same call did.
pub(super) async fn written(
    open: &Open,
    sequence: u64,
    pieces: Vec<WritePiece>,
) -> Result<WriteHandleResponse> {
    if sequence == 0 {
        return Err(Error::invalid("number the writes through a handle, from 1"));
    }
    let shapes = shapes(&pieces)?;
    let mut progress = open.progress.lock().await;
    if sequence < progress.sequence {
        return Err(Error::conflict(
            "a later write through this handle was done already; number them in order",
        ));
    }
    if sequence > progress.sequence {
        let version = open.handle.stat().await?.version;
        *progress = Progress {
            sequence,
            version,
            ends: Vec::with_capacity(shapes.len()),
            shapes,
        };
    } else if shapes != progress.shapes {
        return Err(Error::invalid(
            "another write through this handle had the same number; give each its own",
        ));
    }
    let done = progress.ends.len();
    for piece in pieces.into_iter().skip(done) {
        let end = write(&open.handle, piece).await?;
        progress.ends.push(end);
    }
    Ok(WriteHandleResponse {
        ends: progress.ends.clone(),
        version: progress.version,
    })
}

fn shapes(pieces: &[WritePiece]) -> Result<Vec<Shape>> {
    if pieces.len() > PIECES_MAX {
        let error = Error::limit("write at most 1,024 pieces in one call");
        return Err(error.with("limit", PIECES_MAX));
    }
    pieces.iter().map(shape).collect()
}

fn shape(piece: &WritePiece) -> Result<Shape> {
    match &piece.what {
        Some(What::Put(put)) => Ok(Shape::Put(put.offset, put.data.len())),
        Some(What::Append(data)) => Ok(Shape::Append(data.len())),
        Some(What::Truncate(size)) => Ok(Shape::Truncate(*size)),
        None => Err(empty()),
    }
}

async fn write(handle: &Handle, piece: WritePiece) -> Result<u64> {
    match piece.what {
        Some(What::Put(put)) => handle.write(put.offset, put.data).await,
        Some(What::Append(data)) => handle.append(data).await,
        Some(What::Truncate(size)) => handle.truncate(size).await.map(|()| size),
        None => Err(empty()),
    }
}

fn empty() -> Error {
    Error::invalid("a piece of a write is empty; leave it out")
}
