//! What handlers take out of a request, refusing what they cannot read with a typed error.

use std::fmt::Display;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use http::request::Parts;
use http::{Uri, header};
use nexus_fs::Session;
use nexus_kernel::{Error, Result};
use nexus_service_api::Context;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::conditions::refuse_conditions;
use super::problem::Problem;
use crate::app::Shared;

/// The prefix of addresses that are files.
const FILES: &str = "/api/v2/files";

/// The caller, as [`require_key`](crate::auth::require_key) found out.
pub(crate) struct Caller(pub(crate) Context);

impl FromRequestParts<Shared> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Problem> {
        let context = parts.extensions.get::<Context>().cloned();
        Ok(Self(
            context.ok_or_else(|| Error::unauthenticated("send a key"))?,
        ))
    }
}

/// The files as the caller sees them.
pub(crate) struct Files(pub(crate) Session);

impl FromRequestParts<Shared> for Files {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        let Caller(context) = Caller::from_request_parts(parts, shared).await?;
        Ok(Self(shared.files(context)))
    }
}

/// The file that the address names.
pub(crate) struct FilePath(pub(crate) String);

impl FromRequestParts<Shared> for FilePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Problem> {
        Ok(Self(file_path(&parts.uri)?))
    }
}

pub(crate) fn file_path(uri: &Uri) -> Result<String> {
    let encoded = uri.path().strip_prefix(FILES).unwrap_or_default();
    let decoded = percent_decode_str(encoded).decode_utf8();
    decoded.map(Into::into).map_err(|_| {
        Error::invalid("a path is UTF-8; percent-encode the bytes of that").with("path", encoded)
    })
}

/// The one name in the address that is not a file's.
pub(crate) struct Name(pub(crate) String);

impl FromRequestParts<Shared> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        match axum::extract::Path::from_request_parts(parts, shared).await {
            Ok(axum::extract::Path(name)) => Ok(Self(name)),
            Err(rejection) => Err(Error::invalid(rejection.body_text()).into()),
        }
    }
}

/// The parameters after the question mark.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Shared> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Problem> {
        Ok(Self(query(&parts.uri)?))
    }
}

pub(crate) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T> {
    let text = uri.query().unwrap_or_default();
    // The decoder below would replace what is not UTF-8, and so read another name.
    if percent_decode_str(text).decode_utf8().is_err() {
        return Err(Error::invalid(
            "parameters are UTF-8; percent-encode the bytes of that",
        ));
    }
    match axum::extract::Query::try_from_uri(uri) {
        Ok(axum::extract::Query(query)) => Ok(query),
        Err(rejection) => Err(Error::invalid(rejection.body_text())),
    }
}

/// A JSON body, both ways.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Shared> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, Problem> {
        refuse_conditions(request.headers())?;
        let bytes = whole_body(request, shared).await?;
        let wrong = |problem: &dyn Display| {
            Problem(Error::invalid("the body is not the JSON this takes").with("problem", problem))
        };
        // The parser would take the values of an array for those of the names, in order.
        if !bytes.trim_ascii_start().starts_with(b"{") {
            return Err(wrong(&"it is no object"));
        }
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| wrong(&error))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// A body held in memory as a whole, within the limit for that.
pub(crate) async fn whole_body(request: Request, shared: &Shared) -> Result<Bytes> {
    let limit = shared.app.limits.message_bytes_max;
    let too_large = || {
        Error::limit("the body is too large for one message; send less, or stream a file's content")
            .with("bytes_max", limit)
    };
    let declared = request.headers().get(header::CONTENT_LENGTH);
    let declared = declared.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|bytes| bytes > limit) {
        return Err(too_large());
    }
    let mut pieces = request.into_body().into_data_stream();
    let mut whole = Buffered::new(&shared.buffers);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|source| {
            Error::invalid("the body broke off; send it again").because(source)
        })?;
        if whole.bytes.len() + piece.len() > limit {
            return Err(too_large());
        }
        whole.add(&piece)?;
    }
    Ok(Bytes::from_owner(whole))
}

/// A body as it comes in, and its share of the room there is for all of them.
struct Buffered {
    bytes: Vec<u8>,
    room: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl Buffered {
    fn new(room: &Arc<Semaphore>) -> Self {
        Self {
            bytes: Vec::new(),
            room: Arc::clone(room),
            held: None,
        }
    }

    /// Takes room as bytes come, and none for what is only announced.
    fn add(&mut self, piece: &[u8]) -> Result<()> {
        let count = u32::try_from(piece.len()).unwrap_or(u32::MAX);
        let more = Arc::clone(&self.room).try_acquire_many_owned(count);
        let more = more.map_err(|_| {
            Error::unavailable("too much is being sent to the node at once; try again in a moment")
        })?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }
}

impl AsRef<[u8]> for Buffered {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
