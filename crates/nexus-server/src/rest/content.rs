//! Files under their own addresses: content streams both ways.

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::TryStreamExt;
use futures::stream::{self, StreamExt};
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_MATCH, IF_NONE_MATCH, LAST_MODIFIED, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use nexus_fs::{At, Content, Precondition, RemoveOptions, Session, Stat, WriteOptions};
use nexus_kernel::{ByteStream, Error, Kind, Result};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::conditions::{Verdict, last_modified, precondition, range_applies, verdict};
use super::extract::{FilePath, Files, Json, Query, whole_body};
use super::lineage::source;
use super::model::{Changed, Durability, Mode, REVISION, Time, at};
use super::problem::{Answer, Problem};
use super::range::{Wanted, wanted};
use crate::app::Shared;

const VERSION: HeaderName = HeaderName::from_static("x-nexus-version");
/// A body announced as no larger is taken in one piece.
const SMALL_BYTES_MAX: u64 = 64 << 10;
/// How often a part is sought anew because the file was changed meanwhile, before it is
/// answered whole.
const PART_TRIES_MAX: usize = 8;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReadQuery {
    /// A revision, `>=revision`, or a time.
    at: Option<String>,
    /// Read this version instead; it comes whole.
    version: Option<u64>,
}

impl ReadQuery {
    /// The version asked for, which is then all that says what to read.
    fn whole_version(&self, headers: &HeaderMap) -> Result<Option<u64>> {
        let more = self.at.is_some() || headers.contains_key(RANGE);
        if self.version.is_some() && more {
            return Err(Error::invalid(
                "a version is read whole, and as it was; leave at and the range out",
            ));
        }
        Ok(self.version)
    }
}

/// Read a file.
///
/// Streams the content, or the part that `Range` asks for. `If-None-Match` with the file's
/// etag answers 304, `If-Match` with any other 412.
#[utoipa::path(
    get, path = "/api/v2/files/{*path}", tag = "files",
    params(("path" = String, Path, description = "The file"), ReadQuery),
    responses(
        (status = 200, description = "The content", body = [u8], content_type = "application/octet-stream"),
        (status = 206, description = "The part asked for"),
        (status = 304, description = "The caller has it already"),
        (status = 412, description = "The condition does not hold", body = super::problem::Body),
        (status = 416, description = "The file ends before the range"),
        (status = "default", body = super::problem::Body),
    ),
)]
pub(super) async fn read(
    Files(files): Files,
    FilePath(path): FilePath,
    Query(query): Query<ReadQuery>,
    headers: HeaderMap,
) -> Answer<Response> {
    let opened = open(&files, &path, &query, &headers).await?;
    if let Some(response) = judged(&headers, opened.stat(), &path)? {
        return Ok(response);
    }
    let (content, partial) = match opened {
        Opened::Content { content, partial } => (content, partial),
        Opened::Beyond(stat) => return Ok(beyond(stat.size, &path)),
    };
    let answer = file_headers(&content.stat, &path);
    let mut response = (answer, ()).into_response();
    let length = content.range.end - content.range.start;
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    if partial {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let (first, last) = (content.range.start, content.range.end.saturating_sub(1));
        let range = format!("bytes {first}-{last}/{}", content.stat.size);
        response.headers_mut().insert(CONTENT_RANGE, ascii(range));
    }
    *response.body_mut() = body(content.body, length).await?;
    Ok(response)
}

/// The answer without content, if the conditions ask for one.
fn judged(headers: &HeaderMap, stat: &Stat, path: &str) -> Result<Option<Response>> {
    let answer = match verdict(headers, stat)? {
        Verdict::Answer => return Ok(None),
        Verdict::NotModified => {
            (StatusCode::NOT_MODIFIED, file_headers(stat, path)).into_response()
        }
        Verdict::Failed => {
            let error = Error::conflict("the file is not as the condition asks; read it anew");
            Problem(error.with("path", path)).with_status(StatusCode::PRECONDITION_FAILED)
        }
    };
    Ok(Some(answer))
}

enum Opened {
    Content { content: Content, partial: bool },
    Beyond(Stat),
}

