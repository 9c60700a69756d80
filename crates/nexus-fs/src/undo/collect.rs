//! Which operations are meant, and which rows they have touched.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use nexus_kernel::{Entry, Error, Freshness, Guard, KeyRange, Op, Result, Revision, Scan, Value};

use super::{UNDO_OPERATIONS_MAX, UndoOptions, UndoWhat};
use crate::keys;
use crate::log::{self, Change, ChangeKind, Record, UNDO};
use crate::path;
use crate::session::Session;
use crate::tx::Tx;
use crate::types::At;
use crate::view::next_key;

/// Log rows read at a time.
const PAGE: usize = 500;
/// Most records that are looked through for those of one actor.
const LOOK_MAX: usize = 1_000_000;

/// Most changes of the operations of one undo. No commit holds the undoing of so many, unless they
/// are of the same few files.
const CHANGES_MAX: usize = 1_000_000;

/// A name in a directory.
pub(super) type Name = (u64, String);

/// The operations to undo, oldest first, each with what the caller may see of it and asked for. One
/// of which that is nothing is none of these: it is work of others.
pub(super) struct Operations {
    pub records: BTreeMap<Revision, Record>,
    /// Undone already, each by which commit: what is undone a second time is all that the first
    /// left.
    pub marks: BTreeMap<Revision, Revision>,
    /// The inodes of the rest of what they changed.
    hidden: BTreeMap<Revision, BTreeSet<u64>>,
}

/// The rows that operations may have touched, each with the first that may.
#[derive(Default)]
pub(super) struct Touched {
    pub names: BTreeMap<Name, Revision>,
    pub inodes: BTreeMap<u64, Revision>,
    /// Inodes whose custom metadata they may have touched.
    pub metadata: BTreeSet<u64>,
    /// Inodes whose content or attributes they may have touched.
    pub values: BTreeSet<u64>,
    /// The paths by which the operations knew the inodes: the caller may see these.
    pub paths: BTreeMap<u64, String>,
    /// And the names.
    pub name_paths: BTreeMap<Name, String>,
    /// Trees that were deleted as a whole.
    pub deleted: Vec<DeletedTree>,
    /// Directories that were there, out of their place, when what is below them was looked at.
    pub seen: BTreeSet<u64>,
    /// Inodes with which the operations have also done what is not the caller's to see, or not
    /// below the path that was named, and those whose place another has taken, each with the last
    /// that did: they stay as they are.
    pub hidden: BTreeMap<u64, Revision>,
}

/// A directory that was deleted with all that it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DeletedTree {
    pub top: u64,
    pub revision: Revision,
}

impl Touched {
    pub(super) fn name(&mut self, name: Name, revision: Revision) {
        let first = self.names.entry(name).or_insert(revision);
        *first = revision.min(*first);
    }

    pub(super) fn inode(&mut self, ino: u64, revision: Revision) {
        let first = self.inodes.entry(ino).or_insert(revision);
        *first = revision.min(*first);
    }

    /// The paths of what is below a directory, with that.
    pub(super) fn below(&self, top: u64, paths: Vec<String>) -> Vec<(u64, String)> {
        let above = self.paths.get(&top).map_or("", String::as_str);
        let paths = paths.into_iter();
        paths
            .map(|below| (top, format!("{above}{below}")))
            .collect()
    }

    fn change(&mut self, change: &Change, record: &Record) {
        let (ino, revision) = (change.ino.0, record.revision);
        self.inode(ino, revision);
        self.paths.insert(ino, change.path.clone());
        let of_inode = matches!(
            change.kind,
            ChangeKind::AttributeChange | ChangeKind::MetadataChange
        );
        if !of_inode && let Some((_, name)) = path::split(&change.path) {
            let name = (change.parent.0, name.to_owned());
            self.name_paths.insert(name.clone(), change.path.clone());
            self.name(name, revision);
        }
        let old = change.old_path.as_deref().and_then(path::split);
        if let (Some(parent), Some((_, name))) = (change.old_parent, old) {
            let name = (parent.0, name.to_owned());
            self.name_paths
                .extend(change.old_path.clone().map(|path| (name.clone(), path)));
            self.name(name, revision);
        }
        if change.kind == ChangeKind::DirDelete {
            let top = ino;
            self.deleted.push(DeletedTree { top, revision });
        }
        if may_touch_metadata(change, record) {
            self.metadata.insert(ino);
        }
        if may_touch_values(change, record) {
            self.values.insert(ino);
        }
    }
}

