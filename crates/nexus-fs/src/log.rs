//! The operation log: one record for each commit, stamped with its revision. The change feed is
//! made of it.

use nexus_kernel::{Error, Freshness, KeyRange, Metastore, Result, Revision, Scan, Timestamp};

use crate::etag::Etag;
use crate::keys;
use crate::path;
use crate::records::{self, ChangeRecord, LogRecord, unreadable};
use crate::types::{FileKind, Ino};

mod query;
mod rows;

pub use query::{LOG_LIMIT_MAX, LogPage, LogQuery};
pub(crate) use rows::{HEADS_BYTES_MAX, Head, RECORD_ROWS_MAX, Whole, decode, keys_of_more, split};

/// What an undo is called as a whole.
pub(crate) const UNDO: &str = "undo";
/// What a restore is called.
pub(crate) const RESTORE: &str = "restore";
/// What a merge is called.
pub(crate) const MERGE: &str = "merge";

/// One commit.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The commit's revision: unique and ordered.
    pub revision: Revision,
    /// When.
    pub time: Timestamp,
    /// Who, as `kind:id`.
    pub actor: String,
    /// For whom.
    pub on_behalf_of: Option<String>,
    /// With which key.
    pub key_id: Option<String>,
    /// In which run of an agent.
    pub session: Option<String>,
    /// By which program, where it is known.
    pub program: Option<String>,
    /// In which request.
    pub request_id: Option<String>,
    /// What it was as a whole, where that is more than its changes: `undo`, `restore`, `merge`.
    pub operation: Option<String>,
    /// The revisions that such an operation is about.
    pub about: Vec<Revision>,
    /// Of an undo: it left some of that as it was.
    pub partly: bool,
    /// What it changed, in order.
    pub changes: Vec<Change>,
}

impl Record {
    fn new(revision: Revision, record: LogRecord) -> Result<Self> {
        let changes = (0..).zip(record.changes).map(change);
        Ok(Self {
            revision,
            time: Timestamp(record.time),
            actor: record.actor,
            on_behalf_of: record.on_behalf_of,
            key_id: record.key_id,
            session: record.session,
            program: record.program,
            request_id: record.request_id,
            operation: record.operation,
            about: record.about.into_iter().map(Revision).collect(),
            partly: record.partly,
            changes: changes.collect::<Result<_>>()?,
        })
    }

    /// The same commit with other changes, or fewer.
    pub(crate) fn with_changes(&self, changes: Vec<Change>) -> Self {
        Self {
            revision: self.revision,
            time: self.time,
            actor: self.actor.clone(),
            on_behalf_of: self.on_behalf_of.clone(),
            key_id: self.key_id.clone(),
            session: self.session.clone(),
            program: self.program.clone(),
            request_id: self.request_id.clone(),
            operation: self.operation.clone(),
            about: self.about.clone(),
            partly: self.partly,
            changes,
        }
    }
}

/// One change in a commit. Removing, moving or copying a directory is one change for the whole
/// tree.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its place in the commit, from 0.
    pub sequence: u32,
    /// What happened.
    pub kind: ChangeKind,
    /// To what; of a move, the new path.
    pub path: String,
    /// Of a move, copy or hard link, where it comes from, if the reader may know.
    pub old_path: Option<String>,
    /// The directory of `path`.
    pub parent: Ino,
    /// Of a move, the directory it comes from.
    pub old_parent: Option<Ino>,
    /// The inode.
    pub ino: Ino,
    /// What it is.
    pub file_kind: FileKind,
    /// Its version after the change.
    pub version: u64,
    /// Its content after the change.
    pub etag: Option<Etag>,
    /// Its size after the change.
    pub size: u64,
    /// The lease that somebody lost by it.
    pub lease: Option<EndedLease>,
    /// What it is about besides the path: the name of the snapshot, the name of the workspace if
    /// it has one, the pattern of the policy.
    pub subject: Option<String>,
}

/// A lease that was taken from its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedLease {
    /// The lease.
    pub token: u64,
    /// Who held it, as `kind:id`.
    pub holder: String,
}

