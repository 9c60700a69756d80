//! The `Range` header (RFC 9110, section 14).

use std::ops::Range;

use http::HeaderMap;
use http::header::RANGE;

/// What a `Range` header asks for of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// No range, or one in a form that a server may ignore: several ranges, other units.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Nothing that the file has.
    Beyond,
}

/// Reads the header for a file of `size` bytes.
pub(crate) fn wanted(headers: &HeaderMap, size: u64) -> Wanted {
    let spec = headers.get(RANGE).and_then(|value| value.to_str().ok());
    let Some(spec) = spec.and_then(|text| text.trim().strip_prefix("bytes=")) else {
        return Wanted::Whole;
    };
    parse(spec.trim(), size).unwrap_or(Wanted::Whole)
}

fn parse(spec: &str, size: u64) -> Option<Wanted> {
    let (first, last) = spec.split_once('-')?;
    let range = if first.is_empty() {
        size.saturating_sub(number(last)?)..size
    } else {
        let end = if last.is_empty() {
            size
        } else {
            number(last)?.saturating_add(1).min(size)
        };
        let start = number(first)?;
        if !last.is_empty() && number(last)? < start {
            return None;
        }
        start..end
    };
    Some(if range.start < range.end {
        Wanted::Part(range)
    } else {
        Wanted::Beyond
    })
}

fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|digit| digit.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
