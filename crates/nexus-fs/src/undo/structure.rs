//! Whether a plan leaves a tree: names are in directories that are there, no directory is below
//! itself, and none goes with something in it that was not meant to go.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use nexus_kernel::{Guard, KeyRange, Result, Revision};

use super::collect::Name;
use super::groups::Groups;
use super::judge::{Attributes, Contents, Judged, JudgedInode, Others};
use super::places::{Places, Where, is_dir};
use super::plan::{Moves, Plan};
use super::rows::{Rows, read_inode, read_name};
use super::timeline::{Foreign, Timeline};
use crate::fork::is_forked;
use crate::keys;
use crate::records::{DentryRecord, InodeRecord};
use crate::steps::{KEYS_MAX, LINKS_MAX};
use crate::tx::Tx;
use crate::view::next_key;

/// Rows of a tree read at a time.
const PAGE: usize = 1_000;
/// Most rows of a tree that goes that are insisted on one by one; of a larger one, that nothing
/// at all is changed meanwhile.
const TREE_ROWS_MAX: usize = 50_000;

/// Why an inode cannot be dealt with as planned.
pub(super) struct Problem {
    pub ino: u64,
    pub by: Option<Revision>,
    pub can_force: bool,
}

impl Problem {
    fn final_one(ino: u64, by: Option<Revision>) -> Self {
        Self {
            ino,
            by,
            can_force: false,
        }
    }
}

/// What does not go with a directory: whose it is, and whether force takes it along.
struct Stays {
    by: Option<Revision>,
    can_force: bool,
}

pub(super) struct Structure<'s, 't> {
    pub tx: &'s Tx<'t>,
    pub rows: &'s Rows,
    pub judged: &'s Judged,
    pub groups: &'s Groups,
    pub left: &'s BTreeSet<u64>,
    pub plan: &'s Plan,
    /// Inodes that stay as they are.
    pub hidden: &'s BTreeMap<u64, Revision>,
    /// Whatever happened since a point is undone.
    pub is_restore: bool,
    pub ours: &'s (dyn Fn(Revision) -> bool + Sync),
}

/// What a look at a plan finds.
#[derive(Default)]
pub(super) struct Findings {
    pub problems: Vec<Problem>,
    /// That trees that go stay as they were found.
    pub guards: Vec<Guard>,
    /// That can only be said of everything.
    whole: bool,
}

impl Findings {
    /// So many guards are not kept: they become the one of everything.
    fn bound(&mut self) {
        self.whole |= self.guards.len() > TREE_ROWS_MAX;
        if self.whole {
            self.guards.clear();
        }
    }
}

impl Structure<'_, '_> {
    pub(super) async fn check(&self) -> Result<Findings> {
        let view = self.tx.view();
        let (mut now, mut after) = (Places::now(view), Places::after(view, self.plan));
        let newest = self.tx.zone().revision().await?;
        let mut findings = Findings::default();
        for (name, dentry) in &self.plan.names {
            if let Some(dentry) = dentry {
                let problem = self.of_name(name, *dentry, &mut after).await?;
                findings.problems.extend(problem);
            }
        }
        for (ino, moves) in &self.plan.moves {
            if moves.is_removal() {
                self.of_removal(*ino, moves, &mut now, &mut findings)
                    .await?;
            } else {
                let problem = self.of_gain(*ino, moves, &mut now, &mut after).await?;
                findings.problems.extend(problem);
            }
        }
        for ino in self.plan.moves.keys().chain(self.plan.inodes.keys()) {
            let hidden = self.hidden.get(ino);
            let problem = hidden.map(|by| Problem::final_one(*ino, Some(*by)));
            findings.problems.extend(problem);
        }
        for ino in self.plan.inodes.keys() {
            let problem = self.of_inode(*ino, &mut now, &mut after).await?;
            findings.problems.extend(problem);
        }
        for (ino, changed) in &self.plan.inodes {
            let problem = self.of_metadata(*ino, &changed.metadata).await?;
            findings.problems.extend(problem);
        }
        findings.bound();
        if findings.whole {
            let later = keys::log_between(newest, Revision(u64::MAX - 1));
            findings.guards = vec![Guard::RangeEmpty(later)];
        }
        Ok(findings)
    }

