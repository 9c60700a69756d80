//! The shapes of `--json`. Names and values are those of the REST interface: times RFC 3339,
//! revisions numbers, permission bits octal, kinds `snake_case`; what is not there is left out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nexus_client::{
    Change, Changed, Cursor, DirEntry, Duplicates, EditMatch, Edited, Forced, Fork, GrepMatch,
    Identity, Key, Lease, LineageEntry, LineageFile, LineagePage, LineageSource, LockState,
    LockWaiter, MergeReport, Record, Revision, Stat, Timestamp, TreeChange, UndoReport, Usage,
    Version, Workspace,
};
use serde_json::{Map, Value, json};

use crate::format::rfc3339;

fn time(time: Timestamp) -> Value {
    rfc3339(time).into()
}

/// An object without its nulls.
fn present(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .collect(),
        other => other,
    }
}

/// The attributes of a path that was asked for.
pub(crate) fn stat(path: &str, stat: &Stat) -> Value {
    let mut value = attributes(stat);
    value["path"] = path.into();
    value
}

fn attributes(stat: &Stat) -> Value {
    present(json!({
        "ino": stat.ino,
        "kind": stat.kind.as_str(),
        "size": stat.size,
        "etag": stat.etag,
        "version": stat.version,
        "revision": stat.revision.0,
        "mode": format!("{:04o}", stat.mode),
        "uid": stat.uid,
        "gid": stat.gid,
        "owner": stat.owner,
        "links": stat.links,
        "created": time(stat.created),
        "modified": time(stat.modified),
        "changed": time(stat.changed),
        "target": stat.target,
    }))
}

pub(crate) fn entry(entry: &DirEntry) -> Value {
    present(json!({
        "path": entry.path,
        "ino": entry.ino,
        "kind": entry.kind.as_str(),
        "stat": entry.stat.as_ref().map(attributes),
    }))
}

pub(crate) fn changed(changed: &Changed) -> Value {
    present(json!({
        "revision": changed.revision.0,
        "stat": changed.stat.as_ref().map(attributes),
    }))
}

pub(crate) fn usage(path: &str, usage: &Usage) -> Value {
    json!({
        "path": path,
        "files": usage.files,
        "directories": usage.directories,
        "symlinks": usage.symlinks,
        "bytes": usage.bytes,
    })
}

pub(crate) fn grep_match(found: &GrepMatch) -> Value {
    json!({
        "path": found.path,
        "line": found.line,
        "column": found.column,
        "content": found.content,
        "matched": found.matched,
        "before": found.before,
        "after": found.after,
        "truncated": found.truncated,
    })
}

pub(crate) fn duplicates(set: &Duplicates) -> Value {
    json!({"etag": set.etag, "size": set.size, "paths": set.paths})
}

pub(crate) fn tree_change(change: &TreeChange) -> Value {
    present(json!({
        "kind": change.kind.as_str(),
        "path": change.path,
        "old_path": change.old_path,
        "old": change.old.as_ref().map(attributes),
        "new": change.new.as_ref().map(attributes),
        "content": change.content,
        "attributes": change.attributes,
        "metadata": change.metadata,
        "below": change.below,
    }))
}

pub(crate) fn lineage(page: &LineagePage) -> Value {
    present(json!({
        "file": lineage_file(&page.file),
        "entries": page.entries.iter().map(lineage_entry).collect::<Vec<_>>(),
        "hidden": page.hidden,
        "next": page.next,
    }))
}

fn lineage_entry(entry: &LineageEntry) -> Value {
    let (source, external) = match &entry.source {
        LineageSource::File(file) => (Some(lineage_file(file)), None),
        LineageSource::External(name) => (None, Some(name)),
    };
    present(json!({
        "direction": entry.direction.as_str(),
        "depth": entry.depth,
        "kind": entry.kind,
        "source": source,
        "external": external,
        "file": lineage_file(&entry.file),
        "revision": entry.revision.0,
        "time": time(entry.time),
        "actor": entry.actor,
    }))
}

