//! Reading, writing and editing one file.

use std::collections::BTreeMap;

use bytes::Bytes;
use nexus_fs::edit::{Edit, EditMatch, Strategy};
use nexus_fs::{At, EditOptions, Etag, FileBytes, Stat, WriteOptions};
use nexus_kernel::Error;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Reply;
use super::call::{Call, Outcome};
use super::error::RpcError;
use super::value::{Chunks, Content, Point, TypedBytes, TypedTime};
use crate::rest::not_modified;

#[derive(Deserialize)]
pub(super) struct Read {
    path: String,
    return_metadata: Option<bool>,
    offset: Option<u64>,
    count: Option<u64>,
    #[serde(default)]
    at: Point,
}

pub(super) async fn read(call: &Call, ask: Read) -> Outcome {
    if let Some(etag) = known_already(call, &ask.path, ask.at.0.clone()).await? {
        return Ok(Reply::not_modified().with_etag(Some(etag)));
    }
    let file = match (ask.offset, ask.count) {
        (None, None) => call.files.read(&ask.path, ask.at.0).await?,
        (offset, count) => {
            let start = offset.unwrap_or(0);
            let end = start.saturating_add(count.unwrap_or(u64::MAX));
            call.files
                .read_range(&ask.path, ask.at.0, start..end)
                .await?
        }
    };
    call.check_bytes(file.bytes.len())?;
    let etag = file.stat.etag;
    let reply = match ask.return_metadata {
        Some(true) => Reply::of(&ContentAndMetadata::from(file)),
        _ => Reply::of(&TypedBytes(file.bytes)),
    };
    reply.map(|reply| reply.with_etag(etag))
}

/// The file's etag, if the caller sent it as `If-None-Match`.
async fn known_already(call: &Call, path: &str, at: At) -> Result<Option<Etag>, Error> {
    if !call.headers.contains_key(http::header::IF_NONE_MATCH) {
        return Ok(None);
    }
    let etag = call.files.stat(path, at).await?.etag;
    Ok(if not_modified(&call.headers, etag.as_ref())? {
        etag
    } else {
        None
    })
}

/// A file with its content.
#[derive(Serialize)]
pub(super) struct ContentAndMetadata {
    content: TypedBytes,
    #[serde(flatten)]
    metadata: Written,
}

