//! Whether they may.

use async_trait::async_trait;
use nexus_kernel::Result;

use crate::Context;

/// Decides every access. The filesystem asks it before it acts and for every entry that a
/// listing, a glob, a grep or a watch would show; doors ask it for administration.
///
/// An error means "could not decide" and is treated as a refusal.
#[async_trait]
pub trait Authorizer: Send + Sync + 'static {
    /// Refuses, or not.
    ///
    /// # Errors
    ///
    /// `PermissionDenied`, with what was asked and which grant would allow it.
    async fn authorize(&self, who: &Context, action: Action, target: Target<'_>) -> Result<()>;

    /// Which of many targets are visible to `who`, in order. For filtering, where a refusal
    /// is no error.
    async fn visible(&self, who: &Context, targets: &[Target<'_>]) -> Result<Vec<bool>>;

    /// Whether everything below `target` is visible to `who`, so that a subtree need not be
    /// filtered entry by entry. May answer `false` when unsure.
    async fn sees_all_below(&self, who: &Context, target: Target<'_>) -> bool;
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// See that it exists, its attributes, and (of a directory) its visible entries.
    Stat,
    /// Read content, custom metadata or history.
    Read,
    /// Change content, attributes or custom metadata.
    Write,
    /// Add this entry to its directory.
    Create,
    /// Remove this entry from its directory.
    Delete,
    /// Manage keys, settings, garbage collection: nothing of the tree.
    Administer,
}

impl Action {
    /// The name as refusals print it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stat => "stat",
            Self::Read => "read",
            Self::Write => "write",
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Administer => "administer",
        }
    }
}

/// What it is asked of.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The absolute path, normalised.
    pub path: &'a str,
    /// The inode numbers from the root's down to the target's; down to its nearest existing
    /// ancestor's where the target does not exist. Policies that follow files through
    /// renames go by these.
    pub inodes: &'a [u64],
}
