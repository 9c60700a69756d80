//! Which changes a feed tells.

use nexus_kernel::{Error, Result};

use super::FeedQuery;
use crate::log::{Change, ChangeKind, Record};
use crate::path;
use crate::pattern::PathPattern;

/// Most patterns of one feed.
pub const FEED_PATTERNS_MAX: usize = 64;

/// What a [`FeedQuery`] asks for, ready to be compared with.
pub(super) struct Filter {
    patterns: Vec<PathPattern>,
    kinds: Vec<ChangeKind>,
    actor: Option<String>,
    session: Option<String>,
}

impl Filter {
    pub(super) fn new(query: &FeedQuery) -> Result<Self> {
        if query.patterns.len() > FEED_PATTERNS_MAX {
            return Err(Error::limit(
                "a feed takes at most so many patterns; join them with {a,b}",
            )
            .with("patterns_max", FEED_PATTERNS_MAX));
        }
        let patterns = query
            .patterns
            .iter()
            .map(|glob| PathPattern::new(glob, "/"));
        Ok(Self {
            patterns: patterns.collect::<Result<_>>()?,
            kinds: query.kinds.clone(),
            actor: query.actor.clone(),
            session: query.session.clone(),
        })
    }

    /// Whether everything passes.
    pub(super) fn is_open(&self) -> bool {
        self.patterns.is_empty()
            && self.kinds.is_empty()
            && self.actor.is_none()
            && self.session.is_none()
    }

    /// Whether the commit was made by whom, and in which run, it is asked for.
    pub(super) fn takes_maker(&self, record: &Record) -> bool {
        let session = record.session.as_deref();
        self.actor.as_ref().is_none_or(|name| *name == record.actor)
            && self
                .session
                .as_deref()
                .is_none_or(|name| session == Some(name))
    }

    /// Whether the change is at a place that is asked for.
    pub(super) fn takes_place(&self, change: &Change) -> bool {
        self.patterns.is_empty() || self.patterns.iter().any(|glob| is_at(glob, change))
    }

    pub(super) fn takes_kind(&self, change: &Change) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&change.kind)
    }
}

/// Whether the new or the old path matches; of a directory that goes, comes or is copied with all
/// below it, also whether it holds the pattern's base.
fn is_at(pattern: &PathPattern, change: &Change) -> bool {
    let paths = [Some(change.path.as_str()), change.old_path.as_deref()];
    let whole_tree = change.kind.is_of_a_tree();
    paths.into_iter().flatten().any(|path| {
        pattern.matches(path) || (whole_tree && path::is_within(&pattern.base_dir(), path))
    })
}
