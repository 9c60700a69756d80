//! Workspaces and their snapshots.

use std::collections::BTreeMap;
use std::time::Duration;

use nexus_fs::{
    At, DiffTreeOptions, NewSnapshot, NewWorkspace, RestoreOptions, Snapshot, SnapshotQuery, Stat,
    TreeChangeKind, UndoKind, Workspace,
};
use nexus_kernel::{Error, Kind};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Reply;
use super::call::{Call, Outcome};
use super::error::RpcError;
use super::value::TypedTime;

/// Longest a registration holds, beyond which the filesystem refuses it anyway.
const TTL_SECONDS_MAX: f64 = 1e9;
/// Entries read at a time.
const PAGE: usize = 1_000;

#[derive(Deserialize)]
pub(super) struct Register {
    path: String,
    name: Option<String>,
    description: Option<String>,
    tags: Option<Vec<String>>,
    metadata: Option<Map<String, Value>>,
    session_id: Option<String>,
    ttl: Option<TimeDelta>,
}

/// `{"__type__": "timedelta", "seconds": 1.5}`.
#[derive(Deserialize)]
struct TimeDelta {
    seconds: f64,
}

impl TimeDelta {
    fn length(&self) -> Result<Duration, RpcError> {
        if (0.0..TTL_SECONDS_MAX).contains(&self.seconds) {
            return Ok(Duration::from_secs_f64(self.seconds));
        }
        Err(RpcError::bad_params("a ttl is a length of time"))
    }
}

pub(super) async fn register(call: &Call, ask: Register) -> Outcome {
    let metadata = ask.metadata.unwrap_or_default().into_iter();
    let text = |value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let metadata: BTreeMap<_, _> = metadata.map(|(key, value)| (key, text(value))).collect();
    let new = NewWorkspace {
        name: ask.name,
        description: ask.description,
        tags: ask.tags.unwrap_or_default(),
        metadata,
        session: ask.session_id,
        ttl: ask.ttl.map(|ttl| ttl.length()).transpose()?,
    };
    let made = call.files.register_workspace(&ask.path, new).await?;
    Reply::of(&workspace(&made))
}

#[derive(Deserialize)]
pub(super) struct Of {
    path: String,
}

pub(super) async fn unregister(call: &Call, ask: Of) -> Outcome {
    let ended = call.files.unregister_workspace(&ask.path).await;
    Reply::of(&found(ended)?.is_some())
}

pub(super) async fn info(call: &Call, ask: Of) -> Outcome {
    let registered = found(call.files.workspace(&ask.path).await)?;
    Reply::of(&registered.as_ref().map(workspace))
}

#[derive(Deserialize)]
pub(super) struct List {}

pub(super) async fn list(call: &Call, List {}: List) -> Outcome {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = call.files.workspaces(PAGE, cursor.as_deref()).await?;
        all.extend(page.items.iter().map(workspace));
        call.check_entries(all.len())?;
        cursor = page.next;
        if cursor.is_none() {
            return Reply::of(&all);
        }
    }
}

/// What a registration is, or that there is none.
fn found(answer: Result<Workspace, Error>) -> Result<Option<Workspace>, Error> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn workspace(workspace: &Workspace) -> Value {
    json!({
        "path": workspace.path,
        "name": workspace.name,
        "description": workspace.description,
        "tags": workspace.tags,
        "metadata": workspace.metadata,
        "session_id": workspace.session,
        "created_by": workspace.created_by,
        "created_at": TypedTime(workspace.created),
        "expires_at": workspace.expires.map(TypedTime),
    })
}

#[derive(Deserialize)]
pub(super) struct MakeSnapshot {
    workspace_path: Option<String>,
    description: Option<String>,
    tags: Option<Vec<String>>,
}

pub(super) async fn snapshot(call: &Call, ask: MakeSnapshot) -> Outcome {
    let path = named(ask.workspace_path.as_deref())?;
    let new = NewSnapshot {
        description: ask.description.unwrap_or_default(),
        tags: ask.tags.unwrap_or_default(),
        ..NewSnapshot::default()
    };
    let made = call.files.create_snapshot(path, new).await?;
    Reply::of(&described(call, &made).await?)
}

fn named(path: Option<&str>) -> Result<&str, RpcError> {
    path.ok_or_else(|| RpcError::bad_params("name the directory as workspace_path"))
}