impl Opened {
    fn whole(content: Content) -> Self {
        Self::Content {
            content,
            partial: false,
        }
    }

    fn stat(&self) -> &Stat {
        match self {
            Self::Content { content, .. } => &content.stat,
            Self::Beyond(stat) => stat,
        }
    }
}

async fn open(
    files: &Session,
    path: &str,
    query: &ReadQuery,
    headers: &HeaderMap,
) -> Result<Opened> {
    if let Some(version) = query.whole_version(headers)? {
        return files.open_version(path, version).await.map(Opened::whole);
    }
    let at = at(query.at.as_deref())?;
    if headers.contains_key(RANGE) {
        for _ in 0..PART_TRIES_MAX {
            if let Some(opened) = open_part(files, path, at.clone(), headers).await? {
                return Ok(opened);
            }
        }
    }
    files.open(path, at, None).await.map(Opened::whole)
}

/// Opens what `Range` asks for of the content that it, and `If-Range`, were held against; none
/// if the file was changed between the two.
async fn open_part(
    files: &Session,
    path: &str,
    at: At,
    headers: &HeaderMap,
) -> Result<Option<Opened>> {
    let stat = files.stat(path, at.clone()).await?;
    let whole = stat.is_dir() || !range_applies(headers, stat.etag.as_ref())?;
    let range = match wanted(headers, stat.size) {
        Wanted::Part(range) if !whole => range,
        Wanted::Beyond if !whole => return Ok(Some(Opened::Beyond(stat))),
        _ => {
            return files
                .open(path, at, None)
                .await
                .map(Opened::whole)
                .map(Some);
        }
    };
    match files.open(path, at, Some(range)).await {
        Ok(content) if content.stat.etag == stat.etag => Ok(Some(Opened::Content {
            content,
            partial: true,
        })),
        Ok(_) => Ok(None),
        // The file has become shorter than the range.
        Err(error) if error.kind() == Kind::InvalidArgument => Ok(None),
        Err(error) => Err(error),
    }
}

fn beyond(size: u64, path: &str) -> Response {
    let error = Error::invalid("the file ends before the range; ask for less").with("path", path);
    let mut response =
        Problem(error.with("size", size)).with_status(StatusCode::RANGE_NOT_SATISFIABLE);
    response
        .headers_mut()
        .insert(CONTENT_RANGE, ascii(format!("bytes */{size}")));
    response
}

/// Waits for the first piece, so that content which cannot be read is an error and not a body
/// that breaks off; a content of one piece then needs no stream.
async fn body(mut pieces: ByteStream, length: u64) -> Result<Body> {
    match pieces.try_next().await? {
        None => Ok(Body::empty()),
        Some(first) if first.len() as u64 == length => Ok(Body::from(first)),
        Some(first) => Ok(Body::from_stream(
            stream::once(async { Ok(first) }).chain(pieces),
        )),
    }
}

/// What is said of a file along with its content.
fn file_headers(stat: &Stat, path: &str) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(16);
    if let Some(etag) = &stat.etag {
        headers.insert(ETAG, quoted(etag));
    }
    let content_type = mime_guess::from_path(path)
        .first_raw()
        .unwrap_or("application/octet-stream");
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // A stored page must not run as if it were the node's own.
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(LAST_MODIFIED, http_date(stat));
    headers.insert(REVISION, stat.revision.0.into());
    headers.insert(VERSION, stat.version.into());
    headers
}

fn quoted(etag: &nexus_fs::Etag) -> HeaderValue {
    ascii(format!("\"{etag}\""))
}

fn http_date(stat: &Stat) -> HeaderValue {
    ascii(httpdate::fmt_http_date(last_modified(stat)))
}

fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("made of printable ASCII")
}