    /// A name needs a directory.
    async fn of_name(
        &self,
        name: &Name,
        dentry: DentryRecord,
        after: &mut Places<'_>,
    ) -> Result<Option<Problem>> {
        let parent = name.0;
        let by = match after.directory(parent).await? {
            Where::InTree(_) => return Ok(None),
            Where::Circle(by) => Some(by),
            // With a directory that goes.
            Where::Gone if self.plan.removes(parent, self.tx.view()).await? => return Ok(None),
            Where::Gone => self.tx.view().removal_of(parent).await?,
        };
        Ok(Some(Problem::final_one(dentry.ino, by)))
    }

    /// What gets a name must be there, or come back; and what others have deleted together with
    /// the directory that it was in does not come back by a new name.
    async fn of_gain(
        &self,
        ino: u64,
        moves: &Moves,
        now: &mut Places<'_>,
        after: &mut Places<'_>,
    ) -> Result<Option<Problem>> {
        let Some((record, _)) = self.tx.stored_inode(ino) else {
            let comes_back = self.plan.inodes.get(&ino);
            let comes_back = comes_back.is_some_and(|plan| plan.contents.is_some());
            if comes_back || self.was_only_cleared(ino).await? {
                return Ok(None);
            }
            let by = self.tx.view().removal_of(ino).await?;
            let rows = self.rows.inodes.get(&ino);
            let can_force = rows.is_some_and(|rows| rows.to_revive().is_some());
            return Ok(Some(Problem { ino, by, can_force }));
        };
        if record.is_dir()
            && let Some(by) = self.second_name(ino, record).await?
        {
            return Ok(Some(Problem::final_one(ino, Some(by))));
        }
        let links = (record.links as usize + moves.gained.len()).saturating_sub(moves.lost.len());
        if links > LINKS_MAX as usize {
            return Ok(Some(Problem::final_one(ino, None)));
        }
        let mut deleted_in = None;
        for (parent, _) in &moves.lost {
            let is_there = now.directory(*parent).await?.found().is_some()
                || after.directory(*parent).await?.found().is_some();
            if is_there {
                return Ok(None);
            }
            deleted_in = Some(*parent);
        }
        let Some(parent) = deleted_in else {
            return Ok(None);
        };
        let by = self.tx.view().removal_of(parent).await?;
        let can_force = true;
        Ok(Some(Problem { ino, by, can_force }))
    }

    /// A directory has one name; who gave it the one that it would keep.
    async fn second_name(&self, ino: u64, record: &InodeRecord) -> Result<Option<Revision>> {
        let name = (record.parent, record.name.clone());
        if self.plan.names.contains_key(&name) {
            return Ok(None);
        }
        let dentry = self.tx.view().dentry(name.0, &name.1).await?;
        Ok(dentry
            .filter(|(dentry, _)| dentry.ino == ino)
            .map(|(_, since)| since))
    }

    /// Whether an inode is gone because its last name was cleared away, and not one that it was
    /// given by what is undone.
    async fn was_only_cleared(&self, ino: u64) -> Result<bool> {
        let names = |dentry: &DentryRecord| dentry.ino == ino;
        let given = self.rows.names.values().any(|row| {
            let ours = row
                .writes
                .iter()
                .rfind(|(revision, _)| (self.ours)(*revision));
            ours.is_some_and(|(_, value)| value.as_ref().is_some_and(names))
                && !row.now().as_ref().is_some_and(names)
        });
        let states = self.rows.inodes.get(&ino).map(|rows| &rows.states);
        let end = states.and_then(|states| states.last()?.end);
        let Some(end) = end.filter(|_| !given) else {
            return Ok(false);
        };
        Ok(self.tx.view().get(&keys::log(end)).await?.is_none())
    }

    /// What changes must be in the tree, or go with what goes.
    async fn of_inode(
        &self,
        ino: u64,
        now: &mut Places<'_>,
        after: &mut Places<'_>,
    ) -> Result<Option<Problem>> {
        let is_moved = self.plan.moves.contains_key(&ino);
        if is_moved || after.file(ino).await?.is_some() {
            return Ok(None);
        }
        if now.file(ino).await?.is_some() {
            return Ok(None);
        }
        let by = self.tx.view().removal_of(ino).await?;
        Ok(Some(Problem::final_one(ino, by)))
    }

