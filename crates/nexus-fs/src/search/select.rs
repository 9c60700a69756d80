//! Which entries of a tree a search looks at.

use nexus_kernel::{Kind, Result};
use nexus_service_api::Action;

use super::ignores::Ignores;
use crate::list::{PAGE, Walk};
use crate::path;
use crate::pattern::PathPattern;
use crate::resolve::resolve;
use crate::session::Session;
use crate::types::{DirEntry, FileKind, Ino};
use crate::view::View;

/// Most entries handed on at a time.
const MANY: usize = 256;

/// A walk that leaves out what rules ignore and where nothing can match.
pub(super) struct Selection<'a> {
    session: &'a Session,
    view: View<'a>,
    walk: Walk<'a>,
    ignores: Option<Ignores>,
    prune: Option<&'a PathPattern>,
    /// The directory it began in as the caller wrote it and, where that led through links, as
    /// it is called.
    written: String,
    called: String,
}

impl<'a> Selection<'a> {
    /// Everything below the directory `from`; `None` if there is no such directory.
    pub(super) async fn begin(
        session: &'a Session,
        view: View<'a>,
        from: &str,
        ignore: bool,
    ) -> Result<Option<Self>> {
        let place = resolve(&view, from, true).await?;
        session.permit_at(Action::Stat, &place).await?;
        if place.kind() != Some(FileKind::Directory) {
            return Ok(None);
        }
        let ignores = if ignore {
            Some(Ignores::above(session, &view, &place.path, &place.chain).await?)
        } else {
            None
        };
        let walk = Walk::begin(session, view, &place, true).await?;
        let (written, called) = (prefix(from), prefix(&place.path));
        Ok(Some(Self {
            session,
            view,
            walk,
            ignores,
            prune: None,
            written,
            called,
        }))
    }

    /// Does not look below directories where the pattern cannot match.
    pub(super) fn prune_by(&mut self, pattern: &'a PathPattern) {
        self.prune = Some(pattern);
    }

    /// The next entries, by path as the caller would write it and kind, that are `wanted`; none
    /// at the end.
    pub(super) async fn next_many(
        &mut self,
        wanted: impl Fn(&str, FileKind) -> bool,
    ) -> Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        while entries.len() < MANY {
            let Some(entry) = self.next().await? else {
                break;
            };
            if wanted(&self.as_written(&entry.path), entry.kind) {
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    /// As [`next_many`](Self::next_many), for files the caller may read.
    pub(super) async fn next_readable(
        &mut self,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        while entries.len() < MANY {
            let Some(entry) = self.next().await? else {
                break;
            };
            let wanted = entry.kind == FileKind::File && wanted(&self.as_written(&entry.path));
            if wanted && may_read(self.session, &entry.path, self.walk.chain(), entry.ino).await? {
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    async fn next(&mut self) -> Result<Option<DirEntry>> {
        while let Some(entry) = self.walk.next(PAGE).await? {
            let is_dir = entry.kind == FileKind::Directory;
            if self.ignored(&entry).await? {
                if is_dir {
                    self.walk.leave();
                }
                continue;
            }
            if is_dir && !self.may_match_below(&entry.path) {
                self.walk.leave();
            }
            return Ok(Some(entry));
        }
        Ok(None)
    }

    async fn ignored(&mut self, entry: &DirEntry) -> Result<bool> {
        let Some(ignores) = &mut self.ignores else {
            return Ok(false);
        };
        let chain = self.walk.chain();
        let is_dir = entry.kind == FileKind::Directory;
        let above = &chain[..chain.len() - usize::from(is_dir)];
        let (dir, _) = path::split(&entry.path).expect("the root is no entry");
        ignores.enter(self.session, &self.view, dir, above).await?;
        Ok(ignores.ignored(&entry.path, is_dir))
    }

    fn may_match_below(&self, path: &str) -> bool {
        self.prune
            .is_none_or(|pattern| pattern.may_match_below(&self.as_written(path)))
    }

    fn as_written<'p>(&self, path: &'p str) -> std::borrow::Cow<'p, str> {
        match path.strip_prefix(&self.called) {
            Some(rest) if self.written != self.called => format!("{}{rest}", self.written).into(),
            _ => path.into(),
        }
    }
}

fn prefix(dir: &str) -> String {
    dir.trim_end_matches('/').to_owned()
}

/// Whether the caller may read the file `ino` in the directory at the end of `above`.
pub(super) async fn may_read(
    session: &Session,
    path: &str,
    above: &[u64],
    ino: Ino,
) -> Result<bool> {
    let chain = [above, &[ino.0]].concat();
    match session.permit(Action::Read, path, &chain).await {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == Kind::PermissionDenied => Ok(false),
        Err(error) => Err(error),
    }
}

/// A file by path, for a search that begins at a file.
pub(super) async fn single_file(
    session: &Session,
    view: &View<'_>,
    path: &str,
) -> Result<Option<DirEntry>> {
    let place = resolve(view, path, true).await?;
    let file = place.kind() == Some(FileKind::File);
    let action = if file { Action::Read } else { Action::Stat };
    session.permit_at(action, &place).await?;
    let dentry = place.found()?;
    Ok(file.then(|| DirEntry {
        path: place.path.to_string(),
        ino: Ino(dentry.ino),
        kind: FileKind::File,
        stat: None,
    }))
}
