//! What the filesystem promises, over real drivers. Each test's doc comment is a sentence
//! of `docs/SEMANTICS.md`.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod archive;
mod batches;
mod by_inode;
mod clearing;
mod collecting;
mod content;
mod costs;
mod cursors;
mod drafts;
mod feed;
mod files;
mod fork_rights;
mod forks;
mod handles;
mod history;
mod interleaved;
mod lineage;
mod locks;
mod log;
mod long_records;
mod merges;
mod namespace;
mod past;
mod races;
mod retention;
mod rights;
mod snapshots;
mod spilling;
mod support;
mod tree_diff;
mod workspaces;
