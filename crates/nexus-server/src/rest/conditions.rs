//! Conditional requests (RFC 9110, section 13): entity tags in `If-Match` and `If-None-Match`.

use std::time::SystemTime;

use http::header::{IF_MATCH, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, HeaderName};
use nexus_fs::{Etag, Precondition, Stat};
use nexus_kernel::{Error, Result};

use crate::door::{expected_etag, unquoted};

/// What `If-Match` and `If-None-Match` ask of a change.
pub(crate) fn precondition(headers: &HeaderMap) -> Result<Precondition> {
    let (same, other) = (text(headers, &IF_MATCH)?, text(headers, &IF_NONE_MATCH)?);
    if same.is_none() && headers.contains_key(IF_UNMODIFIED_SINCE) {
        return Err(Error::invalid(
            "a change takes no If-Unmodified-Since: a second is too coarse; use If-Match",
        ));
    }
    match (same.as_deref(), other.as_deref()) {
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
    let etag = unquoted(text);
    if etag.contains('"') && etag.contains(',') {
        return Err(Error::invalid(
            "a change takes one etag; send the one of the content it was made from",
        ));
    }
    expected_etag(etag).map(Precondition::Etag)
}

/// Refuses conditions where none is heeded, rather than make a change whatever they say.
pub(crate) fn refuse_conditions(headers: &HeaderMap) -> Result<()> {
    let conditions = [IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE];
    match conditions.iter().find(|name| headers.contains_key(*name)) {
        None => Ok(()),
        Some(name) => Err(Error::invalid(
            "this call takes no conditions in headers; leave them out, or use if_match in its body where it has one",
        )
        .with("header", name)),
    }
}

/// What the conditions of a read make of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Answer,
    /// 304: the caller has it already.
    NotModified,
    /// 412: this is not what the caller asks for.
    Failed,
}

/// Judges a read of what `stat` describes, in the order of RFC 9110, section 13.2.2. `Range`
/// and `If-Range` come after it.
pub(crate) fn verdict(headers: &HeaderMap, stat: &Stat) -> Result<Verdict> {
    let expected = match text(headers, &IF_MATCH)? {
        Some(list) => stat.etag.is_some_and(|etag| lists(&list, &etag, unquoted)),
        None => !modified_since(headers, stat),
    };
    Ok(match expected {
        false => Verdict::Failed,
        true if not_modified(headers, stat.etag.as_ref())? => Verdict::NotModified,
        true => Verdict::Answer,
    })
}

/// Whether it changed after `If-Unmodified-Since`; one that is no date counts as absent.
fn modified_since(headers: &HeaderMap, stat: &Stat) -> bool {
    let since = headers.get(IF_UNMODIFIED_SINCE);
    let since = since.and_then(|value| httpdate::parse_http_date(value.to_str().ok()?).ok());
    since.is_some_and(|since| last_modified(stat) > since)
}

/// When the content last changed, to the second, as `Last-Modified` says it.
pub(crate) fn last_modified(stat: &Stat) -> SystemTime {
    let seconds = u64::try_from(stat.modified.0.div_euclid(1_000_000_000)).unwrap_or(0);
    SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds)
}

/// Whether a reader that sent this `If-None-Match` has the content already.
pub(crate) fn not_modified(headers: &HeaderMap, etag: Option<&Etag>) -> Result<bool> {
    let (Some(list), Some(etag)) = (text(headers, &IF_NONE_MATCH)?, etag) else {
        return Ok(false);
    };
    Ok(lists(&list, etag, |known| {
        unquoted(known.trim_start_matches("W/"))
    }))
}

/// Whether `list` is `*` or has `etag`, each of its items as `read` takes it.
fn lists(list: &str, etag: &Etag, read: impl Fn(&str) -> &str) -> bool {
    let etag = etag.to_string();
    let mut known = list.split(',').map(str::trim);
    known.any(|known| known == "*" || read(known) == etag)
}

/// Whether a `Range` still goes for this content.
pub(crate) fn range_applies(headers: &HeaderMap, etag: Option<&Etag>) -> Result<bool> {
    Ok(match text(headers, &IF_RANGE)? {
        None => true,
        Some(known) => etag.is_some_and(|etag| unquoted(&known) == etag.to_string()),
    })
}

/// The value of a header; the lines of one that comes several times are one list.
fn text(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>> {
    let mut lines = Vec::new();
    for value in headers.get_all(name) {
        let line = value
            .to_str()
            .map_err(|_| Error::invalid("a condition is ASCII").with("header", name))?;
        lines.push(line.trim());
    }
    Ok((!lines.is_empty()).then(|| lines.join(", ")))
}

#[cfg(test)]
mod tests;
