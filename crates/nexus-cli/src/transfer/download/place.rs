//! What is at a place on the disk, and making room there.

use std::fs::{self, File, FileTimes, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use nexus_client::{Result, Stat};
use rustix::fs::{Mode, OFlags};

use crate::transfer::disk::{cannot_write, has_etag};

/// Reading, writing and executing, by the owner, the group and others.
const PERMISSIONS: u32 = 0o777;

/// Whether a symbolic link to a directory counts as the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Links {
    Follow,
    Refuse,
}

/// Makes a directory if there is none; answers whether it did. A link that does not count as a
/// directory gives way, and so does a file in its place.
pub(super) fn make_directory(place: &Path, links: Links) -> Result<bool> {
    let there = match links {
        Links::Follow => fs::metadata(place),
        Links::Refuse => fs::symlink_metadata(place),
    };
    if there.is_ok_and(|there| there.is_dir()) {
        return Ok(false);
    }
    if links == Links::Refuse {
        give_way(place)?;
    }
    fs::create_dir(place)
        .map(|()| true)
        .map_err(|error| cannot_write(place, &error))
}

/// Opens a directory to set its attributes.
pub(super) fn open_directory(place: &Path, links: Links) -> io::Result<File> {
    open(place, links, OFlags::DIRECTORY)
}

fn open(place: &Path, links: Links, kind: OFlags) -> io::Result<File> {
    let links = match links {
        Links::Follow => OFlags::empty(),
        Links::Refuse => OFlags::NOFOLLOW,
    };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | kind | links;
    Ok(rustix::fs::open(place, flags, Mode::empty())?.into())
}

/// Whether the file is there with the same content; then with the same attributes too.
pub(super) fn is_there(place: &Path, stat: &Stat) -> Result<bool> {
    let same_size =
        fs::symlink_metadata(place).is_ok_and(|there| there.is_file() && there.len() == stat.size);
    let Some(etag) = stat.etag.as_deref().filter(|_| same_size) else {
        return Ok(false);
    };
    if !has_etag(place, etag)? {
        return Ok(false);
    }
    open(place, Links::Refuse, OFlags::empty())
        .and_then(|file| set_attributes(&file, stat))
        .map(|()| true)
        .map_err(|error| cannot_write(place, &error))
}

/// Removes a file or link; a directory does not give way.
pub(super) fn give_way(place: &Path) -> Result<()> {
    match fs::remove_file(place) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done.map_err(|error| cannot_write(place, &error)),
    }
}

/// Sets times and permissions. What would lend the rights of whoever copies to others, set-user-ID
/// and set-group-ID, and the sticky bit with them, stays on the node.
pub(super) fn set_attributes(file: &File, stat: &Stat) -> io::Result<()> {
    let since = Duration::from_nanos(stat.modified.0.unsigned_abs());
    let modified = match stat.modified.0 {
        0.. => SystemTime::UNIX_EPOCH + since,
        _ => SystemTime::UNIX_EPOCH - since,
    };
    file.set_times(FileTimes::new().set_modified(modified))?;
    file.set_permissions(Permissions::from_mode(stat.mode & PERMISSIONS))
}
