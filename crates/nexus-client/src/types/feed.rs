//! What happens, and how far somebody has seen it.

use std::fmt;

use nexus_kernel::{Revision, Timestamp};

use super::history::ChangeKind;

/// Which changes to tell, and from where on. What is not given narrows nothing.
#[derive(Clone, Debug, Default)]
pub struct WatchQuery {
    /// Absolute globs; a change has to match one of them.
    pub patterns: Vec<String>,
    /// Only changes of these kinds.
    pub kinds: Vec<ChangeKind>,
    /// Only by this principal, as `kind:id`.
    pub actor: Option<String>,
    /// Only of this session.
    pub session: Option<String>,
    /// Where to begin.
    pub start: WatchStart,
    /// Tells only what is durable, so that no loss of power takes back what was told.
    pub durable: bool,
}

/// Where a watch begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WatchStart {
    /// With what happens from now on.
    #[default]
    Now,
    /// After a position.
    After(FeedPosition),
    /// Where a cursor is.
    Cursor(String),
}

impl From<Revision> for WatchStart {
    /// After all of a commit.
    fn from(revision: Revision) -> Self {
        Self::After(revision.into())
    }
}

/// How far a reader of the change feed has come. Written `42` after all of commit 42, `42.3` after
/// its change 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FeedPosition {
    /// The last commit that it has seen of.
    pub revision: Revision,
    /// The last change of it that it has seen; none if it has seen all.
    pub sequence: Option<u32>,
}

impl From<Revision> for FeedPosition {
    fn from(revision: Revision) -> Self {
        Self {
            revision,
            sequence: None,
        }
    }
}

impl fmt::Display for FeedPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sequence {
            Some(sequence) => write!(f, "{}.{sequence}", self.revision),
            None => write!(f, "{}", self.revision),
        }
    }
}

/// A durable name for how far a consumer of the change feed has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Its name, unique among those of its owner.
    pub name: String,
    /// The principal it belongs to, as `kind:id`.
    pub owner: String,
    /// Everything up to here was acknowledged.
    pub position: FeedPosition,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last moved.
    pub moved: Timestamp,
}

/// Whose cursors to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CursorOwner {
    /// The caller's.
    #[default]
    Caller,
    /// This principal's, as `kind:id`; takes admin rights.
    Principal(String),
    /// Everybody's; takes admin rights.
    Anyone,
}
