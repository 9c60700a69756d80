//! What each touched row should become, and who stands in the way.

use std::collections::BTreeMap;

use bytes::Bytes;
use nexus_kernel::{Result, Revision};

use super::collect::Name;
use super::rows::{InodeRows, Rows};
use super::timeline::{Foreign, Known, Standing, Timeline};
use crate::log::{RESTORE, UNDO};
use crate::records::{DentryRecord, InodeRecord};
use crate::session::Session;

/// What a file holds, with what belongs to it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Contents {
    pub etag: Bytes,
    pub place: u32,
    pub inline: Bytes,
    pub size: u64,
    pub modified: i64,
    pub author: String,
}

impl Contents {
    pub(super) fn of(record: &InodeRecord) -> Option<Self> {
        (record.links > 0).then(|| Self {
            etag: record.etag.clone(),
            place: record.place,
            inline: record.inline.clone(),
            size: record.size,
            modified: record.modified,
            author: record.author.clone(),
        })
    }

    /// Whether the bytes are the same.
    pub(super) fn is_in(&self, record: &InodeRecord) -> bool {
        (&self.etag, self.size) == (&record.etag, record.size)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Attributes {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub owner: String,
    pub accessed: i64,
}

impl Attributes {
    pub(super) fn of(record: &InodeRecord) -> Option<Self> {
        (record.links > 0).then(|| Self {
            mode: record.mode,
            uid: record.uid,
            gid: record.gid,
            owner: record.owner.clone(),
            accessed: record.accessed,
        })
    }
}

/// The names that an inode has, as far as it knows them itself.
fn naming(record: &InodeRecord) -> Option<(u32, u64, String)> {
    (record.links > 0).then(|| (record.links, record.parent, record.name.clone()))
}

pub(super) struct Judged {
    pub names: BTreeMap<Name, Standing<DentryRecord>>,
    pub inodes: BTreeMap<u64, JudgedInode>,
}

pub(super) struct JudgedInode {
    pub contents: Standing<Known<Contents>>,
    pub attributes: Standing<Known<Attributes>>,
    pub metadata: BTreeMap<String, Standing<Known<Bytes>>>,
    /// What others have done with a file that is to go.
    pub uses: Vec<Revision>,
}

impl JudgedInode {
    /// What some of it was before has been collected from history.
    pub(super) fn is_collected(&self) -> bool {
        let mut metadata = self.metadata.values();
        self.contents.is_collected()
            || self.attributes.is_collected()
            || metadata.any(Standing::is_collected)
    }

    pub(super) fn conflicts(&self) -> Vec<Revision> {
        let metadata = self.metadata.values().flat_map(Standing::conflicts);
        let own = self.contents.conflicts().iter();
        let own = own.chain(self.attributes.conflicts());
        own.chain(metadata).chain(&self.uses).copied().collect()
    }
}

/// What the writes of others were.
pub(super) struct Others(BTreeMap<Revision, Foreign>);

impl Others {
    pub(super) async fn look_up(
        session: &Session,
        rows: &Rows,
        ours: impl Fn(Revision) -> bool,
    ) -> Result<Self> {
        let revisions = rows.revisions().into_iter();
        Self::of(
            session,
            revisions.filter(|revision| !ours(*revision)).collect(),
        )
        .await
    }

    pub(super) async fn of(session: &Session, revisions: Vec<Revision>) -> Result<Self> {
        let found = session.of_records(&revisions, |record| match record.operation.as_deref() {
            Some(UNDO | RESTORE) => Foreign::Return(record.about),
            _ => Foreign::Change,
        });
        let mut foreign = found.await?;
        for revision in revisions {
            foreign.entry(revision).or_insert(Foreign::Unlogged);
        }
        Ok(Self(foreign))
    }

    pub(super) fn foreign(&self, revision: Revision) -> Foreign {
        self.0.get(&revision).cloned().unwrap_or(Foreign::Change)
    }

    pub(super) fn is_unlogged(&self, revision: Revision) -> bool {
        self.0.get(&revision) == Some(&Foreign::Unlogged)
    }
}

/// Judges rows by the writes to them.
pub(super) struct Judge<'j, F> {
    pub ours: F,
    pub others: &'j Others,
}

impl<F: Fn(Revision) -> bool> Judge<'_, F> {
    pub(super) fn judge(&self, rows: &Rows) -> Judged {
        let names = rows.names.iter();
        let names = names.map(|(name, timeline)| (name.clone(), self.raw_standing(timeline)));
        let inodes = rows.inodes.iter();
        let inodes = inodes.map(|(ino, inode)| (*ino, self.inode(inode)));
        Judged {
            names: names.collect(),
            inodes: inodes.collect(),
        }
    }

    fn inode(&self, rows: &InodeRows) -> JudgedInode {
        let content = rows.timeline.side(Contents::of);
        let contents = self.value(rows, &content);
        // What we took away with a file of our own does not come back without it.
        let stays_gone = contents.before().is_none() && self.is_taken_by_us(&content);
        let metadata = rows.metadata.iter().filter(|_| !stays_gone);
        let goes = matches!(contents.before(), Some(None));
        JudgedInode {
            attributes: self.value(rows, &rows.timeline.side(Attributes::of)),
            metadata: metadata
                .map(|(key, timeline)| (key.clone(), self.standing(timeline)))
                .collect(),
            uses: if goes { self.uses(rows) } else { vec![] },
            contents,
        }
    }

    /// As [`standing`](Self::standing): what was only renamed has the value that it had, also
    /// where that was collected.
    fn value<V: Clone + PartialEq>(
        &self,
        rows: &InodeRows,
        timeline: &Timeline<Known<V>>,
    ) -> Standing<Known<V>> {
        let standing = self.standing(timeline);
        match standing.is_collected() && !rows.more_than_names {
            true => Standing::Untouched,
            false => standing,
        }
    }

    fn is_taken_by_us(&self, contents: &Timeline<Known<Contents>>) -> bool {
        let last = contents.writes.last();
        last.is_some_and(|(revision, value)| value.is_none() && (self.ours)(*revision))
    }

    fn uses(&self, rows: &InodeRows) -> Vec<Revision> {
        let mut uses = self.foreign_writes(&rows.timeline.side(naming));
        uses.extend(self.foreign_writes(&rows.timeline.side(Attributes::of)));
        for metadata in rows.metadata.values() {
            uses.extend(self.foreign_writes(metadata));
        }
        uses.retain(|revision| !self.others.is_unlogged(*revision));
        uses.sort_unstable();
        uses.dedup();
        uses
    }

    fn foreign_writes<V: Clone + PartialEq>(&self, timeline: &Timeline<V>) -> Vec<Revision> {
        timeline.standing_foreign(&self.ours, |revision| self.others.foreign(revision))
    }

    /// What need not change is as good as untouched.
    fn standing<V: Clone + PartialEq>(&self, timeline: &Timeline<V>) -> Standing<V> {
        let standing = self.raw_standing(timeline);
        match standing.before() {
            Some(before) if before == timeline.now() => Standing::Untouched,
            _ => standing,
        }
    }

    fn raw_standing<V: Clone + PartialEq>(&self, timeline: &Timeline<V>) -> Standing<V> {
        timeline.standing(&self.ours, |revision| self.others.foreign(revision))
    }
}
