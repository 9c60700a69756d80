//! Comparisons a page at a time, for doors without a stream.

use nexus_kernel::{Error, Result, Revision};

use super::{DiffTreeOptions, TreeChange, TreeDiff};
use crate::path;
use crate::session::Session;
use crate::types::At;

/// Largest page of a comparison.
pub const DIFF_TREE_LIMIT_MAX: usize = 10_000;
const LIMIT: usize = 1_000;
const CURSOR: char = 't';

/// What to compare.
#[derive(Clone, Debug, Default)]
pub struct TreeDiffQuery {
    /// The directory, or file.
    pub path: String,
    /// The old tree's point.
    pub from: At,
    /// The new tree's point.
    pub to: At,
    /// The new tree's path, if it is another.
    pub to_path: Option<String>,
    /// How.
    pub options: DiffTreeOptions,
    /// Most changes in the page; 0 stands for 1,000.
    pub limit: usize,
    /// Continue after the page that gave this cursor, between the points of that page.
    pub cursor: Option<String>,
}

/// One page of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct TreeDiffPage {
    /// The changes of the page, and between which revisions.
    pub diff: TreeDiff,
    /// How many changes there are in all.
    pub total: usize,
    /// Where the next page begins; none after the last.
    pub next: Option<String>,
}

/// Where a page begins, and between which revisions.
struct Cursor {
    from: Revision,
    to: Revision,
    skip: usize,
}

impl Session {
    /// A page of what [`diff_trees`](Self::diff_trees) answers. Each page compares anew, at the
    /// revisions that the points of the first one named.
    ///
    /// # Errors
    ///
    /// As [`diff_trees`](Self::diff_trees); `InvalidArgument` for an unknown cursor,
    /// `LimitExceeded` for too large a page.
    pub async fn diff_tree_page(&self, query: TreeDiffQuery) -> Result<TreeDiffPage> {
        let limit = if query.limit == 0 { LIMIT } else { query.limit };
        if limit > DIFF_TREE_LIMIT_MAX {
            return Err(
                Error::limit("a page of a comparison has at most 10000 changes")
                    .with("limit", limit),
            );
        }
        let (from, to, skip) = match query.cursor.as_deref().map(Cursor::parse).transpose()? {
            Some(Cursor { from, to, skip }) => (At::Revision(from), At::Revision(to), skip),
            None => (query.from, query.to, 0),
        };
        let to_path = query.to_path.as_deref().unwrap_or(&query.path);
        let (old, new) = ((&*query.path, from), (to_path, to));
        let mut diff = self.diff_trees(old, new, query.options).await?;
        let total = diff.changes.len();
        let end = skip.saturating_add(limit);
        let next = (end < total).then(|| {
            let (from, to) = (diff.from, diff.to);
            Cursor {
                from,
                to,
                skip: end,
            }
            .text()
        });
        let changes = std::mem::take(&mut diff.changes).into_iter();
        diff.changes = changes.skip(skip).take(limit).collect::<Vec<TreeChange>>();
        Ok(TreeDiffPage { diff, total, next })
    }
}

impl Cursor {
    fn text(&self) -> String {
        format!("{CURSOR}{}.{}.{}", self.from, self.to, self.skip)
    }

    fn parse(text: &str) -> Result<Self> {
        let parsed = text.strip_prefix(CURSOR).and_then(|numbers| {
            let mut numbers = numbers.split('.').map(str::parse::<u64>);
            let mut next = || numbers.next()?.ok();
            let cursor = Self {
                from: Revision(next()?),
                to: Revision(next()?),
                skip: usize::try_from(next()?).ok()?,
            };
            numbers.next().is_none().then_some(cursor)
        });
        parsed.ok_or_else(|| {
            Error::invalid("unknown cursor; use one that a page of this comparison gave")
                .with("cursor", path::shown(text))
        })
    }
}
