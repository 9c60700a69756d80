//! How what comes from outside is named, for the lineage of what it becomes.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

/// The longest name that a node takes.
const BYTES_MAX: usize = 4096;
/// What a path in a URL cannot hold as it is.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// A file of this computer as a URL; none if that is too long to be told.
pub(super) fn of_file(path: &Path) -> Option<String> {
    let path = std::path::absolute(path).ok()?;
    let url = format!("file://{}", encoded(path.as_os_str().as_bytes()));
    Some(url).filter(|url| url.len() <= BYTES_MAX)
}

/// A member of an archive; none if that is too long to be told.
pub(super) fn of_member(archive: &str, path: &str) -> Option<String> {
    let url = format!("{archive}#{}", encoded(path.as_bytes()));
    Some(url).filter(|url| url.len() <= BYTES_MAX)
}

fn encoded(bytes: &[u8]) -> String {
    percent_encode(bytes, ENCODED).to_string()
}

#[cfg(test)]
mod tests;
