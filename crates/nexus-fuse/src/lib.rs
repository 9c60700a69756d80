//! A zone mounted as a directory.
//!
//! The kernel's requests come in on a few threads of the `fuser` crate. Each becomes one call
//! of a [`Volume`], which is tried at once on that thread: what is in
//! memory is answered without a detour. What has to wait goes on as a task of the runtime
//! that the mount was started in, and is answered from there. A thread that has answered
//! stays awake for a moment: the next request is often on its way.
//!
//! | file | what |
//! | --- | --- |
//! | `mount` | mounting, unmounting |
//! | `options` | how a zone is mounted |
//! | `volume` | what is mounted: a zone in this process, or elsewhere |
//! | `filesystem`, `replies` | the kernel's requests, one method each |
//! | `bridge`, `lookout` | from a request to an answer: tasks, limits, deadlines; waiting for the next |
//! | `names`, `files`, `attributes`, `listing`, `xattrs`, `facts`, `allocate` | what the requests do |
//! | `history` | past states in the mount: `.nexus/at` |
//! | `callers` | which program asks |
//! | `coherence` | what others change, told to the kernel |
//! | `errno` | what an error is called: the one table |
#![deny(missing_docs)]

mod allocate;
mod attributes;
mod bridge;
mod callers;
mod coherence;
mod errno;
mod facts;
mod files;
mod filesystem;
mod history;
mod listing;
mod lookout;
mod mount;
mod names;
mod options;
mod replies;
mod volume;
mod xattrs;

pub use mount::Mount;
pub use options::Options;
pub use volume::{
    Caller, LocalVolume, Name, PastContent, PastState, PastVolume, Volume, VolumeFile,
};
