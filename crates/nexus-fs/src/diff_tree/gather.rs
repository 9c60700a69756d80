//! Finding the names that differ between two trees.

use std::collections::{HashMap, HashSet};

use nexus_kernel::{Error, Result, Revision};

use super::DIFF_TREE_NAMES_MAX;
use super::side::{NEW, Name, OLD, Side, is_directory};
use crate::records::DentryRecord;
use crate::session::Session;

/// Revisions between two points whose log is read without a second thought.
const LOG_SHORT: u64 = 4_096;
/// Most names that a walk may read in the hope of being shorter than the log.
const TRIAL_NAMES_MAX: u64 = 100_000;
/// Names read at a time.
pub(super) const PAGE: usize = 1_000;

/// How to find where to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "tests ask for either way, to compare them")
)]
pub(super) enum Way {
    /// Whatever is likely to read less.
    Shorter,
    /// By the log, where that tells everything.
    Log,
    /// By both listings.
    Walk,
}

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    /// Names of each tree that point to something else in the other, or to nothing there.
    pub differ: [HashMap<Name, DentryRecord>; 2],
    /// Names that both trees have for the same thing, which may have changed: by that of the new
    /// tree, that of the old one, with what each points to. They are not the same where two
    /// directories are compared, one of which may be a fork of the other.
    pub kept: HashMap<Name, (Name, [DentryRecord; 2])>,
}

impl Found {
    fn len(&self) -> usize {
        self.differ[OLD].len() + self.differ[NEW].len() + self.kept.len()
    }

    pub(super) fn check_size(&self) -> Result<()> {
        if self.len() <= DIFF_TREE_NAMES_MAX {
            return Ok(());
        }
        Err(Error::limit(
            "more differs than one comparison can hold; compare the directories below one by one, or points closer together",
        )
        .with("names_max", DIFF_TREE_NAMES_MAX))
    }
}

/// Two trees, and what was found so far of how they differ.
pub(super) struct Gather<'a> {
    pub session: &'a Session,
    pub sides: [Side<'a>; 2],
    pub found: Found,
    /// Directories among the names that differ, still to be looked into.
    pending: Vec<(usize, u64)>,
    /// Directories whose listings were compared, with all below that both have: the topmost of
    /// those.
    pub(super) walked: HashSet<u64>,
    /// Names that may still be read before this takes too long.
    pub names_left: u64,
}

impl<'a> Gather<'a> {
    pub(super) fn new(session: &'a Session, sides: [Side<'a>; 2]) -> Self {
        Self {
            session,
            sides,
            found: Found::default(),
            pending: Vec::new(),
            walked: HashSet::new(),
            names_left: u64::MAX,
        }
    }

    pub(super) fn done(self) -> ([Side<'a>; 2], Found) {
        (self.sides, self.found)
    }

    pub(super) async fn gather(&mut self, way: Way) -> Result<()> {
        if way != Way::Walk && self.log_may_tell().await? {
            if way == Way::Shorter && self.try_walk().await? {
                return Ok(());
            }
            self.forget();
            if self.by_log().await? {
                return Ok(());
            }
            self.forget();
        }
        self.by_walk().await.map(drop)
    }

    /// The earlier and the later of the two points.
    pub(super) fn span(&self) -> (Revision, Revision) {
        let [old, new] = &self.sides;
        (old.at.min(new.at), old.at.max(new.at))
    }

    /// The side of the later of the two points.
    pub(super) fn later(&self) -> usize {
        usize::from(self.sides[NEW].at >= self.sides[OLD].at)
    }

    /// Whether the log tells how one tree became the other: not of what was once another
    /// directory, and not where it is compacted.
    async fn log_may_tell(&self) -> Result<bool> {
        let [old, new] = &self.sides;
        if old.top_directory().is_none() || old.top_ino() != new.top_ino() {
            return Ok(false);
        }
        let (from, _) = self.span();
        Ok(self.session.zone.oldest_readable() <= from)
    }

    /// Walks as far as is surely less than to read the log.
    async fn try_walk(&mut self) -> Result<bool> {
        let (from, to) = self.span();
        let revisions = to.0 - from.0;
        if revisions <= LOG_SHORT {
            return Ok(false);
        }
        self.names_left = (revisions / 4).min(TRIAL_NAMES_MAX);
        self.by_walk().await
    }

    fn forget(&mut self) {
        self.names_left = u64::MAX;
        self.found = Found::default();
        self.pending.clear();
        self.walked.clear();
    }

    /// Notes a name of one tree that means something else in the other.
    pub(super) fn differs(&mut self, side: usize, name: Name, dentry: DentryRecord) -> Result<()> {
        let before = self.found.differ[side].insert(name, dentry);
        if before.is_none() && is_directory(&dentry) {
            self.pending.push((side, dentry.ino));
        }
        self.found.check_size()
    }

    /// Notes that the tops are not the same inode. Two directories are compared all the same;
    /// below any other, everything differs.
    pub(super) fn differ_at_top(&mut self) {
        let both = self.sides.iter().all(|side| side.top_directory().is_some());
        for side in [OLD, NEW] {
            let Some(top) = self.sides[side].top else {
                continue;
            };
            self.found.differ[side].insert(Name::top(), top);
            if !both && is_directory(&top) {
                self.pending.push((side, top.ino));
            }
        }
    }

    /// Notes what has the same name in both trees and may have changed.
    pub(super) fn kept(
        &mut self,
        [old, new]: [Name; 2],
        dentries: [DentryRecord; 2],
    ) -> Result<()> {
        self.found.kept.insert(new, (old, dentries));
        self.found.check_size()
    }

    /// Looks into the directories whose names differ: into one that is in one tree only, all
    /// below it differs too; one that is in both has moved. Says whether there was time.
    pub(super) async fn look_below(&mut self, walks: bool) -> Result<bool> {
        while let Some((side, ino)) = self.pending.pop() {
            if !self.is_in_both(ino).await? {
                if !self.expand(side, ino).await? {
                    return Ok(false);
                }
            } else if walks && !self.walk(ino, ino).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a directory below the tops is in both trees. A top is compared with the other top,
    /// also when it is in that tree itself.
    pub(super) async fn is_in_both(&mut self, ino: u64) -> Result<bool> {
        for side in &mut self.sides {
            if side.top_ino() == Some(ino) || side.directory(ino).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn expand(&mut self, side: usize, ino: u64) -> Result<bool> {
        let mut after: Option<String> = None;
        loop {
            self.session.check_goes_on()?;
            let view = self.sides[side].view;
            let (children, last) = view.children(ino, after.as_deref(), PAGE).await?;
            if !self.spend(children.len()) {
                return Ok(false);
            }
            for child in children {
                self.differs(side, Name::new(ino, child.name), child.dentry)?;
            }
            if last.is_none() {
                return Ok(true);
            }
            after = last;
        }
    }

    /// Takes names that were read off those that may be; says whether there were so many left.
    pub(super) fn spend(&mut self, names: usize) -> bool {
        let left = self.names_left.checked_sub(names as u64);
        self.names_left = left.unwrap_or(0);
        left.is_some()
    }
}
