//! Between the interface's messages and the client's types.

use nexus_kernel::{Durability, Result, Revision, Timestamp};
use nexus_proto::v1;

use crate::error::misunderstood;
use crate::types::admin::{Identity, Key, PrincipalKind, Rights};
use crate::types::changes::{
    BatchStep, Changed, EditMatch, Edited, MkdirOptions, MoveOptions, Precondition, Replace,
    WriteOptions,
};
use crate::types::files::{DirEntry, FileKind, Page, Stat};
use crate::types::history::{Change, ChangeKind, EndedLease, Record, Version};
use crate::types::search::GrepMatch;

pub(crate) fn file_kind(wire: v1::FileKind) -> Result<FileKind> {
    match wire {
        v1::FileKind::File => Ok(FileKind::File),
        v1::FileKind::Directory => Ok(FileKind::Directory),
        v1::FileKind::Symlink => Ok(FileKind::Symlink),
        v1::FileKind::Unspecified => Err(misunderstood("a file of an unknown kind")),
    }
}

pub(crate) fn stat(wire: v1::Stat) -> Result<Stat> {
    Ok(Stat {
        kind: file_kind(wire.kind())?,
        ino: wire.ino,
        size: wire.size,
        etag: wire.etag,
        version: wire.version,
        revision: Revision(wire.revision),
        mode: wire.mode,
        uid: wire.uid,
        gid: wire.gid,
        owner: wire.owner,
        links: wire.links,
        created: Timestamp(wire.created_ns),
        modified: Timestamp(wire.modified_ns),
        changed: Timestamp(wire.changed_ns),
        accessed: Timestamp(wire.accessed_ns),
        target: wire.target,
    })
}

pub(crate) fn required_stat(wire: Option<v1::Stat>) -> Result<Stat> {
    stat(wire.ok_or_else(|| misunderstood("a file without attributes"))?)
}

pub(crate) fn entry(wire: v1::DirEntry) -> Result<DirEntry> {
    Ok(DirEntry {
        kind: file_kind(wire.kind())?,
        path: wire.path,
        ino: wire.ino,
        stat: wire.stat.map(stat).transpose()?,
    })
}

pub(crate) fn cursor(next: String) -> Option<String> {
    (!next.is_empty()).then_some(next)
}

pub(crate) fn page(wire: v1::EntryPage) -> Result<Page<DirEntry>> {
    let items = wire.entries.into_iter().map(entry).collect::<Result<_>>()?;
    Ok(Page {
        items,
        next: cursor(wire.next),
    })
}

pub(crate) fn changed(wire: v1::Changed) -> Result<Changed> {
    let stat = wire.stat.map(stat).transpose()?;
    Ok(Changed {
        revision: Revision(wire.revision),
        stat,
    })
}

pub(crate) fn durability(durability: Durability) -> i32 {
    match durability {
        Durability::Sync => v1::Durability::Sync.into(),
        Durability::Relaxed => v1::Durability::Relaxed.into(),
    }
}

pub(crate) fn write_options(options: WriteOptions) -> v1::WriteOptions {
    use v1::precondition::Must;
    let must = match options.precondition {
        Precondition::None => None,
        Precondition::Etag(etag) => Some(Must::Etag(etag)),
        Precondition::Exists => Some(Must::Exists(true)),
        Precondition::Absent => Some(Must::Absent(true)),
    };
    v1::WriteOptions {
        precondition: Some(v1::Precondition { must }),
        durability: durability(options.durability),
        parents: options.parents,
        mode: options.mode,
        metadata: options.metadata.into_iter().collect(),
        source: options.source,
    }
}

pub(crate) fn mkdir_options(options: MkdirOptions) -> v1::MkdirOptions {
    v1::MkdirOptions {
        parents: options.parents,
        exist_ok: options.exist_ok,
        mode: options.mode,
    }
}

pub(crate) fn move_options(options: MoveOptions) -> v1::MoveOptions {
    v1::MoveOptions {
        replace: replace(options.replace).into(),
        parents: options.parents,
    }
}

pub(crate) fn replace(replace: Replace) -> v1::Replace {
    match replace {
        Replace::Allow => v1::Replace::Allow,
        Replace::Refuse => v1::Replace::Refuse,
        Replace::Exchange => v1::Replace::Exchange,
    }
}

pub(crate) fn step(step: BatchStep) -> v1::BatchStep {
    use v1::batch_step::Step;
    let moved = |from, to, options| v1::BatchMove {
        from,
        to,
        options: Some(move_options(options)),
    };
    let step = match step {
        BatchStep::Write {
            path,
            content,
            options,
        } => Step::Write(v1::BatchWrite {
            path,
            content,
            options: Some(write_options(options)),
        }),
        BatchStep::Remove {
            path,
            recursive,
            if_match,
        } => Step::Remove(v1::BatchRemove {
            path,
            recursive,
            if_match,
        }),
        BatchStep::Rename { from, to, options } => Step::Rename(moved(from, to, options)),
        BatchStep::Mkdir { path, options } => Step::Mkdir(v1::BatchMkdir {
            path,
            options: Some(mkdir_options(options)),
        }),
        BatchStep::Copy { from, to, options } => Step::Copy(moved(from, to, options)),
    };
    v1::BatchStep { step: Some(step) }
}

