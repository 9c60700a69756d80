//! Conditional requests (RFC 9110, section 13): entity tags in `If-Match` and `If-None-Match`.

use http::HeaderMap;
use http::header::{IF_MATCH, IF_NONE_MATCH, IF_RANGE};
use nexus_fs::{Etag, Precondition};
use nexus_kernel::{Error, Result};

use crate::door::expected_etag;

/// What `If-Match` and `If-None-Match` ask of a change.
pub(crate) fn precondition(headers: &HeaderMap) -> Result<Precondition> {
    match (text(headers, &IF_MATCH)?, text(headers, &IF_NONE_MATCH)?) {
        (None, None) => Ok(Precondition::None),
        (Some(etag), None) => if_match(etag),
        (None, Some("*")) => Ok(Precondition::Absent),
        (None, Some(_)) => Err(Error::invalid(
            "a change takes only `If-None-Match: *`; to replace a known content use If-Match",
        )),
        (Some(_), Some(_)) => Err(Error::invalid(
            "If-Match and If-None-Match contradict each other; send one",
        )),
    }
}

/// `*`, or one etag with or without its quotes.
pub(crate) fn if_match(text: &str) -> Result<Precondition> {
    if text == "*" {
        return Ok(Precondition::Exists);
    }
    expected_etag(unquoted(text)).map(Precondition::Etag)
}

/// Whether a reader that sent this `If-None-Match` has the content already.
pub(crate) fn not_modified(headers: &HeaderMap, etag: Option<&Etag>) -> Result<bool> {
    let (Some(list), Some(etag)) = (text(headers, &IF_NONE_MATCH)?, etag) else {
        return Ok(false);
    };
    let etag = etag.to_string();
    let same = |known: &str| known == "*" || unquoted(known.trim_start_matches("W/")) == etag;
    Ok(list.split(',').map(str::trim).any(same))
}

/// Whether a `Range` still goes for this content.
pub(crate) fn range_applies(headers: &HeaderMap, etag: Option<&Etag>) -> Result<bool> {
    Ok(match text(headers, &IF_RANGE)? {
        None => true,
        Some(known) => etag.is_some_and(|etag| unquoted(known) == etag.to_string()),
    })
}

fn unquoted(etag: &str) -> &str {
    etag.strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(etag)
}

fn text<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Result<Option<&'a str>> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let text = value
        .to_str()
        .map_err(|_| Error::invalid("a condition is ASCII").with("header", name))?;
    Ok(Some(text.trim()))
}

#[cfg(test)]
mod tests;
