//! `umount`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use nexus_client::{Error, Result};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use serde_json::json;

use crate::app::App;
use crate::io::io_error;

/// As the kernel lists what is mounted.
const NAME: &[u8] = b"nexus";
/// Symbolic links that are followed.
const LINKS_MAX: usize = 40;

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus umount work
  nexus umount --lazy work     Also while programs use it; they go on until they are done")]
pub struct Umount {
    /// Where the zone is mounted
    directory: PathBuf,
    /// Take it out of sight at once, and end it when nobody uses it any more
    #[arg(short, long)]
    lazy: bool,
}

impl Umount {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let directory = mounted_at(&self.directory)?;
        match rustix::process::geteuid().is_root() {
            true => unmount(&directory, self.lazy)?,
            false => unmount_as_user(&directory, self.lazy)?,
        }
        let directory = directory.display().to_string();
        app.out
            .show(|| json!({ "unmounted": directory }), |_| String::new())
    }
}

/// The directory by its full name, if a zone is mounted there.
fn mounted_at(directory: &Path) -> Result<PathBuf> {
    let mounts = fs::read("/proc/self/mounts")
        .map_err(|error| io_error("the list of mounts could not be read", &error))?;
    let zones: Vec<_> = zones(&mounts).collect();
    let mut full = full_name(directory)?;
    for _ in 0..LINKS_MAX {
        if zones.contains(&full) {
            return Ok(full);
        }
        let Ok(target) = fs::read_link(&full) else {
            break;
        };
        full = full_name(&full.with_file_name(target))?;
    }
    Err(
        Error::not_found("no zone is mounted there; `findmnt -t fuse.nexus` lists those that are")
            .with("directory", full.display()),
    )
}

/// Not by asking the directory itself, which may not answer; so it may be a link.
fn full_name(directory: &Path) -> Result<PathBuf> {
    let full = std::path::absolute(directory)
        .map_err(|error| io_error("there is no such directory", &error))?;
    let above = full.parent().and_then(|above| above.canonicalize().ok());
    Ok(match (above, full.file_name()) {
        (Some(above), Some(name)) => above.join(name),
        _ => full,
    })
}

/// Where zones are mounted, by the kernel's list.
fn zones(mounts: &[u8]) -> impl Iterator<Item = PathBuf> {
    mounts.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        let (name, at, kind) = (fields.next()?, fields.next()?, fields.next()?);
        (name == NAME && kind.starts_with(b"fuse")).then(|| PathBuf::from(unescaped(at)))
    })
}

/// The kernel writes blanks, and the backslash, as octal numbers.
fn unescaped(mut text: &[u8]) -> OsString {
    let mut plain = Vec::with_capacity(text.len());
    while let Some((first, rest)) = text.split_first() {
        let escaped = rest.get(..3).filter(|_| *first == b'\\').and_then(octal);
        plain.push(escaped.unwrap_or(*first));
        text = if escaped.is_some() { &rest[3..] } else { rest };
    }
    OsString::from_vec(plain)
}

fn octal(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok()?;
    u8::from_str_radix(digits, 8).ok()
}

fn unmount(directory: &Path, lazy: bool) -> Result<()> {
    let flags = match lazy {
        true => UnmountFlags::DETACH,
        false => UnmountFlags::empty(),
    };
    rustix::mount::unmount(directory, flags).map_err(|errno| {
        let error = match errno {
            Errno::BUSY => Error::conflict(
                "programs still use it (`fuser -vm` lists them); end them, or unmount with --lazy",
            ),
            _ => io_error("it could not be unmounted", &errno.into()),
        };
        error.with("directory", directory.display())
    })
}

fn unmount_as_user(directory: &Path, lazy: bool) -> Result<()> {
    let mut command = Command::new("fusermount3");
    command.arg(if lazy { "-uz" } else { "-u" }).arg(directory);
    let output = command.output().map_err(|error| {
        io_error(
            "fusermount3, which unmounts for users, could not be started; install fuse3",
            &error,
        )
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(
        Error::conflict("it could not be unmounted; if programs still use it, try --lazy")
            .with("reason", said),
    )
}

#[cfg(test)]
mod tests;