async fn described(call: &Call, snapshot: &Snapshot) -> Result<Value, Error> {
    let at = At::Snapshot(snapshot.name.as_str().into());
    let usage = call.files.usage(&snapshot.path, at).await?;
    Ok(json!({
        "snapshot_id": snapshot.name,
        "snapshot_number": snapshot.number,
        // There is no manifest: the revision is all that a snapshot is.
        "manifest_hash": format!("r{}", snapshot.revision),
        "file_count": usage.files,
        "total_size_bytes": usage.bytes,
        "description": snapshot.description,
        "created_by": snapshot.actor,
        "tags": snapshot.tags,
        "created_at": TypedTime(snapshot.time),
    }))
}

#[derive(Deserialize)]
pub(super) struct Log {
    workspace_path: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn log(call: &Call, ask: Log) -> Outcome {
    let path = named(ask.workspace_path.as_deref())?;
    let limit = ask.limit.unwrap_or(100);
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let query = SnapshotQuery {
            path: Some(path.to_owned()),
            limit: PAGE,
            cursor,
            ..SnapshotQuery::default()
        };
        let page = call.files.snapshots(query).await?;
        all.extend(page.snapshots);
        call.check_entries(all.len())?;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    all.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.number));
    let mut listed = Vec::new();
    for snapshot in all.iter().take(limit) {
        listed.push(described(call, snapshot).await?);
    }
    Reply::of(&listed)
}

#[derive(Deserialize)]
pub(super) struct Restore {
    snapshot_number: u64,
    workspace_path: Option<String>,
}

pub(super) async fn restore(call: &Call, ask: Restore) -> Outcome {
    let path = named(ask.workspace_path.as_deref())?;
    let snapshot = call
        .files
        .numbered_snapshot(path, ask.snapshot_number)
        .await?;
    let at = At::Snapshot(snapshot.name.as_str().into());
    let done = call.files.restore(path, at, RestoreOptions::default());
    let effects = done.await?.effects;
    let deleted = effects
        .iter()
        .filter(|effect| effect.kind == UndoKind::Remove)
        .count();
    Reply::of(&json!({
        "files_restored": effects.len() - deleted,
        "files_deleted": deleted,
        "snapshot_info": described(call, &snapshot).await?,
    }))
}

#[derive(Deserialize)]
pub(super) struct Diff {
    snapshot_1: u64,
    snapshot_2: u64,
    workspace_path: Option<String>,
}

pub(super) async fn diff(call: &Call, ask: Diff) -> Outcome {
    let path = named(ask.workspace_path.as_deref())?;
    let mut points = Vec::new();
    for number in [ask.snapshot_1, ask.snapshot_2] {
        let snapshot = call.files.numbered_snapshot(path, number).await?;
        let at = At::Snapshot(snapshot.name.as_str().into());
        points.push((snapshot.path, at));
    }
    let [(old_path, old), (new_path, new)] = <[_; 2]>::try_from(points).expect("there are two");
    let after = call.files.usage(&new_path, new.clone()).await?.files;
    let options = DiffTreeOptions { expand: true };
    let diff = call
        .files
        .diff_trees((&old_path, old), (&new_path, new), options)
        .await?;
    call.check_entries(diff.changes.len())?;
    let (mut added, mut removed, mut modified) = (Vec::new(), Vec::new(), Vec::new());
    for change in diff.changes.iter().filter(|change| !change.stat().is_dir()) {
        let old_path = change.old_path.as_ref().unwrap_or(&change.path);
        match (change.kind, &change.old, &change.new) {
            (TreeChangeKind::Modified, Some(old), Some(new)) => {
                modified.push(compared(&change.path, old, new));
            }
            (_, old, new) => {
                removed.extend(old.as_ref().map(|old| sized(old_path, old)));
                added.extend(new.as_ref().map(|new| sized(&change.path, new)));
            }
        }
    }
    let changed = added.len() + modified.len();
    Reply::of(&json!({
        "added": added,
        "removed": removed,
        "modified": modified,
        "unchanged": after.saturating_sub(changed as u64),
    }))
}

fn sized(path: &str, stat: &Stat) -> Value {
    json!({ "path": path, "size": stat.size })
}

fn compared(path: &str, old: &Stat, new: &Stat) -> Value {
    json!({
        "path": path,
        "old_size": old.size,
        "new_size": new.size,
        "old_hash": old.etag.map(|etag| etag.to_string()),
        "new_hash": new.etag.map(|etag| etag.to_string()),
    })
}