fn may_touch_metadata(change: &Change, record: &Record) -> bool {
    record.operation.is_some()
        || match change.kind {
            ChangeKind::MetadataChange | ChangeKind::FileDelete | ChangeKind::DirDelete => true,
            // That of a file that was made then goes with it.
            ChangeKind::FileWrite => change.version > 1,
            _ => false,
        }
}

fn may_touch_values(change: &Change, record: &Record) -> bool {
    let only_elsewhere = matches!(
        change.kind,
        ChangeKind::FileRename
            | ChangeKind::DirRename
            | ChangeKind::LinkCreate
            | ChangeKind::MetadataChange
    );
    record.operation.is_some() || !only_elsewhere
}

impl Session {
    /// The operations that are meant, as far as the caller may see them and asked for it.
    pub(super) async fn operations(
        &self,
        options: &UndoOptions,
        prefix: Option<&str>,
    ) -> Result<Operations> {
        let records = match &options.what {
            UndoWhat::Operation(revision) => self.one_operation(*revision).await?,
            UndoWhat::Range { from, to } => {
                check_range(*from, *to)?;
                let before = Revision(from.0.saturating_sub(1));
                let records = self.logged(before, *to, |_| true).await?;
                self.check_log_reaches(before)?;
                records
            }
            UndoWhat::OfSession(session) => self.of_session(session).await?,
            UndoWhat::OfActor {
                actor,
                since,
                until,
            } => {
                let since = self.point_or(since.as_ref(), Revision::ZERO).await?;
                let newest = self.zone.revision().await?;
                let until = self.point_or(until.as_ref(), newest).await?;
                let is_wanted = |record: &Record| record.actor == *actor;
                let records = self.logged(since, until, is_wanted).await?;
                self.check_log_reaches(since)?;
                records
            }
        };
        let mut operations = self.in_sight(records, prefix).await?;
        if let (UndoWhat::Operation(revision), true) =
            (&options.what, operations.records.is_empty())
        {
            return Err(no_operation(*revision));
        }
        operations.marks = self.marks(operations.records.keys()).await?;
        self.check_not_undone(options, &operations)?;
        Ok(operations.without_undone())
    }

    async fn point_or(&self, at: Option<&At>, otherwise: Revision) -> Result<Revision> {
        match at {
            Some(at) => self.point(at).await,
            None => Ok(otherwise),
        }
    }

    async fn one_operation(&self, revision: Revision) -> Result<BTreeMap<Revision, Record>> {
        self.zone.check_reached(revision).await?;
        self.check_reaches_back_to(revision).await?;
        self.records(&[revision]).await
    }

    /// Refuses to undo what history does not tell any more.
    pub(super) async fn check_reaches_back_to(&self, revision: Revision) -> Result<()> {
        let before = Revision(revision.0.saturating_sub(1));
        self.zone.check_readable(before).await
    }

    /// Refuses to undo a part of what was meant because the log does not tell the rest any more.
    /// Asked after reading: the floor rises before rows go.
    fn check_log_reaches(&self, after: Revision) -> Result<()> {
        let floor = self.zone.oldest_readable();
        if after >= floor {
            return Ok(());
        }
        Err(Error::not_found(
            "retention has collected the first of these operations, so what they did is not all known; undo \
             a range of later ones, or those of an actor since a later point",
        )
        .with("oldest_readable", floor))
    }

