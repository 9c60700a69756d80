//! Snapshots: named revisions of a directory.
//!
//! History is kept anyway, so a snapshot copies nothing, as in WAFL (Hitz et al. 1994): it is a
//! row that names a revision, and a pin that keeps the collection of history off it. Its revision
//! is that of the commit that makes it. So what was acknowledged before it was asked for is in it,
//! and what is acknowledged after it is not, whatever else is on its way meanwhile; and making or
//! removing one costs the same for any number of files.

use nexus_kernel::{Durability, Error, Kind, Result, Revision, Timestamp};
use nexus_service_api::Action;

use crate::keys;
use crate::path;
use crate::records;
use crate::resolve::resolve;
use crate::session::Session;
use crate::steps::{ATTEMPTS_MAX, TORN_MAX};
use crate::tx::Tx;
use crate::types::{At, FileKind, Ino};
use crate::view::next_key;

mod change;
mod record;

use change::SnapshotChange;
pub(crate) use record::SnapshotRecord;

/// Longest description of a snapshot, in bytes.
pub const SNAPSHOT_DESCRIPTION_BYTES_MAX: usize = 4_096;
/// Most tags of a snapshot.
pub const SNAPSHOT_TAGS_MAX: usize = 64;
/// Longest tag of a snapshot, in bytes.
pub const SNAPSHOT_TAG_BYTES_MAX: usize = 128;
/// Largest page of snapshots.
pub const SNAPSHOTS_LIMIT_MAX: usize = 10_000;
/// Rows read at a time.
const PAGE: usize = 500;
/// Most snapshots that one page looks at; past that it returns what it has and a cursor.
const LOOK_MAX: usize = 10_000;
const CURSOR: &str = "g:";

/// A named revision of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name, the only one of its kind in the zone.
    pub name: String,
    /// Counts the snapshots of the directory, from 1; never used twice.
    pub number: u64,
    /// The directory.
    pub directory: Ino,
    /// Where the directory was when it was made.
    pub path: String,
    /// The state that it names.
    pub revision: Revision,
    /// What it is for.
    pub description: String,
    /// In byte order, each once.
    pub tags: Vec<String>,
    /// Who made it, as `kind:id`.
    pub actor: String,
    /// When.
    pub time: Timestamp,
    /// It can neither be deleted nor expire.
    pub pinned: bool,
    /// When it may be deleted by itself, if ever.
    pub expires: Option<Timestamp>,
}

/// A snapshot to be made.
#[derive(Clone, Debug, Default)]
pub struct NewSnapshot {
    /// Its name; one is made of the directory's number and its own unless given.
    pub name: Option<String>,
    /// What it is for.
    pub description: String,
    /// To find it by.
    pub tags: Vec<String>,
    /// It can neither be deleted nor expire.
    pub pinned: bool,
    /// When it may be deleted by itself.
    pub expires: Option<Timestamp>,
}

/// What to change of a snapshot; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct SnapshotUpdate {
    /// What it is for.
    pub description: Option<String>,
    /// All its tags.
    pub tags: Option<Vec<String>>,
    /// Whether it is held against deletion and expiry.
    pub pinned: Option<bool>,
    /// When it may be deleted by itself.
    pub expires: Option<Expiry>,
}

/// When a snapshot may be deleted by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Never.
    Never,
    /// From this time on, at the next collection of history.
    At(Timestamp),
}

/// Which snapshots to list.
#[derive(Clone, Debug, Default)]
pub struct SnapshotQuery {
    /// Of the directory at this path, now or when they were made.
    pub path: Option<String>,
    /// With this tag.
    pub tag: Option<String>,
    /// Most snapshots in the page, 1 to [`SNAPSHOTS_LIMIT_MAX`]; 0 stands for 100.
    pub limit: usize,
    /// Continue after the page that gave this cursor.
    pub cursor: Option<String>,
}

/// A page of snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotPage {
    /// By name, in byte order.
    pub snapshots: Vec<Snapshot>,
    /// Where the next page begins; none after the last.
    pub next: Option<String>,
}

impl Session {
    /// Makes a snapshot of a directory, durably. Its cost does not depend on what the directory
    /// holds.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a name that is none or an expiry that has passed, `AlreadyExists` for
    /// one that is taken, `LimitExceeded` for too much of a description or too many tags,
    /// `WrongType` for a file, `PermissionDenied` without the right to write to the directory.
    pub async fn create_snapshot(&self, path: &str, new: NewSnapshot) -> Result<Snapshot> {
        self.change_snapshot(&SnapshotChange::Create { path, new })
            .await
    }

