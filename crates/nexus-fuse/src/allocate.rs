//! `fallocate`: longer files, and zeros in the midst of them.

use bytes::Bytes;
use fuser::{Errno, FileHandle, INodeNo};
use nexus_fs::Ino;
use rustix::fs::FallocateFlags;

use crate::bridge::Answer;
use crate::filesystem::Core;
use crate::volume::VolumeFile;

/// Zeros are written so many at a time.
const PIECE: usize = 1 << 20;
static ZEROS: [u8; PIECE] = [0; PIECE];

impl Core {
    /// No space is set aside: contents are stored by their hash when they are complete. What is
    /// asked for beyond the end reads as zeros; a hole is zeros too.
    pub(crate) async fn allocate(
        &self,
        ino: INodeNo,
        file: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
    ) -> Answer<()> {
        let mode = FallocateFlags::from_bits_retain(mode.cast_unsigned());
        let keeps_size = mode.contains(FallocateFlags::KEEP_SIZE);
        let zeroes = match mode - FallocateFlags::KEEP_SIZE {
            none if none.is_empty() && !keeps_size => false,
            FallocateFlags::ZERO_RANGE => true,
            FallocateFlags::PUNCH_HOLE if keeps_size => true,
            _ => return Err(Errno::EOPNOTSUPP.into()),
        };
        let file = self.files.get(file)?;
        let size = self.volume.getattr(Ino(ino.0)).await?.size;
        let end = offset.checked_add(length).ok_or(Errno::EFBIG)?;
        if zeroes {
            zero(&*file, offset, end.min(size)).await?;
        }
        if end > size && !keeps_size {
            // Not cut to that size: who makes it longer meanwhile loses nothing.
            file.write(Some(end - 1), Bytes::from_static(&[0])).await?;
        }
        Ok(())
    }
}

async fn zero(file: &dyn VolumeFile, mut offset: u64, end: u64) -> Answer<()> {
    while offset < end {
        let piece = (end - offset).min(PIECE as u64);
        let zeros = Bytes::from_static(&ZEROS[..piece as usize]);
        file.write(Some(offset), zeros).await?;
        offset += piece;
    }
    Ok(())
}