    pub(super) async fn records(
        &self,
        revisions: &[Revision],
    ) -> Result<BTreeMap<Revision, Record>> {
        let keys: Vec<Bytes> = revisions.iter().map(|r| keys::log(*r)).collect();
        let mut records = BTreeMap::new();
        let metastore = &self.zone.metastore;
        for keys in keys.chunks(metastore.limits().txn_items_max) {
            let values = metastore.get_many(keys, Freshness::Linearizable).await?;
            for (key, value) in keys.iter().zip(values) {
                let Some(value) = value else { continue };
                let head = log::decode(key, value.bytes)?;
                if let Some(whole) = head.whole(&**metastore).await? {
                    records.insert(whole.record.revision, whole.record);
                }
            }
        }
        Ok(records)
    }

    /// The records after one revision and up to another that are wanted.
    async fn logged(
        &self,
        after: Revision,
        until: Revision,
        wanted: impl Fn(&Record) -> bool,
    ) -> Result<BTreeMap<Revision, Record>> {
        let mut gathered = Gathered::default();
        let mut looked = 0;
        let mut rest = Some(keys::log_between(after, until));
        while let Some(range) = rest.take() {
            let (rows, next) = self.rows(range).await?;
            looked += rows.len();
            if looked > LOOK_MAX {
                return Err(Error::limit(
                    "there are more than 1000000 operations between these points; name closer ones",
                ));
            }
            for row in rows {
                let head = log::decode(&row.key, row.value.bytes)?;
                if wanted(&head.record)
                    && let Some(whole) = head.whole(&*self.zone.metastore).await?
                {
                    gathered.add(whole.record)?;
                }
            }
            rest = next;
        }
        Ok(gathered.records)
    }

    async fn of_session(&self, session: &str) -> Result<BTreeMap<Revision, Record>> {
        let range = keys::session_log_between(session, Revision::ZERO, Revision(u64::MAX - 1));
        let mut rest = Some(range);
        let mut revisions = Vec::new();
        while let Some(range) = rest.take() {
            let (rows, next) = self.rows(range).await?;
            revisions.extend(rows.iter().map(|row| Revision(keys::last_number(&row.key))));
            check_count(revisions.len())?;
            rest = next;
        }
        let mut gathered = Gathered::default();
        for revisions in revisions.chunks(PAGE) {
            let records = self.records(revisions).await?.into_values();
            for record in records {
                gathered.add(record)?;
            }
        }
        // The last that was collected of a run is still in its index.
        if let Some(first) = revisions.first() {
            self.check_log_reaches(Revision(first.0.saturating_sub(1)))?;
        }
        Ok(gathered.records)
    }

    /// Some rows of a range, and the rest of it.
    async fn rows(&self, mut range: KeyRange) -> Result<(Vec<Entry>, Option<KeyRange>)> {
        self.check_goes_on()?;
        let scan = Scan::forward(range.clone(), PAGE);
        let page = self.zone.metastore.scan(scan, Freshness::Linearizable);
        let page = page.await?;
        let last = page.entries.last().filter(|_| page.more);
        let rest = last.map(|entry| {
            range.start = next_key(&entry.key);
            range
        });
        Ok((page.entries, rest))
    }

    /// Which of these are undone already, and by which commit.
    async fn marks(
        &self,
        revisions: impl Iterator<Item = &Revision>,
    ) -> Result<BTreeMap<Revision, Revision>> {
        let revisions: Vec<Revision> = revisions.copied().collect();
        let keys: Vec<Bytes> = revisions.iter().map(|r| keys::undo_mark(*r)).collect();
        let mut marks = BTreeMap::new();
        let metastore = &self.zone.metastore;
        let items_max = metastore.limits().txn_items_max;
        for (revisions, keys) in revisions.chunks(items_max).zip(keys.chunks(items_max)) {
            let found = metastore.get_many(keys, Freshness::Linearizable).await?;
            let found = revisions.iter().zip(found);
            marks.extend(found.filter_map(|(of, mark)| Some((*of, marked_by(&mark?)))));
        }
        Ok(marks)
    }

    fn check_not_undone(&self, options: &UndoOptions, operations: &Operations) -> Result<()> {
        match (&options.what, operations.marks.first_key_value()) {
            (UndoWhat::Operation(revision), Some((_, by))) => Err(Error::already_exists(
                "this operation is undone already; undo that undo to have it back",
            )
            .with("operation", revision)
            .with("undone_by", by)),
            _ => Ok(()),
        }
    }

