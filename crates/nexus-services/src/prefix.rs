//! Path prefixes: the part of the tree a key reaches.

use nexus_kernel::{Error, Result};

#[cfg(test)]
mod tests;

/// Most bytes in a path.
const BYTES_MAX: usize = 4096;
/// Most bytes in one name of it.
const NAME_BYTES_MAX: usize = 255;

/// Where a path lies, seen from a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The prefix itself, or below it.
    Within,
    /// On the way from the root to the prefix.
    Above,
    /// Anywhere else.
    Outside,
}

/// Where `path` lies, seen from `prefix`; both absolute and normalised. Names count whole:
/// `/team2` is outside of `/team`.
pub(crate) fn place(path: &str, prefix: &str) -> Place {
    if is_within(path, prefix) {
        Place::Within
    } else if is_within(prefix, path) {
        Place::Above
    } else {
        Place::Outside
    }
}

fn is_within(path: &str, directory: &str) -> bool {
    let Some(rest) = path.strip_prefix(directory) else {
        return false;
    };
    directory == "/" || rest.is_empty() || rest.starts_with('/')
}

/// Checks a prefix as given by a person. The root is no restriction, hence `None`.
///
/// # Errors
///
/// `InvalidArgument` unless it is an absolute path without empty, `.` or `..` names.
pub(crate) fn parse(text: &str) -> Result<Option<String>> {
    if text == "/" {
        return Ok(None);
    }
    let path = text.strip_suffix('/').unwrap_or(text);
    let legal = |name: &str| {
        !matches!(name, "" | "." | "..") && name.len() <= NAME_BYTES_MAX && !name.contains('\0')
    };
    let names = path.strip_prefix('/');
    if path.len() <= BYTES_MAX && names.is_some_and(|names| names.split('/').all(legal)) {
        return Ok(Some(path.to_owned()));
    }
    Err(Error::invalid(
        "a prefix is an absolute path like /team/reports, without empty, . or .. names",
    )
    .with(
        "prefix",
        text.chars().take(200).collect::<String>().escape_debug(),
    ))
}
