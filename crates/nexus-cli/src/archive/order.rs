//! Which path may follow which.

use nexus_client::{Error, Result};

const PATH_BYTES_MAX: usize = 4096;
const NAME_BYTES_MAX: usize = 255;
const DEPTH_MAX: usize = 1000;

/// Holds the path of the last entry and the directory it was in, which is all it takes to
/// see that names come once, in order, and inside a directory of the archive.
#[derive(Default)]
pub(super) struct Order {
    last: Option<String>,
    directory: Vec<String>,
}

impl Order {
    /// Takes the next entry's path.
    pub(super) fn admit(&mut self, path: &str, is_directory: bool) -> Result<()> {
        if path == "." {
            self.admit_top(is_directory)?;
        } else {
            check_path(path)?;
            self.admit_below(path, is_directory)?;
        }
        self.last = Some(path.to_owned());
        Ok(())
    }

    fn admit_top(&self, is_directory: bool) -> Result<()> {
        match (&self.last, is_directory) {
            (None, true) => Ok(()),
            (None, false) => Err(refused(
                "only a directory may be the top of an archive",
                ".",
            )),
            (Some(_), _) => Err(refused(
                "the top of an archive must be its first entry",
                ".",
            )),
        }
    }

    fn admit_below(&mut self, path: &str, is_directory: bool) -> Result<()> {
        if self
            .last
            .as_deref()
            .is_some_and(|last| !precedes(last, path))
        {
            return Err(refused(
                "a name in the archive is repeated or out of order",
                path,
            ));
        }
        let mut names: Vec<&str> = path.split('/').collect();
        let name = names.pop().expect("a path has at least one name");
        if !self
            .directory
            .iter()
            .map(String::as_str)
            .take(names.len())
            .eq(names.iter().copied())
        {
            return Err(refused(
                "an entry's directory is not in the archive before it",
                path,
            ));
        }
        self.directory.truncate(names.len());
        if is_directory {
            self.directory.push(name.to_owned());
        }
        Ok(())
    }
}

/// Whether `a` comes before `b`: depth first, names in byte order.
pub(super) fn precedes(a: &str, b: &str) -> bool {
    a == "." || a.split('/').lt(b.split('/'))
}

/// Refuses any path that could mean something outside of the tree.
pub(crate) fn check_path(path: &str) -> Result<()> {
    if path.len() > PATH_BYTES_MAX || path.split('/').count() > DEPTH_MAX {
        return Err(refused(
            "a path in the archive is longer or deeper than allowed",
            path,
        ));
    }
    if path.starts_with('/') {
        return Err(refused(
            "a path in the archive is absolute; it must be relative",
            path,
        ));
    }
    path.split('/').try_for_each(|name| check_name(name, path))
}

fn check_name(name: &str, path: &str) -> Result<()> {
    match name {
        "" => Err(refused("a name in the archive is empty", path)),
        "." | ".." => Err(refused("a path in the archive contains . or ..", path)),
        _ if name.contains('\0') => Err(refused("a name in the archive contains NUL", path)),
        _ if name.len() > NAME_BYTES_MAX => Err(refused(
            "a name in the archive has more than 255 bytes",
            path,
        )),
        _ => Ok(()),
    }
}

fn refused(why: &'static str, path: &str) -> Error {
    let shown: String = path.chars().take(200).collect();
    Error::invalid(why).with("path", shown.escape_debug())
}
