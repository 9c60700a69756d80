//! The zone as a directory of the system, served by the real binary: suites for filesystems, real
//! programs at work, kills at any moment, and places and disks that are not as they should be.
//!
//! As root, with `/dev/fuse`. Where a machine has neither, `cargo xtask ci` leaves this out.

mod flushes;
mod kills;
mod large_directory;
mod remote;
mod suites;
mod trouble;
mod work;
