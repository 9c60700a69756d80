//! What the tree holds: attributes, listings, searches.

use axum::response::Response;
use futures::StreamExt;
use nexus_fs::{GlobQuery, GrepQuery, ListOptions};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Files, Json, Query};
use super::model::{Entry, EntryPage, Stat, at};
use super::ndjson::ndjson;
use super::problem::{Answer, Body};
use crate::paging::page_limit;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StatQuery {
    path: String,
    /// A revision, `>=revision`, or a time.
    at: Option<String>,
    /// The attributes of a symbolic link itself, not of what it points to.
    #[serde(default)]
    no_follow: bool,
}

/// The attributes of what a path names.
#[utoipa::path(
    get, path = "/api/v2/stat", tag = "read", params(StatQuery),
    responses((status = 200, body = Stat), (status = "default", body = Body)),
)]
pub(super) async fn stat(
    Files(files): Files,
    Query(query): Query<StatQuery>,
) -> Answer<Json<Stat>> {
    let at = at(query.at.as_deref())?;
    let stat = match query.no_follow {
        false => files.stat(&query.path, at).await?,
        true => files.lstat(&query.path, at).await?,
    };
    Ok(Json(stat.into()))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    path: String,
    /// A revision, `>=revision`, or a time.
    at: Option<String>,
    /// All below, parents before children.
    #[serde(default)]
    recursive: bool,
    /// With attributes.
    #[serde(default)]
    details: bool,
    /// Most entries; 1,000 unless given, at most 10,000.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// One page of a directory, or of all below it.
#[utoipa::path(
    get, path = "/api/v2/list", tag = "read", params(ListQuery),
    responses((status = 200, body = EntryPage), (status = "default", body = Body)),
)]
pub(super) async fn list(
    Files(files): Files,
    Query(query): Query<ListQuery>,
) -> Answer<Json<EntryPage>> {
    let options = ListOptions {
        at: at(query.at.as_deref())?,
        recursive: query.recursive,
        details: query.details,
        limit: page_limit(query.limit)?,
        cursor: query.cursor,
    };
    Ok(Json(files.list(&query.path, options).await?.into()))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UsageQuery {
    path: String,
    /// A revision, `>=revision`, or a time.
    at: Option<String>,
}

/// What a subtree holds.
#[derive(Serialize, ToSchema)]
pub(super) struct Usage {
    /// Regular files, each hard link once per name.
    files: u64,
    /// The top one included.
    directories: u64,
    symlinks: u64,
    /// Sum of the sizes of the files.
    bytes: u64,
}

/// What a subtree holds.
#[utoipa::path(
    get, path = "/api/v2/usage", tag = "read", params(UsageQuery),
    responses((status = 200, body = Usage), (status = "default", body = Body)),
)]
pub(super) async fn usage(
    Files(files): Files,
    Query(query): Query<UsageQuery>,
) -> Answer<Json<Usage>> {
    let nexus_fs::Usage {
        files,
        directories,
        symlinks,
        bytes,
    } = files.usage(&query.path, at(query.at.as_deref())?).await?;
    Ok(Json(Usage {
        files,
        directories,
        symlinks,
        bytes,
    }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct GlobParams {
    /// Absolute, or relative to `path`. `*` stays within a name, `**` crosses directories.
    pattern: String,
    /// `/` unless given.
    path: Option<String>,
    /// A revision, `>=revision`, or a time.
    at: Option<String>,
    /// Leave out hidden names and what .gitignore and .ignore files say.
    #[serde(default)]
    ignore: bool,
}

/// Paths that match a pattern.
///
/// Answers one JSON object a line, as they are found.
#[utoipa::path(
    get, path = "/api/v2/glob", tag = "read", params(GlobParams),
    responses(
        (status = 200, body = Entry, content_type = "application/x-ndjson"),
        (status = "default", body = Body),
    ),
)]
pub(super) async fn glob(Files(files): Files, Query(query): Query<GlobParams>) -> Answer<Response> {
    let found = files.glob(GlobQuery {
        pattern: query.pattern,
        path: query.path.unwrap_or_else(root),
        at: at(query.at.as_deref())?,
        ignore: query.ignore,
    });
    Ok(ndjson(found.map(|entry| entry.map(Entry::from)).boxed()).await?)
}

fn root() -> String {
    "/".into()
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct GrepParams {
    /// A regular expression.
    pattern: String,
    /// `/` unless given.
    path: Option<String>,
    /// A revision, `>=revision`, or a time.
    at: Option<String>,
    /// Only files that match this glob.
    file_pattern: Option<String>,
    #[serde(default)]
    ignore_case: bool,
    /// The pattern is plain text.
    #[serde(default)]
    literal: bool,
    /// The pattern may span lines.
    #[serde(default)]
    multi_line: bool,
    /// Lines of context before each match.
    #[serde(default)]
    before: usize,
    /// Lines of context after each match.
    #[serde(default)]
    after: usize,
    /// Most matches of one file.
    max_per_file: Option<u64>,
    /// Leave out hidden names and what .gitignore and .ignore files say.
    #[serde(default)]
    ignore: bool,
    /// Skip larger files.
    file_bytes_max: Option<u64>,
    /// Stop after this many matches.
    max_results: Option<usize>,
}

/// A line that matched.
#[derive(Serialize, ToSchema)]
pub(super) struct Match {
    path: String,
    /// From 1.
    line: u64,
    /// The whole line.
    content: String,
    /// The part of it that matched.
    matched: String,
    /// Where that begins, in bytes from 1.
    column: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    before: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    after: Vec<String>,
    /// Whether one of these texts was too long and has been cut.
    truncated: bool,
}

impl From<nexus_fs::GrepMatch> for Match {
    fn from(found: nexus_fs::GrepMatch) -> Self {
        let nexus_fs::GrepMatch {
            path,
            line,
            content,
            matched,
            column,
            before,
            after,
            truncated,
        } = found;
        Self {
            path,
            line,
            content,
            matched,
            column,
            before,
            after,
            truncated,
        }
    }
}

/// Lines that match a regular expression.
///
/// Answers one JSON object a line, as they are found.
#[utoipa::path(
    get, path = "/api/v2/grep", tag = "read", params(GrepParams),
    responses(
        (status = 200, body = Match, content_type = "application/x-ndjson"),
        (status = "default", body = Body),
    ),
)]
pub(super) async fn grep(Files(files): Files, Query(query): Query<GrepParams>) -> Answer<Response> {
    let found = files.grep(GrepQuery {
        pattern: query.pattern,
        path: query.path.unwrap_or_else(root),
        at: at(query.at.as_deref())?,
        file_pattern: query.file_pattern,
        ignore_case: query.ignore_case,
        literal: query.literal,
        multi_line: query.multi_line,
        before: query.before,
        after: query.after,
        max_per_file: query.max_per_file,
        ignore: query.ignore,
        file_bytes_max: query.file_bytes_max.unwrap_or(u64::MAX),
    });
    let found = found.take(query.max_results.unwrap_or(usize::MAX));
    Ok(ndjson(found.map(|found| found.map(Match::from)).boxed()).await?)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DuplicatesQuery {
    path: String,
    /// Leave out smaller files.
    #[serde(default)]
    min_bytes: u64,
    /// Most sets; 1,000 unless given.
    limit: Option<usize>,
}

/// Files with equal content.
#[derive(Serialize, ToSchema)]
pub(super) struct DuplicateSet {
    etag: String,
    size: u64,
    paths: Vec<String>,
}

/// Files with equal content, in sets.
#[utoipa::path(
    get, path = "/api/v2/duplicates", tag = "read", params(DuplicatesQuery),
    responses((status = 200, body = Vec<DuplicateSet>), (status = "default", body = Body)),
)]
pub(super) async fn duplicates(
    Files(files): Files,
    Query(query): Query<DuplicatesQuery>,
) -> Answer<Json<Vec<DuplicateSet>>> {
    let limit = page_limit(query.limit)?;
    let sets = files
        .duplicates(&query.path, query.min_bytes, limit)
        .await?;
    let set = |set: nexus_fs::Duplicates| DuplicateSet {
        etag: set.etag.to_string(),
        size: set.size,
        paths: set.paths,
    };
    Ok(Json(sets.into_iter().map(set).collect()))
}