    /// A file has no more metadata than it may.
    async fn of_metadata(
        &self,
        ino: u64,
        changed: &[(String, Option<Bytes>)],
    ) -> Result<Option<Problem>> {
        if changed.iter().all(|(_, value)| value.is_none()) {
            return Ok(None);
        }
        let there = self.tx.view().metadata_of(ino).await?;
        let mut keys: BTreeSet<&str> = there.keys().map(String::as_str).collect();
        for (key, value) in changed {
            match value {
                Some(_) => keys.insert(key),
                None => keys.remove(&key[..]),
            };
        }
        Ok((keys.len() > KEYS_MAX).then(|| Problem::final_one(ino, None)))
    }

    /// A directory goes with what came with it, and with nothing else.
    async fn of_removal(
        &self,
        ino: u64,
        moves: &Moves,
        now: &mut Places<'_>,
        findings: &mut Findings,
    ) -> Result<()> {
        let is_dir = self
            .tx
            .stored_inode(ino)
            .is_some_and(|(record, _)| record.is_dir());
        let Some(name) = moves.lost.first().filter(|_| is_dir) else {
            return Ok(());
        };
        if now.directory(ino).await?.found().is_none() {
            return Ok(());
        }
        let writes = self.rows.names.get(name).map(|row| &row.writes);
        let naming = |(revision, value): &&(Revision, Option<DentryRecord>)| {
            (self.ours)(*revision) && value.is_some_and(|dentry| dentry.ino == ino)
        };
        let Some((made, _)) = writes.and_then(|writes| writes.iter().rfind(naming)) else {
            return Ok(());
        };
        let made = *made;
        let mut stack = vec![ino];
        while let Some(dir) = stack.pop() {
            self.tx.session.check_goes_on()?;
            if let Some(stays) = self.look_into(dir, made, &mut stack, findings).await? {
                let Stays { by, can_force } = stays;
                findings.problems.push(Problem { ino, by, can_force });
                return Ok(());
            }
        }
        Ok(())
    }

    /// Looks for what does not go with a directory; tells whose it is.
    async fn look_into(
        &self,
        dir: u64,
        made: Revision,
        stack: &mut Vec<u64>,
        findings: &mut Findings,
    ) -> Result<Option<Stays>> {
        let mut after: Option<String> = None;
        let mut rest = keys::dentries(dir, None);
        loop {
            findings.bound();
            let (children, last) = self.tx.view().children(dir, after.as_deref(), PAGE).await?;
            let names = children.iter().map(|child| keys::dentry(dir, &child.name));
            let names: Vec<Bytes> = names.collect();
            let rows = self.tx.get_many(&names).await?;
            let mut staying = Vec::new();
            for ((child, key), row) in children.iter().zip(names).zip(rows) {
                findings.guards.push(Guard::RangeEmpty(KeyRange {
                    start: std::mem::replace(&mut rest.start, next_key(&key)),
                    end: key.clone(),
                }));
                let name = (dir, child.name.clone());
                if matches!(self.plan.names.get(&name), Some(None)) {
                    continue;
                }
                if let Some(by) = self.hidden.get(&child.dentry.ino) {
                    return Ok(Some(Stays {
                        by: Some(*by),
                        can_force: false,
                    }));
                }
                // What a fork shows has no row, and came with it.
                let since = match row {
                    Some(row) => row.revision,
                    None => self.shown_since(&name).await?,
                };
                if since > made
                    && !self.comes_along(child.dentry.ino)
                    && !self.is_name_back(&name, since, made).await?
                {
                    let by = self.whose(since, child.dentry.ino);
                    return Ok(Some(Stays {
                        by,
                        can_force: true,
                    }));
                }
                findings.guards.push(unchanged(key, since));
                staying.push(child.dentry);
            }
            if let Some(by) = self.changed_since(made, &staying, findings).await? {
                return Ok(Some(Stays {
                    by,
                    can_force: true,
                }));
            }
            stack.extend(staying.iter().filter(|d| is_dir(d)).map(|d| d.ino));
            match last {
                Some(last) => after = Some(last),
                None => break,
            }
        }
        // Whiteouts are between the names of a fork: there is no telling them one by one.
        findings.whole |= is_forked(dir);
        findings.guards.push(Guard::RangeEmpty(rest));
        Ok(None)
    }

