//! Between the filesystem's types and the messages of gRPC.

use nexus_fs::{At, ChangeKind, FileKind, Precondition, Replace};
use nexus_kernel::{Durability, Error, Result, Timestamp};
use nexus_proto::v1 as proto;

use crate::door::expected_etag;

pub(super) fn at(text: &str) -> Result<At> {
    if text.is_empty() {
        Ok(At::Latest)
    } else {
        text.parse()
    }
}

/// The past state that is asked for; none for the present.
pub(super) fn past(text: &str) -> Result<Option<At>> {
    match at(text)? {
        At::Latest => Ok(None),
        past => Ok(Some(past)),
    }
}

/// The cursor of a page, or none for the first.
pub(super) fn cursor(text: String) -> Option<String> {
    if text.is_empty() { None } else { Some(text) }
}

pub(super) fn durability(value: i32) -> Result<Durability> {
    match proto::Durability::try_from(value) {
        Ok(proto::Durability::Unspecified | proto::Durability::Sync) => Ok(Durability::Sync),
        Ok(proto::Durability::Relaxed) => Ok(Durability::Relaxed),
        Err(_) => Err(unknown("durability", value)),
    }
}

/// An enumeration's value that this build does not know.
pub(super) fn unknown(name: &'static str, value: i32) -> Error {
    Error::invalid("the value is not one this server knows; see proto/nexus/v1")
        .with("field", name)
        .with("value", value)
}

pub(super) fn write_options(
    options: Option<proto::WriteOptions>,
) -> Result<nexus_fs::WriteOptions> {
    let options = options.unwrap_or_default();
    Ok(nexus_fs::WriteOptions {
        precondition: precondition(options.precondition)?,
        durability: durability(options.durability)?,
        parents: options.parents,
        mode: options.mode,
        metadata: options.metadata.into_iter().collect(),
        source: options.source,
    })
}

fn precondition(precondition: Option<proto::Precondition>) -> Result<Precondition> {
    use proto::precondition::Must;
    match precondition.and_then(|precondition| precondition.must) {
        None | Some(Must::Exists(false) | Must::Absent(false)) => Ok(Precondition::None),
        Some(Must::Etag(etag)) => expected_etag(&etag).map(Precondition::Etag),
        Some(Must::Exists(true)) => Ok(Precondition::Exists),
        Some(Must::Absent(true)) => Ok(Precondition::Absent),
    }
}

pub(super) fn mkdir_options(
    options: Option<proto::MkdirOptions>,
    durability: Durability,
) -> nexus_fs::MkdirOptions {
    let proto::MkdirOptions {
        parents,
        exist_ok,
        mode,
    } = options.unwrap_or_default();
    nexus_fs::MkdirOptions {
        parents,
        exist_ok,
        mode,
        durability,
    }
}

pub(super) fn move_options(
    options: Option<proto::MoveOptions>,
    durability: Durability,
) -> Result<nexus_fs::MoveOptions> {
    let options = options.unwrap_or_default();
    Ok(nexus_fs::MoveOptions {
        replace: replace(options.replace)?,
        parents: options.parents,
        durability,
    })
}

pub(super) fn replace(value: i32) -> Result<Replace> {
    match proto::Replace::try_from(value) {
        Ok(proto::Replace::Unspecified | proto::Replace::Allow) => Ok(Replace::Allow),
        Ok(proto::Replace::Refuse) => Ok(Replace::Refuse),
        Ok(proto::Replace::Exchange) => Ok(Replace::Exchange),
        Err(_) => Err(unknown("replace", value)),
    }
}

pub(super) fn batch_step(
    step: proto::BatchStep,
    durability: Durability,
) -> Result<nexus_fs::BatchStep> {
    use proto::batch_step::Step;
    let step = step
        .step
        .ok_or_else(|| Error::invalid("a step of the batch is empty; leave it out"))?;
    Ok(match step {
        Step::Write(proto::BatchWrite {
            path,
            content,
            options,
        }) => {
            let options = nexus_fs::WriteOptions {
                durability,
                ..write_options(options)?
            };
            nexus_fs::BatchStep::Write {
                path,
                content,
                options,
            }
        }
        Step::Remove(proto::BatchRemove {
            path,
            recursive,
            if_match,
        }) => nexus_fs::BatchStep::Remove {
            path,
            recursive,
            if_match: if_match.as_deref().map(expected_etag).transpose()?,
        },
        Step::Rename(proto::BatchMove { from, to, options }) => {
            let options = move_options(options, durability)?;
            nexus_fs::BatchStep::Rename { from, to, options }
        }
        Step::Mkdir(proto::BatchMkdir { path, options }) => {
            let options = mkdir_options(options, durability);
            nexus_fs::BatchStep::Mkdir { path, options }
        }
        Step::Copy(proto::BatchMove { from, to, options }) => {
            let options = move_options(options, durability)?;
            nexus_fs::BatchStep::Copy { from, to, options }
        }
    })
}

