//! How files and trees differ, and where contents come from.

use futures::stream::BoxStream;
use nexus_kernel::{Result, Revision, Timestamp};
use nexus_proto::v1;

use crate::connection::Client;
use crate::convert::{self, cursor};
use crate::error::{from_status, misunderstood};
use crate::reads::pages;
use crate::types::compare::{
    BinaryDiff, DiffMode, FileDiff, LineageDirection, LineageEntry, LineageFile, LineagePage,
    LineageQuery, LineageSource, TreeChange, TreeChangeKind, TreeDiffPage, TreeDiffQuery,
};
use crate::types::files::Page;
use crate::types::history::VersionAt;

impl Client {
    /// What changed between two contents of a file, as a unified diff; empty if nothing did. Of
    /// what is not text, a line that says so.
    ///
    /// # Errors
    ///
    /// As [`diff_files`](Self::diff_files).
    pub async fn diff(&self, path: &str, from: VersionAt, to: VersionAt) -> Result<String> {
        let diff = self.diff_files((path, from), (path, to), DiffMode::Unified);
        Ok(diff.await?.text)
    }

    /// How two files differ, or two states of one. A path that names nothing at its point counts
    /// as an empty file, unless neither names anything.
    ///
    /// # Errors
    ///
    /// `NotFound` if nothing is there, `WrongType` for a directory, `LimitExceeded` for what is
    /// too large to be compared.
    pub async fn diff_files(
        &self,
        old: (&str, VersionAt),
        new: (&str, VersionAt),
        mode: DiffMode,
    ) -> Result<FileDiff> {
        let mode = match mode {
            DiffMode::Unified => v1::DiffMode::Unspecified,
            DiffMode::Words => v1::DiffMode::Words,
            DiffMode::Summary => v1::DiffMode::Summary,
        };
        let request = v1::DiffRequest {
            path: old.0.to_owned(),
            from: point(old.1),
            to: point(new.1),
            mode: mode.into(),
            to_path: Some(new.0.to_owned()).filter(|path| path != old.0),
        };
        let answer = self.files().diff(request).await.map_err(from_status)?;
        file_diff(answer.into_inner())
    }

    /// One page of how a directory differs between two points, or from another.
    ///
    /// # Errors
    ///
    /// `NotFound` if nothing is there at either point, `LimitExceeded` if too much differs.
    pub async fn diff_tree(&self, query: TreeDiffQuery) -> Result<TreeDiffPage> {
        let request = v1::DiffTreeRequest {
            path: query.path,
            from: query.from.into_wire(),
            to: query.to.into_wire(),
            to_path: query.to_path,
            expand: query.expand,
            limit: query.limit,
            cursor: query.cursor.unwrap_or_default(),
        };
        let answer = self
            .compare()
            .diff_tree(request)
            .await
            .map_err(from_status)?;
        let page = answer.into_inner();
        Ok(TreeDiffPage {
            from: Revision(page.from),
            to: Revision(page.to),
            changes: page
                .changes
                .into_iter()
                .map(tree_change)
                .collect::<Result<_>>()?,
            total: page.total,
            next: cursor(page.next),
        })
    }

