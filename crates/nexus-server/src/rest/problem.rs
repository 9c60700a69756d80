//! Errors as REST answers.

use std::collections::BTreeMap;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};
use nexus_kernel::{Error, Kind, Outcome};
use serde::Serialize;
use utoipa::ToSchema;

use crate::door::{self, ERROR_HEADER, error_header};
use crate::error_table::codes;

/// An error on its way out of a REST handler.
#[derive(Debug)]
pub(crate) struct Problem(pub(crate) Error);

pub(crate) type Answer<T> = Result<T, Problem>;

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

/// What every error answers.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(crate) struct Body {
    error: Details,
    /// The message once more, where a key is missing or wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ErrorDetails)]
struct Details {
    /// `not_found`, `already_exists`, `wrong_type`, `not_empty`, `invalid_argument`,
    /// `unauthenticated`, `permission_denied`, `conflict`, `limit_exceeded`, `unsupported`,
    /// `unavailable`, `corrupt` or `internal`.
    kind: &'static str,
    /// Why, and what to do next.
    message: String,
    /// Named facts: the path, the limit, the etag.
    context: BTreeMap<&'static str, String>,
    /// `not_applied`, or `unknown` where the change may have been applied all the same.
    outcome: &'static str,
}

impl Body {
    pub(crate) fn of(error: &Error) -> Self {
        let outcome = match error.outcome() {
            Outcome::NotApplied => "not_applied",
            Outcome::Unknown => "unknown",
        };
        let context = error
            .context()
            .iter()
            .map(|(name, value)| (*name, value.clone()))
            .collect();
        let (kind, message) = (error.kind(), error.message().to_owned());
        let detail = (kind == Kind::Unauthenticated).then(|| message.clone());
        Self {
            error: Details {
                kind: kind.as_str(),
                message,
                context,
                outcome,
            },
            detail,
        }
    }
}

/// The answer of a server that failed.
pub(crate) fn internal() -> Response {
    let error = Details {
        kind: door::INTERNAL,
        message: door::INTERNAL_MESSAGE.to_owned(),
        context: BTreeMap::new(),
        outcome: "unknown",
    };
    let body = Body {
        error,
        detail: None,
    };
    let headers = [(ERROR_HEADER, HeaderValue::from_static(door::INTERNAL))];
    (StatusCode::INTERNAL_SERVER_ERROR, headers, Json(body)).into_response()
}

impl Problem {
    /// The same answer under another status.
    pub(crate) fn with_status(self, status: StatusCode) -> Response {
        let error = self.0;
        door::log(&error);
        let mut response = (status, Json(Body::of(&error))).into_response();
        response
            .headers_mut()
            .insert(ERROR_HEADER, error_header(error.kind()));
        if error.kind() == Kind::Unauthenticated {
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = codes(self.0.kind()).http;
        self.with_status(status)
    }
}
