//! Turns full segments of the journal into files.
//!
//! A checkpoint is a replay of one segment. It may stop anywhere and be done again from the start,
//! because
//!
//! * a segment is durable before any of it is applied,
//! * only the last change of each key is applied, so a second replay brings back nothing,
//! * segments are applied in order, and each has durably left the journal before the next begins.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::sync::Arc;

use nexus_kernel::{ObjectKey, Timestamp};

use crate::core::Core;
use crate::disk::{Access, Disk, DiskFile, parent};
use crate::error::{Failure, Result};
use crate::layout;
use crate::record::{Logged, Op, scan};
use crate::segments::{Sealed, Segment, unless_missing};

/// Carries out checkpoints until the backlog closes and is empty.
pub(crate) fn run(core: &Core) {
    while let Some(sealed) = core.backlog.wait_for_work() {
        let ended = checkpoint(core, &sealed);
        if let Err(failure) = &ended {
            let number = sealed.segment.number;
            tracing::warn!(
                ?failure,
                number,
                "the journal waits to become files; nothing is lost"
            );
        }
        drop(sealed);
        core.backlog.ended(ended);
    }
}

/// Makes the blobs of a segment files and takes the segment out of the journal.
pub(crate) fn checkpoint(core: &Core, Sealed { segment, end }: &Sealed) -> Result<()> {
    let scan = scan(&*segment.file, segment.number)?;
    if scan.end != *end {
        let (number, found) = (segment.number, scan.end);
        return Err(Failure::corrupt(format!(
            "segment {number} of the journal ends at byte {found}, {end} were written"
        )));
    }
    let last = last_changes(&*core.disk, &scan.changes)?;
    for logged in last.values() {
        apply(core, segment, logged)?;
    }
    core.disk.sync_all()?;
    for key in last.keys() {
        core.overlay.write().forget(key, segment.number);
    }
    // One count is the backlog's and one the caller's; any other is a reader's.
    let idle = Arc::strong_count(segment) <= 2;
    core.segments.lock().retire(segment.number, idle)?;
    core.counters.checkpoints.add(1);
    Ok(())
}

/// The last change of each key. Staged files of earlier ones are removed.
fn last_changes<'a>(
    disk: &dyn Disk,
    changes: &'a [Logged],
) -> io::Result<BTreeMap<&'a ObjectKey, &'a Logged>> {
    let mut last = BTreeMap::new();
    for logged in changes {
        let earlier = last.insert(&logged.key, logged);
        if let Some(Op::Place { id, .. }) = earlier.map(|earlier| earlier.op) {
            unless_missing(disk.remove(&layout::staged(id)))?;
        }
    }
    Ok(last)
}

fn apply(core: &Core, segment: &Segment, logged: &Logged) -> Result<()> {
    let disk = &*core.disk;
    let path = layout::blob(&logged.key);
    match logged.op {
        Op::Put { at, size } => {
            let bytes = segment.file.read_at(at, size as usize)?;
            if bytes.len() != size as usize {
                let detail = format!("segment {} is cut short at {at}", segment.number);
                return Err(Failure::corrupt(detail));
            }
            write_blob(core, &path, &bytes, logged.modified)
        }
        // Missing means that an earlier attempt moved it.
        Op::Place { id, .. } => {
            let staged = layout::staged(id);
            let dated = disk.open(&staged, Access::ReadWrite);
            let moved = dated
                .and_then(|file| file.date(logged.modified))
                .and_then(|()| with_dirs(disk, &path, || disk.rename(&staged, &path)));
            Ok(unless_missing(moved)?)
        }
        Op::Delete => Ok(unless_missing(disk.remove(&path))?),
    }
}

/// Writes the file of a blob. A new one is written in place, because the overlay hides it until the
/// checkpoint is done, and a half-written one is replaced by the next attempt.
fn write_blob(core: &Core, path: &str, bytes: &[u8], modified: Timestamp) -> Result<()> {
    let disk = &*core.disk;
    match with_dirs(disk, path, || disk.create(path)) {
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
            let half = layout::half(core.next_id());
            let written = write_file(&*disk.create(&half)?, bytes, modified)
                .and_then(|()| disk.rename(&half, path));
            if written.is_err() {
                // The disk may be full: what helps nobody must not stay. Failing that, it goes at
                // the next start.
                drop(disk.remove(&half));
            }
            Ok(written?)
        }
        file => Ok(write_file(&*file?, bytes, modified)?),
    }
}

fn write_file(file: &dyn DiskFile, bytes: &[u8], modified: Timestamp) -> io::Result<()> {
    file.write_at(&mut [IoSlice::new(bytes)], 0)?;
    file.date(modified)
}

/// Does something with a file, and makes the directories above it only if they turn out missing.
fn with_dirs<T>(disk: &dyn Disk, path: &str, attempt: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match attempt() {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            create_dirs(disk, parent(path))?;
            attempt()
        }
        done => done,
    }
}

fn create_dirs(disk: &dyn Disk, dir: &str) -> io::Result<()> {
    let ends = dir.match_indices('/').map(|(at, _)| at);
    ends.chain([dir.len()])
        .try_for_each(|end| disk.create_dir(&dir[..end]))
}
