//! Which operations are meant, and which rows they have touched.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use nexus_kernel::{Entry, Error, Freshness, KeyRange, Result, Revision, Scan};

use super::{UNDO_OPERATIONS_MAX, UndoOptions, UndoWhat};
use crate::keys;
use crate::log::{self, Change, ChangeKind, Record, Whole};
use crate::path;
use crate::session::Session;
use crate::types::At;
use crate::view::next_key;

/// Log rows read at a time.
const PAGE: usize = 500;
/// Most records that are looked through for those of one actor.
const LOOK_MAX: usize = 1_000_000;

/// Most changes of the operations of one undo. No commit holds the undoing of so many, unless they
/// are of the same few files.
const CHANGES_MAX: usize = 1_000_000;

/// Most bytes of records, as they are stored, of what is undone at once.
const BYTES_MAX: usize = 128 << 20;
/// Records that are looked up at a time.
pub(super) const RECORDS: usize = 8;

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
        let mut gathered = Gathered::new(prefix);
        match &options.what {
            UndoWhat::Operation(revision) => {
                self.zone.check_reached(*revision).await?;
                self.check_reaches_back_to(*revision).await?;
                self.take_all_in_sight(&[*revision], &mut gathered).await?;
            }
            UndoWhat::Range { from, to } => {
                check_range(*from, *to)?;
                let before = Revision(from.0.saturating_sub(1));
                self.logged(before, *to, |_| true, &mut gathered).await?;
                self.check_log_reaches(before)?;
            }
            UndoWhat::OfSession(session) => self.of_session(session, &mut gathered).await?,
            UndoWhat::OfActor {
                actor,
                since,
                until,
            } => {
                let since = self.point_or(since.as_ref(), Revision::ZERO).await?;
                let newest = self.zone.revision().await?;
                let until = self.point_or(until.as_ref(), newest).await?;
                let is_wanted = |record: &Record| record.actor == *actor;
                self.logged(since, until, is_wanted, &mut gathered).await?;
                self.check_log_reaches(since)?;
            }
        }
        let mut operations = gathered.operations;
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

    /// The records of these revisions, as far as there are any, a few at a time: each can have
    /// megabytes.
    pub(super) async fn some_records(&self, revisions: &[Revision]) -> Result<Vec<Whole>> {
        self.check_goes_on()?;
        debug_assert!(revisions.len() <= RECORDS, "they are read at once");
        let keys: Vec<Bytes> = revisions.iter().map(|r| keys::log(*r)).collect();
        let metastore = &self.zone.metastore;
        let values = metastore.get_many(&keys, Freshness::Linearizable).await?;
        let mut records = Vec::new();
        for (key, value) in keys.iter().zip(values) {
            let Some(value) = value else { continue };
            let head = log::decode(key, value.bytes)?;
            records.extend(head.whole(&**metastore).await?);
        }
        Ok(records)
    }

    /// What is kept of the records of these revisions, as far as there are any.
    pub(super) async fn of_records<T>(
        &self,
        revisions: &[Revision],
        keep: impl Fn(Record) -> T,
    ) -> Result<BTreeMap<Revision, T>> {
        let mut kept = BTreeMap::new();
        for revisions in revisions.chunks(RECORDS) {
            let records = self.some_records(revisions).await?.into_iter();
            kept.extend(records.map(|whole| (whole.record.revision, keep(whole.record))));
        }
        Ok(kept)
    }

    async fn take_all_in_sight(
        &self,
        revisions: &[Revision],
        gathered: &mut Gathered<'_>,
    ) -> Result<()> {
        for revisions in revisions.chunks(RECORDS) {
            for whole in self.some_records(revisions).await? {
                self.take_in_sight(whole, gathered).await?;
            }
        }
        Ok(())
    }

    /// The records after one revision and up to another that are wanted.
    async fn logged(
        &self,
        after: Revision,
        until: Revision,
        wanted: impl Fn(&Record) -> bool,
        gathered: &mut Gathered<'_>,
    ) -> Result<()> {
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
                    self.take_in_sight(whole, gathered).await?;
                }
            }
            rest = next;
        }
        Ok(())
    }

    async fn of_session(&self, session: &str, gathered: &mut Gathered<'_>) -> Result<()> {
        let range = keys::session_log_between(session, Revision::ZERO, Revision(u64::MAX - 1));
        let mut rest = Some(range);
        let mut revisions = Vec::new();
        while let Some(range) = rest.take() {
            let (rows, next) = self.rows(range).await?;
            revisions.extend(rows.iter().map(|row| Revision(keys::last_number(&row.key))));
            check_count(revisions.len())?;
            rest = next;
        }
        self.take_all_in_sight(&revisions, gathered).await?;
        // The last that was collected of a run is still in its index.
        if let Some(first) = revisions.first() {
            self.check_log_reaches(Revision(first.0.saturating_sub(1)))?;
        }
        Ok(())
    }

    /// Some rows of a range, and the rest of it.
    async fn rows(&self, mut range: KeyRange) -> Result<(Vec<Entry>, Option<KeyRange>)> {
        self.check_goes_on()?;
        let scan = Scan::forward(range.clone(), PAGE).bytes_max(log::HEADS_BYTES_MAX);
        let page = self.zone.metastore.scan(scan, Freshness::Linearizable);
        let page = page.await?;
        let last = page.entries.last().filter(|_| page.more);
        let rest = last.map(|entry| {
            range.start = next_key(&entry.key);
            range
        });
        Ok((page.entries, rest))
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

    /// Takes of an operation what is the caller's to see and was asked for; the rest is not kept.
    async fn take_in_sight(&self, whole: Whole, gathered: &mut Gathered<'_>) -> Result<()> {
        let Whole { mut record, bytes } = whole;
        let (mut seen, mut hidden) = (Vec::new(), BTreeSet::new());
        let changes = std::mem::take(&mut record.changes).into_iter();
        for change in changes.filter(|change| !change.kind.leaves_files()) {
            if self.is_in_sight(&change, gathered.prefix).await? {
                seen.push(change);
            } else {
                hidden.insert(change.ino.0);
            }
        }
        if seen.is_empty() {
            return Ok(());
        }
        record.changes = seen;
        gathered.add(record, hidden, bytes)
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
struct Gathered<'p> {
    prefix: Option<&'p str>,
    operations: Operations,
    changes: usize,
    bytes: usize,
}

impl<'p> Gathered<'p> {
    const fn new(prefix: Option<&'p str>) -> Self {
        Self {
            prefix,
            operations: Operations {
                records: BTreeMap::new(),
                marks: BTreeMap::new(),
                hidden: BTreeMap::new(),
            },
            changes: 0,
            bytes: 0,
        }
    }

    fn add(&mut self, record: Record, hidden: BTreeSet<u64>, bytes: usize) -> Result<()> {
        self.changes += record.changes.len();
        self.bytes += bytes;
        if !hidden.is_empty() {
            self.operations.hidden.insert(record.revision, hidden);
        }
        let records = &mut self.operations.records;
        records.insert(record.revision, record);
        if self.changes > CHANGES_MAX || self.bytes > BYTES_MAX {
            return Err(Error::limit(
                "these operations changed too much to be undone at once; undo ranges of them, the last \
                 first",
            )
            .with("operations", records.len())
            .with("changes_max", CHANGES_MAX)
            .with("record_bytes_max", BYTES_MAX));
        }
        check_count(records.len())
    }
}
