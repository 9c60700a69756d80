//! The numbers that the kernel knows past inodes by.
//!
//! | bits | what |
//! | --- | --- |
//! | 63 | set: not of the present |
//! | 40 to 62 | which state, and which part of it; 0 for the directories that lead to states |
//! | 0 to 39 | these bits of the inode's number in that state |
//!
//! What is in a fork has a number with higher bits too. They name the part, and each part of a
//! state that is looked at has a number here of its own.

use nexus_fs::Ino;

const PAST: u64 = 1 << 63;
const INO_BITS: u32 = 40;
const INO_MAX: u64 = (1 << INO_BITS) - 1;
/// The largest number of a part of a state.
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

/// The higher bits of an inode's number.
pub(super) fn part_of(ino: Ino) -> u32 {
    u32::try_from(ino.0 >> INO_BITS).expect("a number of 64 bits has 24 above 40")
}

/// The number that an inode of a state has, of which the lower bits are told.
pub(super) fn in_part(part: u32, ino: Ino) -> Ino {
    Ino((u64::from(part) << INO_BITS) | (ino.0 & INO_MAX))
}

/// The number that the kernel knows an inode by, of the part of a state with this number.
pub(super) fn ino_of(state: StateNumber, ino: Ino) -> Ino {
    Ino(PAST | in_part(state, ino).0)
}

#[cfg(test)]
mod tests;
