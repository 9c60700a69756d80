//! Where contents come from, and what came of them.

use http::{HeaderMap, HeaderName};
use nexus_fs::{LineageDirection, LineageQuery, LineageSource};
use nexus_kernel::{Error, Result};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Files, Json, Query};
use super::model::{Time, at};
use super::problem::{self, Answer};

/// Where outside of the zone a content that is written comes from.
const SOURCE: HeaderName = HeaderName::from_static("x-nexus-source");

/// What a request says of where its content comes from.
pub(super) fn source(headers: &HeaderMap) -> Result<Option<String>> {
    let Some(value) = headers.get(SOURCE) else {
        return Ok(None);
    };
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| {
        Error::invalid("the name of a source is UTF-8; encode other bytes as in a URL")
            .with("header", SOURCE)
    })?;
    Ok(Some(text.to_owned()))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Ask {
    path: String,
    /// A point: later derivations are left out.
    at: Option<String>,
    /// `both` (default), `ancestors` or `descendants`.
    direction: Option<String>,
    /// Most steps away from the file; 16 unless given, at most 64.
    depth: Option<usize>,
    /// Most entries; 1,000 unless given.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Where a file comes from and what was made of it.
#[derive(Serialize, ToSchema)]
pub(super) struct Lineage {
    file: LineageFile,
    /// Each before those that lead on from it.
    entries: Vec<LineageEntry>,
    /// Steps on the way of this page that the caller may not see; nothing beyond them is told.
    hidden: u64,
    /// The cursor of the page after this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A version of a file.
#[derive(Serialize, ToSchema)]
struct LineageFile {
    ino: u64,
    version: u64,
    /// A path that it had then, if the caller may see that.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// A path that it has now, if it has one and the caller may see that.
    #[serde(skip_serializing_if = "Option::is_none")]
    path_now: Option<String>,
}

/// That one content came from another.
#[derive(Serialize, ToSchema)]
struct LineageEntry {
    /// `ancestors` or `descendants`.
    direction: &'static str,
    /// Steps away from the file that was asked about, from 1.
    depth: usize,
    /// `copy`, `edit`, `rollback`, `restore`, `merge`, `import`, `fork` or `undo`.
    kind: &'static str,
    /// The file that it came from; absent if that is outside of the zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<LineageFile>,
    /// Where outside of the zone it came from, as whoever brought it in named that.
    #[serde(skip_serializing_if = "Option::is_none")]
    external: Option<String>,
    /// What came from it.
    file: LineageFile,
    /// The commit that made it.
    revision: u64,
    time: Time,
    /// As `kind:id`.
    actor: String,
}

impl From<nexus_fs::LineageFile> for LineageFile {
    fn from(file: nexus_fs::LineageFile) -> Self {
        Self {
            ino: file.ino.0,
            version: file.version,
            path: file.path,
            path_now: file.path_now,
        }
    }
}

impl From<nexus_fs::LineageEntry> for LineageEntry {
    fn from(entry: nexus_fs::LineageEntry) -> Self {
        let (source, external) = match entry.source {
            LineageSource::File(file) => (Some(file.into()), None),
            LineageSource::External(name) => (None, Some(name)),
        };
        Self {
            direction: entry.direction.as_str(),
            depth: entry.depth,
            kind: entry.kind.as_str(),
            source,
            external,
            file: entry.file.into(),
            revision: entry.revision.0,
            time: Time(entry.time),
            actor: entry.actor,
        }
    }
}

/// Where a file comes from and what was made of it.
///
/// Follows copies, edits, rollbacks, restores, merges and imports across all names of the files.
#[utoipa::path(
    get, path = "/api/v2/lineage", tag = "history", params(Ask),
    responses((status = 200, body = Lineage), (status = "default", body = problem::Body)),
)]
pub(super) async fn lineage(Files(files): Files, Query(ask): Query<Ask>) -> Answer<Json<Lineage>> {
    let direction = match &ask.direction {
        Some(direction) => direction.parse()?,
        None => LineageDirection::Both,
    };
    let query = LineageQuery {
        at: at(ask.at.as_deref())?,
        direction,
        depth: ask.depth.unwrap_or(0),
        limit: ask.limit.unwrap_or(0),
        cursor: ask.cursor,
    };
    let lineage = files.lineage(&ask.path, query).await?;
    Ok(Json(Lineage {
        file: lineage.file.into(),
        entries: lineage
            .entries
            .into_iter()
            .map(LineageEntry::from)
            .collect(),
        hidden: lineage.hidden,
        next: lineage.next,
    }))
}
