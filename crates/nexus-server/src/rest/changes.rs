//! Changes to the tree that name more than one file, or none yet.

use nexus_fs::edit::Edit as FsEdit;
use nexus_fs::{EditOptions, MkdirOptions, MoveOptions};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::{Files, Json};
use super::model::{Changed, Durability, Mode, Stat};
use super::problem::{Answer, Body};
use super::steps::{Existing, Step};
use crate::door::expected_etag;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Mkdir {
    path: String,
    /// Make missing parents too.
    #[serde(default)]
    parents: bool,
    /// An existing directory is no error.
    #[serde(default)]
    exist_ok: bool,
    mode: Option<Mode>,
    #[serde(default)]
    durability: Durability,
}

/// Make a directory.
#[utoipa::path(
    post, path = "/api/v2/mkdir", tag = "change", request_body = Mkdir,
    responses((status = 200, body = Changed), (status = "default", body = Body)),
)]
pub(super) async fn mkdir(Files(files): Files, Json(body): Json<Mkdir>) -> Answer<Changed> {
    let options = MkdirOptions {
        parents: body.parents,
        exist_ok: body.exist_ok,
        mode: body.mode.map(|mode| mode.0),
        durability: body.durability.into(),
    };
    Ok(files.mkdir(&body.path, options).await?.into())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Move {
    from: String,
    to: String,
    #[serde(default)]
    replace: Existing,
    /// Make missing parents of the destination.
    #[serde(default)]
    parents: bool,
    #[serde(default)]
    durability: Durability,
}

impl Move {
    fn options(&self) -> MoveOptions {
        MoveOptions {
            replace: self.replace.into(),
            parents: self.parents,
            durability: self.durability.into(),
        }
    }
}

/// Rename a file or a whole tree, in one commit.
#[utoipa::path(
    post, path = "/api/v2/rename", tag = "change", request_body = Move,
    responses((status = 200, body = Changed), (status = "default", body = Body)),
)]
pub(super) async fn rename(Files(files): Files, Json(body): Json<Move>) -> Answer<Changed> {
    Ok(files
        .rename(&body.from, &body.to, body.options())
        .await?
        .into())
}

