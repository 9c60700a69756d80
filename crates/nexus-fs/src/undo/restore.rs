//! Restore: a directory, some paths of it or a file become what they were at a point.
//!
//! It is an undo of all that has happened to them since, whoever did it, so it can be undone
//! too. Which rows those are is found by comparing the directory then and now.

use std::collections::{BTreeMap, BTreeSet};

use nexus_kernel::{Durability, Error, Result, Revision};
use nexus_service_api::Action;

use super::collect::{DeletedTree, Name, Touched};
use super::engine::{Attempt, Ours, Work, busy};
use super::places::Places;
use super::{OnConflict, UndoReport};
use crate::path;
use crate::records::{DentryRecord, InodeRecord, kind_of};
use crate::resolve::{End, Place, resolve};
use crate::session::Session;
use crate::steps::ATTEMPTS_MAX;
use crate::types::{At, FileKind, Ino};
use crate::view::View;

/// Names read at a time.
const PAGE: usize = 1_000;
/// Most paths of a directory that are named.
const PATHS_MAX: usize = 10_000;

/// How something is restored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoreOptions {
    /// Only tell what would happen.
    pub dry_run: bool,
    /// Only these paths at or below the one that is restored; all of it if empty.
    pub paths: Vec<String>,
    /// When it is acknowledged.
    pub durability: Durability,
}

impl Session {
    /// Makes a directory with all below it, or a file, what it was at a point: what was added
    /// since goes, what was deleted comes back, what was moved gets its old name back, also from
    /// and to elsewhere. The contents are shared, not copied. One commit, which can be undone.
    ///
    /// # Errors
    ///
    /// `NotFound` if there was nothing at the path then, or history does not reach back to the
    /// point; `InvalidArgument` for a path that is not below the one restored; `Conflict` if the
    /// directory it was in is gone; `PermissionDenied` where the caller could not make the change
    /// by itself; `LimitExceeded` for more than one commit holds.
    pub async fn restore(&self, path: &str, at: At, options: RestoreOptions) -> Result<UndoReport> {
        let path = path::normalize(path)?;
        let seeds = seeds(path, &options.paths)?;
        let point = self.point(&at).await?;
        let mut trees: Vec<DeletedTree> = Vec::new();
        for attempt in 0..ATTEMPTS_MAX {
            let held = self.regrow_deleted(trees.iter()).await?;
            let mut comparison = Comparison::new(self, point);
            for seed in &seeds {
                let above = |other: &String| other != seed && path::is_within(seed, other);
                let has_directory = seeds.iter().any(above);
                comparison.add_seed(seed, has_directory).await?;
            }
            let comparison = comparison.walk().await?;
            let work = Work {
                ours: Ours::After(point),
                touched: &comparison.touched,
                held: &held,
                regrown: None,
                lost: Vec::new(),
                on_conflict: OnConflict::Force,
                dry_run: options.dry_run,
                durability: options.durability,
            };
            match work.attempt(self, attempt).await? {
                Attempt::Done(report) => return Ok(report),
                Attempt::Deleted(more) => trees.extend(more),
                Attempt::Lost => {}
            }
            drop(held);
            tokio::task::yield_now().await;
        }
        Err(busy())
    }
}

/// The paths to restore.
fn seeds(path: &str, paths: &[String]) -> Result<Vec<String>> {
    if paths.len() > PATHS_MAX {
        return Err(Error::limit(
            "at most 10000 paths can be named; restore the directory above them",
        )
        .with("paths", paths.len()));
    }
    if paths.is_empty() {
        return Ok(vec![path.to_owned()]);
    }
    let within = |named: &String| {
        let whole = match named.starts_with('/') {
            true => named.clone(),
            false => path::join(path, named),
        };
        let normal = path::normalize(&whole)?;
        if path::is_within(normal, path) {
            return Ok(normal.to_owned());
        }
        Err(
            Error::invalid("a path to restore must be below the directory that is named with it")
                .with("path", path::shown(named))
                .with("directory", path),
        )
    };
    paths.iter().map(within).collect()
}