    /// Changes what is said of a snapshot; the state it names stays.
    ///
    /// # Errors
    ///
    /// As [`snapshot`](Self::snapshot) and [`create_snapshot`](Self::create_snapshot).
    pub async fn update_snapshot(&self, name: &str, update: SnapshotUpdate) -> Result<Snapshot> {
        self.change_snapshot(&SnapshotChange::Update { name, update })
            .await
    }

    /// Deletes a snapshot; what it held of history goes as retention has it. Answers what it was.
    ///
    /// # Errors
    ///
    /// `Conflict` while it is pinned; as [`snapshot`](Self::snapshot); `PermissionDenied` without
    /// the right to write to the directory.
    pub async fn delete_snapshot(&self, name: &str) -> Result<Snapshot> {
        self.change_snapshot(&SnapshotChange::Delete { name }).await
    }

    /// A snapshot.
    ///
    /// # Errors
    ///
    /// `NotFound`, also for one of a directory that the caller may not read.
    pub async fn snapshot(&self, name: &str) -> Result<Snapshot> {
        let (record, _) = self.seen_snapshot(name).await?;
        Ok(record.into_snapshot(name))
    }

    /// The snapshot of a directory with this number.
    ///
    /// # Errors
    ///
    /// `NotFound`; as [`stat`](Self::stat).
    pub async fn numbered_snapshot(&self, path: &str, number: u64) -> Result<Snapshot> {
        let directory = self.stat(path, At::Latest).await?.ino;
        let view = self.zone.view(At::Latest).await?;
        let row = view
            .get(&keys::numbered_snapshot(directory.0, number))
            .await?;
        let Some(name) = row.filter(|_| number > 0) else {
            return Err(no_such_number(path, number));
        };
        let name = String::from_utf8_lossy(&name.bytes).into_owned();
        match self.snapshot(&name).await {
            Err(error) if error.kind() == Kind::NotFound => Err(no_such_number(path, number)),
            found => found,
        }
    }

    /// A page of the snapshots whose directories the caller may read. It can have fewer than asked
    /// for, even none, and yet a cursor.
    ///
    /// # Errors
    ///
    /// `LimitExceeded` for too large a page, `InvalidArgument` for an unknown cursor or a malformed
    /// path.
    pub async fn snapshots(&self, query: SnapshotQuery) -> Result<SnapshotPage> {
        let limit = if query.limit == 0 { 100 } else { query.limit };
        if limit > SNAPSHOTS_LIMIT_MAX {
            return Err(Error::limit("a page has at most 10000 snapshots").with("limit", limit));
        }
        let wanted = self.wanted(&query).await?;
        let view = self.zone.view(At::Latest).await?;
        let mut range = keys::all_snapshots(query.cursor.as_deref().map(parse_cursor).transpose()?);
        let mut snapshots = Vec::new();
        let mut looked = 0;
        loop {
            let page = view.scan(range.clone(), PAGE).await?;
            for entry in page.entries {
                let name = keys::parse_snapshot(&entry.key)?.to_owned();
                let record = SnapshotRecord::decode_row(entry.value)?;
                if wanted.holds(&record) && self.sees(&record).await? {
                    snapshots.push(record.into_snapshot(&name));
                }
                looked += 1;
                if snapshots.len() == limit || looked == LOOK_MAX {
                    let next = Some(format!("{CURSOR}{name}"));
                    return Ok(SnapshotPage { snapshots, next });
                }
                range.start = next_key(&entry.key);
            }
            self.check_goes_on()?;
            if !page.more {
                return Ok(SnapshotPage {
                    snapshots,
                    next: None,
                });
            }
        }
    }

    async fn wanted(&self, query: &SnapshotQuery) -> Result<Wanted> {
        let mut wanted = Wanted {
            tag: query.tag.clone(),
            ..Wanted::default()
        };
        if let Some(path) = &query.path {
            let view = self.zone.view(At::Latest).await?;
            let place = resolve(&view, path, true).await?;
            self.permit_at(Action::Stat, &place).await?;
            wanted.directory = place.found().ok().map(|dentry| dentry.ino);
            wanted.path = Some(path::normalize(path)?.to_owned());
        }
        Ok(wanted)
    }

