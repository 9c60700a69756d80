//! The parts of the `nexus` command.

pub mod archive;
mod etag;
pub mod io;