    /// How a directory differs, asked for page by page as it is consumed.
    #[must_use]
    pub fn diff_tree_all(&self, query: TreeDiffQuery) -> BoxStream<'static, Result<TreeChange>> {
        let client = self.clone();
        pages(query.cursor.clone(), move |cursor| {
            let client = client.clone();
            let query = TreeDiffQuery {
                cursor,
                ..query.clone()
            };
            async move {
                let page = client.diff_tree(query).await?;
                Ok(Page {
                    items: page.changes,
                    next: page.next,
                })
            }
        })
    }

    /// One page of where a file comes from and what was made of it, across its names.
    ///
    /// # Errors
    ///
    /// `NotFound` if nothing is there.
    pub async fn lineage(&self, path: &str, query: LineageQuery) -> Result<LineagePage> {
        let direction = match query.direction {
            None => v1::LineageDirection::Unspecified,
            Some(LineageDirection::Ancestors) => v1::LineageDirection::Ancestors,
            Some(LineageDirection::Descendants) => v1::LineageDirection::Descendants,
        };
        let request = v1::LineageRequest {
            path: path.to_owned(),
            at: query.at.into_wire(),
            direction: direction.into(),
            depth: query.depth,
            limit: query.limit,
            cursor: query.cursor.unwrap_or_default(),
        };
        let answer = self.compare().lineage(request).await.map_err(from_status)?;
        let page = answer.into_inner();
        let file = page
            .file
            .ok_or_else(|| misunderstood("a lineage of nothing"))?;
        Ok(LineagePage {
            file: lineage_file(file),
            entries: page
                .entries
                .into_iter()
                .map(lineage_entry)
                .collect::<Result<_>>()?,
            hidden: page.hidden,
            next: cursor(page.next),
        })
    }
}

fn point(side: VersionAt) -> Option<v1::VersionAt> {
    use v1::version_at::Point;
    let point = match side {
        VersionAt::Version(version) => Point::Version(version),
        VersionAt::At(at) => Point::At(at.into_wire()),
    };
    Some(v1::VersionAt { point: Some(point) })
}

fn file_diff(wire: v1::DiffResponse) -> Result<FileDiff> {
    Ok(FileDiff {
        text: wire.diff,
        differs: wire.differs,
        added: wire.added,
        removed: wire.removed,
        old: wire.old.map(convert::stat).transpose()?,
        new: wire.new.map(convert::stat).transpose()?,
        binary: wire.binary.map(|binary| BinaryDiff {
            common_prefix: binary.common_prefix,
            common_suffix: binary.common_suffix,
        }),
    })
}

fn tree_change(wire: v1::TreeChange) -> Result<TreeChange> {
    let kind = match wire.kind() {
        v1::TreeChangeKind::Removed => TreeChangeKind::Removed,
        v1::TreeChangeKind::Added => TreeChangeKind::Added,
        v1::TreeChangeKind::Modified => TreeChangeKind::Modified,
        v1::TreeChangeKind::Renamed => TreeChangeKind::Renamed,
        v1::TreeChangeKind::Unspecified => {
            return Err(misunderstood("a difference of an unknown kind"));
        }
    };
    Ok(TreeChange {
        kind,
        path: wire.path,
        old_path: wire.old_path,
        old: wire.old.map(convert::stat).transpose()?,
        new: wire.new.map(convert::stat).transpose()?,
        content: wire.content,
        attributes: wire.attributes,
        metadata: wire.metadata,
        below: wire.below,
    })
}

fn lineage_file(wire: v1::LineageFile) -> LineageFile {
    LineageFile {
        ino: wire.ino,
        version: wire.version,
        path: wire.path,
        path_now: wire.path_now,
    }
}

fn lineage_entry(wire: v1::LineageEntry) -> Result<LineageEntry> {
    use v1::lineage_entry::Source;
    let direction = match wire.direction() {
        v1::LineageDirection::Ancestors => LineageDirection::Ancestors,
        v1::LineageDirection::Descendants => LineageDirection::Descendants,
        v1::LineageDirection::Unspecified => {
            return Err(misunderstood("a lineage that leads nowhere"));
        }
    };
    let source = match wire.source {
        Some(Source::File(file)) => LineageSource::File(lineage_file(file)),
        Some(Source::External(name)) => LineageSource::External(name),
        None => return Err(misunderstood("a lineage without a source")),
    };
    let file = wire
        .made
        .ok_or_else(|| misunderstood("a lineage of nothing"))?;
    Ok(LineageEntry {
        direction,
        depth: wire.depth,
        kind: wire.kind,
        source,
        file: lineage_file(file),
        revision: Revision(wire.revision),
        time: Timestamp(wire.time_ns),
        actor: wire.actor,
    })
}