pub(super) fn version_at(point: Option<proto::VersionAt>) -> Result<nexus_fs::VersionAt> {
    use proto::version_at::Point;
    match point.and_then(|point| point.point) {
        None => Ok(nexus_fs::VersionAt::At(At::Latest)),
        Some(Point::Version(version)) => Ok(nexus_fs::VersionAt::Version(version)),
        Some(Point::At(text)) => at(&text).map(nexus_fs::VersionAt::At),
    }
}

pub(super) fn log_query(request: proto::LogRequest) -> Result<nexus_fs::LogQuery> {
    Ok(nexus_fs::LogQuery {
        path_prefix: request.path_prefix,
        actor: request.actor,
        kinds: asked_change_kinds(&request.kinds)?,
        on_behalf_of: request.on_behalf_of,
        key_id: request.key_id,
        program: request.program,
        session: request.session,
        request_id: request.request_id,
        operation: request.operation,
        since: asked_point(&request.since)?,
        until: asked_point(&request.until)?,
        newest_first: request.newest_first,
        limit: crate::paging::page_limit(Some(request.limit as usize))?,
        cursor: cursor(request.cursor),
    })
}

pub(super) fn file_kind(kind: FileKind) -> i32 {
    match kind {
        FileKind::File => proto::FileKind::File,
        FileKind::Directory => proto::FileKind::Directory,
        FileKind::Symlink => proto::FileKind::Symlink,
    }
    .into()
}

const CHANGE_KINDS: [(ChangeKind, proto::ChangeKind); 22] = [
    (ChangeKind::FileWrite, proto::ChangeKind::FileWrite),
    (ChangeKind::FileDelete, proto::ChangeKind::FileDelete),
    (ChangeKind::FileRename, proto::ChangeKind::FileRename),
    (ChangeKind::DirCreate, proto::ChangeKind::DirCreate),
    (ChangeKind::DirDelete, proto::ChangeKind::DirDelete),
    (ChangeKind::DirRename, proto::ChangeKind::DirRename),
    (ChangeKind::LinkCreate, proto::ChangeKind::LinkCreate),
    (ChangeKind::SymlinkCreate, proto::ChangeKind::SymlinkCreate),
    (
        ChangeKind::MetadataChange,
        proto::ChangeKind::MetadataChange,
    ),
    (
        ChangeKind::AttributeChange,
        proto::ChangeKind::AttributeChange,
    ),
    (ChangeKind::FileCopy, proto::ChangeKind::FileCopy),
    (ChangeKind::DirCopy, proto::ChangeKind::DirCopy),
    (ChangeKind::LockForce, proto::ChangeKind::LockForce),
    (ChangeKind::LockExpire, proto::ChangeKind::LockExpire),
    (
        ChangeKind::SnapshotCreate,
        proto::ChangeKind::SnapshotCreate,
    ),
    (
        ChangeKind::SnapshotDelete,
        proto::ChangeKind::SnapshotDelete,
    ),
    (ChangeKind::DirRestore, proto::ChangeKind::DirRestore),
    (
        ChangeKind::SnapshotUpdate,
        proto::ChangeKind::SnapshotUpdate,
    ),
    (
        ChangeKind::WorkspaceRegister,
        proto::ChangeKind::WorkspaceRegister,
    ),
    (
        ChangeKind::WorkspaceUnregister,
        proto::ChangeKind::WorkspaceUnregister,
    ),
    (ChangeKind::RetentionSet, proto::ChangeKind::RetentionSet),
    (
        ChangeKind::RetentionRemove,
        proto::ChangeKind::RetentionRemove,
    ),
];

fn change_kind(kind: ChangeKind) -> i32 {
    let row = CHANGE_KINDS.iter().find(|(ours, _)| *ours == kind);
    row.map_or(proto::ChangeKind::Unspecified, |(_, theirs)| *theirs)
        .into()
}

pub(super) fn asked_change_kinds(values: &[i32]) -> Result<Vec<ChangeKind>> {
    let asked = |value: &i32| {
        let kind = proto::ChangeKind::try_from(*value).ok();
        let row = CHANGE_KINDS
            .iter()
            .find(|(_, theirs)| Some(*theirs) == kind);
        row.map(|(ours, _)| *ours)
            .ok_or_else(|| unknown("kind", *value))
    };
    values.iter().map(asked).collect()
}

/// A point; none where none is named.
fn asked_point(text: &str) -> Result<Option<At>> {
    Some(text)
        .filter(|text| !text.is_empty())
        .map(str::parse)
        .transpose()
}

