//! Where contents come from, and what came of them.
//!
//! A commit that makes a content from another writes down what from, at the inode that it makes
//! (`a` rows) and at the one that it comes from (`A` rows): copies, edits, rollbacks, restores,
//! merges, imports. Inodes do not change when files move, so lineage follows a file through its
//! names. Going up, a source counts in the state that it had then, so the way up ends; going
//! down, what was made of a copy counts from the copy on.
//!
//! A fork writes no row for what it shows: going up, a file of a fork leads to that of the origin
//! which it was when the fork was made (`forked`). Going down, only the fork itself is found.

use nexus_kernel::{Error, Result, Revision, Timestamp};
use nexus_service_api::Action;

use crate::path;
use crate::resolve::resolve;
use crate::session::Session;
use crate::types::{At, Ino};

mod cursor;
mod forked;
mod source;
mod trace;
mod versions;

use cursor::Cursor;
pub(crate) use source::{DerivedRecord, Origin, Source, SourceRecord, check_external};
pub use source::{SOURCE_BYTES_MAX, SourceKind};
use trace::Trace;

/// Most steps from a file to an ancestor or a descendant.
pub const LINEAGE_DEPTH_MAX: usize = 64;
/// Largest page of a lineage.
pub const LINEAGE_LIMIT_MAX: usize = 10_000;
const DEPTH: usize = 16;
const LIMIT: usize = 1_000;

/// Whose lineage to tell, and how much of it.
#[derive(Clone, Debug, Default)]
pub struct LineageQuery {
    /// As of when; later derivations are left out.
    pub at: At,
    /// Which way.
    pub direction: LineageDirection,
    /// Most steps away from the file, up to [`LINEAGE_DEPTH_MAX`]; 0 stands for 16.
    pub depth: usize,
    /// Most entries in the page, up to [`LINEAGE_LIMIT_MAX`]; 0 stands for 1,000.
    pub limit: usize,
    /// Continue after the page that gave this cursor, with what there was when the first page was
    /// read.
    pub cursor: Option<String>,
}

/// Which way to go from a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LineageDirection {
    /// Up, and then down.
    #[default]
    Both,
    /// To what it comes from.
    Ancestors,
    /// To what was made of it.
    Descendants,
}

impl LineageDirection {
    /// The name as doors print it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Ancestors => "ancestors",
            Self::Descendants => "descendants",
        }
    }
}

impl std::str::FromStr for LineageDirection {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let all = [Self::Both, Self::Ancestors, Self::Descendants];
        let found = all.into_iter().find(|direction| direction.as_str() == text);
        found.ok_or_else(|| {
            Error::invalid("lineage goes to ancestors, to descendants, or both ways")
                .with("direction", path::shown(text))
        })
    }
}

/// Where a file comes from and what was made of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Lineage {
    /// The file that was asked about.
    pub file: LineageFile,
    /// The steps, each before those that lead on from it: to ancestors the newest first, to
    /// descendants by inode.
    pub entries: Vec<LineageEntry>,
    /// How many steps on the way of this page the caller may not see; nothing beyond them is
    /// told.
    pub hidden: u64,
    /// Where the next page begins; none after the last.
    pub next: Option<String>,
}

/// A version of a file, in a lineage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineageFile {
    /// Its inode.
    pub ino: Ino,
    /// Its version; 0 for a directory.
    pub version: u64,
    /// A path that it had then, if the caller may see that.
    pub path: Option<String>,
    /// A path that it has now, if it has one and the caller may see that.
    pub path_now: Option<String>,
}

/// One step of a lineage: that one content came from another.
#[derive(Clone, Debug, PartialEq)]
pub struct LineageEntry {
    /// Whether it leads to an ancestor or to a descendant.
    pub direction: LineageDirection,
    /// How many steps away from the file that was asked about, from 1.
    pub depth: usize,
    /// How it came from it.
    pub kind: SourceKind,
    /// What it came from.
    pub source: LineageSource,
    /// What came from it.
    pub file: LineageFile,
    /// The commit that made it.
    pub revision: Revision,
    /// When.
    pub time: Timestamp,
    /// Who, as `kind:id`.
    pub actor: String,
}

/// What a content came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineageSource {
    /// A file of this zone.
    File(LineageFile),
    /// Something outside of it, as whoever brought it in named it.
    External(String),
}

impl Session {
    /// Where a file comes from and what was made of it, through all its names: copies, edits,
    /// rollbacks, restores, merges and imports. Links in the path are followed. Tells of files
    /// that the caller may read where they are now or where they were then, and counts those
    /// that it may not.
    ///
    /// # Errors
    ///
    /// As [`stat`](Self::stat); `InvalidArgument` for an unknown cursor, `Conflict` for one of a
    /// step that is told no more; `LimitExceeded` for too large a page, too many steps away, or a
    /// lineage too large to go through.
    pub async fn lineage(&self, path: &str, query: LineageQuery) -> Result<Lineage> {
        let depth = within(query.depth, DEPTH, LINEAGE_DEPTH_MAX, "depth")?;
        let limit = within(query.limit, LIMIT, LINEAGE_LIMIT_MAX, "limit")?;
        let after = query.cursor.as_deref().map(str::parse).transpose()?;
        let view = self.view(query.at).await?;
        let place = resolve(&view, path, true).await?;
        self.permit_at(Action::Read, &place).await?;
        let ino = place.found()?.ino;
        let inode = crate::read::existing(&view, ino, &place).await?;
        let until = match view.at {
            Some(at) => at,
            None => self.zone.revision().await?,
        };
        let until = after.map_or(Ok(until), |after: Cursor| after.until(view.at, until))?;
        let mut trace = Trace::new(self, until, depth);
        let file = LineageFile {
            ino: Ino(ino),
            version: inode.record.version,
            path: Some(place.path.into_owned()),
            path_now: trace.path_now(ino).await?,
        };
        trace.begin(ino, query.direction);
        if let Some(Cursor { step, .. }) = after {
            trace.pass(&step).await?;
        }
        let mut page = Lineage {
            file,
            entries: Vec::new(),
            hidden: 0,
            next: None,
        };
        let mut last = None;
        while let Some((step, entry)) = trace.next().await? {
            if page.entries.len() == limit {
                page.next = last.map(|step| Cursor { until, step }.to_string());
                return Ok(page);
            }
            page.entries.push(entry);
            page.hidden = trace.hidden;
            last = Some(step);
        }
        page.hidden = trace.hidden;
        Ok(page)
    }
}

fn within(asked: usize, usual: usize, max: usize, what: &'static str) -> Result<usize> {
    if asked <= max {
        return Ok(if asked == 0 { usual } else { asked });
    }
    let error = Error::limit("a lineage is told for at most 64 steps and 10000 entries a page");
    Err(error.with(what, asked).with("max", max))
}