/// What is known of a file, in the headers that a read answers.
#[utoipa::path(
    head, path = "/api/v2/files/{*path}", tag = "files",
    params(("path" = String, Path, description = "The file"), ReadQuery),
    responses((status = 200), (status = 304), (status = 412), (status = "default", description = "An error, without its body")),
)]
pub(super) async fn head(
    Files(files): Files,
    FilePath(path): FilePath,
    Query(query): Query<ReadQuery>,
    headers: HeaderMap,
) -> Answer<Response> {
    let stat = match query.whole_version(&headers)? {
        Some(version) => files.open_version(&path, version).await?.stat,
        None => stat_of_file(&files, &path, at(query.at.as_deref())?).await?,
    };
    if let Some(response) = judged(&headers, &stat, &path)? {
        return Ok(response);
    }
    let mut answer = file_headers(&stat, &path);
    answer.insert(CONTENT_LENGTH, stat.size.into());
    Ok((answer, Body::empty()).into_response())
}

/// The attributes of what can be read; the rest is refused as a read is.
async fn stat_of_file(files: &Session, path: &str, at: At) -> Result<Stat> {
    let stat = files.stat(path, at.clone()).await?;
    match stat.is_dir() {
        true => Ok(files.open(path, at, None).await?.stat),
        false => Ok(stat),
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WriteQuery {
    /// `sync` (default) or `relaxed`.
    #[serde(default)]
    #[param(inline)]
    durability: Durability,
    /// Make missing parent directories.
    #[serde(default)]
    parents: bool,
    /// Permission bits of a file this creates.
    #[param(inline)]
    mode: Option<Mode>,
}

impl WriteQuery {
    fn options(&self, headers: &HeaderMap) -> Result<WriteOptions> {
        Ok(WriteOptions {
            precondition: precondition(headers)?,
            durability: self.durability.into(),
            parents: self.parents,
            mode: self.mode.map(|mode| mode.0),
            metadata: Vec::new(),
            source: source(headers)?,
        })
    }
}

/// Write a file.
///
/// Creates it or replaces its content, with as many bytes as the body streams; a body that
/// breaks off changes nothing. `If-Match: "etag"` refuses to replace anything but that
/// content, `If-None-Match: *` refuses to replace anything. `X-Nexus-Source` says where outside of
/// the zone the content comes from, such as `file:///home/me/notes.txt`, for its lineage.
#[utoipa::path(
    put, path = "/api/v2/files/{*path}", tag = "files",
    params(("path" = String, Path, description = "The file"), WriteQuery),
    request_body(content = [u8], content_type = "application/octet-stream"),
    responses(
        (status = 200, body = Changed),
        (status = 412, description = "The condition does not hold", body = super::problem::Body),
        (status = "default", body = super::problem::Body),
    ),
)]
pub(super) async fn write(
    Files(files): Files,
    FilePath(path): FilePath,
    Query(query): Query<WriteQuery>,
    request: Request,
) -> Answer<Response> {
    let conditional = is_conditional(request.headers());
    Ok(changed(
        put(&files, &path, &query, request).await,
        conditional,
    ))
}

async fn put(
    files: &Session,
    path: &str,
    query: &WriteQuery,
    request: Request,
) -> Result<nexus_fs::Changed> {
    let options = query.options(request.headers())?;
    match request.body().size_hint().exact() {
        Some(bytes) if bytes <= SMALL_BYTES_MAX => {
            let content = collect(request.into_body()).await?;
            files.write(path, content, options).await
        }
        _ => {
            files
                .write_stream(path, incoming(request.into_body()), options)
                .await
        }
    }
}

/// Append to a file.
///
/// Adds the body at its end, creating it where it is missing.
#[utoipa::path(
    post, path = "/api/v2/files/{*path}", tag = "files",
    params(("path" = String, Path, description = "The file"), WriteQuery),
    request_body(content = [u8], content_type = "application/octet-stream"),
    responses((status = 200, body = Changed), (status = "default", body = super::problem::Body)),
)]
pub(super) async fn append(
    Files(files): Files,
    FilePath(path): FilePath,
    Query(query): Query<WriteQuery>,
    State(shared): State<Shared>,
    request: Request,
) -> Answer<Response> {
    let conditional = is_conditional(request.headers());
    let appended = async {
        let options = query.options(request.headers())?;
        let content = whole_body(request, &shared).await?;
        files.append(&path, content, options).await
    };
    Ok(changed(appended.await, conditional))
}

fn is_conditional(headers: &HeaderMap) -> bool {
    headers.contains_key(IF_MATCH) || headers.contains_key(IF_NONE_MATCH)
}

