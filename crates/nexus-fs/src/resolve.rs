//! From a path to an inode.

use std::borrow::Cow;
use std::future::Future;

use nexus_kernel::{Error, Result};
use smallvec::SmallVec;

use crate::cache::CachedDentry;
use crate::path;
use crate::records::{DentryRecord, kind_code, kind_of, unreadable};
use crate::types::{FileKind, Ino};
use crate::view::View;

/// Most symbolic links followed in one resolution, as Linux has it.
const LINKS_MAX: usize = 40;

/// Where names are looked up.
pub(crate) trait Names: Sync {
    fn dentry(&self, parent: u64, name: &str) -> impl Future<Output = Result<CachedDentry>> + Send;
    /// Where a link leads; none if it is gone since its name was read.
    fn link_target(&self, ino: u64) -> impl Future<Output = Result<Option<String>>> + Send;
}

impl Names for View<'_> {
    async fn dentry(&self, parent: u64, name: &str) -> Result<CachedDentry> {
        View::dentry(self, parent, name).await
    }

    async fn link_target(&self, ino: u64) -> Result<Option<String>> {
        match self.inode(ino).await? {
            Some(inode) => Ok(Some(
                String::from_utf8_lossy(&inode.record.inline).into_owned(),
            )),
            None if self.at.is_none() => Ok(None),
            None => Err(unreadable("symbolic link")),
        }
    }
}

/// Where a path leads.
#[derive(Debug)]
pub(crate) struct Place<'p> {
    /// The path after following links: what authorization goes by.
    pub path: Cow<'p, str>,
    /// Inode numbers from the root's to the target's, or to its nearest existing ancestor's.
    pub chain: SmallVec<[u64; 16]>,
    pub end: End,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// It exists.
    Found(DentryRecord),
    /// It does not; so many names of the path are missing, at least 1.
    Missing(usize),
    /// A component on the way is not a directory.
    Blocked,
}

impl Place<'_> {
    /// The target, or the error a reader gets.
    pub(crate) fn found(&self) -> Result<DentryRecord> {
        match self.end {
            End::Found(dentry) => Ok(dentry),
            End::Missing(_) => Err(not_found(&self.path)),
            End::Blocked => Err(blocked(&self.path)),
        }
    }

    pub(crate) fn kind(&self) -> Option<FileKind> {
        match self.end {
            End::Found(dentry) => kind_of(dentry.kind).ok(),
            _ => None,
        }
    }
}

pub(crate) fn not_found(path: &str) -> Error {
    Error::not_found("no such file or directory").with("path", path)
}

pub(crate) fn blocked(path: &str) -> Error {
    Error::wrong_type("a component of the path is a file, not a directory")
        .with("expected", "directory")
        .with("path", path)
}

pub(crate) const ROOT_DENTRY: DentryRecord = DentryRecord {
    ino: Ino::ROOT.0,
    kind: kind_code(FileKind::Directory),
};

/// Follows a path from the root; the last component too, if it is a link and `follow` is set.
pub(crate) async fn resolve<'p>(
    names: &impl Names,
    path: &'p str,
    follow: bool,
) -> Result<Place<'p>> {
    let mut path = Cow::Borrowed(path::normalize(path)?);
    for _ in 0..=LINKS_MAX {
        let (chain, turn) = walk(names, &path, follow).await?;
        match turn {
            Turn::End(end) => return Ok(Place { path, chain, end }),
            Turn::Follow(target) => path = Cow::Owned(target),
        }
    }
    Err(
        Error::limit("too many symbolic links; the path probably leads in a circle")
            .with("loop", true)
            .with("path", path),
    )
}

enum Turn {
    End(End),
    Follow(String),
}

async fn walk(names: &impl Names, path: &str, follow: bool) -> Result<(SmallVec<[u64; 16]>, Turn)> {
    let mut chain = SmallVec::new();
    let mut here = ROOT_DENTRY;
    let mut rest = path;
    chain.push(here.ino);
    while let Some((before, name, after)) = next_name(path, rest) {
        if kind_of(here.kind)? != FileKind::Directory {
            return Ok((chain, Turn::End(End::Blocked)));
        }
        let missing = || Turn::End(End::Missing(1 + path::names(after).count()));
        let Some((dentry, _)) = names.dentry(here.ino, name).await? else {
            return Ok((chain, missing()));
        };
        if kind_of(dentry.kind)? == FileKind::Symlink && (follow || !after.is_empty()) {
            let Some(target) = names.link_target(dentry.ino).await? else {
                return Ok((chain, missing()));
            };
            return Ok((chain, Turn::Follow(path::follow(before, &target, after)?)));
        }
        chain.push(dentry.ino);
        here = dentry;
        rest = after;
    }
    Ok((chain, Turn::End(End::Found(here))))
}

/// The directory so far, the next name, and what comes after it.
fn next_name<'p>(path: &'p str, rest: &'p str) -> Option<(&'p str, &'p str, &'p str)> {
    let before = &path[..path.len() - rest.len()];
    let rest = rest.strip_prefix('/').filter(|rest| !rest.is_empty())?;
    let end = rest.find('/').unwrap_or(rest.len());
    Some((before, &rest[..end], &rest[end..]))
}