impl From<FileBytes> for ContentAndMetadata {
    fn from(file: FileBytes) -> Self {
        Self {
            content: TypedBytes(file.bytes),
            metadata: Written::from(&file.stat),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct ReadRange {
    path: String,
    start: u64,
    /// Exclusive.
    end: u64,
    #[serde(default)]
    at: Point,
}

pub(super) async fn read_range(call: &Call, ask: ReadRange) -> Outcome {
    if ask.end < ask.start {
        return Err(RpcError::bad_params("end must not come before start"));
    }
    let file = call
        .files
        .read_range(&ask.path, ask.at.0, ask.start..ask.end)
        .await?;
    call.check_bytes(file.bytes.len())?;
    Reply::of(&TypedBytes(file.bytes))
}

/// What is said of a file that was written.
#[derive(Clone, Serialize)]
pub(super) struct Written {
    etag: Option<String>,
    version: u64,
    modified_at: TypedTime,
    size: u64,
}

impl From<&Stat> for Written {
    fn from(stat: &Stat) -> Self {
        Self {
            etag: stat.etag.map(|etag| etag.to_string()),
            version: stat.version,
            modified_at: TypedTime(stat.modified),
            size: stat.size,
        }
    }
}

/// The same, and again under the name that old clients look at.
#[derive(Serialize)]
struct WrittenTwice {
    #[serde(flatten)]
    written: Written,
    bytes_written: Written,
}

impl WrittenTwice {
    fn of(stat: &Stat) -> Self {
        let written = Written::from(stat);
        Self {
            bytes_written: written.clone(),
            written,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Write {
    path: String,
    content: Content,
    if_match: Option<String>,
    if_none_match: Option<bool>,
    force: Option<bool>,
    encoding: Option<String>,
    metadata: Option<BTreeMap<String, Value>>,
}

pub(super) async fn write(call: &Call, ask: Write) -> Outcome {
    let content = ask.content.decode(ask.encoding.as_deref())?;
    let (create_only, force) = (
        ask.if_none_match.unwrap_or(false),
        ask.force.unwrap_or(false),
    );
    let options = WriteOptions {
        precondition: call
            .precondition(&ask.path, ask.if_match.as_deref(), create_only, force)
            .await?,
        metadata: ask
            .metadata
            .unwrap_or_default()
            .into_iter()
            .map(custom)
            .collect(),
        ..with_parents()
    };
    let changed = call.files.write(&ask.path, content, options).await?;
    Reply::of(&WrittenTwice::of(&changed.into_stat()))
}

/// Custom metadata is bytes: a string's are its text, any other value's its JSON.
fn custom((key, value): (String, Value)) -> (String, Bytes) {
    let bytes = match value {
        Value::String(text) => text.into(),
        other => other.to_string().into(),
    };
    (key, bytes)
}

/// A write creates missing parents.
pub(super) fn with_parents() -> WriteOptions {
    WriteOptions {
        parents: true,
        ..WriteOptions::default()
    }
}

#[derive(Deserialize)]
pub(super) struct WriteStream {
    path: String,
    chunks: Chunks,
}

pub(super) async fn write_stream(call: &Call, ask: WriteStream) -> Outcome {
    let changed = call
        .files
        .write(&ask.path, ask.chunks.decode()?, with_parents())
        .await?;
    Reply::of(&WrittenTwice::of(&changed.into_stat()))
}

#[derive(Deserialize)]
pub(super) struct Append {
    path: String,
    content: Content,
    if_match: Option<String>,
    force: Option<bool>,
}

pub(super) async fn append(call: &Call, ask: Append) -> Outcome {
    let force = ask.force.unwrap_or(false);
    let options = WriteOptions {
        precondition: call
            .precondition(&ask.path, ask.if_match.as_deref(), false, force)
            .await?,
        ..with_parents()
    };
    let changed = call
        .files
        .append(&ask.path, ask.content.decode(None)?, options)
        .await?;
    Reply::of(&Written::from(&changed.into_stat()))
}

#[derive(Deserialize)]
pub(super) struct EditFile {
    path: String,
    edits: Vec<AskedEdit>,
    if_match: Option<String>,
    fuzzy_threshold: Option<f64>,
    preview: Option<bool>,
}

/// One edit, in either of the forms that clients send.
#[derive(Deserialize)]
#[serde(untagged)]
enum AskedEdit {
    Pair(String, String),
    Named {
        old_str: String,
        new_str: String,
        hint_line: Option<u64>,
        allow_multiple: Option<bool>,
    },
}

impl From<AskedEdit> for Edit {
    fn from(edit: AskedEdit) -> Self {
        match edit {
            AskedEdit::Pair(old, new) => Self {
                old,
                new,
                hint_line: None,
                all: false,
            },
            AskedEdit::Named {
                old_str,
                new_str,
                hint_line,
                allow_multiple,
            } => Self {
                old: old_str,
                new: new_str,
                hint_line,
                all: allow_multiple.unwrap_or(false),
            },
        }
    }
}

pub(super) async fn edit(call: &Call, ask: EditFile) -> Outcome {
    let defaults = EditOptions::default();
    let options = EditOptions {
        if_match: call.if_match(&ask.path, ask.if_match.as_deref()).await?,
        fuzzy_threshold: ask.fuzzy_threshold.unwrap_or(defaults.fuzzy_threshold),
        preview: ask.preview.unwrap_or(false),
        ..defaults
    };
    let edits: Vec<Edit> = ask.edits.into_iter().map(Edit::from).collect();
    let edited = call.files.edit(&ask.path, &edits, options).await?;
    let applied_count = edited.matches.iter().filter(|found| found.applied).count();
    let stat = Written::from(&edited.stat);
    Reply::of(&json!({
        "success": edited.applied,
        "diff": edited.diff,
        "matches": edited.matches.iter().map(matched).collect::<Vec<_>>(),
        "applied_count": if edited.applied { applied_count } else { 0 },
        "errors": edited.problem.into_iter().collect::<Vec<_>>(),
        "etag": stat.etag,
        "version": stat.version,
        "size": stat.size,
        "modified_at": stat.modified_at,
    }))
}

fn matched(found: &EditMatch) -> Value {
    json!({
        "edit_index": found.edit_index,
        "match_type": match found.strategy {
            Strategy::Exact => "exact",
            Strategy::Whitespace => "normalized",
            Strategy::Fuzzy => "fuzzy",
            Strategy::None => "failed",
        },
        "similarity": found.similarity,
        "line_start": found.line_start,
        "line_end": found.line_end,
        "original_text": found.original_text,
        "search_strategy": found.strategy.as_str(),
        "match_count": found.match_count,
    })
}