    /// Since when a name is what it is that has no row: in a tree that is shown as it was.
    async fn shown_since(&self, (dir, name): &Name) -> Result<Revision> {
        let view = self.tx.view();
        if view.regrown.is_none() || is_forked(*dir) {
            return Ok(Revision::ZERO);
        }
        let dentry = view.dentry(*dir, name).await?;
        Ok(dentry.map_or(Revision::ZERO, |(_, since)| since))
    }

    async fn inode_shown_since(&self, ino: u64) -> Result<Revision> {
        let view = self.tx.view();
        if view.regrown.is_none() || is_forked(ino) {
            return Ok(Revision::ZERO);
        }
        let inode = view.inode(ino).await?;
        Ok(inode.map_or(Revision::ZERO, |inode| inode.revision))
    }

    /// What a restore finds in a directory that was not there then, and has not come from elsewhere,
    /// was not there either.
    fn comes_along(&self, ino: u64) -> bool {
        self.is_restore && !self.left.contains(&self.groups.of(ino))
    }

    async fn changed_since(
        &self,
        made: Revision,
        entries: &[DentryRecord],
        findings: &mut Findings,
    ) -> Result<Option<Option<Revision>>> {
        let keys: Vec<Bytes> = entries.iter().map(|d| keys::inode(d.ino)).collect();
        let inodes = self.tx.get_many(&keys).await?;
        for ((dentry, key), inode) in entries.iter().zip(keys).zip(inodes) {
            let since = match inode {
                Some(inode) => inode.revision,
                None => self.inode_shown_since(dentry.ino).await?,
            };
            let is_left = self.left.contains(&self.groups.of(dentry.ino));
            let is_others = since > made && !(self.ours)(since);
            if (since > made && is_left)
                || (is_others && !self.is_inode_back(dentry.ino, made).await?)
            {
                return Ok(Some(self.whose(since, dentry.ino)));
            }
            findings.guards.push(unchanged(key, since));
        }
        Ok(None)
    }

    /// Whether a name has gone since and is back, and nobody else has changed it.
    async fn is_name_back(&self, name: &Name, since: Revision, made: Revision) -> Result<bool> {
        if (self.ours)(since) {
            return Ok(false);
        }
        let timeline = read_name(self.tx, name, made.next()).await?;
        let others = self.others(&timeline).await?;
        Ok(self.is_back(&timeline, &others))
    }

    /// Whether an inode has only gone since and come back.
    async fn is_inode_back(&self, ino: u64, made: Revision) -> Result<bool> {
        let rows = read_inode(self.tx, ino, made.next(), None).await?;
        let others = self.others(&rows.timeline).await?;
        let mut revisions = rows.timeline.writes.iter().map(|(revision, _)| *revision);
        if revisions
            .any(|revision| !(self.ours)(revision) && others.foreign(revision) == Foreign::Change)
        {
            return Ok(false);
        }
        let contents = rows.timeline.side(Contents::of);
        let attributes = rows.timeline.side(Attributes::of);
        Ok(self.is_back(&contents, &others) && self.is_back(&attributes, &others))
    }

    async fn others<V>(&self, timeline: &Timeline<V>) -> Result<Others> {
        let revisions = timeline.writes.iter().map(|(revision, _)| *revision);
        let foreign = revisions.filter(|revision| !(self.ours)(*revision));
        Others::of(self.tx.session, foreign.collect()).await
    }

    fn is_back<V: Clone + PartialEq>(&self, timeline: &Timeline<V>, others: &Others) -> bool {
        let foreign = |revision| others.foreign(revision);
        timeline.standing_foreign(self.ours, foreign).is_empty()
    }

    /// Whose work it is that stays: not the one that is to be undone.
    fn whose(&self, revision: Revision, ino: u64) -> Option<Revision> {
        if !(self.ours)(revision) {
            return Some(revision);
        }
        let conflicts = self.judged.inodes.get(&ino).map(JudgedInode::conflicts);
        conflicts.and_then(|conflicts| conflicts.last().copied())
    }
}

/// That a row is as it was found; at 0, that there is none.
fn unchanged(key: Bytes, since: Revision) -> Guard {
    match since {
        Revision::ZERO => Guard::Absent(key),
        since => Guard::RevisionIs(key, since),
    }
}
