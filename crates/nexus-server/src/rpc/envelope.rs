//! What is around every call and answer.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::RpcError;

/// A well-formed call.
pub(super) struct Request<'a> {
    /// As it came, to be echoed.
    pub(super) id: &'a str,
    pub(super) method: Cow<'a, str>,
    /// A JSON object.
    pub(super) params: &'a str,
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

const NOT_ONE_CALL: &str = "a call is one JSON object with jsonrpc, id, method and params";

/// Reads a call that was sent to `method`'s address; an error comes with the id to echo.
pub(super) fn open<'a>(body: &'a [u8], method: &str) -> Result<Request<'a>, (&'a str, RpcError)> {
    let text = std::str::from_utf8(body).map_err(|error| {
        (
            "null",
            RpcError::parse(format!("the body is not UTF-8: {error}")),
        )
    })?;
    let raw: Raw<'a> = serde_json::from_str(text).map_err(|error| ("null", unreadable(&error)))?;
    // The parser would take the values of an array for those of the names, in order.
    if !text.trim_start().starts_with('{') {
        return Err(("null", RpcError::invalid_request(NOT_ONE_CALL)));
    }
    let id = raw.id.map_or("null", RawValue::get);
    let invalid = |why| (id, RpcError::invalid_request(why));
    if !id.starts_with(['"', '-', 'n']) && !id.starts_with(|first: char| first.is_ascii_digit()) {
        return Err((
            "null",
            RpcError::invalid_request("an id is a string, a number or null"),
        ));
    }
    if raw.jsonrpc.map(RawValue::get) != Some("\"2.0\"") {
        return Err(invalid("jsonrpc must be \"2.0\""));
    }
    match raw.method {
        Some(name) if name == method => {
            let params = params(raw.params).map_err(|error| (id, error))?;
            Ok(Request {
                id,
                method: name,
                params,
            })
        }
        Some(_) => Err(invalid(
            "the method in the body and the one in the address must agree",
        )),
        None => Err(invalid("method is missing")),
    }
}

fn unreadable(error: &serde_json::Error) -> RpcError {
    if error.is_data() {
        RpcError::invalid_request(NOT_ONE_CALL)
    } else {
        RpcError::parse(format!("the body is not JSON: {error}"))
    }
}

fn params(raw: Option<&RawValue>) -> Result<&str, RpcError> {
    match raw.map(RawValue::get) {
        None | Some("null") => Ok("{}"),
        Some(object) if object.starts_with('{') => Ok(object),
        Some(_) => Err(RpcError::bad_params(
            "params are an object of names and values",
        )),
    }
}

pub(super) fn result(id: &str, json: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(json.len() + id.len() + 40);
    body.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    body.extend_from_slice(id.as_bytes());
    body.extend_from_slice(b",\"result\":");
    body.extend_from_slice(json);
    body.push(b'}');
    body
}

pub(super) fn error(id: &str, error: &RpcError) -> Vec<u8> {
    let json = serde_json::to_string(error).expect("an error is plain data");
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{json}}}").into_bytes()
}

#[cfg(test)]
mod tests;