pub(crate) fn edited(wire: v1::EditResponse) -> Result<Edited> {
    Ok(Edited {
        applied: wire.applied,
        diff: wire.diff,
        matches: wire.matches.into_iter().map(edit_match).collect(),
        stat: required_stat(wire.stat)?,
        revision: wire.revision.map(Revision),
        problem: wire.problem,
    })
}

fn edit_match(wire: v1::EditMatch) -> EditMatch {
    EditMatch {
        edit_index: wire.edit_index,
        strategy: wire.strategy,
        similarity: wire.similarity,
        line_start: wire.line_start,
        line_end: wire.line_end,
        original_text: wire.original_text,
        applied: wire.applied,
        match_count: wire.match_count,
        lines: wire.lines,
        problem: wire.problem,
    }
}

pub(crate) fn grep_match(wire: v1::GrepMatch) -> Result<GrepMatch> {
    Ok(GrepMatch {
        path: wire.path,
        line: wire.line,
        content: wire.content,
        matched: wire.matched,
        column: wire.column,
        before: wire.before,
        after: wire.after,
        truncated: wire.truncated,
    })
}

pub(crate) fn version(wire: v1::Version) -> Version {
    Version {
        version: wire.version,
        etag: wire.etag,
        size: wire.size,
        revision: Revision(wire.revision),
        created: Timestamp(wire.created_ns),
        author: wire.author,
        current: wire.current,
    }
}

pub(crate) fn record(wire: v1::Record) -> Result<Record> {
    Ok(Record {
        revision: Revision(wire.revision),
        time: Timestamp(wire.time_ns),
        actor: wire.actor,
        on_behalf_of: wire.on_behalf_of,
        key_id: wire.key_id,
        session: wire.session,
        program: wire.program,
        request_id: wire.request_id,
        operation: wire.operation,
        about: wire.about.into_iter().map(Revision).collect(),
        changes: wire
            .changes
            .into_iter()
            .map(change)
            .collect::<Result<_>>()?,
    })
}

fn change(wire: v1::Change) -> Result<Change> {
    let kind = ChangeKind::ALL
        .iter()
        .copied()
        .find(|kind| kind.to_wire() == wire.kind());
    Ok(Change {
        kind: kind.unwrap_or(ChangeKind::Unknown),
        file_kind: file_kind(wire.file_kind())?,
        path: wire.path,
        old_path: wire.old_path,
        ino: wire.ino,
        version: wire.version,
        etag: wire.etag,
        size: wire.size,
        parent: wire.parent,
        old_parent: wire.old_parent,
        lease: wire.lease.map(|lease| EndedLease {
            token: lease.token,
            holder: lease.holder,
        }),
        sequence: wire.sequence,
        subject: wire.subject,
    })
}

fn principal_kind(wire: v1::PrincipalKind) -> PrincipalKind {
    match wire {
        v1::PrincipalKind::Unspecified | v1::PrincipalKind::User => PrincipalKind::User,
        v1::PrincipalKind::Agent => PrincipalKind::Agent,
        v1::PrincipalKind::System => PrincipalKind::System,
    }
}

pub(crate) fn principal_kind_to_wire(kind: PrincipalKind) -> i32 {
    match kind {
        PrincipalKind::User => v1::PrincipalKind::User.into(),
        PrincipalKind::Agent => v1::PrincipalKind::Agent.into(),
        PrincipalKind::System => v1::PrincipalKind::System.into(),
    }
}

fn rights(wire: v1::Rights) -> Result<Rights> {
    match wire {
        v1::Rights::ReadOnly => Ok(Rights::ReadOnly),
        v1::Rights::ReadWrite => Ok(Rights::ReadWrite),
        v1::Rights::Admin => Ok(Rights::Admin),
        v1::Rights::Unspecified => Err(misunderstood("a key with unknown rights")),
    }
}

pub(crate) fn rights_to_wire(rights: Rights) -> i32 {
    match rights {
        Rights::ReadOnly => v1::Rights::ReadOnly.into(),
        Rights::ReadWrite => v1::Rights::ReadWrite.into(),
        Rights::Admin => v1::Rights::Admin.into(),
    }
}

pub(crate) fn identity(wire: v1::WhoamiResponse) -> Result<Identity> {
    Ok(Identity {
        kind: principal_kind(wire.kind()),
        rights: rights(wire.rights())?,
        id: wire.id,
        key_id: wire.key_id,
        zone: wire.zone,
        prefix: wire.prefix,
    })
}

pub(crate) fn key(wire: v1::Key) -> Result<Key> {
    Ok(Key {
        kind: principal_kind(wire.kind()),
        rights: rights(wire.rights())?,
        key_id: wire.key_id,
        name: wire.name,
        id: wire.id,
        zone: wire.zone,
        prefix: wire.prefix,
        created: Timestamp(wire.created_ns),
        expires: wire.expires_ns.map(Timestamp),
        revoked: wire.revoked_ns.map(Timestamp),
    })
}
