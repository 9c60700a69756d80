//! Listing directories and walking trees.

use nexus_kernel::{Error, Result};
use nexus_service_api::{Action, Target};

use crate::path;
use crate::read::{existing, stat_of};
use crate::records::{kind_of, unreadable};
use crate::resolve::{Place, resolve};
use crate::session::Session;
use crate::steps::not_a_directory;
use crate::types::{At, DirEntry, FileKind, Ino, ListOptions, ListPage, Usage};
use crate::view::View;

/// Names read from the metastore at a time.
pub(crate) const PAGE: usize = 1_000;
const CURSOR: &str = "n:";

impl Session {
    /// One page of a directory's entries, or of everything below it.
    ///
    /// Pages are not one view: an entry that is made or removed between two pages may or may
    /// not show. For one view of a large tree list as of a revision.
    ///
    /// # Errors
    ///
    /// As [`stat`](Self::stat); `WrongType` for a file, `InvalidArgument` for an unknown
    /// cursor, `LimitExceeded` for too large a page.
    pub async fn list(&self, path: &str, options: ListOptions) -> Result<ListPage> {
        if !(1..=ListOptions::LIMIT_MAX).contains(&options.limit) {
            return Err(Error::limit("a page of a listing has 1 to 10000 entries")
                .with("limit", options.limit));
        }
        let view = self.view(options.at).await?;
        let place = resolve(&view, path, true).await?;
        self.permit_at(Action::Stat, &place).await?;
        let dir = place.found()?;
        if place.kind() != Some(FileKind::Directory) {
            return Err(not_a_directory(&place.path));
        }
        existing(&view, dir.ino, &place).await?;
        let mut walk = Walk::begin(self, view, &place, options.recursive).await?;
        if let Some(cursor) = &options.cursor {
            walk.skip_past(cursor).await?;
        }
        let mut entries = Vec::with_capacity(options.limit.min(PAGE));
        // One entry too many tells whether there is another page.
        let more = walk.fill(&mut entries, options.limit).await?;
        if options.details {
            add_details(&view, &mut entries).await?;
        }
        let next = entries
            .last()
            .filter(|_| more)
            .map(|last| cursor(&place.path, &last.path));
        Ok(ListPage { entries, next })
    }

    /// What a subtree holds; a file by itself counts as one.
    ///
    /// # Errors
    ///
    /// As [`list`](Self::list).
    pub async fn usage(&self, path: &str, at: At) -> Result<Usage> {
        // All pages are of one state, also where the point is so long ago.
        let at = match at {
            At::Latest | At::AtLeast(_) => at,
            past => At::Revision(self.point(&past).await?),
        };
        let stat = self.lstat(path, at.clone()).await?;
        let mut usage = Usage::default();
        count(&mut usage, stat.kind, stat.size);
        if !stat.is_dir() {
            return Ok(usage);
        }
        let mut options = ListOptions {
            at,
            recursive: true,
            details: true,
            ..ListOptions::default()
        };
        loop {
            let page = self.list(path, options.clone()).await?;
            for stat in page.entries.into_iter().filter_map(|entry| entry.stat) {
                count(&mut usage, stat.kind, stat.size);
            }
            self.check_goes_on()?;
            match page.next {
                Some(next) => options.cursor = Some(next),
                None => return Ok(usage),
            }
        }
    }
}

fn count(usage: &mut Usage, kind: FileKind, size: u64) {
    match kind {
        FileKind::File => {
            usage.files += 1;
            usage.bytes += size;
        }
        FileKind::Directory => usage.directories += 1,
        FileKind::Symlink => usage.symlinks += 1,
    }
}

fn cursor(dir: &str, last: &str) -> String {
    let rest = last
        .strip_prefix(dir)
        .unwrap_or(last)
        .trim_start_matches('/');
    format!("{CURSOR}{rest}")
}

pub(crate) async fn add_details(view: &View<'_>, entries: &mut Vec<DirEntry>) -> Result<()> {
    let inos: Vec<u64> = entries.iter().map(|entry| entry.ino.0).collect();
    let inodes = view.inodes(&inos).await?;
    for (entry, inode) in entries.iter_mut().zip(inodes) {
        if let Some(inode) = inode {
            entry.stat = Some(stat_of(view, entry.ino.0, &inode).await?);
        }
    }
    // What went between the two reads is left out, as if listed a moment later.
    entries.retain(|entry| entry.stat.is_some());
    Ok(())
}

/// A directory being read, and where the reading stands.
struct Level {
    ino: u64,
    path: String,
    after: Option<String>,
    ready: std::vec::IntoIter<DirEntry>,
    more: bool,
}

/// A walk over a tree, parents first, names in byte order; shows only what the caller may
/// see.
pub(crate) struct Walk<'a> {
    session: &'a Session,
    view: View<'a>,
    recursive: bool,
    levels: Vec<Level>,
    chain: Vec<u64>,
    /// Everything below the top is visible.
    sees_all: bool,
}

