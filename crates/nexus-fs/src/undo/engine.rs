//! The course of an undo: operations, the rows they touched, what becomes of these, one commit.

use std::collections::{BTreeMap, BTreeSet};

use nexus_kernel::{Durability, Error, Guard, Result, Revision};

use super::apply::{apply, is_dir_there};
use super::collect::{DeletedTree, Operations, Touched};
use super::groups::Groups;
use super::judge::{Judge, Judged, Others};
use super::plan::Plan;
use super::regrow::Held;
use super::regrown::Regrown;
use super::report::{effects, permit, steps};
use super::rows::Rows;
use super::structure::{Problem, Structure};
use super::{OnConflict, UndoOptions, UndoReport};
use crate::keys;
use crate::lineage::SourceKind;
use crate::log::{RESTORE, UNDO};
use crate::path;
use crate::purge::BEGUN;
use crate::retention::collected;
use crate::session::Session;
use crate::steps::ATTEMPTS_MAX;
use crate::tx::Tx;

impl Session {
    /// Takes operations back by a new one. Each file gets the names, content, attributes and
    /// metadata back that it had before them; what is deleted comes back under its old inode
    /// number with its versions, a content as a new version. An undo can be undone.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` with `undone_by` for an operation that is undone already; `NotFound` for
    /// one that there is none of, if history does not reach back to all that is meant (with
    /// `oldest_readable`), or if there is nothing to undo; `Conflict` with `conflicts` when others have worked on since and `on_conflict` is
    /// to abort: a dry run lists them; `PermissionDenied` where the caller could not make the
    /// change by itself; `LimitExceeded` for too much at once.
    pub async fn undo(&self, options: UndoOptions) -> Result<UndoReport> {
        let prefix = options.path_prefix.as_deref().map(path::normalize);
        let prefix = prefix.transpose()?.map(str::to_owned);
        let mut trees: Vec<DeletedTree> = Vec::new();
        for attempt in 0..ATTEMPTS_MAX {
            let operations = self.operations(&options, prefix.as_deref()).await?;
            let first = operations.first().ok_or_else(nothing_to_undo)?;
            self.check_reaches_back_to(first).await?;
            let touched = operations.touched();
            let looks = match options.dry_run {
                true => Some(self.as_regrown(&touched.deleted).await?),
                false => None,
            };
            let ours = touched.deleted.iter().filter(|_| looks.is_none());
            let held = self.regrow_deleted(ours.chain(&trees)).await?;
            let mut lost: Vec<(u64, String)> = Vec::new();
            for held in &held {
                lost.extend(held.lost_paths(&touched));
            }
            for (top, paths) in looks.iter().flat_map(|regrown| &regrown.lost) {
                lost.extend(touched.below(*top, paths.clone()));
            }
            let work = Work {
                ours: Ours::Operations(&operations),
                touched: &touched,
                held: &held,
                regrown: looks.as_ref(),
                lost,
                on_conflict: options.on_conflict,
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

pub(super) fn busy() -> Error {
    Error::conflict("others kept changing the same files first; try again")
        .with("attempts", ATTEMPTS_MAX)
}

fn nothing_to_undo() -> Error {
    Error::not_found(
        "there is nothing to undo: no operation of these that you can see is still standing",
    )
}

/// What is taken back.
pub(super) enum Ours<'w> {
    Operations(&'w Operations),
    /// Whatever happened after a revision.
    After(Revision),
}

impl Ours<'_> {
    fn contain(&self, revision: Revision) -> bool {
        match self {
            Self::Operations(operations) => operations.contain(revision),
            Self::After(point) => revision > *point,
        }
    }

    /// Whether all that was read of history was still there. The floor rises before rows go.
    async fn check_readable(&self, session: &Session) -> Result<()> {
        match self {
            Self::Operations(operations) => match operations.first() {
                Some(first) => session.check_reaches_back_to(first).await,
                None => Ok(()),
            },
            Self::After(point) => session.zone.check_readable(*point).await,
        }
    }
}

/// What came of an attempt.
pub(super) enum Attempt {
    Done(UndoReport),
    /// Others were first.
    Lost,
    /// It would go on, but for these trees: some of them may have been cleared away.
    Deleted(Vec<DeletedTree>),
}

/// One attempt at an undo or a restore.
pub(super) struct Work<'w> {
    pub ours: Ours<'w>,
    pub touched: &'w Touched,
    /// Trees that are whole, and stay so.
    pub held: &'w [Held],
    /// What would be made whole, if it is only looked at.
    pub regrown: Option<&'w Regrown>,
    /// Files that do not come back with these, each with the tree.
    pub lost: Vec<(u64, String)>,
    pub on_conflict: OnConflict,
    pub dry_run: bool,
    pub durability: Durability,
}

/// Why files stay as they are, or are overruled.
pub(super) type Conflicts = BTreeMap<u64, BTreeSet<Cause>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cause {
    /// The operation that stands on it.
    pub by: Option<Revision>,
    pub can_force: bool,
    /// None does: what it was has been collected.
    pub collected: bool,
}

impl Cause {
    const COLLECTED: Self = Self {
        by: None,
        can_force: false,
        collected: true,
    };

    const fn work(by: Option<Revision>, can_force: bool) -> Self {
        Self {
            by,
            can_force,
            collected: false,
        }
    }
}

/// A plan that leaves a tree.
pub(super) struct Settled {
    pub(super) plan: Plan,
    pub(super) conflicts: Conflicts,
    guards: Vec<Guard>,
}

impl Work<'_> {
    pub(super) async fn attempt(&self, session: &Session, attempt: usize) -> Result<Attempt> {
        let mut tx = Tx::begin(session, attempt);
        tx.depends_on_path();
        if let Some(regrown) = self.regrown {
            tx.show(regrown);
        }
        let ours = |revision: Revision| self.ours.contain(revision);
        let rows = Rows::load(&mut tx, self.touched, ours).await?;
        let others = Others::look_up(session, &rows, ours).await?;
        let judge = Judge {
            ours,
            others: &others,
        };
        let judged = judge.judge(&rows);
        self.check_known(&rows, &judged)?;
        let settled = self.settle(&tx, &rows, &judged).await?;
        self.ours.check_readable(session).await?;
        let steps = steps(&tx, &settled.plan).await?;
        permit(session, &steps).await?;
        let report = UndoReport {
            operations: self.operations(),
            effects: effects(&steps),
            conflicts: self.conflicts(&tx, &rows, &settled).await?,
            ..UndoReport::default()
        };
        let aborts = self.on_conflict == OnConflict::Abort && !report.conflicts.is_empty();
        if self.dry_run {
            return Ok(Attempt::Done(report));
        }
        if aborts {
            return Err(conflict(&report));
        }
        let Some(deleted) = self.deleted_trees(&tx, &settled.plan).await? else {
            return Ok(Attempt::Lost);
        };
        if !deleted.is_empty() {
            return Ok(Attempt::Deleted(deleted));
        }
        let plan = settled.plan.without_what_goes(&tx).await?;
        if plan.names.is_empty() && plan.inodes.is_empty() {
            return self.nothing_to_do(report).map(Attempt::Done);
        }
        settled
            .guards
            .into_iter()
            .for_each(|guard| tx.insist(guard));
        let kind = match self.ours {
            Ours::Operations(_) => SourceKind::Undo,
            Ours::After(_) => SourceKind::Restore,
        };
        let steps = self::steps(&tx, &plan).await?;
        apply(&mut tx, &rows, &plan, &steps, kind).await?;
        if let Ours::Operations(operations) = self.ours {
            let wholly = report.conflicts.is_empty() || self.on_conflict == OnConflict::Force;
            let wholly = wholly && operations.are_whole();
            tx.mark_undone(operations, wholly).await?;
            let about = operations.records.keys().map(|revision| revision.0);
            tx.as_operation(UNDO, about.collect());
        } else {
            tx.as_operation(RESTORE, Vec::new());
        }
        let committed = tx.commit(self.durability).await?;
        Ok(committed.map_or(Attempt::Lost, |committed| {
            Attempt::Done(UndoReport {
                revisions: vec![committed.revision],
                ..report
            })
        }))
    }

    /// The deleted trees out of which something comes back, and that may not be whole. None if
    /// what was looked at has been cleared away since.
    async fn deleted_trees(&self, tx: &Tx<'_>, plan: &Plan) -> Result<Option<Vec<DeletedTree>>> {
        let mut trees = Vec::new();
        for (ino, moves) in &plan.moves {
            if moves.is_removal() || self.held.iter().any(|held| held.top == *ino) {
                continue;
            }
            match is_dir_there(tx, *ino).await? {
                Some(true) => trees.extend(self.begun_tree(tx, *ino).await?),
                Some(false) => {}
                None if self.touched.seen.contains(ino) => return Ok(None),
                None => {}
            }
        }
        trees.sort_unstable();
        trees.dedup();
        Ok(Some(trees))
    }

    /// The deleted tree that a directory is in, if clearing that away has begun.
    async fn begun_tree(&self, tx: &Tx<'_>, dir: u64) -> Result<Option<DeletedTree>> {
        let view = tx.view();
        let Some(top) = view.detached_top(dir).await? else {
            return Ok(None);
        };
        let page = view.scan(keys::purges_of(top), 1).await?;
        let mut entries = page.entries.iter();
        if !entries.any(|entry| entry.value.bytes == BEGUN) {
            return Ok(None);
        }
        let removal = view.removal_of(top).await?;
        Ok(removal.map(|revision| DeletedTree { top, revision }))
    }

    /// Refuses a restore of what is not there any more as it was at the point.
    fn check_known(&self, rows: &Rows, judged: &Judged) -> Result<()> {
        let Ours::After(point) = self.ours else {
            return Ok(());
        };
        let mut gone = judged
            .inodes
            .iter()
            .filter(|(_, inode)| inode.is_collected());
        let Some((ino, _)) = gone.next() else {
            return Ok(());
        };
        let end = rows.inodes.get(ino).and_then(|rows| rows.hole_at(point));
        let error = collected(end.unwrap_or(point.next()));
        Err(match self.touched.paths.get(ino) {
            Some(path) => error.with("path", path),
            None => error,
        })
    }

    fn operations(&self) -> Vec<Revision> {
        match self.ours {
            Ours::Operations(operations) => operations.records.keys().copied().collect(),
            Ours::After(_) => Vec::new(),
        }
    }

    fn nothing_to_do(&self, report: UndoReport) -> Result<UndoReport> {
        match self.ours {
            Ours::After(_) => Ok(report),
            Ours::Operations(_) if report.conflicts.is_empty() => Err(nothing_to_undo()),
            Ours::Operations(_) => Ok(report),
        }
    }

    /// Leaves out what cannot be undone, and what then cannot, until the rest makes a tree.
    async fn settle(&self, tx: &Tx<'_>, rows: &Rows, judged: &Judged) -> Result<Settled> {
        let force = self.on_conflict == OnConflict::Force;
        let groups = self.groups(rows);
        let mut conflicts = row_conflicts(judged, rows);
        let stays =
            |causes: &BTreeSet<Cause>| !force || causes.iter().any(|cause| !cause.can_force);
        let stay = conflicts.iter().filter(|(_, causes)| stays(causes));
        let mut left: BTreeSet<u64> = stay.map(|(ino, _)| groups.of(*ino)).collect();
        let contains = |revision: Revision| self.ours.contain(revision);
        loop {
            let mut plan = Plan::new(judged, rows, &groups, &left);
            if force {
                plan.take_other_names(tx, rows, judged).await?;
            }
            let structure = Structure {
                tx,
                rows,
                judged,
                groups: &groups,
                left: &left,
                plan: &plan,
                hidden: &self.touched.hidden,
                is_restore: matches!(self.ours, Ours::After(_)),
                ours: &contains,
            };
            let found = structure.check().await?;
            let before = left.len();
            for Problem { ino, by, can_force } in found.problems {
                let causes = conflicts.entry(ino).or_default();
                causes.insert(Cause::work(by, can_force));
                if !(force && can_force) {
                    left.insert(groups.of(ino));
                }
            }
            if left.len() == before {
                let guards = found.guards;
                return Ok(Settled {
                    plan,
                    conflicts,
                    guards,
                });
            }
        }
    }

    /// Inodes that had the same name belong together.
    fn groups(&self, rows: &Rows) -> Groups {
        let mut groups = Groups::default();
        for timeline in rows.names.values() {
            let ours = timeline.writes.iter();
            let ours = ours.filter(|(revision, _)| self.ours.contain(*revision));
            let values = ours.filter_map(|(_, value)| *value).chain(timeline.before);
            let inos: Vec<u64> = values.map(|dentry| dentry.ino).collect();
            inos.windows(2).for_each(|two| groups.join(two[0], two[1]));
        }
        groups
    }
}

/// Which files others have worked on since, each with the operations that did.
fn row_conflicts(judged: &Judged, rows: &Rows) -> Conflicts {
    let mut conflicts = Conflicts::new();
    let mut add = |ino: u64, by: &[Revision]| {
        let by = by.iter().map(|by| Cause::work(Some(*by), true));
        conflicts.entry(ino).or_default().extend(by);
    };
    let gaining = gaining(judged, rows);
    for (name, standing) in &judged.names {
        let (timeline, by) = (&rows.names[name], standing.conflicts());
        let values = timeline.writes.iter().filter_map(|(_, value)| *value);
        let Some(dentry) = timeline.before.into_iter().chain(values).next() else {
            continue;
        };
        // A name that others have taken away again is in nobody's way, unless they gave the
        // file another one.
        let is_back = standing.before() == Some(timeline.now());
        if !by.is_empty() && (!is_back || gaining.contains(&dentry.ino)) {
            add(dentry.ino, by);
        }
    }
    for (ino, inode) in &judged.inodes {
        let by = inode.conflicts();
        if !by.is_empty() {
            add(*ino, &by);
        }
    }
    let inodes = judged.inodes.iter();
    for (ino, _) in inodes.filter(|(_, inode)| inode.is_collected()) {
        conflicts.insert(*ino, BTreeSet::from([Cause::COLLECTED]));
    }
    conflicts
}

/// The inodes that are to have a name that they do not have.
fn gaining(judged: &Judged, rows: &Rows) -> BTreeSet<u64> {
    let names = judged.names.iter();
    let wanted = names.filter_map(|(name, standing)| {
        let before = standing.before()?;
        let is_change = before != rows.names[name].now();
        before.filter(|_| is_change).map(|dentry| dentry.ino)
    });
    wanted.collect()
}

fn conflict(report: &UndoReport) -> Error {
    let first = report.conflicts.first();
    let error = Error::conflict(match report.conflicts.iter().all(|told| told.collected) {
        true => {
            "what files were before has been collected from history; a dry run lists them; skip \
             these files"
        }
        false => {
            "later work of others stands on what would be undone; a dry run lists it; then skip \
             those files, or force"
        }
    });
    let error = error.with("conflicts", report.conflicts.len());
    match first {
        Some(first) => error.with("path", &first.path),
        None => error,
    }
}
