//! Opening a store, after whatever happened to it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::backlog::Backlog;
use crate::config::LocalConfig;
use crate::core::Core;
use crate::disk::{Access, Disk};
use crate::error::{Failure, Result};
use crate::journal::Journal;
use crate::layout::{self, JournalFile};
use crate::overlay::{Entry, Overlay};
use crate::record::{Logged, Op, Scan, scan};
use crate::segments::{Sealed, Segment, Segments, unless_missing};

/// Reads the journal that is there and begins a new segment of it. What was read becomes files
/// in the background.
pub(crate) fn open(config: LocalConfig, disk: Arc<dyn Disk>) -> Result<(Arc<Core>, Journal)> {
    create_layout(&*disk)?;
    let (logs, spares) = journal_files(&*disk)?;
    let newest = logs.iter().chain(&spares).max().copied().unwrap_or(0);
    let replayed = replay(&disk, &logs)?;
    check_chain(&replayed)?;
    let overlay = build_overlay(&*disk, &replayed)?;
    remove_unnamed(&*disk, &replayed)?;

    let last = replayed.last_key_value();
    let previous = last.map_or((0, 0), |(number, (_, scan))| (*number, scan.end));
    let mut segments = Segments::new(Arc::clone(&disk), config.segment_bytes, newest + 1, spares);
    let (active, end) = segments.make(previous)?;
    let sealed = replayed.into_values().map(|(segment, scan)| Sealed {
        segment,
        end: scan.end,
    });
    let backlog = Backlog::new(sealed, &config);
    // No id of an earlier time comes again: a record in the journal may still name it.
    let first_id = active.number << 32;
    let core = Core::new(config, disk, overlay, segments, backlog, first_id);
    let core = Arc::new(core);
    let journal = Journal::new(Arc::clone(&core), active, end);
    Ok((core, journal))
}

fn create_layout(disk: &dyn Disk) -> Result<()> {
    for dir in [layout::BLOBS, layout::STAGED, layout::JOURNAL] {
        disk.create_dir(dir)?;
    }
    Ok(disk.sync_dir("")?)
}

/// The numbers of the segments to replay, ascending, and of those to be written again.
fn journal_files(disk: &dyn Disk) -> Result<(Vec<u64>, Vec<u64>)> {
    let (mut logs, mut spares) = (Vec::new(), Vec::new());
    for item in disk.list(layout::JOURNAL)? {
        match layout::journal_file(&item.name) {
            Some(JournalFile::Log(number)) => logs.push(number),
            Some(JournalFile::Spare(number)) => spares.push(number),
            None => {}
        }
    }
    logs.sort_unstable();
    spares.sort_unstable();
    Ok((logs, spares))
}

type Replayed = BTreeMap<u64, (Arc<Segment>, Scan)>;

fn replay(disk: &Arc<dyn Disk>, numbers: &[u64]) -> Result<Replayed> {
    let mut replayed = Replayed::new();
    for &number in numbers {
        let file = disk.open(&layout::log(number), Access::ReadWrite)?;
        // After a crash of the process alone, what is read may not be on the disk yet; and what
        // becomes files has to be.
        file.sync()?;
        let scan = scan(&*file, number)?;
        replayed.insert(number, (Arc::new(Segment { number, file }), scan));
    }
    Ok(replayed)
}

/// A segment says how long the one before it was, so a damaged one is not taken for the torn
/// end of the journal.
fn check_chain(replayed: &Replayed) -> Result<()> {
    for (number, (_, scan)) in replayed {
        let Some((before, end)) = scan.previous else {
            continue;
        };
        if let Some((_, earlier)) = replayed.get(&before)
            && earlier.end != end
        {
            let found = earlier.end;
            return Err(Failure::corrupt(format!(
                "segment {before} of the journal ends at byte {found}, segment {number} says {end}"
            )));
        }
    }
    Ok(())
}

fn build_overlay(disk: &dyn Disk, replayed: &Replayed) -> Result<Overlay> {
    let mut overlay = Overlay::default();
    for (segment, scan) in replayed.values() {
        for logged in &scan.changes {
            match entry(disk, segment, logged)? {
                Some(entry) => drop(overlay.set(logged.key.clone(), entry)),
                None => overlay.remove(&logged.key),
            }
        }
    }
    Ok(overlay)
}

/// `None` if the blob's own file says it already.
fn entry(disk: &dyn Disk, segment: &Arc<Segment>, logged: &Logged) -> Result<Option<Entry>> {
    let modified = logged.modified;
    Ok(Some(match logged.op {
        Op::Put { at, size } => Entry::Journaled {
            segment: Arc::clone(segment),
            at,
            size,
            modified,
        },
        Op::Delete => Entry::Deleted {
            segment: segment.number,
        },
        Op::Place { id, size } => match disk.facts(&layout::staged(id)) {
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(cause.into()),
            Ok(_) => Entry::Staged {
                id,
                size,
                modified,
                segment: Some(segment.number),
            },
        },
    }))
}

/// Removes staged files that no record names: puts that were never finished.
fn remove_unnamed(disk: &dyn Disk, replayed: &Replayed) -> Result<()> {
    let changes = replayed.values().flat_map(|(_, scan)| &scan.changes);
    let named = changes.filter_map(|logged| match logged.op {
        Op::Place { id, .. } => Some(id),
        _ => None,
    });
    let named: HashSet<u64> = named.collect();
    for item in disk.list(layout::STAGED)? {
        let kept = layout::staged_id(&item.name).is_some_and(|id| named.contains(&id));
        if !kept && !item.is_dir {
            let path = format!("{}/{}", layout::STAGED, item.name);
            unless_missing(disk.remove(&path))?;
        }
    }
    Ok(())
}
