//! Between the client's types and the filesystem's.

use nexus_client as client;
use nexus_fs::{
    Change, ChangeKind, DirEntry, EndedLease, FileKind, Ino, KeyPresence, NewInode, NewKind,
    Record, Replace, SetAttributes, Stat, Version,
};
use nexus_kernel::{Error, Result};

pub(crate) fn stat(stat: client::Stat) -> Result<Stat> {
    Ok(Stat {
        ino: Ino(stat.ino),
        kind: kind(stat.kind),
        size: stat.size,
        etag: stat.etag.as_deref().map(etag).transpose()?,
        version: stat.version,
        revision: stat.revision,
        mode: stat.mode,
        uid: stat.uid,
        gid: stat.gid,
        owner: stat.owner,
        links: stat.links,
        created: stat.created,
        accessed: stat.accessed,
        modified: stat.modified,
        changed: stat.changed,
        target: stat.target,
    })
}

fn etag(text: &str) -> Result<nexus_fs::Etag> {
    text.parse().map_err(|_| misunderstood("an etag"))
}

fn kind(kind: client::FileKind) -> FileKind {
    match kind {
        client::FileKind::File => FileKind::File,
        client::FileKind::Directory => FileKind::Directory,
        client::FileKind::Symlink => FileKind::Symlink,
    }
}

pub(crate) fn new_inode(new: &NewInode) -> client::NewInode {
    let (kind, target) = match &new.kind {
        NewKind::File => (client::FileKind::File, String::new()),
        NewKind::Directory => (client::FileKind::Directory, String::new()),
        NewKind::Symlink(target) => (client::FileKind::Symlink, target.clone()),
    };
    client::NewInode {
        kind,
        mode: new.mode,
        uid: new.uid,
        gid: new.gid,
        target,
    }
}

pub(crate) fn attributes(set: SetAttributes) -> client::InodeAttributes {
    client::InodeAttributes {
        mode: set.mode,
        uid: set.uid,
        gid: set.gid,
        accessed: set.accessed,
        modified: set.modified,
        size: set.size,
    }
}

pub(crate) fn replace(replace: Replace) -> client::Replace {
    match replace {
        Replace::Allow => client::Replace::Allow,
        Replace::Refuse => client::Replace::Refuse,
        Replace::Exchange => client::Replace::Exchange,
    }
}

pub(crate) fn presence(must: KeyPresence) -> client::KeyPresence {
    match must {
        KeyPresence::Any => client::KeyPresence::Any,
        KeyPresence::Absent => client::KeyPresence::Absent,
        KeyPresence::Present => client::KeyPresence::Present,
    }
}

/// An entry of a directory; of its path, the volume knows only the name.
pub(crate) fn entry(entry: client::DirectoryEntry) -> Result<DirEntry> {
    Ok(DirEntry {
        path: format!("/{}", entry.name),
        ino: Ino(entry.ino),
        kind: kind(entry.kind),
        stat: entry.stat.map(stat).transpose()?,
    })
}

pub(crate) fn record(record: client::Record) -> Result<Record> {
    Ok(Record {
        revision: record.revision,
        time: record.time,
        actor: record.actor,
        on_behalf_of: record.on_behalf_of,
        key_id: record.key_id,
        session: record.session,
        program: record.program,
        request_id: record.request_id,
        operation: record.operation,
        about: record.about,
        // Who looks from afar undoes nothing itself.
        partly: false,
        changes: record
            .changes
            .into_iter()
            .map(change)
            .collect::<Result<_>>()?,
    })
}

pub(crate) fn version(version: client::Version) -> Result<Version> {
    Ok(Version {
        version: version.version,
        etag: etag(&version.etag)?,
        size: version.size,
        revision: version.revision,
        created: version.created,
        author: version.author,
        current: version.current,
    })
}

fn change(change: client::Change) -> Result<Change> {
    Ok(Change {
        sequence: change.sequence,
        kind: change_kind(change.kind.as_str()),
        path: change.path,
        old_path: change.old_path,
        parent: Ino(change.parent),
        old_parent: change.old_parent.map(Ino),
        lease: change.lease.map(|lease| EndedLease {
            token: lease.token,
            holder: lease.holder,
        }),
        ino: Ino(change.ino),
        file_kind: kind(change.file_kind),
        version: change.version,
        etag: change.etag.as_deref().map(etag).transpose()?,
        size: change.size,
        subject: change.subject,
    })
}

/// Of what a newer node calls a change, all may be another: the content too, as after a copy.
fn change_kind(name: &str) -> ChangeKind {
    let mut kinds = ChangeKind::ALL.iter().copied();
    kinds
        .find(|kind| kind.as_str() == name)
        .unwrap_or(ChangeKind::FileCopy)
}

fn misunderstood(what: &'static str) -> Error {
    Error::unsupported("the node speaks of something this program does not know; upgrade it")
        .with("reason", what)
}
