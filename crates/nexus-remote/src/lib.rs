//! A zone on a node elsewhere, as a mount needs it: a [`Volume`](nexus_fuse::Volume) over gRPC.
//!
//! What is written to a file gathers here and goes to the node in calls of a megabyte, at the
//! latest when somebody reads it, or asks for its size, through the same volume. It is kept until
//! the node has made it a version: a node that is killed and started again is sent it once more.
//! Calls that the node does not answer are made again until the volume's patience ends; then they
//! fail as `Unavailable`.
//!
//! | file | what |
//! | --- | --- |
//! | `volume` | names, attributes, metadata |
//! | `file` | an open file |
//! | `remote_file` | the same, as the kernel has it |
//! | `past` | past states of the zone |
//! | `journal` | what was written to it and is not flushed |
//! | `open_files` | which files are open: leases, and who has something to send |
//! | `patience` | calls made again |
//! | `feed` | the change feed, over lost connections |
//! | `convert` | between the client's types and the filesystem's |
#![deny(missing_docs)]

mod convert;
mod feed;
mod file;
mod journal;
mod open_files;
mod past;
mod patience;
mod remote_file;
mod volume;

pub use volume::{Options, RemoteVolume};
