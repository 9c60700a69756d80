//! How a zone is mounted.

use std::path::PathBuf;
use std::time::Duration;

/// How a zone is mounted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Refuse every change with `EROFS`.
    pub read_only: bool,
    /// Let the kernel gather writes and send them in large pieces, at the latest at `close`. It
    /// then goes by its own idea of a file's size and end: only for a zone that nobody changes
    /// past this mount while it is mounted.
    pub write_cache: bool,
    /// Let other users in than the one who mounts; the modes of files decide what they may do.
    /// Without root this needs `user_allow_other` in `/etc/fuse.conf`.
    pub allow_other: bool,
    /// How long the kernel may go by names and attributes it has, without asking. It is told of
    /// what changes past the mount; this is for what should get lost on the way.
    pub cache_for: Duration,
    /// A request that has no answer by then gets `EIO`, so that nothing hangs on a store that
    /// does not answer.
    pub request_deadline: Duration,
    /// How long unmounting waits for requests under way.
    pub unmount_deadline: Duration,
    /// Threads that take requests from the kernel.
    pub threads: usize,
    /// Most requests under way; beyond, the kernel waits.
    pub requests_max: u32,
    /// The folder whose disk `df` is to show; none where contents lie in memory.
    pub space_of: Option<PathBuf>,
}

/// The kernel hands each request to the thread that has been idle longest: every thread more
/// costs switches between processors, and what has to wait goes on elsewhere anyway.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |count| (count.get() / 2).clamp(1, 4))
}

impl Default for Options {
    fn default() -> Self {
        Self {
            read_only: false,
            write_cache: false,
            allow_other: rustix::process::geteuid().is_root(),
            cache_for: Duration::from_secs(10),
            request_deadline: Duration::from_secs(60),
            unmount_deadline: Duration::from_secs(10),
            threads: threads(),
            requests_max: 256,
            space_of: None,
        }
    }
}
