//! Where a reader of the change feed is.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use nexus_kernel::{Error, Result, Revision};

use crate::path::shown;

/// How far a reader of the change feed has come: past a commit, or past some of its changes.
///
/// Written `42` after all of commit 42, and `42.3` after its change 3 (of which the first is
/// number 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FeedPosition {
    /// The last commit that it has seen of.
    pub revision: Revision,
    /// The last change of it that it has seen; none if it has seen all.
    pub sequence: Option<u32>,
}

impl FeedPosition {
    /// In the middle of a commit, past one of its changes.
    #[must_use]
    pub const fn within(revision: Revision, sequence: u32) -> Self {
        Self {
            revision,
            sequence: Some(sequence),
        }
    }

    /// The last revision of which nothing is to be told any more.
    pub(crate) fn whole_until(self) -> Revision {
        match self.sequence {
            None => self.revision,
            Some(_) => Revision(self.revision.0.saturating_sub(1)),
        }
    }

    /// Whether a change is still to come from here.
    pub(crate) fn is_before(self, revision: Revision, sequence: u32) -> bool {
        self < Self::within(revision, sequence)
    }
}

impl From<Revision> for FeedPosition {
    /// After all of a commit.
    fn from(revision: Revision) -> Self {
        Self {
            revision,
            sequence: None,
        }
    }
}

impl Ord for FeedPosition {
    fn cmp(&self, other: &Self) -> Ordering {
        let place = |at: &Self| (at.revision, at.sequence.map_or(u64::MAX, u64::from));
        place(self).cmp(&place(other))
    }
}

impl PartialOrd for FeedPosition {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
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

impl FromStr for FeedPosition {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let parsed = match text.split_once('.') {
            None if digits(text) => text.parse().ok().map(|number| Revision(number).into()),
            Some((revision, sequence)) if digits(revision) && digits(sequence) => {
                let (revision, sequence) = (revision.parse().ok(), sequence.parse().ok());
                revision
                    .zip(sequence)
                    .map(|(revision, sequence)| Self::within(Revision(revision), sequence))
            }
            _ => None,
        };
        parsed.ok_or_else(|| {
            Error::invalid(
                "a position in the change feed is a revision, like 42, or the id of an event, like 42.0",
            )
            .with("position", shown(text))
        })
    }
}
