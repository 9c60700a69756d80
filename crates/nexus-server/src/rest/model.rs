//! What REST speaks.

use std::fmt;

use axum::Json;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use nexus_fs::time::{format_rfc3339, parse_rfc3339};
use nexus_kernel::{Error, Result, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

/// Carries the commit that made what is answered.
pub(super) const REVISION: HeaderName = HeaderName::from_static("x-nexus-revision");

/// A time in RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub(crate) struct Time(pub(crate) Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_rfc3339(self.0))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let time = parse_rfc3339(&text);
        time.map(Self)
            .ok_or_else(|| serde::de::Error::custom("a time is like 2026-01-31T12:00:00Z"))
    }
}

/// Permission bits as octal digits: `"0644"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, example = "0644")]
pub(crate) struct Mode(pub(crate) u32);

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:04o}", self.0))
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        match u32::from_str_radix(&text, 8) {
            Ok(mode) if mode <= 0o7777 => Ok(Self(mode)),
            _ => Err(serde::de::Error::custom(
                "a mode is up to four octal digits, like \"0644\"",
            )),
        }
    }
}

/// Bytes in JSON: a string where they are UTF-8, else `{"base64": "..."}`. Either way in.
#[derive(Clone, PartialEq, Eq, ToSchema)]
#[schema(value_type = BytesSchema)]
pub(crate) struct Blob(pub(crate) Bytes);

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Bytes)]
pub(crate) enum BytesSchema {
    /// UTF-8.
    Text(String),
    /// Anything.
    Base64 {
        /// In the standard alphabet, padded.
        base64: String,
    },
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => BytesSchema::Base64 {
                base64: crate::base64::encode(&self.0),
            }
            .serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match BytesSchema::deserialize(deserializer)? {
            BytesSchema::Text(text) => Ok(Self(text.into())),
            BytesSchema::Base64 { base64 } => crate::base64::decode(&base64)
                .map(Self)
                .map_err(serde::de::Error::custom),
        }
    }
}

/// When a change is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Durability {
    /// When it will survive a power failure.
    #[default]
    Sync,
    /// When it is visible; the next sync makes it durable.
    Relaxed,
}

impl From<Durability> for nexus_kernel::Durability {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Sync => Self::Sync,
            Durability::Relaxed => Self::Relaxed,
        }
    }
}

/// The attributes of a file, directory or link.
#[derive(Serialize, ToSchema)]
pub(crate) struct Stat {
    /// Names it for as long as it exists, whatever it is called.
    ino: u64,
    /// `file`, `directory` or `symlink`.
    kind: &'static str,
    /// Bytes of content; of a link, of its target; 0 for a directory.
    size: u64,
    /// Hash of the content; none for directories.
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    /// Counts the contents this file has had, from 1; 0 for directories.
    version: u64,
    /// The commit that last changed it.
    revision: u64,
    mode: Mode,
    uid: u32,
    gid: u32,
    /// The principal that created it, as `kind:id`.
    owner: String,
    /// How many names it has.
    links: u32,
    created: Time,
    /// When its content, or a directory's entries, last changed.
    modified: Time,
    /// When its attributes last changed.
    changed: Time,
    /// Where a symbolic link points.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

impl From<nexus_fs::Stat> for Stat {
    fn from(stat: nexus_fs::Stat) -> Self {
        Self {
            ino: stat.ino.0,
            kind: stat.kind.as_str(),
            size: stat.size,
            etag: stat.etag.map(|etag| etag.to_string()),
            version: stat.version,
            revision: stat.revision.0,
            mode: Mode(stat.mode),
            uid: stat.uid,
            gid: stat.gid,
            owner: stat.owner,
            links: stat.links,
            created: Time(stat.created),
            modified: Time(stat.modified),
            changed: Time(stat.changed),
            target: stat.target,
        }
    }
}

/// What a change answers.
#[derive(Serialize, ToSchema)]
pub(crate) struct Changed {
    /// The commit; a read with `at=>=revision` sees it on any node.
    revision: u64,
    /// The attributes after it; none after a removal.
    #[serde(skip_serializing_if = "Option::is_none")]
    stat: Option<Stat>,
}

impl From<nexus_fs::Changed> for Changed {
    fn from(changed: nexus_fs::Changed) -> Self {
        Self {
            revision: changed.revision.0,
            stat: changed.stat.map(Stat::from),
        }
    }
}

impl IntoResponse for Changed {
    /// The revision is also a header, for clients that do not look into bodies.
    fn into_response(self) -> Response {
        let revision = HeaderValue::from(self.revision);
        ([(REVISION, revision)], Json(self)).into_response()
    }
}

/// A name in a listing.
#[derive(Serialize, ToSchema)]
pub(crate) struct Entry {
    /// Absolute.
    path: String,
    ino: u64,
    /// `file`, `directory` or `symlink`.
    kind: &'static str,
    /// If details were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    stat: Option<Stat>,
}

impl From<nexus_fs::DirEntry> for Entry {
    fn from(entry: nexus_fs::DirEntry) -> Self {
        Self {
            path: entry.path,
            ino: entry.ino.0,
            kind: entry.kind.as_str(),
            stat: entry.stat.map(Stat::from),
        }
    }
}

/// A page of entries.
#[derive(Serialize, ToSchema)]
pub(crate) struct EntryPage {
    entries: Vec<Entry>,
    /// Give this as `cursor` for the next page; none after the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl From<nexus_fs::ListPage> for EntryPage {
    fn from(page: nexus_fs::ListPage) -> Self {
        Self {
            entries: page.entries.into_iter().map(Entry::from).collect(),
            next: page.next,
        }
    }
}

/// Which state a read sees, as text: none for the newest.
pub(crate) fn at(text: Option<&str>) -> Result<nexus_fs::At, Error> {
    text.filter(|text| !text.is_empty())
        .map_or(Ok(nexus_fs::At::Latest), str::parse)
}