/// What differs between a point and now.
struct Comparison<'c> {
    session: &'c Session,
    then: View<'c>,
    now: View<'c>,
    since: Revision,
    touched: Touched,
    /// Directories of then, still to be compared, with their paths: only of what is touched they are
    /// kept.
    stack: Vec<(u64, String)>,
    /// Directories of now alone, still to be looked through.
    added: Vec<(u64, String)>,
    /// What has come from elsewhere, and the name that it had.
    came: Vec<(u64, Name)>,
    seen: BTreeSet<u64>,
}

impl<'c> Comparison<'c> {
    fn new(session: &'c Session, point: Revision) -> Self {
        let at = |at| View {
            zone: &session.zone,
            at,
            fresh: true,
            regrown: None,
        };
        Self {
            session,
            then: at(Some(point)),
            now: at(None),
            since: point.next(),
            touched: Touched::default(),
            stack: Vec::new(),
            added: Vec::new(),
            came: Vec::new(),
            seen: BTreeSet::new(),
        }
    }

    /// Adds a path; `has_directory` says that one above it is restored too.
    async fn add_seed(&mut self, path: &str, has_directory: bool) -> Result<()> {
        let then = resolve(&self.then, path, false).await?;
        self.session.permit_at(Action::Read, &then).await?;
        let now = resolve(&self.now, path, false).await?;
        let (was, is) = (found(&then), found(&now));
        if was.is_none() && is.is_none() {
            return Err(Error::not_found(
                "there is nothing at this path, and there was nothing then; list the directory as of then",
            )
            .with("path", path));
        }
        if let Some((Some((parent, _)), _)) = &was
            && !has_directory
            && Places::now(self.now)
                .directory(*parent)
                .await?
                .found()
                .is_none()
        {
            return Err(directory_gone(path));
        }
        for (name, ino) in [&was, &is].into_iter().flatten() {
            if let Some(name) = name {
                self.touched
                    .name_paths
                    .insert(name.clone(), path.to_owned());
                self.touched.name(name.clone(), self.since);
            }
            self.touched.paths.insert(*ino, path.to_owned());
            self.touch(*ino);
        }
        if let End::Found(dentry) = then.end {
            if is.is_none_or(|(_, ino)| ino != dentry.ino) {
                self.displaced(dentry).await?;
            }
            self.enter(dentry, path);
        }
        if let End::Found(dentry) = now.end {
            self.came(dentry, path).await?;
        }
        Ok(())
    }

    fn touch(&mut self, ino: u64) {
        self.touched.inode(ino, self.since);
        self.touched.metadata.insert(ino);
        self.touched.values.insert(ino);
    }

    fn enter(&mut self, dentry: DentryRecord, path: &str) {
        if is_dir(&dentry) && self.seen.insert(dentry.ino) {
            self.stack.push((dentry.ino, path.to_owned()));
        }
    }

    async fn walk(mut self) -> Result<Self> {
        while let Some((dir, path)) = self.stack.pop() {
            self.session.check_goes_on()?;
            self.compare(dir, &path).await?;
        }
        while let Some((dir, path)) = self.added.pop() {
            self.session.check_goes_on()?;
            self.look_through(dir, &path).await?;
        }
        self.send_back().await?;
        Ok(self)
    }

    /// What was elsewhere then does not go with a directory that it has come into since.
    async fn look_through(&mut self, dir: u64, path: &str) -> Result<()> {
        for (name, dentry) in self.children(self.now, dir).await? {
            let path = path::join(path, &name);
            if self.came(dentry, &path).await? {
                self.differs(dir, &name, &path);
                self.touch(dentry.ino);
                self.touched.paths.entry(dentry.ino).or_insert(path);
            }
        }
        Ok(())
    }

    async fn compare(&mut self, dir: u64, path: &str) -> Result<()> {
        let was = self.children(self.then, dir).await?;
        let is = self.children(self.now, dir).await?;
        for (name, dentry) in &was {
            let path = path::join(path, name);
            if is.get(name).map(|now| now.ino) != Some(dentry.ino) {
                self.differs(dir, name, &path);
                self.displaced(*dentry).await?;
                self.touched.paths.insert(dentry.ino, path.clone());
            }
            self.enter(*dentry, &path);
        }
        for (name, dentry) in &is {
            if was.get(name).map(|then| then.ino) != Some(dentry.ino) {
                let path = path::join(path, name);
                self.differs(dir, name, &path);
                self.touch(dentry.ino);
                self.came(*dentry, &path).await?;
                self.touched.paths.entry(dentry.ino).or_insert(path);
            }
        }
        self.changed(&was, path).await
    }

