//! Writing through a handle, each piece once.

use nexus_fs::Handle;
use nexus_kernel::{Error, Result};
use nexus_proto::v1::WritePiece;
use nexus_proto::v1::write_piece::What;

use super::handles::Open;

/// What of the last call of a handle was done.
#[derive(Default)]
pub(super) struct Progress {
    sequence: u64,
    ends: Vec<u64>,
}

/// Does the pieces in order, without those that an earlier try of the same call did. Answers
/// where each ended.
pub(super) async fn written(
    open: &Open,
    sequence: u64,
    pieces: Vec<WritePiece>,
) -> Result<Vec<u64>> {
    let mut progress = open.progress.lock().await;
    if sequence < progress.sequence {
        return Err(Error::conflict(
            "a later write through this handle was done already; number them in order",
        ));
    }
    if sequence > progress.sequence {
        *progress = Progress {
            sequence,
            ends: Vec::with_capacity(pieces.len()),
        };
    }
    let done = progress.ends.len();
    for piece in pieces.into_iter().skip(done) {
        let end = write(&open.handle, piece).await?;
        progress.ends.push(end);
    }
    Ok(progress.ends.clone())
}

async fn write(handle: &Handle, piece: WritePiece) -> Result<u64> {
    match piece.what {
        Some(What::Put(put)) => handle.write(put.offset, put.data).await,
        Some(What::Append(data)) => handle.append(data).await,
        Some(What::Truncate(size)) => handle.truncate(size).await.map(|()| size),
        None => Err(Error::invalid("a piece of a write is empty; leave it out")),
    }
}
