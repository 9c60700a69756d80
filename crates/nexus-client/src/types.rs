//! What the client's calls take and give.

pub(crate) mod admin;
pub(crate) mod changes;
pub(crate) mod compare;
pub(crate) mod feed;
pub(crate) mod files;
pub(crate) mod history;
pub(crate) mod inodes;
pub(crate) mod locks;
pub(crate) mod search;
pub(crate) mod snapshots;
pub(crate) mod undo;
pub(crate) mod workspaces;
