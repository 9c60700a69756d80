//! Points in time and history as people write them.

use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo};
use nexus_client::{At, Error, Result, Revision, Timestamp, VersionAt};

use crate::format::rfc3339;

/// `--at`: `5 minutes ago` is taken from `now`; everything else the node understands itself.
pub(crate) fn at(text: &str, now: Timestamp) -> Result<At> {
    let Some(span) = text.strip_suffix(" ago") else {
        return Ok(At::from(text));
    };
    let before = duration(span)?;
    let nanos = i64::try_from(before.as_nanos()).map_err(|_| bad_duration(span))?;
    Ok(At::from(rfc3339(now.plus_nanos(-nanos)).as_str()))
}

/// One side of a diff: `v3` is a version, everything else a point as for `--at`.
pub(crate) fn version_at(text: &str, now: Timestamp) -> Result<VersionAt> {
    match text.strip_prefix('v').map(str::parse) {
        Some(Ok(version)) => Ok(VersionAt::Version(version)),
        _ => Ok(VersionAt::At(at(text, now)?)),
    }
}

/// A version as `3` or `v3`.
pub(crate) fn version(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix('v').unwrap_or(text);
    digits
        .parse()
        .map_err(|_| "a version is a number like 3 or v3; see `nexus versions`".to_owned())
}

/// A revision as `42` or `r42`.
pub(crate) fn revision(text: &str) -> Result<Revision, String> {
    let digits = text.strip_prefix('r').unwrap_or(text);
    let number = digits.parse().map(Revision);
    number.map_err(|_| "a revision is a number like 42 or r42; see `nexus log`".to_owned())
}

/// A moment to come: a time, or `30d` from `now`.
pub(crate) fn moment(text: &str, now: Timestamp) -> Result<Timestamp> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return i64::try_from(time.as_nanosecond())
            .map(Timestamp)
            .map_err(|_| bad_duration(text));
    }
    let nanos = i64::try_from(duration(text)?.as_nanos()).map_err(|_| bad_duration(text))?;
    Ok(now.plus_nanos(nanos))
}

/// A length of time, like 90s or 12h.
pub(crate) fn length(text: &str) -> Result<Duration> {
    Duration::try_from(duration(text)?).map_err(|_| bad_duration(text))
}

fn duration(text: &str) -> Result<SignedDuration> {
    let span: Span = text.parse().map_err(|_| bad_duration(text))?;
    let days_are_24_hours = SpanRelativeTo::days_are_24_hours();
    let duration = span
        .to_duration(days_are_24_hours)
        .map_err(|_| bad_duration(text))?;
    if duration.is_negative() {
        Err(bad_duration(text))
    } else {
        Ok(duration)
    }
}

fn bad_duration(text: &str) -> Error {
    Error::invalid(
        "write a length of time like 90s, 10m, 12h or 30d, or a time like 2026-01-31T12:00:00Z",
    )
    .with("given", text.escape_debug())
}

#[cfg(test)]
mod tests;
