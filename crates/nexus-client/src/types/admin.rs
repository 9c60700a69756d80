//! Keys and care.

use std::fmt;

use nexus_kernel::Timestamp;

/// Sorts of callers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    /// A person.
    #[default]
    User,
    /// A program acting for a person or by itself.
    Agent,
    /// The node itself.
    System,
}

impl PrincipalKind {
    /// The name as people and doors write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Agent => "agent",
            Self::System => "system",
        }
    }
}

/// What a key grants, each including the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rights {
    /// Read files, listings, history.
    ReadOnly,
    /// Change files too.
    ReadWrite,
    /// Manage keys, garbage collection and settings too.
    Admin,
}

impl Rights {
    /// The name as people and doors write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::ReadWrite => "read-write",
            Self::Admin => "admin",
        }
    }
}

/// Who the key says the caller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Which sort of caller.
    pub kind: PrincipalKind,
    /// Its name.
    pub id: String,
    /// The key's public id.
    pub key_id: Option<String>,
    /// The zone the key is bound to.
    pub zone: String,
    /// What it may do there.
    pub rights: Rights,
    /// Nothing outside of this path may be touched.
    pub prefix: Option<String>,
}

/// The key to make.
#[derive(Clone, Debug)]
pub struct NewKeyOptions {
    /// What people call it.
    pub name: String,
    /// Which sort of caller bears it.
    pub kind: PrincipalKind,
    /// Who bears it.
    pub id: String,
    /// The zone it is bound to; the caller's if not given.
    pub zone: Option<String>,
    /// What it may do there.
    pub rights: Rights,
    /// Nothing outside of this path may be touched.
    pub prefix: Option<String>,
    /// When it ends.
    pub expires: Option<Timestamp>,
}

/// Changes to a key; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct KeyUpdate {
    /// What people call it.
    pub name: Option<String>,
    /// What it may do.
    pub rights: Option<Rights>,
    /// When it ends; `Some(None)` for never.
    pub expires: Option<Option<Timestamp>>,
}

/// A key just made.
#[derive(Clone)]
pub struct NewKey {
    /// What is known of it.
    pub key: Key,
    /// `sk-...`: kept nowhere, shown once.
    pub secret: String,
}

impl fmt::Debug for NewKey {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewKey")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// What is known of a key; never its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its public id.
    pub key_id: String,
    /// What people call it.
    pub name: String,
    /// Which sort of caller bears it.
    pub kind: PrincipalKind,
    /// Who bears it.
    pub id: String,
    /// The zone it is bound to.
    pub zone: String,
    /// What it may do there.
    pub rights: Rights,
    /// Nothing outside of this path may be touched.
    pub prefix: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Option<Timestamp>,
    /// When it was ended.
    pub revoked: Option<Timestamp>,
}

/// What garbage collection found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Rows of history that the policies of retention let go.
    pub rows: u64,
    /// Versions of files that went with them.
    pub versions: u64,
    /// Blobs removed, or that would be.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether nothing was changed.
    pub dry_run: bool,
}

/// How far a verification is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Files read so far.
    pub checked_files: u64,
    /// Blobs read so far.
    pub checked_blobs: u64,
    /// Bytes read so far.
    pub checked_bytes: u64,
    /// What is wrong, and where; none in a mere report of progress.
    pub problem: Option<String>,
    /// The last report.
    pub done: bool,
}

#[cfg(test)]
mod tests;
