//! Where a page of a lineage ends.

use std::fmt;
use std::str::FromStr;

use nexus_kernel::{Error, Result, Revision};

use super::LineageDirection;
use crate::path;

/// What names a step of a walk. Unlike a count of those before it, it stays what it is when some
/// of them are collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StepName {
    pub direction: LineageDirection,
    /// What came from something.
    pub ino: u64,
    /// The commit that made it.
    pub at: Revision,
    /// Which of the sources that it had then.
    pub source: usize,
}

/// The last step of a page, and until when steps are told: later ones would shift the pages.
///
/// Written `a57.u.12.40.0`: until revision 57, up, inode 12, revision 40, its first source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    pub until: Revision,
    pub step: StepName,
}

impl Cursor {
    /// Until when steps are told, to who asks as of `at`, or as of `newest`.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a cursor of another point, or of one that is still to come.
    pub(super) fn until(self, at: Option<Revision>, newest: Revision) -> Result<Revision> {
        let fits = at.map_or(self.until <= newest, |at| self.until == at);
        match fits {
            true => Ok(self.until),
            false => Err(unknown(&self.to_string())),
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { until, step } = self;
        let way = match step.direction {
            LineageDirection::Descendants => 'd',
            _ => 'u',
        };
        write!(f, "a{until}.{way}.{}.{}.{}", step.ino, step.at, step.source)
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Option<Vec<_>> = text.strip_prefix('a').map(|text| text.split('.').collect());
        let Some([until, way, ino, at, source]) = parts.as_deref() else {
            return Err(unknown(text));
        };
        let direction = match *way {
            "u" => LineageDirection::Ancestors,
            "d" => LineageDirection::Descendants,
            _ => return Err(unknown(text)),
        };
        let number = |digits: &str| digits.parse::<u64>().map_err(|_| unknown(text));
        Ok(Self {
            until: Revision(number(until)?),
            step: StepName {
                direction,
                ino: number(ino)?,
                at: Revision(number(at)?),
                source: source.parse().map_err(|_| unknown(text))?,
            },
        })
    }
}

fn unknown(cursor: &str) -> Error {
    Error::invalid("unknown cursor; use one that a page of this lineage gave, with the same query")
        .with("cursor", path::shown(cursor))
}
