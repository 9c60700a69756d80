//! The local disk: walking a tree, and what its entries are.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::Metadata;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nexus_client::{Error, Result, Timestamp};

use crate::etag::EtagHasher;
use crate::io::io_error;

/// What the walk came upon.
#[derive(Debug)]
pub(super) struct DiskEntry {
    /// Below the top, `/`-separated; empty for the top itself.
    pub(super) relative: String,
    pub(super) path: PathBuf,
    pub(super) kind: DiskKind,
    pub(super) size: u64,
    pub(super) mode: u32,
    pub(super) modified: Timestamp,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum DiskKind {
    Directory,
    File,
    Symlink {
        target: String,
    },
    /// Another name of a file that came before.
    HardLink {
        first: String,
    },
    /// What a node has no place for, and why.
    LeftOut(&'static str),
}

/// Shows every entry at or below `top` to `visit`, a directory before what is in it, names in
/// byte order, until `visit` says stop. A symbolic link at the top itself is followed.
pub(super) fn walk(top: &Path, visit: &mut dyn FnMut(DiskEntry) -> Next) -> Result<()> {
    let mut walk = Walk::default();
    let metadata = std::fs::metadata(top).map_err(|error| cannot_read(top, &error))?;
    let first = walk.entry(String::new(), top.to_owned(), &metadata)?;
    let mut levels = Vec::new();
    if first.kind == DiskKind::Directory {
        levels.push(read_directory(top, "")?.into_iter());
    }
    if visit(first) == Next::Stop {
        return Ok(());
    }
    while let Some(level) = levels.last_mut() {
        let Some(name) = level.next() else {
            levels.pop();
            continue;
        };
        let entry = walk.named(name)?;
        if entry.kind == DiskKind::Directory {
            levels.push(read_directory(&entry.path, &entry.relative)?.into_iter());
        }
        if visit(entry) == Next::Stop {
            break;
        }
    }
    Ok(())
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Go,
    Stop,
}

/// A name in a directory, and the directory's own path below the top.
struct Named {
    name: OsString,
    path: PathBuf,
    directory: String,
}

/// The names of a directory, in byte order.
fn read_directory(path: &Path, relative: &str) -> Result<Vec<Named>> {
    let failed = |error| cannot_read(path, &error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        names.push(Named {
            name: entry.file_name(),
            path: entry.path(),
            directory: relative.to_owned(),
        });
    }
    names.sort_by(|a, b| a.name.as_encoded_bytes().cmp(b.name.as_encoded_bytes()));
    Ok(names)
}

#[derive(Default)]
struct Walk {
    /// The first name of every file that has several.
    first_names: HashMap<(u64, u64), String>,
}

impl Walk {
    fn named(
        &mut self,
        Named {
            name,
            path,
            directory,
        }: Named,
    ) -> Result<DiskEntry> {
        let metadata = std::fs::symlink_metadata(&path).map_err(|e| cannot_read(&path, &e))?;
        let relative = |name: &str| match directory.as_str() {
            "" => name.to_owned(),
            directory => format!("{directory}/{name}"),
        };
        match name.to_str() {
            Some(name) => self.entry(relative(name), path, &metadata),
            None => {
                let relative = relative(&name.to_string_lossy());
                Ok(entry(
                    relative,
                    path,
                    &metadata,
                    DiskKind::LeftOut("its name is not UTF-8"),
                ))
            }
        }
    }

    fn entry(&mut self, relative: String, path: PathBuf, metadata: &Metadata) -> Result<DiskEntry> {
        let kind = self.kind(&relative, &path, metadata)?;
        Ok(entry(relative, path, metadata, kind))
    }

    fn kind(&mut self, relative: &str, path: &Path, metadata: &Metadata) -> Result<DiskKind> {
        let file_type = metadata.file_type();
        if file_type.is_dir() {
            return Ok(DiskKind::Directory);
        }
        if file_type.is_symlink() {
            let target = std::fs::read_link(path).map_err(|e| cannot_read(path, &e))?;
            return Ok(match target.into_os_string().into_string() {
                Ok(target) => DiskKind::Symlink { target },
                Err(_) => DiskKind::LeftOut("its target is not UTF-8"),
            });
        }
        if !file_type.is_file() {
            return Ok(DiskKind::LeftOut(special(&file_type)));
        }
        if metadata.nlink() > 1 {
            let file = (metadata.dev(), metadata.ino());
            if let Some(first) = self.first_names.get(&file) {
                return Ok(DiskKind::HardLink {
                    first: first.clone(),
                });
            }
            self.first_names.insert(file, relative.to_owned());
        }
        Ok(DiskKind::File)
    }
}

fn special(file_type: &std::fs::FileType) -> &'static str {
    match () {
        () if file_type.is_socket() => "it is a socket",
        () if file_type.is_fifo() => "it is a pipe",
        () => "it is a device",
    }
}

fn entry(relative: String, path: PathBuf, metadata: &Metadata, kind: DiskKind) -> DiskEntry {
    DiskEntry {
        relative,
        path,
        kind,
        size: metadata.len(),
        mode: metadata.mode() & 0o7777,
        modified: modified(metadata),
    }
}

/// When a local file last changed.
pub(super) fn modified(metadata: &Metadata) -> Timestamp {
    let nanos = metadata.mtime().saturating_mul(1_000_000_000);
    Timestamp(nanos.saturating_add(metadata.mtime_nsec()))
}

/// Whether a local file's content has this etag.
pub(super) fn has_etag(path: &Path, etag: &str) -> Result<bool> {
    let failed = |error| cannot_read(path, &error);
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut hasher = EtagHasher::like(etag)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok(hasher.finish() == etag),
            count => hasher.update(&buffer[..count]),
        }
    }
}

pub(super) fn cannot_read(path: &Path, error: &std::io::Error) -> Error {
    io_error("could not read from the disk", error).with("path", path.display())
}

pub(super) fn cannot_write(path: &Path, error: &std::io::Error) -> Error {
    io_error("could not write to the disk", error).with("path", path.display())
}

#[cfg(test)]
mod tests;