/// Copy a file or a whole tree; content is shared, not copied.
#[utoipa::path(
    post, path = "/api/v2/copy", tag = "change", request_body = Move,
    responses((status = 200, body = Changed), (status = "default", body = Body)),
)]
pub(super) async fn copy(Files(files): Files, Json(body): Json<Move>) -> Answer<Changed> {
    Ok(files
        .copy(&body.from, &body.to, body.options())
        .await?
        .into())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Symlink {
    /// What the link says, resolved when it is followed.
    target: String,
    /// The link's own path.
    path: String,
    #[serde(default)]
    durability: Durability,
}

/// Make a symbolic link.
#[utoipa::path(
    post, path = "/api/v2/symlink", tag = "change", request_body = Symlink,
    responses((status = 200, body = Changed), (status = "default", body = Body)),
)]
pub(super) async fn symlink(Files(files): Files, Json(body): Json<Symlink>) -> Answer<Changed> {
    Ok(files
        .symlink(&body.target, &body.path, body.durability.into())
        .await?
        .into())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HardLink {
    existing: String,
    /// The new name.
    path: String,
    #[serde(default)]
    durability: Durability,
}

/// Give a file one more name.
#[utoipa::path(
    post, path = "/api/v2/hard-link", tag = "change", request_body = HardLink,
    responses((status = 200, body = Changed), (status = "default", body = Body)),
)]
pub(super) async fn hard_link(Files(files): Files, Json(body): Json<HardLink>) -> Answer<Changed> {
    Ok(files
        .hard_link(&body.existing, &body.path, body.durability.into())
        .await?
        .into())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch {
    steps: Vec<Step>,
    #[serde(default)]
    durability: Durability,
}

/// What a batch answers.
#[derive(Serialize, ToSchema)]
pub(super) struct BatchChanged {
    /// One for each step, in order; all have the same revision.
    changes: Vec<Changed>,
}

/// Several changes in one commit, or none of them.
#[utoipa::path(
    post, path = "/api/v2/batch", tag = "change", request_body = Batch,
    responses((status = 200, body = BatchChanged), (status = "default", body = Body)),
)]
pub(super) async fn batch(
    Files(files): Files,
    Json(body): Json<Batch>,
) -> Answer<Json<BatchChanged>> {
    let durability = body.durability.into();
    let steps: Result<_, _> = body
        .steps
        .into_iter()
        .map(|step| step.into_step(durability))
        .collect();
    let changes = files.batch(steps?, durability).await?;
    Ok(Json(BatchChanged {
        changes: changes.into_iter().map(Changed::from).collect(),
    }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EditFile {
    path: String,
    /// Done in order, each on what the one before left.
    edits: Vec<Edit>,
    /// Refuse if the file has another etag by now.
    if_match: Option<String>,
    /// How similar a passage must be, 0 to 1; 0.85 unless given, 1 for no fuzzy match.
    fuzzy_threshold: Option<f64>,
    /// Change nothing, just answer what would happen.
    #[serde(default)]
    preview: bool,
    #[serde(default)]
    durability: Durability,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Edit {
    /// The passage to look for.
    old: String,
    /// What to put there.
    new: String,
    /// Prefer the match nearest to this line, from 1.
    hint_line: Option<u64>,
    /// Replace every occurrence; without, more than one is an error.
    #[serde(default)]
    all: bool,
}

impl From<Edit> for FsEdit {
    fn from(edit: Edit) -> Self {
        let Edit {
            old,
            new,
            hint_line,
            all,
        } = edit;
        Self {
            old,
            new,
            hint_line,
            all,
        }
    }
}

/// What an edit answers.
#[derive(Serialize, ToSchema)]
pub(super) struct Edited {
    /// Whether every edit found its passage. If not, the file is unchanged.
    applied: bool,
    /// What changed or would change, as a unified diff.
    diff: String,
    matches: Vec<EditMatch>,
    /// Why the edits were not applied, and what to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// The file's attributes afterwards.
    stat: Stat,
    /// The commit; none if nothing was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
}

/// What one edit matched.
#[derive(Serialize, ToSchema)]
struct EditMatch {
    /// Which edit, from 0.
    edit_index: usize,
    /// `exact`, `whitespace` or `fuzzy`; `none` if nothing was found.
    strategy: &'static str,
    /// Of the passage asked for and the one found, 0 to 1.
    similarity: f64,
    /// First line, from 1; 0 if there is none.
    line_start: u64,
    line_end: u64,
    original_text: String,
    applied: bool,
    /// How many places match, and the first lines of some of them.
    match_count: usize,
    lines: Vec<u64>,
    /// Why it was not applied, and what to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl From<nexus_fs::edit::EditMatch> for EditMatch {
    fn from(found: nexus_fs::edit::EditMatch) -> Self {
        Self {
            problem: found.problem(),
            edit_index: found.edit_index,
            strategy: found.strategy.as_str(),
            similarity: found.similarity,
            line_start: found.line_start,
            line_end: found.line_end,
            original_text: found.original_text,
            applied: found.applied,
            match_count: found.match_count,
            lines: found.lines,
        }
    }
}

/// Replace passages of a text file.
///
/// All edits apply, or none.
#[utoipa::path(
    post, path = "/api/v2/edit", tag = "change", request_body = EditFile,
    responses((status = 200, body = Edited), (status = "default", body = Body)),
)]
pub(super) async fn edit(Files(files): Files, Json(body): Json<EditFile>) -> Answer<Json<Edited>> {
    let mut options = EditOptions {
        if_match: body.if_match.as_deref().map(expected_etag).transpose()?,
        preview: body.preview,
        durability: body.durability.into(),
        ..EditOptions::default()
    };
    options.fuzzy_threshold = body.fuzzy_threshold.unwrap_or(options.fuzzy_threshold);
    let edits: Vec<FsEdit> = body.edits.into_iter().map(FsEdit::from).collect();
    let edited = files.edit(&body.path, &edits, options).await?;
    Ok(Json(Edited {
        applied: edited.applied,
        diff: edited.diff,
        matches: edited.matches.into_iter().map(EditMatch::from).collect(),
        problem: edited.problem,
        stat: edited.stat.into(),
        revision: edited.revision.map(|revision| revision.0),
    }))
}
