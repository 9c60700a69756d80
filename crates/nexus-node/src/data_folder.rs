//! The folder a node keeps everything in: made private, locked, and marked with a format.
//!
//! ```text
//! nexus-data/
//!   LOCK         held locked while a node runs; the text is its process id
//!   FORMAT       which layout the folder has
//!   ...          what the drivers keep
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nexus_kernel::{Error, Result};

#[cfg(test)]
mod tests;

/// The layout this build reads and writes.
const FORMAT: u32 = 1;
const FORMAT_FILE: &str = "FORMAT";
const FORMAT_DRAFT: &str = "FORMAT.new";
const FORMAT_LEAD: &str = "nexus data folder, format ";
/// Longest FORMAT and LOCK that are looked at.
const TEXT_BYTES_MAX: u64 = 1024;
const LOCK_FILE: &str = "LOCK";
/// Permission bits that a data folder must not have.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// A data folder that belongs to this process until dropped.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Takes the folder, making it if there is none.
    ///
    /// # Errors
    ///
    /// `Unavailable` when another node has it or it cannot be used, `Unsupported` when its
    /// format is newer than this build, `InvalidArgument` when it holds something else or
    /// others can write to it,
    /// `Corrupt` when its format cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        make(path).map_err(|error| unusable(path, error))?;
        check_private(path)?;
        check_stranger(path)?;
        let lock = lock(path)?;
        match read_format(path)? {
            Some(format) => check_format(path, format)?,
            None => write_format(path).map_err(|error| unusable(path, error))?,
        }
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Only its owner reads a folder with everybody's files and the hashes of their keys.
fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Refuses a folder in which others can put and replace files. Whom its owner lets look is the
/// owner's business: files in it are private by themselves.
fn check_private(path: &Path) -> Result<()> {
    let metadata = fs::metadata(path).map_err(|error| unusable(path, error))?;
    let mode = metadata.permissions().mode();
    if mode & WRITABLE_BY_OTHERS == 0 {
        return Ok(());
    }
    Err(Error::invalid(
        "others can write to this folder, and so take the node over; take that away with `chmod go-w`, or name another folder",
    )
    .with("folder", path.display())
    .with("mode", format_args!("{:o}", mode & 0o7777)))
}

/// Refuses a folder that holds anything but what a node put there.
fn check_stranger(path: &Path) -> Result<()> {
    if path.join(FORMAT_FILE).exists() {
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(|error| unusable(path, error))? {
        let name = entry.map_err(|error| unusable(path, error))?.file_name();
        if name != LOCK_FILE && name != FORMAT_DRAFT {
            return Err(Error::invalid(
                "this folder holds other files and is no data folder; name an empty or a new one",
            )
            .with("folder", path.display())
            .with("found", name.display()));
        }
    }
    Ok(())
}

fn lock(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    // Never truncated on opening: the text is that of the holder until the lock is ours.
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    let mut file = options
        .open(path.join(LOCK_FILE))
        .map_err(|error| unusable(path, error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(in_use(path, &mut file)),
        Err(TryLockError::Error(error)) => return Err(unusable(path, error)),
    }
    note_holder(&mut file).map_err(|error| unusable(path, error))?;
    Ok(file)
}

fn note_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}

fn in_use(path: &Path, file: &mut File) -> Error {
    let mut holder = String::new();
    // Only to be helpful: without a readable text the error is the same.
    let _ = file.take(TEXT_BYTES_MAX).read_to_string(&mut holder);
    let holder = match holder.trim() {
        "" => "unknown",
        pid => pid,
    };
    Error::unavailable(
        "this data folder is in use by another node; stop that one, or start this one with another --data",
    )
    .with("folder", path.display())
    .with("process id", holder.escape_debug())
}

fn read_format(path: &Path) -> Result<Option<u32>> {
    let file = match File::open(path.join(FORMAT_FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(path, error)),
    };
    let mut bytes = Vec::new();
    file.take(TEXT_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(|error| unusable(path, error))?;
    let text = std::str::from_utf8(&bytes).ok();
    let number = text.and_then(|text| text.trim_end().strip_prefix(FORMAT_LEAD)?.parse().ok());
    number.map(Some).ok_or_else(|| {
        Error::corrupt("the file FORMAT of the data folder cannot be read; restore it from a copy")
            .with("folder", path.display())
    })
}

fn check_format(path: &Path, format: u32) -> Result<()> {
    if format == FORMAT {
        return Ok(());
    }
    Err(Error::unsupported(
        "this build does not read the format of the data folder; run the version that wrote it, or start with another --data",
    )
    .with("folder", path.display())
    .with("format", format)
    .with("supported", FORMAT))
}

/// Whole or not at all, also across a crash.
fn write_format(path: &Path) -> io::Result<()> {
    let draft = path.join(FORMAT_DRAFT);
    let mut file = File::create(&draft)?;
    writeln!(file, "{FORMAT_LEAD}{FORMAT}")?;
    file.sync_all()?;
    fs::rename(&draft, path.join(FORMAT_FILE))?;
    File::open(path)?.sync_all()
}

fn unusable(path: &Path, error: io::Error) -> Error {
    Error::unavailable("the data folder cannot be used; check that this user may write to it")
        .with("folder", path.display())
        .with("cause", &error)
        .because(error)
}
