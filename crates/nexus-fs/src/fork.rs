//! Forks: a directory as of a revision at another place, where it changes by itself.
//!
//! Making one writes a handful of rows, whatever the size of the directory. A name or an inode
//! of a fork without a row of its own is what the origin has there as of the fork's base
//! ([`shown`]); its number tells which that is ([`parts`]). The first change of one writes its
//! row, as copying on the first write does in ZFS clones, Btrfs snapshots and overlayfs, from
//! which the whiteouts are, too.

mod create;
mod merge;
pub(crate) mod parts;
mod release;
mod shown;

pub(crate) use create::fork;
pub(crate) use merge::MergedRecord;
pub use merge::{
    MERGE_CHANGES_MAX, MERGE_LINE_STEPS_MAX, MERGE_TEXT_BYTES_MAX, MergeChange, MergeChangeKind,
    MergeConflict, MergeConflictKind, MergeOptions, MergeReport, MergeStrategy,
};
pub(crate) use parts::{
    PART_SHIFT, PARTS_KEPT, Part, PartRecord, WHITEOUT, in_part, is_forked, part_of,
};
