//! The numbers that the kernel knows past inodes by.
//!
//! | bits | what |
//! | --- | --- |
//! | 63 | set: not of the present |
//! | 40 to 62 | which state; 0 for the directories that lead to states |
//! | 0 to 39 | the inode's number in that state |

use nexus_fs::{DirEntry, Ino, Stat};
use nexus_kernel::{Error, Result};

const PAST: u64 = 1 << 63;
const INO_BITS: u32 = 40;
const INO_MAX: u64 = (1 << INO_BITS) - 1;
/// The largest number of a state.
pub(super) const STATE_MAX: u32 = (1 << (63 - INO_BITS)) - 1;

/// What a number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Present,
    /// A directory on the way to past states.
    Door(Door),
    Past(StateNumber, Ino),
}

/// From 1 to [`STATE_MAX`].
pub(super) type StateNumber = u32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// `.nexus`.
    Top,
    /// `.nexus/at`.
    Points,
}

impl Node {
    pub(super) fn of(ino: Ino) -> Self {
        if ino.0 & PAST == 0 {
            return Self::Present;
        }
        let state = ((ino.0 & !PAST) >> INO_BITS) as u32;
        let ino = Ino(ino.0 & INO_MAX);
        match state {
            0 if ino == Ino::ROOT => Self::Door(Door::Top),
            0 => Self::Door(Door::Points),
            state => Self::Past(state, ino),
        }
    }
}

impl Door {
    pub(super) const fn ino(self) -> Ino {
        match self {
            Self::Top => Ino(PAST | Ino::ROOT.0),
            Self::Points => Ino(PAST | 2),
        }
    }
}

/// The number of a state's inode.
pub(super) fn ino_of(state: StateNumber, ino: Ino) -> Result<Ino> {
    if ino.0 > INO_MAX {
        return Err(Error::limit(
            "inodes beyond a trillion are not shown in the past; read them by another door",
        )
        .with("ino", ino));
    }
    Ok(Ino(PAST | (u64::from(state) << INO_BITS) | ino.0))
}

pub(super) fn stat_of(state: StateNumber, mut stat: Stat) -> Result<Stat> {
    stat.ino = ino_of(state, stat.ino)?;
    Ok(stat)
}

pub(super) fn entry_of(state: StateNumber, mut entry: DirEntry) -> Result<DirEntry> {
    entry.ino = ino_of(state, entry.ino)?;
    entry.stat = entry.stat.map(|stat| stat_of(state, stat)).transpose()?;
    Ok(entry)
}

#[cfg(test)]
mod tests;