fn lineage_file(file: &LineageFile) -> Value {
    present(json!({
        "ino": file.ino,
        "version": file.version,
        "path": file.path,
        "path_now": file.path_now,
    }))
}

pub(crate) fn version(version: &Version) -> Value {
    json!({
        "version": version.version,
        "etag": version.etag,
        "size": version.size,
        "revision": version.revision.0,
        "created": time(version.created),
        "author": version.author,
        "current": version.current,
    })
}

pub(crate) fn record(record: &Record) -> Value {
    present(json!({
        "revision": record.revision.0,
        "time": time(record.time),
        "actor": record.actor,
        "on_behalf_of": record.on_behalf_of,
        "key_id": record.key_id,
        "session": record.session,
        "program": record.program,
        "request_id": record.request_id,
        "operation": record.operation,
        "about": record.about.iter().map(|revision| revision.0).collect::<Vec<_>>(),
        "changes": record.changes.iter().map(change).collect::<Vec<_>>(),
    }))
}

fn change(change: &Change) -> Value {
    present(json!({
        "kind": change.kind.as_str(),
        "path": change.path,
        "old_path": change.old_path,
        "ino": change.ino,
        "file_kind": change.file_kind.as_str(),
        "version": change.version,
        "etag": change.etag,
        "size": change.size,
        "lease": change.lease.as_ref().map(|lease| json!({
            "token": lease.token,
            "holder": lease.holder,
        })),
        "subject": change.subject,
    }))
}

pub(crate) fn lease(lease: &Lease) -> Value {
    present(json!({
        "resource": lease.resource,
        "path": lease.path,
        "token": lease.token,
        "mode": lease.mode.as_str(),
        "permits": lease.mode.permits(),
        "holder": lease.holder,
        "on_behalf_of": lease.on_behalf_of,
        "session": lease.session,
        "acquired": time(lease.acquired),
        "expires": time(lease.expires),
    }))
}

pub(crate) fn undo_report(report: &UndoReport) -> Value {
    let numbers =
        |revisions: &[Revision]| -> Value { revisions.iter().map(|revision| revision.0).collect() };
    let effects = report.effects.iter().map(|effect| {
        present(json!({
            "path": effect.path,
            "kind": effect.kind.as_str(),
            "from": effect.from,
        }))
    });
    let conflicts = report.conflicts.iter().map(|conflict| {
        present(json!({
            "path": conflict.path,
            "revision": conflict.revision.map(|revision| revision.0),
            "actor": conflict.actor,
            "can_force": conflict.can_force,
            "collected": conflict.collected,
        }))
    });
    json!({
        "revisions": numbers(&report.revisions),
        "operations": numbers(&report.operations),
        "effects": effects.collect::<Vec<_>>(),
        "conflicts": conflicts.collect::<Vec<_>>(),
    })
}

pub(crate) fn lock_state(state: &LockState) -> Value {
    present(json!({
        "resource": state.resource,
        "path": state.path,
        "leases": state.leases.iter().map(lease).collect::<Vec<_>>(),
        "waiters": state.waiters.iter().map(lock_waiter).collect::<Vec<_>>(),
    }))
}

fn lock_waiter(waiter: &LockWaiter) -> Value {
    present(json!({
        "holder": waiter.holder,
        "on_behalf_of": waiter.on_behalf_of,
        "session": waiter.session,
        "mode": waiter.mode.as_str(),
        "permits": waiter.mode.permits(),
        "since": time(waiter.since),
    }))
}

pub(crate) fn workspace(workspace: &Workspace) -> Value {
    present(json!({
        "path": workspace.path,
        "ino": workspace.ino,
        "name": workspace.name,
        "description": workspace.description,
        "tags": workspace.tags,
        "metadata": workspace.metadata,
        "session": workspace.session,
        "created_by": workspace.created_by,
        "created": time(workspace.created),
        "expires": workspace.expires.map(time),
    }))
}

