//! What changed in a directory between two points, or between two directories.
//!
//! Two trees are compared by what their names point to. A directory is the same as long as it
//! has its inode, whatever it is called and wherever it lies; so one that moved is one change,
//! and what is in it is compared and not listed. A file is the same under a name that still
//! points to its inode; names that went and names that came are brought together, first by
//! inode (it moved), then by path (it was replaced), and what is left was added or removed.
//!
//! Where to look is found in one of two ways that give the same answer. The log names what was
//! touched between two revisions, which takes time in proportion to what happened. A walk
//! compares the listings of both trees, which takes time in proportion to their size; it is for
//! small trees with a long log between, and for trees that have no log in common.

use nexus_kernel::{Error, Result, Revision};
use nexus_service_api::Action;

use crate::records::DentryRecord;
use crate::resolve::{End, resolve};
use crate::session::Session;
use crate::types::{At, Stat};

mod compare;
mod gather;
mod log;
mod page;
mod pairs;
mod side;
mod walk;

use gather::{Gather, Way};
pub use page::{DIFF_TREE_LIMIT_MAX, TreeDiffPage, TreeDiffQuery};
use side::{NEW, OLD, Side};

/// Most names that a comparison holds in memory: those that differ and those that may.
pub const DIFF_TREE_NAMES_MAX: usize = 250_000;

/// How two trees are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiffTreeOptions {
    /// Lists everything below a directory that came or went, not just the directory.
    pub expand: bool,
}

/// How two trees differ.
#[derive(Clone, Debug, PartialEq)]
pub struct TreeDiff {
    /// The revision of the old tree.
    pub from: Revision,
    /// The revision of the new one.
    pub to: Revision,
    /// What differs, by path in the order of a recursive listing.
    pub changes: Vec<TreeChange>,
}

/// One difference between two trees.
#[derive(Clone, Debug, PartialEq)]
pub struct TreeChange {
    /// What happened.
    pub kind: TreeChangeKind,
    /// Where: in the new tree, but in the old one for what was removed.
    pub path: String,
    /// Where it was in the old tree, if elsewhere.
    pub old_path: Option<String>,
    /// What it was; none for what was added.
    pub old: Option<Stat>,
    /// What it is; none for what was removed.
    pub new: Option<Stat>,
    /// Whether its content, or where a symbolic link points, differs.
    pub content: bool,
    /// Whether its mode or POSIX owner or group differs.
    pub attributes: bool,
    /// Whether its custom metadata or tags differ.
    pub metadata: bool,
    /// Of a directory that came or went as a whole: how much came or went below it that the
    /// caller may see and that is not listed.
    pub below: u64,
}

impl TreeChange {
    /// Whether both trees have it and it differs in more than its place.
    #[must_use]
    pub fn is_modified(&self) -> bool {
        self.content || self.attributes || self.metadata
    }

    /// What it is, or was.
    ///
    /// # Panics
    ///
    /// If it is in neither tree, which no change is.
    #[must_use]
    pub fn stat(&self) -> &Stat {
        let stat = self.new.as_ref().or(self.old.as_ref());
        stat.expect("a change is about something in one of the trees")
    }
}

/// How something differs between two trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TreeChangeKind {
    /// Only the old tree has it.
    Removed,
    /// Only the new tree has it.
    Added,
    /// Both have it, in the same place, and it differs. Times are not compared.
    Modified,
    /// It has another name or lies in another directory; it may differ too.
    Renamed,
}

impl TreeChangeKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Removed, Self::Added, Self::Modified, Self::Renamed];

    /// The name as doors print it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Added => "added",
            Self::Modified => "modified",
            Self::Renamed => "renamed",
        }
    }
}

impl Session {
    /// How what a path names differs between two points: a directory with all below it, or a
    /// file by itself. Where the path names nothing at one of the points, everything at the
    /// other was added or removed. The points may come in either order.
    ///
    /// Shows what the caller may see: of a move out of its sight, that something went.
    ///
    /// # Errors
    ///
    /// `NotFound` when the path names nothing at either point, `LimitExceeded` for more than
    /// [`DIFF_TREE_NAMES_MAX`] names that differ; as [`stat`](Self::stat).
    pub async fn diff_tree(
        &self,
        path: &str,
        from: At,
        to: At,
        options: DiffTreeOptions,
    ) -> Result<TreeDiff> {
        self.diff_trees((path, from), (path, to), options).await
    }

    /// How a directory at one point differs from another, or the same, at another point. Files
    /// of different inodes are brought together by their paths below the two, as far as no
    /// move tells more.
    ///
    /// # Errors
    ///
    /// As [`diff_tree`](Self::diff_tree).
    pub async fn diff_trees(
        &self,
        old: (&str, At),
        new: (&str, At),
        options: DiffTreeOptions,
    ) -> Result<TreeDiff> {
        self.compare_trees(old, new, options, Way::Shorter).await
    }

    async fn compare_trees(
        &self,
        old: (&str, At),
        new: (&str, At),
        options: DiffTreeOptions,
        way: Way,
    ) -> Result<TreeDiff> {
        let sides = [
            self.side_of_diff(old.0, old.1).await?,
            self.side_of_diff(new.0, new.1).await?,
        ];
        if sides.iter().all(|side| side.top.is_none()) {
            return Err(Error::not_found(
                "there is no such file or directory at either of the two points",
            )
            .with("path", crate::path::shown(new.0))
            .with("from", sides[OLD].at)
            .with("to", sides[NEW].at));
        }
        self.compare_sides(sides, options, way).await
    }

    /// How a directory changed between two revisions, wherever it was at the first of them: paths
    /// are told as if it had been where it is. What the caller may see goes by that, too.
    pub(crate) async fn diff_directory(
        &self,
        (path, chain): (&str, &[u64]),
        directory: DentryRecord,
        revisions: [Revision; 2],
        options: DiffTreeOptions,
    ) -> Result<TreeDiff> {
        let [from, to] = revisions.map(async |at| {
            let view = self.view(At::Revision(at)).await?;
            let found = view.inode(directory.ino).await?.map(|_| directory);
            Ok::<_, Error>(Side::new(view, at, found, path.to_owned(), chain))
        });
        let sides = [from.await?, to.await?];
        self.compare_sides(sides, options, Way::Shorter).await
    }

    async fn compare_sides(
        &self,
        sides: [Side<'_>; 2],
        options: DiffTreeOptions,
        way: Way,
    ) -> Result<TreeDiff> {
        let (from, to) = (sides[OLD].at, sides[NEW].at);
        let mut gather = Gather::new(self, sides);
        gather.gather(way).await?;
        let (sides, found) = gather.done();
        let changes = compare::changes(self, sides, found, options).await?;
        Ok(TreeDiff { from, to, changes })
    }

    async fn side_of_diff(&self, path: &str, at: At) -> Result<Side<'_>> {
        let mut view = self.view(at).await?;
        let at = match view.at {
            Some(at) => at,
            None => self.zone.revision().await?,
        };
        view.at = Some(at);
        let place = resolve(&view, path, true).await?;
        self.permit_at(Action::Stat, &place).await?;
        let found = match place.end {
            End::Found(dentry) if view.inode(dentry.ino).await?.is_some() => Some(dentry),
            End::Circle => return Err(place.obstacle()),
            _ => None,
        };
        Ok(Side::new(
            view,
            at,
            found,
            place.path.into_owned(),
            &place.chain,
        ))
    }
}

#[cfg(test)]
mod tests;
