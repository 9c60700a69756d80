//! Times as people and protocols write them.

use nexus_kernel::Timestamp;

/// A time as RFC 3339 in UTC, with as many fractional digits as it needs.
#[must_use]
pub fn format_rfc3339(time: Timestamp) -> String {
    match jiff::Timestamp::from_nanosecond(i128::from(time.0)) {
        Ok(time) => time.to_string(),
        Err(_) => time.0.to_string(),
    }
}

/// Reads an RFC 3339 time with any offset; none if it is not one or lies beyond
/// [`Timestamp`]'s range.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(time.as_nanosecond()).ok().map(Timestamp)
}
