//! Errors as JSON-RPC answers.

use std::collections::BTreeMap;

use nexus_kernel::{Error, Kind, Outcome};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::door;
use crate::error_table::{JSON_RPC_INTERNAL, json_rpc_code};

const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const NO_METHOD: i32 = -32601;
const BAD_PARAMS: i32 = -32602;

/// What went wrong with a call.
#[derive(Debug, Serialize)]
pub(super) struct RpcError {
    code: i32,
    message: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    data: BTreeMap<&'static str, Value>,
    #[serde(skip)]
    kind: &'static str,
}

impl RpcError {
    pub(super) fn parse(message: String) -> Self {
        Self::of_call(PARSE_ERROR, message)
    }

    pub(super) fn invalid_request(message: impl Into<String>) -> Self {
        Self::of_call(INVALID_REQUEST, message)
    }

    pub(super) fn no_method(name: &str) -> Self {
        let name: String = name.chars().take(80).collect();
        let message = format!("there is no method {name:?}; GET /api/nfs/status lists them");
        Self {
            kind: Kind::Unsupported.as_str(),
            ..Self::of_call(NO_METHOD, message)
        }
    }

    pub(super) fn bad_params(message: impl Into<String>) -> Self {
        Self::of_call(BAD_PARAMS, message)
    }

    /// The server failed.
    pub(super) fn internal() -> Self {
        Self {
            code: JSON_RPC_INTERNAL,
            message: door::INTERNAL_MESSAGE.to_owned(),
            data: BTreeMap::from([("outcome", json!("unknown"))]),
            kind: door::INTERNAL,
        }
    }

    /// A call that was not made well.
    fn of_call(code: i32, message: impl Into<String>) -> Self {
        let kind = Kind::InvalidArgument.as_str();
        Self {
            code,
            message: message.into(),
            data: BTreeMap::new(),
            kind,
        }
    }

    /// The kind's name, for the metrics.
    pub(super) fn kind(&self) -> &'static str {
        self.kind
    }

    /// Names the path that the call was about, where the error does not.
    pub(super) fn about(mut self, params: &str) -> Self {
        #[derive(Deserialize)]
        struct Paths {
            path: Option<String>,
            old_path: Option<String>,
            src_path: Option<String>,
        }
        let of_a_path = (-32_006..=-32_000).contains(&self.code);
        if of_a_path && !self.data.contains_key("path") {
            let paths = serde_json::from_str::<Paths>(params).ok();
            let path = paths.and_then(|paths| paths.path.or(paths.old_path).or(paths.src_path));
            self.data.extend(path.map(|path| ("path", path.into())));
        }
        self
    }
}

impl From<Error> for RpcError {
    fn from(error: Error) -> Self {
        door::log(&error);
        let mut data: BTreeMap<_, _> = error
            .context()
            .iter()
            .map(|(name, value)| (*name, value.as_str().into()))
            .collect();
        if error.kind() == Kind::Conflict {
            // Clients cut these to length without looking whether they are there.
            data.entry("expected_etag").or_insert_with(|| json!(""));
            data.entry("current_etag").or_insert_with(|| json!(""));
        }
        if error.outcome() == Outcome::Unknown {
            data.insert("outcome", json!("unknown"));
        }
        Self {
            code: json_rpc_code(&error),
            message: error.to_string(),
            data,
            kind: error.kind().as_str(),
        }
    }
}

impl From<serde_json::Error> for RpcError {
    /// An answer that cannot be written.
    fn from(error: serde_json::Error) -> Self {
        tracing::error!(%error, "an answer could not be written as JSON");
        Self::internal()
    }
}
