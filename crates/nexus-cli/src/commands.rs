//! The commands, one file for each group.

pub(crate) mod archive;
pub(crate) mod care;
pub(crate) mod completions;
pub(crate) mod copy;
pub(crate) mod cursors;
pub(crate) mod diff;
pub(crate) mod edit;
pub(crate) mod grep;
pub(crate) mod history;
pub(crate) mod keys;
pub(crate) mod lineage;
pub(crate) mod list;
pub(crate) mod lock;
pub(crate) mod log;
pub(crate) mod metadata;
pub(crate) mod mount;
pub(crate) mod names;
pub(crate) mod read;
pub(crate) mod retention;
pub(crate) mod search;
pub(crate) mod snapshot;
pub(crate) mod undo;
pub(crate) mod watch;
pub(crate) mod workspace;
pub(crate) mod write;
pub(crate) mod zone;
