//! Many files in one call.

use std::collections::BTreeMap;

use bytes::Bytes;
use nexus_fs::{BatchStep, FileBytes, RemoveOptions};
use nexus_kernel::{Durability, Error, Kind};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Reply;
use super::call::{Call, Outcome};
use super::content::{ContentAndMetadata, Written, with_parents};
use super::error::RpcError;
use super::tree::{etag, existing, move_to};
use super::value::{Content, Point, TypedBytes};

#[derive(Deserialize)]
pub(super) struct ReadBulk {
    paths: Vec<String>,
    return_metadata: Option<bool>,
    skip_errors: Option<bool>,
    #[serde(default)]
    at: Point,
}

/// The contents by path; null where there is none that the caller may read, unless errors are
/// asked for.
pub(super) async fn read(call: &Call, ask: ReadBulk) -> Outcome {
    call.check_entries(ask.paths.len())?;
    let mut files = BTreeMap::new();
    let mut bytes = 0;
    for path in ask.paths {
        let file = match call.files.read(&path, ask.at.0.clone()).await {
            Ok(file) => Some(file),
            Err(error) if ask.skip_errors.unwrap_or(true) && is_about_the_path(&error) => None,
            Err(error) => return Err(error.into()),
        };
        bytes += file.as_ref().map_or(0, |file| file.bytes.len());
        call.check_bytes(bytes)?;
        files.insert(path, file);
    }
    if ask.return_metadata.unwrap_or(false) {
        return Reply::of(&each(files, ContentAndMetadata::from));
    }
    Reply::of(&each(files, |file| TypedBytes(file.bytes)))
}

/// Whether the error says only that this path has no content for this caller. A point that is
/// none is not found either, and is about no path.
fn is_about_the_path(error: &Error) -> bool {
    match error.kind() {
        Kind::NotFound => error.fact("path").is_some(),
        kind => matches!(kind, Kind::WrongType | Kind::PermissionDenied),
    }
}

fn each<T>(
    files: BTreeMap<String, Option<FileBytes>>,
    convert: impl Fn(FileBytes) -> T,
) -> BTreeMap<String, Option<T>> {
    files
        .into_iter()
        .map(|(path, file)| (path, file.map(&convert)))
        .collect()
}

#[derive(Deserialize)]
pub(super) struct WriteBatch {
    files: Vec<(String, Content)>,
}

/// All files or none, in one commit.
pub(super) async fn write(call: &Call, ask: WriteBatch) -> Outcome {
    if ask.files.is_empty() {
        return Reply::of(&json!([]));
    }
    let step = |(path, content): (String, Content)| -> Result<BatchStep, RpcError> {
        let content: Bytes = content.decode(None)?;
        Ok(BatchStep::Write {
            path,
            content,
            options: with_parents(),
        })
    };
    let steps = ask.files.into_iter().map(step).collect::<Result<_, _>>()?;
    let changes = call.files.batch(steps, Durability::Sync).await?;
    let written: Vec<_> = changes
        .iter()
        .filter_map(|changed| changed.stat.as_ref())
        .map(Written::from)
        .collect();
    Reply::of(&written)
}

#[derive(Deserialize)]
pub(super) struct DeleteBulk {
    paths: Vec<String>,
    recursive: Option<bool>,
}

/// Each for itself: one that fails does not hold up the rest.
pub(super) async fn delete(call: &Call, ask: DeleteBulk) -> Outcome {
    call.check_entries(ask.paths.len())?;
    let recursive = ask.recursive.unwrap_or(false);
    let options = RemoveOptions {
        recursive,
        ..RemoveOptions::default()
    };
    let mut results = BTreeMap::new();
    for path in ask.paths {
        let removed = call.files.remove(&path, options).await;
        results.insert(path, outcome(removed.map(|_| json!({ "success": true }))));
    }
    Reply::of(&results)
}

#[derive(Deserialize)]
pub(super) struct RenameBulk {
    renames: Vec<(String, String)>,
}

/// Each for itself, by the old path.
pub(super) async fn rename(call: &Call, ask: RenameBulk) -> Outcome {
    call.check_entries(ask.renames.len())?;
    let mut results = BTreeMap::new();
    for (from, to) in ask.renames {
        let renamed = move_to(call, &from, &to).await;
        let renamed = renamed.map(|()| json!({ "success": true, "new_path": to }));
        results.insert(from, outcome(renamed));
    }
    Reply::of(&results)
}

fn outcome(result: Result<Value, Error>) -> Value {
    result.unwrap_or_else(|error| json!({ "success": false, "error": error.to_string() }))
}

#[derive(Deserialize)]
pub(super) struct Paths {
    paths: Vec<String>,
    #[serde(default)]
    at: Point,
}

pub(super) async fn content_ids(call: &Call, ask: Paths) -> Outcome {
    call.check_entries(ask.paths.len())?;
    let mut etags = BTreeMap::new();
    for path in ask.paths {
        let stat = existing(call, &path, ask.at.0.clone()).await?;
        etags.insert(path, stat.as_ref().and_then(etag));
    }
    Reply::of(&etags)
}