pub(crate) fn fork(fork: &Fork) -> Value {
    present(json!({
        "path": fork.path,
        "ino": fork.ino,
        "origin": fork.origin,
        "origin_path": fork.origin_path,
        "base": fork.base.0,
        "revision": fork.revision.0,
        "created_by": fork.created_by,
        "created": time(fork.created),
    }))
}

pub(crate) fn merge_report(report: &MergeReport) -> Value {
    let changes = report.changes.iter().map(|change| {
        present(json!({
            "kind": change.kind,
            "path": change.path,
            "old_path": change.old_path,
        }))
    });
    let conflicts = report.conflicts.iter().map(|conflict| {
        json!({
            "kind": conflict.kind,
            "path": conflict.path,
            "resolved": conflict.resolved,
        })
    });
    present(json!({
        "fork": report.fork,
        "into": report.into,
        "base": report.base.0,
        "merged": report.merged.0,
        "revision": report.revision.map(|revision| revision.0),
        "applied": report.applied,
        "changes": changes.collect::<Vec<_>>(),
        "conflicts": conflicts.collect::<Vec<_>>(),
    }))
}

pub(crate) fn forced(forced: &Forced) -> Value {
    json!({
        "revision": forced.revision.0,
        "leases": forced.leases.iter().map(lease).collect::<Vec<_>>(),
    })
}

/// One change as the change feed tells it.
pub(crate) fn event(record: &Record, change: &Change, zone: &str) -> Value {
    present(json!({
        "type": change.kind.as_str(),
        "path": change.path,
        "old_path": change.old_path,
        "zone": zone,
        "revision": record.revision.0,
        "sequence": change.sequence,
        "etag": change.etag,
        "size": change.size,
        "version": change.version,
        "actor": record.actor,
        "on_behalf_of": record.on_behalf_of,
        "session": record.session,
        "time": time(record.time),
    }))
}

pub(crate) fn cursor(cursor: &Cursor) -> Value {
    json!({
        "name": cursor.name,
        "owner": cursor.owner,
        "position": cursor.position.to_string(),
        "created": time(cursor.created),
        "moved": time(cursor.moved),
    })
}

pub(crate) fn edited(edited: &Edited) -> Value {
    present(json!({
        "applied": edited.applied,
        "diff": edited.diff,
        "matches": edited.matches.iter().map(edit_match).collect::<Vec<_>>(),
        "revision": edited.revision.map(|revision| revision.0),
        "problem": edited.problem,
        "stat": attributes(&edited.stat),
    }))
}

fn edit_match(found: &EditMatch) -> Value {
    present(json!({
        "edit_index": found.edit_index,
        "strategy": found.strategy,
        "similarity": found.similarity,
        "line_start": found.line_start,
        "line_end": found.line_end,
        "original_text": found.original_text,
        "applied": found.applied,
        "match_count": found.match_count,
        "lines": found.lines,
        "problem": found.problem,
    }))
}

/// Bytes: text where they are, else `{"base64": …}`.
fn bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({"base64": STANDARD.encode(bytes)}),
    }
}

pub(crate) fn metadata(values: &[(String, bytes::Bytes)]) -> Value {
    values
        .iter()
        .map(|(key, value)| (key.clone(), bytes(value)))
        .collect::<Map<_, _>>()
        .into()
}

pub(crate) fn piece(path: &str, data: &[u8]) -> Value {
    json!({"path": path, "data": bytes(data)})
}

pub(crate) fn key(key: &Key) -> Value {
    present(json!({
        "key_id": key.key_id,
        "name": key.name,
        "kind": key.kind.as_str(),
        "id": key.id,
        "zone": key.zone,
        "rights": key.rights.as_str(),
        "prefix": key.prefix,
        "created": time(key.created),
        "expires": key.expires.map(time),
        "revoked": key.revoked.map(time),
    }))
}

pub(crate) fn identity(identity: &Identity) -> Value {
    present(json!({
        "kind": identity.kind.as_str(),
        "id": identity.id,
        "key_id": identity.key_id,
        "zone": identity.zone,
        "rights": identity.rights.as_str(),
        "prefix": identity.prefix,
    }))
}
