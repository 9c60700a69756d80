//! Versions of a file.

use nexus_fs::{FileKind, LineageEntry, LineageSource, VERSIONS_LIMIT_MAX, Version, VersionAt};
use nexus_kernel::{Durability, Error};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Reply;
use super::call::{Call, Outcome};
use super::error::RpcError;
use super::tree::mime_type;
use super::value::{TypedBytes, TypedTime};

#[derive(Deserialize)]
pub(super) struct ListVersions {
    path: String,
}

pub(super) async fn list_versions(call: &Call, ask: ListVersions) -> Outcome {
    let versions = all_versions(call, &ask.path).await?;
    let sources = call.files.version_sources(&ask.path, &versions).await?;
    let older = versions.iter().skip(1).map(Some).chain([None]);
    let listed: Vec<Value> = versions
        .iter()
        .zip(older)
        .map(|(version, older)| {
            let source = sources.get(&version.version);
            listed(&ask.path, version, older, source)
        })
        .collect();
    Reply::of(&listed)
}

async fn all_versions(call: &Call, path: &str) -> Result<Vec<Version>, RpcError> {
    let mut versions: Vec<Version> = Vec::new();
    loop {
        let before = versions.last().map(|oldest| oldest.version);
        let page = call.files.versions(path, VERSIONS_LIMIT_MAX, before);
        let page = page.await?;
        let more = page.len() == VERSIONS_LIMIT_MAX;
        versions.extend(page);
        call.check_entries(versions.len())?;
        if !more {
            return Ok(versions);
        }
    }
}

/// A version; its parent is the version of the same file that it was made of, or the one
/// before.
fn listed(
    path: &str,
    version: &Version,
    older: Option<&Version>,
    source: Option<&LineageEntry>,
) -> Value {
    let made_of = source.and_then(|entry| match &entry.source {
        LineageSource::File(from) if from.ino == entry.file.ino => Some(from.version),
        _ => None,
    });
    json!({
        "version": version.version,
        "content_hash": version.etag.to_string(),
        "size": version.size,
        "mime_type": mime_type(path, FileKind::File),
        "created_at": TypedTime(version.created),
        "created_by": version.author,
        "change_reason": null,
        "source_type": source.map(|entry| entry.kind.as_str()),
        "parent_version_id": made_of.or(older.map(|older| older.version)),
    })
}

#[derive(Deserialize)]
pub(super) struct OfVersion {
    path: String,
    version: u64,
}

pub(super) async fn get_version(call: &Call, ask: OfVersion) -> Outcome {
    let file = call.files.read_version(&ask.path, ask.version).await?;
    call.check_bytes(file.bytes.len())?;
    Reply::of(&TypedBytes(file.bytes))
}

pub(super) async fn rollback(call: &Call, ask: OfVersion) -> Outcome {
    call.files
        .rollback(&ask.path, ask.version, Durability::Sync)
        .await?;
    Reply::of(&Value::Null)
}

#[derive(Deserialize)]
pub(super) struct Diff {
    path: String,
    v1: u64,
    v2: u64,
    mode: Option<String>,
}

pub(super) async fn diff(call: &Call, ask: Diff) -> Outcome {
    match ask.mode.as_deref() {
        None | Some("metadata") => {
            let (old, new) = (
                version(call, &ask, ask.v1).await?,
                version(call, &ask, ask.v2).await?,
            );
            Reply::of(&compared(&ask.path, &old, &new))
        }
        Some("content") => {
            let (from, to) = (VersionAt::Version(ask.v1), VersionAt::Version(ask.v2));
            Reply::of(&call.files.diff(&ask.path, from, to).await?)
        }
        Some(_) => Err(RpcError::bad_params(
            "a mode is \"metadata\" or \"content\"",
        )),
    }
}

async fn version(call: &Call, ask: &Diff, number: u64) -> Result<Version, Error> {
    let at_most = number.checked_add(1);
    let newest = call.files.versions(&ask.path, 1, at_most).await?.pop();
    newest
        .filter(|version| version.version == number)
        .ok_or_else(|| {
            Error::not_found("the file has no such version; list its versions")
                .with("path", &ask.path)
                .with("version", number)
        })
}

fn compared(path: &str, old: &Version, new: &Version) -> Value {
    json!({
        "path": path,
        "v1": old.version,
        "v2": new.version,
        "content_hash_v1": old.etag.to_string(),
        "content_hash_v2": new.etag.to_string(),
        "content_changed": old.etag != new.etag,
        "size_v1": old.size,
        "size_v2": new.size,
        "size_delta": i128::from(new.size) - i128::from(old.size),
        "created_at_v1": TypedTime(old.created),
        "created_at_v2": TypedTime(new.created),
    })
}