pub(super) fn stat(stat: nexus_fs::Stat) -> proto::Stat {
    proto::Stat {
        ino: stat.ino.0,
        kind: file_kind(stat.kind),
        size: stat.size,
        etag: stat.etag.map(|etag| etag.to_string()),
        version: stat.version,
        revision: stat.revision.0,
        mode: stat.mode,
        uid: stat.uid,
        gid: stat.gid,
        owner: stat.owner,
        links: stat.links,
        created_ns: stat.created.0,
        modified_ns: stat.modified.0,
        changed_ns: stat.changed.0,
        target: stat.target,
        accessed_ns: stat.accessed.0,
    }
}

pub(super) fn changed(changed: nexus_fs::Changed) -> proto::Changed {
    proto::Changed {
        revision: changed.revision.0,
        stat: changed.stat.map(stat),
    }
}

pub(super) fn entry(entry: nexus_fs::DirEntry) -> proto::DirEntry {
    proto::DirEntry {
        path: entry.path,
        ino: entry.ino.0,
        kind: file_kind(entry.kind),
        stat: entry.stat.map(stat),
    }
}

pub(super) fn page(page: nexus_fs::ListPage) -> proto::EntryPage {
    proto::EntryPage {
        entries: page.entries.into_iter().map(entry).collect(),
        next: page.next.unwrap_or_default(),
    }
}

pub(super) fn edit(edit: proto::Edit) -> nexus_fs::edit::Edit {
    let proto::Edit {
        old,
        new,
        hint_line,
        all,
    } = edit;
    nexus_fs::edit::Edit {
        old,
        new,
        hint_line,
        all,
    }
}

pub(super) fn edited(edited: nexus_fs::Edited) -> proto::EditResponse {
    let matched = |found: nexus_fs::edit::EditMatch| proto::EditMatch {
        problem: found.problem(),
        edit_index: u32::try_from(found.edit_index).unwrap_or(u32::MAX),
        strategy: found.strategy.as_str().into(),
        similarity: found.similarity,
        line_start: found.line_start,
        line_end: found.line_end,
        original_text: found.original_text,
        applied: found.applied,
        match_count: found.match_count as u64,
        lines: found.lines,
    };
    proto::EditResponse {
        applied: edited.applied,
        diff: edited.diff,
        matches: edited.matches.into_iter().map(matched).collect(),
        problem: edited.problem,
        stat: Some(stat(edited.stat)),
        revision: edited.revision.map(|revision| revision.0),
    }
}

pub(super) fn grep_match(found: nexus_fs::GrepMatch) -> proto::GrepMatch {
    let nexus_fs::GrepMatch {
        path,
        line,
        content,
        matched,
        column,
        before,
        after,
        truncated,
    } = found;
    proto::GrepMatch {
        path,
        line,
        content,
        matched,
        column,
        before,
        after,
        truncated,
    }
}

pub(super) fn version(version: nexus_fs::Version) -> proto::Version {
    proto::Version {
        version: version.version,
        etag: version.etag.to_string(),
        size: version.size,
        revision: version.revision.0,
        created_ns: version.created.0,
        author: version.author,
        current: version.current,
    }
}

pub(super) fn record(record: nexus_fs::Record) -> proto::Record {
    proto::Record {
        revision: record.revision.0,
        time_ns: record.time.0,
        actor: record.actor,
        on_behalf_of: record.on_behalf_of,
        key_id: record.key_id,
        session: record.session,
        program: record.program,
        request_id: record.request_id,
        operation: record.operation,
        about: record
            .about
            .into_iter()
            .map(|revision| revision.0)
            .collect(),
        changes: record.changes.into_iter().map(change).collect(),
    }
}

fn change(change: nexus_fs::Change) -> proto::Change {
    proto::Change {
        kind: change_kind(change.kind),
        path: change.path,
        old_path: change.old_path,
        ino: change.ino.0,
        file_kind: file_kind(change.file_kind),
        version: change.version,
        etag: change.etag.map(|etag| etag.to_string()),
        size: change.size,
        parent: change.parent.0,
        old_parent: change.old_parent.map(|parent| parent.0),
        lease: change.lease.map(|lease| proto::EndedLease {
            token: lease.token,
            holder: lease.holder,
        }),
        sequence: change.sequence,
        subject: change.subject,
    }
}

pub(super) fn duplicates(set: nexus_fs::Duplicates) -> proto::DuplicateSet {
    proto::DuplicateSet {
        etag: set.etag.to_string(),
        size: set.size,
        paths: set.paths,
    }
}

pub(super) fn set_attributes(request: &proto::SetAttributesRequest) -> nexus_fs::SetAttributes {
    nexus_fs::SetAttributes {
        mode: request.mode,
        uid: request.uid,
        gid: request.gid,
        modified: request.modified_ns.map(Timestamp),
        size: request.size,
        ..nexus_fs::SetAttributes::default()
    }
}

/// A count that may not fit into memory's addresses.
pub(super) fn saturating(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
