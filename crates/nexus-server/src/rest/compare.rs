//! How files and trees differ.

use nexus_fs::{DiffMode, DiffTreeOptions, TreeDiffQuery, VersionAt};
use nexus_kernel::{Error, Result};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Files, Json, Query};
use super::model::{Stat, at};
use super::problem::{self, Answer};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DiffQuery {
    path: String,
    /// A version as `v3`, or what `at` of a read takes.
    from: String,
    /// The same; the newest content unless given.
    to: Option<String>,
    /// The path at `to`, if it is another.
    to_path: Option<String>,
    /// `unified` (default), `words` as `git diff --word-diff=porcelain` prints them, or `summary`.
    mode: Option<String>,
}

/// What changed between two contents.
#[derive(Serialize, ToSchema)]
pub(super) struct Diff {
    /// The difference as asked for; empty if the two are equal, or if only a summary was asked
    /// for. Of what is not text, one line that says that it differs.
    diff: String,
    /// Whether the two differ.
    differs: bool,
    /// Lines that only the new text has.
    added: u64,
    /// Lines that only the old text has.
    removed: u64,
    /// The old file; absent if there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<Stat>,
    /// The new one; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<Stat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binary: Option<BinaryDiff>,
}

/// Where contents differ that are not UTF-8 text, or too large to be compared as such.
#[derive(Serialize, ToSchema)]
struct BinaryDiff {
    /// Bytes at the beginning that are the same, which is where the first that differs is.
    #[serde(skip_serializing_if = "Option::is_none")]
    common_prefix: Option<u64>,
    /// Bytes after that that are the same at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    common_suffix: Option<u64>,
}

impl From<nexus_fs::FileDiff> for Diff {
    fn from(diff: nexus_fs::FileDiff) -> Self {
        Self {
            diff: diff.text,
            differs: diff.differs,
            added: diff.added,
            removed: diff.removed,
            old: diff.old.map(Stat::from),
            new: diff.new.map(Stat::from),
            binary: diff.binary.map(|binary| BinaryDiff {
                common_prefix: binary.common_prefix,
                common_suffix: binary.common_suffix,
            }),
        }
    }
}

/// What changed between two contents of a file, or between two files.
#[utoipa::path(
    get, path = "/api/v2/diff", tag = "history", params(DiffQuery),
    responses((status = 200, body = Diff), (status = "default", body = problem::Body)),
)]
pub(super) async fn diff(
    Files(files): Files,
    Query(query): Query<DiffQuery>,
) -> Answer<Json<Diff>> {
    let from = version_at(&query.from)?;
    let to = version_at(query.to.as_deref().unwrap_or("latest"))?;
    let mode = match &query.mode {
        Some(mode) => mode.parse()?,
        None => DiffMode::Unified,
    };
    let to_path = query.to_path.as_deref().unwrap_or(&query.path);
    let diff = files.diff_files((&query.path, from), (to_path, to), mode);
    Ok(Json(diff.await?.into()))
}

fn version_at(text: &str) -> Result<VersionAt> {
    match text.strip_prefix('v') {
        Some(digits) => digits.parse().map(VersionAt::Version).map_err(|_| {
            Error::invalid("a version is written v and its number, like v3").with("version", text)
        }),
        None => text.parse().map(VersionAt::At),
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TreeQuery {
    path: String,
    /// What `at` of a read takes.
    from: String,
    /// The same; the present unless given.
    to: Option<String>,
    /// The path at `to`, if it is another.
    to_path: Option<String>,
    /// List everything below a directory that came or went, not just the directory.
    #[serde(default)]
    expand: bool,
    /// Most changes; 1,000 unless given.
    limit: Option<usize>,
    /// `next` of the page before; the points are those of the first page.
    cursor: Option<String>,
}

/// A page of how trees differ.
#[derive(Serialize, ToSchema)]
pub(super) struct TreeDiff {
    /// The revision of the old tree.
    from: u64,
    /// The revision of the new one.
    to: u64,
    /// By path in the order of a recursive listing.
    changes: Vec<TreeChange>,
    /// How many changes there are in all.
    total: usize,
    /// The cursor of the page after this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// One difference between two trees.
#[derive(Serialize, ToSchema)]
struct TreeChange {
    /// `added`, `removed`, `modified` or `renamed`; what was renamed may be modified too.
    kind: &'static str,
    /// In the new tree; of a removal, in the old one.
    path: String,
    /// In the old tree, if it was elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    old_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<Stat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<Stat>,
    /// Whether the content differs.
    content: bool,
    /// Whether the mode, or the POSIX owner or group, differs.
    attributes: bool,
    /// Whether custom metadata or tags differ.
    metadata: bool,
    /// Of a directory that came or went: how much came or went below it that is not listed.
    below: u64,
}

impl From<nexus_fs::TreeChange> for TreeChange {
    fn from(change: nexus_fs::TreeChange) -> Self {
        Self {
            kind: change.kind.as_str(),
            path: change.path,
            old_path: change.old_path,
            old: change.old.map(Stat::from),
            new: change.new.map(Stat::from),
            content: change.content,
            attributes: change.attributes,
            metadata: change.metadata,
            below: change.below,
        }
    }
}

/// How a directory differs between two points, or from another directory.
///
/// Takes time in proportion to what changed. A directory that moved is one change, and so is one
/// that came or went, unless `expand` asks for all below it. A file is compared by itself.
#[utoipa::path(
    get, path = "/api/v2/diff/tree", tag = "history", params(TreeQuery),
    responses((status = 200, body = TreeDiff), (status = "default", body = problem::Body)),
)]
pub(super) async fn diff_tree(
    Files(files): Files,
    Query(query): Query<TreeQuery>,
) -> Answer<Json<TreeDiff>> {
    let ask = TreeDiffQuery {
        from: at(Some(&query.from))?,
        to: at(query.to.as_deref())?,
        path: query.path,
        to_path: query.to_path,
        options: DiffTreeOptions {
            expand: query.expand,
        },
        limit: query.limit.unwrap_or(0),
        cursor: query.cursor,
    };
    let page = files.diff_tree_page(ask).await?;
    Ok(Json(TreeDiff {
        from: page.diff.from.0,
        to: page.diff.to.0,
        changes: page
            .diff
            .changes
            .into_iter()
            .map(TreeChange::from)
            .collect(),
        total: page.total,
        next: page.next,
    }))
}
