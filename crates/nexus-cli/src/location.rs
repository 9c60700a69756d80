//! Where a path points: onto the node or onto this computer's disk.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use nexus_client::{Error, Result};

/// What marks a path on the node.
const MARK: &str = "nx:";

/// A path on the node: absolute; `nx:` before it and the leading `/` may be left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemotePath(String);

impl RemotePath {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The last name; none for the root.
    pub(crate) fn name(&self) -> Option<&str> {
        self.0.rsplit('/').next().filter(|name| !name.is_empty())
    }
}

impl FromStr for RemotePath {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let text = text.strip_prefix(MARK).unwrap_or(text);
        let names = text.strip_prefix('/').unwrap_or(text);
        let names = names.strip_suffix('/').unwrap_or(names);
        Ok(Self(format!("/{names}")))
    }
}

impl fmt::Display for RemotePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A path on the node, as it is or, written `path@{point}`, as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PastPath {
    pub(crate) path: RemotePath,
    pub(crate) point: Option<String>,
}

impl PastPath {
    pub(crate) fn as_str(&self) -> &str {
        self.path.as_str()
    }
}

impl FromStr for PastPath {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let named = text.strip_suffix('}');
        let (path, point) = match named.and_then(|named| named.rsplit_once("@{")) {
            Some((path, point)) => (path, Some(point.to_owned())),
            None => (text, None),
        };
        let path = path.parse()?;
        Ok(Self { path, point })
    }
}

impl fmt::Display for PastPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

/// One end of a copy: `nx:/path` on the node, anything else on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    Remote {
        path: PastPath,
        /// Written with a slash at its end: must be a directory.
        directory: bool,
    },
    Local(PathBuf),
}

impl FromStr for Location {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.strip_prefix(MARK) {
            Some(path) => Self::Remote {
                directory: path.is_empty() || path.ends_with('/'),
                path: path.parse()?,
            },
            None => Self::Local(text.into()),
        })
    }
}

/// `name` below the directory `parent`, both on the node; the top itself for an empty name.
pub(crate) fn join(parent: &str, name: &str) -> String {
    match (parent, name) {
        (_, "") => parent.to_owned(),
        ("/", _) => format!("/{name}"),
        _ => format!("{parent}/{name}"),
    }
}

/// What is left of `path` below `top`, without a leading slash; empty for `top` itself.
pub(crate) fn below<'a>(path: &'a str, top: &str) -> Result<&'a str> {
    let rest = path.strip_prefix(top.trim_end_matches('/'));
    let rest = rest.filter(|rest| rest.is_empty() || rest.starts_with('/'));
    rest.map(|rest| rest.trim_start_matches('/'))
        .ok_or_else(|| {
            Error::corrupt("the node listed a path outside of the directory asked for")
                .with("path", path.escape_debug())
        })
}

#[cfg(test)]
mod tests;
