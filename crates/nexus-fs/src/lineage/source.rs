//! Where a content came from.

use nexus_kernel::{Error, Result, Revision};
use prost::Message;

use crate::path::shown;
use crate::records::unreadable;

/// Longest name of a source outside of the zone.
pub const SOURCE_BYTES_MAX: usize = 4_096;

macro_rules! source_kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal $text:literal),* $(,)?) => {
        /// How one content came from another.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum SourceKind { $($(#[$doc])* $name),* }

        impl SourceKind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            const fn code(self) -> u32 {
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

source_kinds! {
    /// It was copied.
    Copy = 1 "copy",
    /// It was edited in place.
    Edit = 2 "edit",
    /// An earlier version of the same file was made its newest again.
    Rollback = 3 "rollback",
    /// It was brought back from a past state of the zone.
    Restore = 4 "restore",
    /// It was merged from this, perhaps among others.
    Merge = 5 "merge",
    /// It came from outside of the zone.
    Import = 6 "import",
    /// It was forked together with its directory.
    Fork = 7 "fork",
    /// A change was undone, and it is what it was before.
    Undo = 8 "undo",
}

impl std::str::FromStr for SourceKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.iter().find(|kind| kind.as_str() == text);
        found
            .copied()
            .ok_or_else(|| Error::invalid("unknown kind of source").with("kind", shown(text)))
    }
}

/// What a content comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Source {
    pub kind: SourceKind,
    pub origin: Origin,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Origin {
    /// An inode of this zone, in the state that began with a revision; none for the commit that
    /// derives from it.
    Inode {
        ino: u64,
        version: u64,
        since: Option<Revision>,
        /// A path that it had then.
        path: String,
    },
    /// Something outside of the zone, as whoever brought it in names it.
    External(String),
}

/// What an inode was derived from in one commit.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct DerivedRecord {
    #[prost(sfixed64, tag = "1")]
    pub time: i64,
    #[prost(string, tag = "2")]
    pub actor: String,
    /// A path that it had then.
    #[prost(string, tag = "3")]
    pub path: String,
    /// Its version after the commit.
    #[prost(uint64, tag = "4")]
    pub version: u64,
    #[prost(message, repeated, tag = "5")]
    pub sources: Vec<SourceRecord>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SourceRecord {
    #[prost(uint32, tag = "1")]
    pub kind: u32,
    /// 0 for what is outside of the zone.
    #[prost(uint64, tag = "2")]
    pub ino: u64,
    #[prost(uint64, tag = "3")]
    pub version: u64,
    /// The revision that its state began with; 0 for that of this very commit.
    #[prost(uint64, tag = "4")]
    pub since: u64,
    /// A path that it had then, or what names it outside of the zone.
    #[prost(string, tag = "5")]
    pub path: String,
}

impl From<Source> for SourceRecord {
    fn from(source: Source) -> Self {
        let kind = source.kind.code();
        match source.origin {
            Origin::Inode {
                ino,
                version,
                since,
                path,
            } => Self {
                kind,
                ino,
                version,
                since: since.map_or(0, |since| since.0),
                path,
            },
            Origin::External(path) => Self {
                kind,
                path,
                ..Self::default()
            },
        }
    }
}

impl SourceRecord {
    pub(crate) fn source_kind(&self) -> Result<SourceKind> {
        let kinds = SourceKind::ALL.iter();
        let mut kinds = kinds.filter(|kind| kind.code() == self.kind);
        kinds.next().copied().ok_or_else(|| unreadable("source"))
    }
}

/// Checks what names a source outside of the zone.
pub(crate) fn check_external(source: &str) -> Result<()> {
    if source.is_empty() || source.contains(char::is_control) {
        return Err(Error::invalid(
            "a source is named by a text without control characters, such as file:///home/me/notes.txt",
        )
        .with("source", shown(source)));
    }
    if source.len() > SOURCE_BYTES_MAX {
        return Err(
            Error::limit("the name of a source has at most 4096 bytes").with("bytes", source.len())
        );
    }
    Ok(())
}
