//! The tests of the whole, in one binary.

mod archive;
mod compare;
mod crash;
mod doors;
mod every_door;
mod faults;
mod feed;
mod harness;
mod keeping;
mod locks;
mod mount;
mod python;
mod real_tree;
mod refusals;
mod streaming;
mod tour;
mod transfer;
mod undo;
mod workspaces;