    async fn sees(&self, record: &SnapshotRecord) -> Result<bool> {
        match self.permit_snapshot(Action::Read, record).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == Kind::PermissionDenied => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Asks about the directory of a snapshot, where it was when that was made.
    async fn permit_snapshot(&self, action: Action, record: &SnapshotRecord) -> Result<()> {
        let chain = [Ino::ROOT.0, record.directory];
        self.permit(action, &record.path, &chain).await
    }

    /// The record of a snapshot that the caller may know of, and the revision of its row.
    pub(crate) async fn seen_snapshot(&self, name: &str) -> Result<(SnapshotRecord, Revision)> {
        let view = self.zone.view(At::Latest).await?;
        let row = view.get(&keys::snapshot(name)).await?;
        let row = row.ok_or_else(|| no_such_snapshot(name))?;
        let written = row.revision;
        let record = SnapshotRecord::decode_row(row)?;
        match self.sees(&record).await? {
            true => Ok((record, written)),
            false => Err(no_such_snapshot(name)),
        }
    }

    /// The snapshots that may be deleted by now, and the revisions that they hold.
    pub(crate) async fn expired_snapshots(
        &self,
        now: Timestamp,
    ) -> Result<Vec<(String, Revision)>> {
        let view = self.zone.view(At::Latest).await?;
        let mut range = keys::all_snapshots(None);
        let mut expired = Vec::new();
        loop {
            let page = view.scan(range.clone(), PAGE).await?;
            for entry in page.entries {
                let name = keys::parse_snapshot(&entry.key)?.to_owned();
                let record = SnapshotRecord::decode_row(entry.value)?;
                if record.has_expired(now) {
                    expired.push((name, record.revision()));
                }
                range.start = next_key(&entry.key);
            }
            if !page.more {
                return Ok(expired);
            }
        }
    }

    /// Deletes a snapshot if it still may be.
    pub(crate) async fn expire_snapshot(&self, name: &str, now: Timestamp) -> Result<()> {
        let change = SnapshotChange::Expire { name, now };
        self.change_snapshot(&change).await.map(drop)
    }

    async fn change_snapshot(&self, change: &SnapshotChange<'_>) -> Result<Snapshot> {
        change.check(self.zone.config.clock.now())?;
        for attempt in 0..ATTEMPTS_MAX {
            let mut tx = Tx::begin(self, attempt);
            let (name, mut record) = match change.apply(&mut tx).await {
                Err(_) if tx.is_torn() && attempt < TORN_MAX => continue,
                applied => applied?,
            };
            if let Some(committed) = tx.commit(Durability::Sync).await? {
                record.made_by(committed.revision);
                return Ok(record.into_snapshot(&name));
            }
            tokio::task::yield_now().await;
        }
        Err(
            Error::conflict("others kept changing the same snapshot first; try again")
                .with("attempts", ATTEMPTS_MAX),
        )
    }
}

/// Which snapshots a query is about.
#[derive(Default)]
struct Wanted {
    path: Option<String>,
    /// What `path` names today.
    directory: Option<u64>,
    tag: Option<String>,
}

impl Wanted {
    fn holds(&self, record: &SnapshotRecord) -> bool {
        let here = |path| record.path == path || self.directory == Some(record.directory);
        let tagged = |tag| record.tags.contains(tag);
        self.path.as_deref().is_none_or(here) && self.tag.as_ref().is_none_or(tagged)
    }
}

fn parse_cursor(cursor: &str) -> Result<&str> {
    cursor.strip_prefix(CURSOR).ok_or_else(|| {
        Error::invalid("unknown cursor; use one that a page of snapshots gave")
            .with("cursor", path::shown(cursor))
    })
}

pub(crate) fn no_such_snapshot(name: &str) -> Error {
    Error::not_found("there is no snapshot of this name; list the snapshots")
        .with("snapshot", path::shown(name))
}

fn no_such_number(path: &str, number: u64) -> Error {
    Error::not_found("the directory has no snapshot with this number; list its snapshots")
        .with("path", path)
        .with("number", number)
}

/// What a change of a snapshot says in the log.
pub(crate) const FILE_KIND: u32 = records::kind_code(FileKind::Directory);