    /// Leaves out of operations what is not the caller's to see or was not asked for.
    async fn in_sight(
        &self,
        records: BTreeMap<Revision, Record>,
        prefix: Option<&str>,
    ) -> Result<Operations> {
        let mut operations = Operations {
            records: BTreeMap::new(),
            marks: BTreeMap::new(),
            hidden: BTreeMap::new(),
        };
        for (revision, mut record) in records {
            let (mut seen, mut hidden) = (Vec::new(), BTreeSet::new());
            let changes = std::mem::take(&mut record.changes).into_iter();
            for change in changes.filter(|change| !change.kind.leaves_files()) {
                if self.is_in_sight(&change, prefix).await? {
                    seen.push(change);
                } else {
                    hidden.insert(change.ino.0);
                }
            }
            if seen.is_empty() {
                continue;
            }
            record.changes = seen;
            operations.records.insert(revision, record);
            if !hidden.is_empty() {
                operations.hidden.insert(revision, hidden);
            }
        }
        Ok(operations)
    }

    /// Whether all of a change is, not only one side of a move.
    async fn is_in_sight(&self, change: &Change, prefix: Option<&str>) -> Result<bool> {
        let paths = [Some(&change.path), change.old_path.as_ref()];
        for path in paths.into_iter().flatten() {
            let within = prefix.is_none_or(|prefix| path::is_within(path, prefix));
            if !within || !self.may_know(change, path).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Operations {
    /// The rows that they have touched.
    pub(super) fn touched(&self) -> Touched {
        let mut touched = Touched::default();
        for (revision, record) in &self.records {
            for change in &record.changes {
                touched.change(change, record);
            }
            let hidden = self.hidden.get(revision).into_iter().flatten();
            touched.hidden.extend(hidden.map(|ino| (*ino, *revision)));
        }
        // What was in several of them, under several names, is as it was when the last one went.
        touched.deleted.sort_by_key(|tree| Reverse(tree.revision));
        touched
    }

    /// Whether these are all that the operations did.
    pub(super) fn are_whole(&self) -> bool {
        let mut records = self.records.keys();
        records.all(|revision| !self.hidden.contains_key(revision))
    }

    pub(super) fn contain(&self, revision: Revision) -> bool {
        self.records.contains_key(&revision)
    }

    pub(super) fn first(&self) -> Option<Revision> {
        self.records.first_key_value().map(|(first, _)| *first)
    }

    /// Leaves out what others than these operations have undone already. One of these and its
    /// undo among them may have been in the way of others: both are undone.
    fn without_undone(mut self) -> Self {
        let all: BTreeSet<Revision> = self.records.keys().copied().collect();
        let marks = &self.marks;
        let undone_by = |revision: &Revision| marks.get(revision);
        self.records
            .retain(|revision, _| undone_by(revision).is_none_or(|by| all.contains(by)));
        self
    }
}

/// The same whether it was never there or is not the caller's to know.
fn no_operation(revision: Revision) -> Error {
    Error::not_found(
        "there is no operation of this number that changed a file you can see there; the log tells which \
         there are",
    )
    .with("operation", revision)
}

fn check_range(from: Revision, to: Revision) -> Result<()> {
    if from <= to && from > Revision::ZERO {
        return Ok(());
    }
    Err(
        Error::invalid("a range of operations goes from one revision up to a later one")
            .with("from", from)
            .with("to", to),
    )
}

fn check_count(operations: usize) -> Result<()> {
    if operations <= UNDO_OPERATIONS_MAX {
        return Ok(());
    }
    Err(Error::limit(
        "more than 100000 operations cannot be undone at once; undo ranges of them, the last first",
    )
    .with("operations_max", UNDO_OPERATIONS_MAX))
}

/// Operations, as many as are undone at once.
#[derive(Default)]
struct Gathered {
    records: BTreeMap<Revision, Record>,
    changes: usize,
}

impl Gathered {
    fn add(&mut self, record: Record) -> Result<()> {
        self.changes += record.changes.len();
        self.records.insert(record.revision, record);
        if self.changes > CHANGES_MAX {
            return Err(Error::limit(
                "these operations changed too much to be undone at once; undo ranges of them, the last \
                 first",
            )
            .with("operations", self.records.len())
            .with("changes_max", CHANGES_MAX));
        }
        check_count(self.records.len())
    }
}

/// The commit that undid an operation: a mark says so itself where it was written again.
fn marked_by(mark: &Value) -> Revision {
    match mark.bytes.is_empty() {
        true => mark.revision,
        false => Revision(keys::last_number(&mark.bytes)),
    }
}

/// What becomes of an operation.
#[derive(Clone, Copy, PartialEq)]
enum Becomes {
    /// Undone by this commit.
    Undone,
    /// Undone by an undo that stands again.
    UndoneAgain(Revision),
    /// What had undone it is undone.
    Standing,
}

impl Tx<'_> {
    /// Remembers what this commit undoes, in the commit: who undoes the same at the same time
    /// must not. What an undo had undone that is undone itself stands again, and so on.
    pub(super) async fn mark_undone(
        &mut self,
        operations: &Operations,
        wholly: bool,
    ) -> Result<()> {
        let mut all: BTreeMap<Revision, Becomes> = BTreeMap::new();
        let mut work: Vec<(Record, bool)> = Vec::new();
        for (revision, record) in &operations.records {
            all.insert(*revision, Becomes::Undone);
            work.push((record.clone(), false));
        }
        while let Some((record, stands)) = work.pop() {
            // What undid only some of it has marked none of it.
            if record.operation.as_deref() != Some(UNDO) || record.partly {
                continue;
            }
            let about: Vec<Revision> = record.about.clone();
            let about = about.into_iter().filter(|of| !all.contains_key(of));
            let about: Vec<Revision> = about.collect();
            let marks = self.session.marks(about.iter()).await?;
            let by_it = |of: &Revision| marks.get(of) == Some(&record.revision);
            let turned = about.into_iter().filter(|of| by_it(of) != stands);
            let turned: Vec<Revision> = turned.collect();
            let becomes = match stands {
                true => Becomes::UndoneAgain(record.revision),
                false => Becomes::Standing,
            };
            all.extend(turned.iter().map(|of| (*of, becomes)));
            let records = self.session.records(&turned).await?;
            work.extend(records.into_values().map(|record| (record, !stands)));
        }
        if !wholly {
            self.leaves_some();
        }
        self.write_marks(&all, wholly).await
    }

    async fn write_marks(&mut self, all: &BTreeMap<Revision, Becomes>, wholly: bool) -> Result<()> {
        let keys: Vec<Bytes> = all.keys().map(|of| keys::undo_mark(*of)).collect();
        let rows = self.get_many(&keys).await?;
        let mut absent: Vec<Revision> = Vec::new();
        for ((key, row), of) in keys.iter().zip(&rows).zip(all.keys()) {
            match row {
                // Who undoes what wrote a mark changes rows that it changed, and all of these are
                // insisted on; of a part of them, not all are.
                Some(_) if wholly => {}
                Some(row) => self.insist(Guard::RevisionIs(key.clone(), row.revision)),
                None => absent.push(*of),
            }
        }
        // One guard for operations that follow each other, as those of a run mostly do.
        for run in absent.chunk_by(|one, other| one.next() == *other) {
            let range = keys::undo_marks(run[0], run[run.len() - 1]);
            self.insist(Guard::RangeEmpty(range));
        }
        for (key, becomes) in keys.into_iter().zip(all.values()) {
            match becomes {
                // Some of it still stands.
                Becomes::Undone | Becomes::UndoneAgain(_) if !wholly => {}
                Becomes::Undone => self.also(Op::Put(key, Bytes::new())),
                Becomes::UndoneAgain(by) => {
                    let by = Bytes::copy_from_slice(&by.0.to_be_bytes());
                    self.also(Op::Put(key, by));
                }
                Becomes::Standing => self.also(Op::Delete(key)),
            }
        }
        Ok(())
    }
}
