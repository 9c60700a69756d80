//! Paths: absolute, `/`-separated, UTF-8.

use nexus_kernel::{Error, Result};

/// Most bytes in a path.
pub const PATH_BYTES_MAX: usize = 4096;
/// Most bytes in one name.
pub const NAME_BYTES_MAX: usize = 255;
/// Most components in a path.
pub const DEPTH_MAX: usize = 1000;

/// Checks a path and takes a trailing slash off it; the root is `/`.
///
/// # Errors
///
/// `InvalidArgument` for a relative path, an empty name, `.` or `..`, a NUL; `LimitExceeded`
/// for a name, a path or a depth beyond its limit.
pub(crate) fn normalize(path: &str) -> Result<&str> {
    if path.len() > PATH_BYTES_MAX {
        return Err(Error::limit(
            "a path has at most 4096 bytes; use shorter names or fewer levels",
        )
        .with("bytes", path.len()));
    }
    let Some(rest) = path.strip_prefix('/') else {
        return Err(bad_path("a path begins with /", path));
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.is_empty() {
        return if path.len() <= 1 {
            Ok("/")
        } else {
            Err(bad_path("a name is empty", path))
        };
    }
    let mut depth = 0;
    for name in rest.split('/') {
        check_name(name).map_err(|error| error.with("path", shown(path)))?;
        depth += 1;
    }
    if depth > DEPTH_MAX {
        return Err(Error::limit("a path has at most 1000 levels").with("levels", depth));
    }
    Ok(&path[..=rest.len()])
}

/// Checks one name.
///
/// # Errors
///
/// As [`normalize`].
pub(crate) fn check_name(name: &str) -> Result<()> {
    if name.len() > NAME_BYTES_MAX {
        return Err(Error::limit("a name has at most 255 bytes").with("bytes", name.len()));
    }
    match name {
        "" => Err(Error::invalid("a name is empty; write single slashes")),
        "." | ".." => Err(Error::invalid(
            "the names . and .. are not allowed; give the path itself",
        )),
        _ if name.contains(['/', '\0']) => {
            Err(Error::invalid("a name contains a slash or NUL").with("name", shown(name)))
        }
        _ => Ok(()),
    }
}

fn bad_path(why: &'static str, path: &str) -> Error {
    Error::invalid(why).with("path", shown(path))
}

/// The beginning of a text from outside, safe to print.
pub(crate) fn shown(text: &str) -> String {
    text.chars()
        .take(200)
        .collect::<String>()
        .escape_debug()
        .to_string()
}

/// The names of a normalised path, from the top.
pub(crate) fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty())
}

/// The parent directory and the last name of a normalised path; none for the root.
pub(crate) fn split(path: &str) -> Option<(&str, &str)> {
    let (parent, name) = path.rsplit_once('/')?;
    if name.is_empty() {
        return None;
    }
    Some((if parent.is_empty() { "/" } else { parent }, name))
}

/// `name` in the directory `parent`.
pub(crate) fn join(parent: &str, name: &str) -> String {
    let mut path = String::with_capacity(parent.len() + 1 + name.len());
    path.push_str(parent);
    if !parent.ends_with('/') {
        path.push('/');
    }
    path.push_str(name);
    path
}

/// Whether a normalised path is `dir` or below it.
pub(crate) fn is_within(path: &str, dir: &str) -> bool {
    match path.strip_prefix(dir) {
        Some(rest) => rest.is_empty() || rest.starts_with('/') || dir == "/",
        None => false,
    }
}

/// What a symbolic link at `dir`/… with this target means for the rest of a walk: an
/// absolute path, `..` taken lexically.
pub(crate) fn follow(dir: &str, target: &str, rest: &str) -> Result<String> {
    let mut parts: Vec<&str> = if target.starts_with('/') {
        vec![]
    } else {
        names(dir).collect()
    };
    for part in target.split('/').chain(rest.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    let path = format!("/{}", parts.join("/"));
    normalize(&path).map(str::to_owned)
}

#[cfg(test)]
mod tests;
