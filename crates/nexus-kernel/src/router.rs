//! Which mount serves a path.

use crate::Result;

/// The table of mounts.
///
/// Mount points are absolute, normalised paths (`/`, `/a/b`). A path belongs to the mount
/// with the longest mount point that is the path itself or one of its ancestors, compared
/// by whole components: `/ab` is not below `/a`.
///
/// # Errors
///
/// Adding at a taken mount point is `AlreadyExists`, removing or resolving where nothing
/// is mounted `NotFound`, a relative or unnormalised path `InvalidArgument`.
pub trait VfsRouter: Send + Sync + 'static {
    /// Adds a mount; visible to every resolve that begins after this returns.
    ///
    /// # Errors
    /// See the trait.
    fn add(&self, mount: Mount) -> Result<()>;

    /// Removes the mount at exactly this point.
    ///
    /// # Errors
    /// See the trait.
    fn remove(&self, point: &str) -> Result<Mount>;

    /// All mounts, by mount point.
    fn list(&self) -> Vec<Mount>;

    /// The mount a path belongs to, and the rest of the path below it.
    ///
    /// # Errors
    /// See the trait.
    fn resolve(&self, path: &str) -> Result<Routed>;
}

/// One mounted thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where, as an absolute normalised path.
    pub point: String,
    /// What, by name: a zone, or an external store.
    pub target: String,
    /// Whether writes below it are refused.
    pub read_only: bool,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    /// The mount.
    pub mount: Mount,
    /// The path inside it: absolute, `/` for the mount point itself.
    pub rest: String,
}
