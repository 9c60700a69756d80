//! The service `Compare`, and how files differ.

use nexus_fs::{
    DiffMode, DiffTreeOptions, LineageDirection, LineageQuery, LineageSource, Session,
    TreeChangeKind, TreeDiffQuery,
};
use nexus_kernel::Result;
use nexus_proto::v1 as proto;
use nexus_proto::v1::compare_server::Compare;
use nexus_proto::v1::{DiffTreePage, DiffTreeRequest, LineagePage, LineageRequest};
use tonic::Request;

use super::convert::{self, at, cursor, unknown};
use super::{Reply, answer};
use crate::app::Shared;

pub(super) struct CompareDoor(pub(super) Shared);

#[tonic::async_trait]
impl Compare for CompareDoor {
    async fn diff_tree(&self, request: Request<DiffTreeRequest>) -> Reply<DiffTreePage> {
        let diff = |files: Session, ask: DiffTreeRequest| async move {
            let query = TreeDiffQuery {
                from: at(&ask.from)?,
                to: at(&ask.to)?,
                path: ask.path,
                to_path: ask.to_path,
                options: DiffTreeOptions { expand: ask.expand },
                limit: ask.limit as usize,
                cursor: cursor(ask.cursor),
            };
            let page = files.diff_tree_page(query).await?;
            Ok(DiffTreePage {
                from: page.diff.from.0,
                to: page.diff.to.0,
                changes: page.diff.changes.into_iter().map(tree_change).collect(),
                total: page.total as u64,
                next: page.next.unwrap_or_default(),
            })
        };
        answer(&self.0, request, diff).await
    }

    async fn lineage(&self, request: Request<LineageRequest>) -> Reply<LineagePage> {
        let lineage = |files: Session, ask: LineageRequest| async move {
            let query = LineageQuery {
                at: at(&ask.at)?,
                direction: direction(ask.direction)?,
                depth: ask.depth as usize,
                limit: ask.limit as usize,
                cursor: cursor(ask.cursor),
            };
            let lineage = files.lineage(&ask.path, query).await?;
            Ok(LineagePage {
                file: Some(lineage_file(lineage.file)),
                entries: lineage.entries.into_iter().map(lineage_entry).collect(),
                hidden: lineage.hidden,
                next: lineage.next.unwrap_or_default(),
            })
        };
        answer(&self.0, request, lineage).await
    }
}

pub(super) fn diff_mode(value: i32) -> Result<DiffMode> {
    match proto::DiffMode::try_from(value) {
        Ok(proto::DiffMode::Unspecified) => Ok(DiffMode::Unified),
        Ok(proto::DiffMode::Words) => Ok(DiffMode::Words),
        Ok(proto::DiffMode::Summary) => Ok(DiffMode::Summary),
        Err(_) => Err(unknown("mode", value)),
    }
}

pub(super) fn file_diff(diff: nexus_fs::FileDiff) -> proto::DiffResponse {
    proto::DiffResponse {
        diff: diff.text,
        differs: diff.differs,
        added: diff.added,
        removed: diff.removed,
        old: diff.old.map(convert::stat),
        new: diff.new.map(convert::stat),
        binary: diff.binary.map(|binary| proto::BinaryDiff {
            common_prefix: binary.common_prefix,
            common_suffix: binary.common_suffix,
        }),
    }
}

fn tree_change(change: nexus_fs::TreeChange) -> proto::TreeChange {
    let kind = match change.kind {
        TreeChangeKind::Removed => proto::TreeChangeKind::Removed,
        TreeChangeKind::Added => proto::TreeChangeKind::Added,
        TreeChangeKind::Modified => proto::TreeChangeKind::Modified,
        TreeChangeKind::Renamed => proto::TreeChangeKind::Renamed,
    };
    proto::TreeChange {
        kind: kind.into(),
        path: change.path,
        old_path: change.old_path,
        old: change.old.map(convert::stat),
        new: change.new.map(convert::stat),
        content: change.content,
        attributes: change.attributes,
        metadata: change.metadata,
        below: change.below,
    }
}

fn direction(value: i32) -> Result<LineageDirection> {
    match proto::LineageDirection::try_from(value) {
        Ok(proto::LineageDirection::Unspecified) => Ok(LineageDirection::Both),
        Ok(proto::LineageDirection::Ancestors) => Ok(LineageDirection::Ancestors),
        Ok(proto::LineageDirection::Descendants) => Ok(LineageDirection::Descendants),
        Err(_) => Err(unknown("direction", value)),
    }
}

fn lineage_file(file: nexus_fs::LineageFile) -> proto::LineageFile {
    proto::LineageFile {
        ino: file.ino.0,
        version: file.version,
        path: file.path,
        path_now: file.path_now,
    }
}

fn lineage_entry(entry: nexus_fs::LineageEntry) -> proto::LineageEntry {
    use proto::lineage_entry::Source;
    let direction = match entry.direction {
        LineageDirection::Descendants => proto::LineageDirection::Descendants,
        LineageDirection::Both | LineageDirection::Ancestors => proto::LineageDirection::Ancestors,
    };
    let source = match entry.source {
        LineageSource::File(file) => Source::File(lineage_file(file)),
        LineageSource::External(name) => Source::External(name),
    };
    proto::LineageEntry {
        direction: direction.into(),
        depth: u32::try_from(entry.depth).unwrap_or(u32::MAX),
        kind: entry.kind.as_str().to_owned(),
        source: Some(source),
        made: Some(lineage_file(entry.file)),
        revision: entry.revision.0,
        time_ns: entry.time.0,
        actor: entry.actor,
    }
}