macro_rules! change_kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal $text:literal),* $(,)?) => {
        /// What happened to a file or directory.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ChangeKind { $($(#[$doc])* $name),* }

        impl ChangeKind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            pub(crate) const fn code(self) -> u32 {
                match self { $(Self::$name => $code),* }
            }

            /// The name as doors print it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

change_kinds! {
    /// A file was created or got new content.
    FileWrite = 1 "file_write",
    /// A file, or one of its names, was removed.
    FileDelete = 2 "file_delete",
    /// A file was moved.
    FileRename = 3 "file_rename",
    /// A file, or a symbolic link, was copied to here.
    FileCopy = 4 "file_copy",
    /// A directory was created.
    DirCreate = 5 "dir_create",
    /// A directory was removed, with all below it.
    DirDelete = 6 "dir_delete",
    /// A directory was moved, with all below it.
    DirRename = 7 "dir_rename",
    /// A file got another name.
    LinkCreate = 8 "link_create",
    /// A symbolic link was created.
    SymlinkCreate = 9 "symlink_create",
    /// Custom metadata or tags changed.
    MetadataChange = 10 "metadata_change",
    /// Mode, owner or times changed.
    AttributeChange = 11 "attribute_change",
    /// A directory was copied to here, with all below it.
    DirCopy = 12 "dir_copy",
    /// A snapshot of a directory was made.
    SnapshotCreate = 13 "snapshot_create",
    /// A snapshot of a directory was deleted.
    SnapshotDelete = 14 "snapshot_delete",
    /// Something else about a snapshot was changed: what is said of it, whether it is pinned, when
    /// it expires.
    SnapshotUpdate = 16 "snapshot_update",
    /// A directory was registered as a workspace.
    WorkspaceRegister = 17 "workspace_register",
    /// The registration of a workspace was ended.
    WorkspaceUnregister = 18 "workspace_unregister",
    /// A policy of retention was set; the path is that of the root.
    RetentionSet = 22 "retention_set",
    /// A policy of retention was removed; the path is that of the root.
    RetentionRemove = 23 "retention_remove",
    /// Somebody's lease was ended by force; of a free name, the path is `name:` and it.
    LockForce = 20 "lock_force",
    /// A lease had expired and its lock was granted to another.
    LockExpire = 21 "lock_expire",
    /// A directory came back that had been removed, with all that it held.
    DirRestore = 15 "dir_restore",
}

impl ChangeKind {
    pub(crate) fn of_code(code: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.code() == code)
    }

    /// Whether it leaves the files and directories as they are: it is about a lock, a snapshot, a
    /// workspace or retention.
    #[must_use]
    pub const fn leaves_files(self) -> bool {
        match self {
            Self::LockForce
            | Self::LockExpire
            | Self::SnapshotCreate
            | Self::SnapshotUpdate
            | Self::SnapshotDelete
            | Self::WorkspaceRegister
            | Self::WorkspaceUnregister
            | Self::RetentionSet
            | Self::RetentionRemove => true,
            Self::FileWrite
            | Self::FileDelete
            | Self::FileRename
            | Self::FileCopy
            | Self::DirCreate
            | Self::DirDelete
            | Self::DirRename
            | Self::DirCopy
            | Self::DirRestore
            | Self::LinkCreate
            | Self::SymlinkCreate
            | Self::MetadataChange
            | Self::AttributeChange => false,
        }
    }

    /// Whether it is about a directory with all below it.
    pub(crate) const fn is_of_a_tree(self) -> bool {
        matches!(
            self,
            Self::DirDelete | Self::DirRename | Self::DirCopy | Self::DirRestore
        )
    }
}

impl std::str::FromStr for ChangeKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.iter().find(|kind| kind.as_str() == text);
        found.copied().ok_or_else(|| {
            let all: Vec<_> = Self::ALL.iter().map(|kind| kind.as_str()).collect();
            Error::invalid("unknown kind of change")
                .with("kind", path::shown(text))
                .with("kinds", all.join(" "))
        })
    }
}

/// The time of the last record; 0 if there is none.
pub(crate) async fn last_time(metastore: &dyn Metastore) -> Result<i64> {
    let log = KeyRange::prefix(keys::log_prefix());
    let page = metastore
        .scan(Scan::backward(log, 1), Freshness::Linearizable)
        .await?;
    let Some(entry) = page.entries.into_iter().next() else {
        return Ok(0);
    };
    let record: LogRecord = records::decode(entry.value.bytes)?;
    Ok(record.time)
}

fn change((sequence, record): (u32, ChangeRecord)) -> Result<Change> {
    let kind = ChangeKind::of_code(record.kind);
    Ok(Change {
        sequence,
        kind: kind.ok_or_else(|| unreadable("kind of change"))?,
        path: record.path,
        old_path: record.old_path,
        parent: Ino(record.parent),
        lease: record.lease.map(|lease| EndedLease {
            token: lease.token,
            holder: lease.holder,
        }),
        old_parent: Some(record.old_parent).filter(|ino| *ino != 0).map(Ino),
        ino: Ino(record.ino),
        file_kind: records::kind_of(record.file_kind)?,
        version: record.version,
        etag: if record.etag.is_empty() {
            None
        } else {
            Some(Etag::from_bytes(&record.etag)?)
        },
        size: record.size,
        subject: record.subject,
    })
}
