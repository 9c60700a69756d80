//! From a path to an inode.

use std::borrow::Cow;
use std::future::Future;

use nexus_kernel::{Error, Result};
use smallvec::SmallVec;

use crate::cache::CachedDentry;
use crate::path;
use crate::records::{DentryRecord, kind_code, kind_of, unreadable};
use crate::session::Asked;
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
    pub chain: Chain,
    /// The links that were followed. Who may not see one learns nothing of where it leads.
    pub links: Vec<Link>,
    pub end: End,
    /// What was asked for, if it was no path.
    pub asked: Option<Asked<'p>>,
}

/// Inode numbers from the root's on.
pub(crate) type Chain = SmallVec<[u64; 16]>;

/// A symbolic link on the way.
#[derive(Debug)]
pub(crate) struct Link {
    pub path: String,
    pub chain: Chain,
    /// The whole path that it was met on.
    pub on: String,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// It exists.
    Found(DentryRecord),
    /// It does not; so many names of the path are missing, at least 1.
    Missing(usize),
    /// A component on the way is not a directory.
    Blocked,
    /// Links lead in a circle, or through too many others.
    Circle,
}

impl Place<'_> {
    /// The target, or the error a reader gets.
    pub(crate) fn found(&self) -> Result<DentryRecord> {
        match self.end {
            End::Found(dentry) => Ok(dentry),
            End::Missing(_) => Err(not_found(&self.path)),
            End::Blocked | End::Circle => Err(self.obstacle()),
        }
    }

    /// Why a path leads nowhere and nothing can be made there.
    pub(crate) fn obstacle(&self) -> Error {
        match self.end {
            End::Circle => circle(&self.path),
            _ => blocked(&self.path),
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

fn circle(path: &str) -> Error {
    Error::limit("too many symbolic links; the path probably leads in a circle")
        .with("loop", true)
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
    let mut links = Vec::new();
    loop {
        let (chain, turn) = walk(names, &path, follow).await?;
        let end = match turn {
            Turn::End(end) => end,
            Turn::Follow(..) if links.len() == LINKS_MAX => End::Circle,
            Turn::Follow(link, target) => {
                let on = std::mem::replace(&mut path, Cow::Owned(target)).into_owned();
                links.push(Link {
                    path: link,
                    chain,
                    on,
                });
                continue;
            }
        };
        return Ok(Place {
            path,
            chain,
            links,
            end,
            asked: None,
        });
    }
}

enum Turn {
    End(End),
    /// The link's path, and the path to go on with.
    Follow(String, String),
}

async fn walk(names: &impl Names, path: &str, follow: bool) -> Result<(Chain, Turn)> {
    let mut chain = Chain::new();
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
            chain.push(dentry.ino);
            let link = path[..path.len() - after.len()].to_owned();
            let turn = Turn::Follow(link, path::follow(before, &target, after)?);
            return Ok((chain, turn));
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
