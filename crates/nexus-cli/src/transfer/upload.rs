//! From the disk to the node.

use std::path::{Path, PathBuf};

use nexus_client::{Client, Result};
use tokio::sync::mpsc;

use super::disk::{DiskEntry, DiskKind, Next, walk};
use super::prepare::{Attributes, Source};
use super::tasks::{blocking, repeat_panic};
use super::{Progress, Summary, TreeWriter};
use crate::report::warn;

/// Entries that the walk may be ahead.
const AHEAD: usize = 1024;

/// Copies a file or a folder to `to`, an absolute path.
pub(crate) async fn upload(client: Client, from: &Path, to: &str, watch: bool) -> Result<Summary> {
    let bytes = total(from.to_owned(), watch).await?;
    let progress = Progress::bar(watch, bytes);
    let mut writer = TreeWriter::new(client, to, progress.clone());
    let (ahead, mut entries) = mpsc::channel(AHEAD);
    let top = from.to_owned();
    let walking = tokio::task::spawn_blocking(move || {
        walk(&top, &mut |entry| match ahead.blocking_send(entry) {
            Ok(()) => Next::Go,
            Err(_) => Next::Stop,
        })
    });
    while let Some(entry) = entries.recv().await {
        add(&mut writer, entry, &progress).await?;
    }
    walking
        .await
        .unwrap_or_else(|failure| repeat_panic(failure))?;
    let summary = writer.finish().await;
    progress.end();
    summary
}

async fn add(writer: &mut TreeWriter, entry: DiskEntry, progress: &Progress) -> Result<()> {
    let DiskEntry {
        relative,
        path,
        kind,
        size,
        mode,
        modified,
    } = entry;
    let attributes = Attributes {
        mode,
        modified,
        ..Attributes::default()
    };
    match kind {
        DiskKind::Directory => writer.directory(&relative, attributes).await,
        DiskKind::File => {
            writer
                .file(&relative, size, attributes, Source::Disk(path))
                .await
        }
        DiskKind::Symlink { target } => writer.symlink(&relative, target).await,
        DiskKind::HardLink { first } => writer.hard_link(&relative, &first).await,
        DiskKind::LeftOut(why) => {
            progress.aside(|| warn(&format!("left out {}: {why}", path.display())));
            writer.leave_out();
            Ok(())
        }
    }
}

/// The bytes to copy: counted only if somebody watches.
async fn total(top: PathBuf, watch: bool) -> Result<u64> {
    if !watch {
        return Ok(0);
    }
    blocking(move || {
        let mut bytes = 0;
        walk(&top, &mut |entry| {
            if entry.kind == DiskKind::File {
                bytes += entry.size;
            }
            Next::Go
        })
        .map(|()| bytes)
    })
    .await
}