    fn differs(&mut self, dir: u64, name: &str, path: &str) {
        let name = (dir, name.to_owned());
        self.touched
            .name_paths
            .insert(name.clone(), path.to_owned());
        self.touched.name(name, self.since);
    }

    async fn children(&self, view: View<'_>, dir: u64) -> Result<BTreeMap<String, DentryRecord>> {
        let mut all = BTreeMap::new();
        let mut after: Option<String> = None;
        loop {
            let (children, last) = view.children(dir, after.as_deref(), PAGE).await?;
            all.extend(children.into_iter().map(|child| (child.name, child.dentry)));
            match last {
                Some(last) => after = Some(last),
                None => return Ok(all),
            }
        }
    }

    /// Something has left its place: it may have gone elsewhere.
    async fn displaced(&mut self, dentry: DentryRecord) -> Result<()> {
        self.touch(dentry.ino);
        let Some(inode) = self.now.inode(dentry.ino).await? else {
            return Ok(());
        };
        if is_dir(&dentry) {
            self.touched.seen.insert(dentry.ino);
        }
        if let Some(name) = self.named(self.now, &inode.record, dentry.ino).await? {
            self.touched.name(name, self.since);
        }
        Ok(())
    }

    /// Something has come; answers whether it was there then, perhaps elsewhere.
    async fn came(&mut self, dentry: DentryRecord, path: &str) -> Result<bool> {
        let ino = dentry.ino;
        let Some(inode) = self.then.inode(ino).await? else {
            if is_dir(&dentry) {
                self.added.push((ino, path.to_owned()));
            }
            return Ok(false);
        };
        if let Some(name) = self.named(self.then, &inode.record, ino).await? {
            self.came.push((ino, name));
        }
        Ok(true)
    }

    /// What has come goes back if there is room, or will be; else it stays.
    async fn send_back(&mut self) -> Result<()> {
        for (ino, name) in std::mem::take(&mut self.came) {
            if self.touched.names.contains_key(&name) {
                continue;
            }
            match self.now.dentry(name.0, &name.1).await? {
                Some((there, by)) if there.ino != ino => {
                    self.touched.hidden.insert(ino, by);
                }
                Some(_) => {}
                None => self.touched.name(name, self.since),
            }
        }
        Ok(())
    }

    async fn named(&self, view: View<'_>, inode: &InodeRecord, ino: u64) -> Result<Option<Name>> {
        let dentry = view.dentry(inode.parent, &inode.name).await?;
        let is_named = dentry.is_some_and(|(dentry, _)| dentry.ino == ino);
        Ok(is_named.then(|| (inode.parent, inode.name.clone())))
    }

    /// Touches those inodes that have changed since.
    async fn changed(&mut self, was: &BTreeMap<String, DentryRecord>, path: &str) -> Result<()> {
        let entries: Vec<(&String, u64)> = was.iter().map(|(name, d)| (name, d.ino)).collect();
        for entries in entries.chunks(PAGE) {
            let inos: Vec<u64> = entries.iter().map(|(_, ino)| *ino).collect();
            let found = self.now.inodes(&inos).await?;
            for ((name, ino), inode) in entries.iter().zip(found) {
                if inode.is_none_or(|inode| inode.revision >= self.since) {
                    self.touch(*ino);
                    let known = self.touched.paths.entry(*ino);
                    known.or_insert_with(|| path::join(path, name));
                }
            }
        }
        Ok(())
    }
}

fn directory_gone(path: &str) -> Error {
    Error::conflict("the directory that this was in is gone; restore that directory")
        .with("path", path)
}

/// The name and inode that a path led to; the root has no name.
fn found(place: &Place<'_>) -> Option<(Option<Name>, u64)> {
    let End::Found(dentry) = place.end else {
        return None;
    };
    let parent = place.chain.len().checked_sub(2).map(|at| place.chain[at]);
    let name = path::split(&place.path).map(|(_, name)| name.to_owned());
    let name = parent.zip(name).filter(|_| dentry.ino != Ino::ROOT.0);
    Some((name, dentry.ino))
}

fn is_dir(dentry: &DentryRecord) -> bool {
    kind_of(dentry.kind).ok() == Some(FileKind::Directory)
}