/// The answer to a write; a condition that does not hold has a status of its own.
fn changed(result: Result<nexus_fs::Changed>, conditional: bool) -> Response {
    let changed = match result {
        Ok(changed) => changed,
        Err(error)
            if conditional && matches!(error.kind(), Kind::Conflict | Kind::AlreadyExists) =>
        {
            return Problem(error).with_status(StatusCode::PRECONDITION_FAILED);
        }
        Err(error) => return Problem(error).into_response(),
    };
    let mut headers = HeaderMap::with_capacity(4);
    if let Some(stat) = &changed.stat {
        headers.insert(VERSION, stat.version.into());
        headers.extend(stat.etag.as_ref().map(|etag| (ETAG, quoted(etag))));
    }
    (headers, Changed::from(changed)).into_response()
}

async fn collect(body: Body) -> Result<Bytes> {
    let collected = http_body_util::BodyExt::collect(body)
        .await
        .map_err(broken_off)?;
    Ok(collected.to_bytes())
}

fn incoming(body: Body) -> ByteStream {
    Box::pin(body.into_data_stream().map_err(broken_off))
}

fn broken_off(source: axum::Error) -> Error {
    Error::invalid("the body broke off and nothing was changed; send it again").because(source)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RemoveQuery {
    /// A directory with all below it.
    #[serde(default)]
    recursive: bool,
    /// `sync` (default) or `relaxed`.
    #[serde(default)]
    #[param(inline)]
    durability: Durability,
}

impl RemoveQuery {
    fn options(&self, headers: &HeaderMap) -> Result<RemoveOptions> {
        let if_match = match precondition(headers)? {
            Precondition::Etag(etag) => Some(etag),
            Precondition::None | Precondition::Exists => None,
            Precondition::Absent => {
                return Err(Error::invalid(
                    "a removal takes no If-None-Match; to remove a known content use If-Match",
                ));
            }
        };
        Ok(RemoveOptions {
            recursive: self.recursive,
            if_match,
            durability: self.durability.into(),
        })
    }
}

/// Remove a file, a link, an empty directory, or a tree.
///
/// `If-Match: "etag"` refuses to remove a file with any other content.
#[utoipa::path(
    delete, path = "/api/v2/files/{*path}", tag = "files",
    params(("path" = String, Path, description = "What to remove"), RemoveQuery),
    responses(
        (status = 200, body = Changed),
        (status = 412, description = "The condition does not hold", body = super::problem::Body),
        (status = "default", body = super::problem::Body),
    ),
)]
pub(super) async fn remove(
    Files(files): Files,
    FilePath(path): FilePath,
    Query(query): Query<RemoveQuery>,
    headers: HeaderMap,
) -> Answer<Response> {
    let removed = async {
        let options = query.options(&headers)?;
        files.remove(&path, options).await
    };
    Ok(changed(removed.await, is_conditional(&headers)))
}

/// Attributes to change; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetAttributes {
    mode: Option<Mode>,
    uid: Option<u32>,
    gid: Option<u32>,
    modified: Option<Time>,
    /// Truncates, or extends with zeros.
    size: Option<u64>,
    #[serde(default)]
    durability: Durability,
}

/// Change permission bits, owner, times or the size.
#[utoipa::path(
    patch, path = "/api/v2/files/{*path}", tag = "files",
    params(("path" = String, Path, description = "What to change")),
    request_body = SetAttributes,
    responses((status = 200, body = Changed), (status = "default", body = super::problem::Body)),
)]
pub(super) async fn set_attributes(
    Files(files): Files,
    FilePath(path): FilePath,
    Json(set): Json<SetAttributes>,
) -> Answer<Response> {
    let attributes = nexus_fs::SetAttributes {
        mode: set.mode.map(|mode| mode.0),
        uid: set.uid,
        gid: set.gid,
        modified: set.modified.map(|time| time.0),
        size: set.size,
        ..nexus_fs::SetAttributes::default()
    };
    Ok(changed(
        files
            .set_attributes(&path, attributes, set.durability.into())
            .await,
        false,
    ))
}