impl<'a> Walk<'a> {
    pub(crate) async fn begin(
        session: &'a Session,
        view: View<'a>,
        top: &Place<'_>,
        recursive: bool,
    ) -> Result<Self> {
        let target = Target {
            path: &top.path,
            inodes: &top.chain,
        };
        let sees_all = session
            .zone
            .authorizer
            .sees_all_below(&session.context, target)
            .await;
        let level = level(top.found()?.ino, top.path.to_string(), None);
        let chain = top.chain.to_vec();
        Ok(Self {
            session,
            view,
            recursive,
            levels: vec![level],
            chain,
            sees_all,
        })
    }

    /// Goes on after the entry that a cursor names.
    async fn skip_past(&mut self, cursor: &str) -> Result<()> {
        let unknown = || {
            Error::invalid("unknown cursor; use one that a page of this listing gave")
                .with("cursor", path::shown(cursor))
        };
        let rest = cursor.strip_prefix(CURSOR).ok_or_else(unknown)?;
        let names: Vec<&str> = rest.split('/').collect();
        if !self.recursive && names.len() != 1 {
            return Err(unknown());
        }
        for name in names {
            path::check_name(name).map_err(|_| unknown())?;
            let level = self.levels.last_mut().expect("the top is there");
            level.after = Some(name.to_owned());
            let (ino, path) = (level.ino, path::join(&level.path, name));
            if !self.recursive {
                break;
            }
            let dentry = self.view.dentry(ino, name).await?;
            match dentry {
                Some((dentry, _)) if kind_of(dentry.kind)? == FileKind::Directory => {
                    self.descend(dentry.ino, path);
                }
                // A file, or gone meanwhile: what comes after it in its parent is next.
                _ => break,
            }
        }
        Ok(())
    }

    fn descend(&mut self, ino: u64, path: String) {
        self.chain.push(ino);
        self.levels.push(level(ino, path, None));
    }

    /// Adds entries up to `limit` in all; says whether there are more.
    pub(crate) async fn fill(&mut self, entries: &mut Vec<DirEntry>, limit: usize) -> Result<bool> {
        while let Some(entry) = self.next(limit - entries.len() + 1).await? {
            if entries.len() == limit {
                return Ok(true);
            }
            entries.push(entry);
        }
        Ok(false)
    }

    /// The next entry; `want` says how many more the caller is likely to take.
    pub(crate) async fn next(&mut self, want: usize) -> Result<Option<DirEntry>> {
        loop {
            let Some(level) = self.levels.last_mut() else {
                return Ok(None);
            };
            if let Some(entry) = level.ready.next() {
                if self.recursive && entry.kind == FileKind::Directory {
                    self.descend(entry.ino.0, entry.path.clone());
                }
                return Ok(Some(entry));
            }
            if level.more {
                self.load(want.clamp(1, PAGE)).await?;
            } else {
                self.levels.pop();
                self.chain.pop();
            }
        }
    }

    /// Stays out of the directory that [`next`](Self::next) has just given.
    pub(crate) fn leave(&mut self) {
        self.levels.pop();
        self.chain.pop();
    }

    /// Inode numbers from the root's down to the directory being read, which is the one that
    /// [`next`](Self::next) has just given, if it was a directory.
    pub(crate) fn chain(&self) -> &[u64] {
        &self.chain
    }

    async fn load(&mut self, want: usize) -> Result<()> {
        self.session.check_goes_on()?;
        let level = self.levels.last_mut().expect("there is a level to load");
        let (children, last) = self
            .view
            .children(level.ino, level.after.as_deref(), want)
            .await?;
        level.more = last.is_some();
        level.after = last;
        let mut entries = Vec::with_capacity(children.len());
        for child in children {
            let kind = kind_of(child.dentry.kind).map_err(|_| unreadable("dentry"))?;
            let path = path::join(&level.path, &child.name);
            entries.push(DirEntry {
                path,
                ino: Ino(child.dentry.ino),
                kind,
                stat: None,
            });
        }
        if !self.sees_all {
            entries = visible(self.session, &self.chain, entries).await?;
        }
        level.ready = entries.into_iter();
        Ok(())
    }
}

fn level(ino: u64, path: String, after: Option<String>) -> Level {
    Level {
        ino,
        path,
        after,
        ready: Vec::new().into_iter(),
        more: true,
    }
}

pub(crate) async fn visible(
    session: &Session,
    chain: &[u64],
    entries: Vec<DirEntry>,
) -> Result<Vec<DirEntry>> {
    let chains: Vec<Vec<u64>> = entries
        .iter()
        .map(|entry| [chain, &[entry.ino.0]].concat())
        .collect();
    let targets: Vec<Target<'_>> = entries
        .iter()
        .zip(&chains)
        .map(|(entry, inodes)| Target {
            path: &entry.path,
            inodes,
        })
        .collect();
    let seen = session
        .zone
        .authorizer
        .visible(&session.context, &targets)
        .await?;
    let kept = entries.into_iter().zip(seen).filter(|(_, seen)| *seen);
    Ok(kept.map(|(entry, _)| entry).collect())
}
