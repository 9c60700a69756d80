//! What was before.

use nexus_kernel::{Revision, Timestamp};

use super::files::{At, FileKind};

/// A past or present content of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its number, from 1.
    pub version: u64,
    /// Hash of the content.
    pub etag: String,
    /// Bytes of content.
    pub size: u64,
    /// The commit that made it.
    pub revision: Revision,
    /// When.
    pub created: Timestamp,
    /// Who, as `kind:id`.
    pub author: String,
    /// Whether it is today's.
    pub current: bool,
}

/// One side of a diff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionAt {
    /// A version of the file.
    Version(u64),
    /// What the file was at a point.
    At(At),
}

/// Which commits to tell.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    /// Only changes at or below this path.
    pub path_prefix: Option<String>,
    /// Only by this principal, as `kind:id`.
    pub actor: Option<String>,
    /// Only changes of these kinds; of any if there are none.
    pub kinds: Vec<ChangeKind>,
    /// Only for this principal, as `kind:id`.
    pub on_behalf_of: Option<String>,
    /// Only with the key of this public id.
    pub key_id: Option<String>,
    /// Only by this program.
    pub program: Option<String>,
    /// Only of this session.
    pub session: Option<String>,
    /// Only of this request.
    pub request_id: Option<String>,
    /// Only what was this as a whole: `undo`, `restore`, `merge`.
    pub operation: Option<String>,
    /// After this point.
    pub since: Option<At>,
    /// Up to and with this point.
    pub until: Option<At>,
    /// Newest first.
    pub newest_first: bool,
    /// Most records in a page; 0 for the node's default.
    pub limit: u32,
    /// Continue after the page that gave this cursor.
    pub cursor: Option<String>,
}

/// One page of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPage {
    /// The commits, in the order asked for.
    pub records: Vec<Record>,
    /// The cursor of the page after this one; none after the last.
    pub next: Option<String>,
    /// The cursor of the page before this one; none before the first.
    pub previous: Option<String>,
}

/// One commit: who did what, when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its revision.
    pub revision: Revision,
    /// When.
    pub time: Timestamp,
    /// Who, as `kind:id`.
    pub actor: String,
    /// For whom.
    pub on_behalf_of: Option<String>,
    /// The public id of the key it came with.
    pub key_id: Option<String>,
    /// The run it belongs to.
    pub session: Option<String>,
    /// The name of the program that asked, where it is known.
    pub program: Option<String>,
    /// The request it came with.
    pub request_id: Option<String>,
    /// What it was as a whole, where that is more than its changes: `undo`, `restore`, `merge`.
    pub operation: Option<String>,
    /// The revisions that such an operation is about.
    pub about: Vec<Revision>,
    /// What it did.
    pub changes: Vec<Change>,
}

/// One thing that a commit did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its place in the commit, from 0.
    pub sequence: u32,
    /// What.
    pub kind: ChangeKind,
    /// Where.
    pub path: String,
    /// Of a rename or copy: where it came from.
    pub old_path: Option<String>,
    /// The inode.
    pub ino: u64,
    /// What the inode is.
    pub file_kind: FileKind,
    /// The file's version after it.
    pub version: u64,
    /// The content after it.
    pub etag: Option<String>,
    /// The size after it.
    pub size: u64,
    /// The inode of the directory that `path` is in.
    pub parent: u64,
    /// Of a move: the inode of the directory it comes from.
    pub old_parent: Option<u64>,
    /// The lease that somebody lost by it.
    pub lease: Option<EndedLease>,
    /// What it is about besides the path: the name of the snapshot, the name of the workspace if it
    /// has one, the pattern of the policy.
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
    ($($kind:ident = $name:literal: $doc:literal,)*) => {
        /// What a change did.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ChangeKind {
            $(#[doc = $doc] $kind,)*
            /// One that only a newer node knows.
            Unknown,
        }

        impl ChangeKind {
            /// Every kind that is known.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// The name as people and doors write it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                    Self::Unknown => "unknown",
                }
            }

            pub(crate) fn to_wire(self) -> nexus_proto::v1::ChangeKind {
                match self {
                    $(Self::$kind => nexus_proto::v1::ChangeKind::$kind,)*
                    Self::Unknown => nexus_proto::v1::ChangeKind::Unspecified,
                }
            }
        }
    };
}

change_kinds! {
    FileWrite = "file_write": "A file's content was written.",
    FileDelete = "file_delete": "A file or link was removed.",
    FileRename = "file_rename": "A file or link was renamed.",
    DirCreate = "dir_create": "A directory was made.",
    DirDelete = "dir_delete": "A directory was removed, with all below it.",
    DirRename = "dir_rename": "A directory was renamed.",
    LinkCreate = "link_create": "A file got another name.",
    SymlinkCreate = "symlink_create": "A symbolic link was made.",
    MetadataChange = "metadata_change": "Custom metadata or tags changed.",
    AttributeChange = "attribute_change": "Permission bits, owner, times or size changed.",
    FileCopy = "file_copy": "A file or link was copied.",
    DirCopy = "dir_copy": "A directory was copied, with all below it.",
    LockForce = "lock_force": "Somebody's lease was ended by force.",
    LockExpire = "lock_expire": "A lease had expired and its lock was granted to another.",
    SnapshotCreate = "snapshot_create": "A snapshot of a directory was made.",
    SnapshotDelete = "snapshot_delete": "A snapshot of a directory was deleted.",
    SnapshotUpdate = "snapshot_update": "Something about a snapshot was changed.",
    WorkspaceRegister = "workspace_register": "A directory was registered as a workspace.",
    WorkspaceUnregister = "workspace_unregister": "The registration of a workspace was ended.",
    RetentionSet = "retention_set": "A policy of retention was set.",
    RetentionRemove = "retention_remove": "A policy of retention was removed.",
    DirRestore = "dir_restore": "A directory came back that had been removed, with all that it held.",
}
