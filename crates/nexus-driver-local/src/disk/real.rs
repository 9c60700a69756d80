//! The machine's own disk. Linux only: `openat2` keeps paths inside the root, `syncfs` makes many
//! files durable at once, and `preadv2` can tell whether a read would wait.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use nexus_kernel::{Error, Result, Timestamp};
use rustix::fs::{
    AtFlags, CWD, Dir, FallocateFlags, FileType, Mode, OFlags, ResolveFlags, Stat, Timespec,
    Timestamps, UTIME_OMIT,
};
use rustix::io::{Errno, ReadWriteFlags};

use super::{Access, Disk, DiskFile, Facts, Item, parent};
use crate::error::Failure;

const NANOS_PER_SECOND: i64 = 1_000_000_000;
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
const DIR_MODE: Mode = Mode::RWXU;
const INSIDE: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);

#[derive(Debug)]
pub(crate) struct RealDisk {
    root: OwnedFd,
    /// Locked for as long as the store is open.
    _lock: File,
}

impl RealDisk {
    /// Opens the folder, which is made if it does not exist, for this process alone.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let opened = Self::create_root(root).and_then(|()| open_dir(CWD, root));
        let fd = opened
            .map_err(|cause| Error::from(Failure::from(cause)).with("root", root.display()))?;
        let lock = lock(&fd).map_err(|error| error.with("root", root.display()))?;
        Ok(Self {
            root: fd,
            _lock: lock,
        })
    }

    fn create_root(root: &Path) -> io::Result<()> {
        let missing = root.ancestors().take_while(|dir| is_missing(dir));
        let missing: Vec<&Path> = missing.collect();
        std::fs::create_dir_all(root)?;
        for made in missing {
            let holder = made.parent().filter(|dir| !dir.as_os_str().is_empty());
            rustix::fs::fsync(open_dir(CWD, holder.unwrap_or(Path::new(".")))?)?;
        }
        Ok(())
    }

    fn open_inside(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let path = if path.is_empty() { "." } else { path };
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mode = if flags.contains(OFlags::CREATE) {
            FILE_MODE
        } else {
            Mode::empty()
        };
        Ok(rustix::fs::openat2(&self.root, path, flags, mode, INSIDE)?)
    }

    /// The directory of `path`, and its name there.
    fn at<'a>(&self, path: &'a str) -> io::Result<(OwnedFd, &'a str)> {
        let dir = parent(path);
        let fd = self.open_inside(dir, OFlags::PATH | OFlags::DIRECTORY)?;
        Ok((fd, path[dir.len()..].trim_start_matches('/')))
    }
}

impl Disk for RealDisk {
    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        Ok(Arc::new(RealFile(self.open_inside(path, flags)?.into())))
    }

    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let flags = match access {
            Access::Read => OFlags::RDONLY | OFlags::NONBLOCK,
            Access::ReadWrite => OFlags::RDWR | OFlags::NONBLOCK,
        };
        Ok(Arc::new(RealFile(self.open_inside(path, flags)?.into())))
    }

    fn facts(&self, path: &str) -> io::Result<Facts> {
        let fd = self.open_inside(path, OFlags::PATH)?;
        facts_of(&rustix::fs::fstat(&fd)?)
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        let (dir, name) = self.at(path)?;
        match rustix::fs::mkdirat(dir, name, DIR_MODE) {
            Err(Errno::EXIST) => Ok(()),
            made => Ok(made?),
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from_dir, from_name) = self.at(from)?;
        let (to_dir, to_name) = self.at(to)?;
        Ok(rustix::fs::renameat(from_dir, from_name, to_dir, to_name)?)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let (dir, name) = self.at(path)?;
        Ok(rustix::fs::unlinkat(dir, name, AtFlags::empty())?)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<Item>> {
        let fd = self.open_inside(dir, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut items = Vec::new();
        for entry in Dir::read_from(&fd)? {
            let entry = entry?;
            // Names that are not UTF-8 were not made here.
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            if name == "." || name == ".." {
                continue;
            }
            let is_dir = match entry.file_type() {
                FileType::Unknown => is_dir(&fd, name)?,
                known => known == FileType::Directory,
            };
            items.push(Item {
                name: name.to_owned(),
                is_dir,
            });
        }
        Ok(items)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let fd = self.open_inside(dir, OFlags::RDONLY | OFlags::DIRECTORY)?;
        Ok(rustix::fs::fsync(fd)?)
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.root)?)
    }
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn write_at(&self, mut pieces: &mut [IoSlice<'_>], mut at: u64) -> io::Result<()> {
        // One call takes at most this many pieces (IOV_MAX of Linux).
        const PIECES_MAX: usize = 1024;
        while !pieces.is_empty() {
            let few = &pieces[..pieces.len().min(PIECES_MAX)];
            match rustix::io::pwritev(&self.0, few, at) {
                Ok(0) if few.iter().all(|piece| piece.is_empty()) => break,
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    at += written as u64;
                    IoSlice::advance_slices(&mut pieces, written);
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    fn read_at(&self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match self.0.read_at(&mut bytes[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn read_at_once(&self, at: u64, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        let buffer = &mut [IoSliceMut::new(&mut bytes)];
        let read = rustix::io::preadv2(&self.0, buffer, at, ReadWriteFlags::NOWAIT);
        (read == Ok(length)).then_some(bytes)
    }

    fn reserve(&self, length: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, length) {
            Err(Errno::OPNOTSUPP) => self.0.set_len(length),
            reserved => Ok(reserved?),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn facts(&self) -> io::Result<Facts> {
        facts_of(&rustix::fs::fstat(&self.0)?)
    }

    fn local(&self) -> io::Result<Option<File>> {
        self.0.try_clone().map(Some)
    }

    fn date(&self, modified: Timestamp) -> io::Result<()> {
        let omit = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        };
        let modified = Timespec {
            tv_sec: modified.0.div_euclid(NANOS_PER_SECOND),
            tv_nsec: modified.0.rem_euclid(NANOS_PER_SECOND),
        };
        let times = Timestamps {
            last_access: omit,
            last_modification: modified,
        };
        Ok(rustix::fs::futimens(&self.0, &times)?)
    }
}

fn open_dir(at: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(at, path, flags, Mode::empty())?)
}

fn is_missing(dir: &Path) -> bool {
    !dir.as_os_str().is_empty() && !dir.exists()
}

fn lock(root: &OwnedFd) -> Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let opened = rustix::fs::openat(root, "LOCK", flags, FILE_MODE);
    let file = File::from(opened.map_err(|errno| Failure::from(io::Error::from(errno)))?);
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::unavailable(
            "the object store is in use by another process; stop that one or choose another folder",
        )),
        Err(std::fs::TryLockError::Error(cause)) => Err(Failure::from(cause).into()),
    }
}

fn is_dir(dir: &OwnedFd, name: &str) -> io::Result<bool> {
    let stat = rustix::fs::statat(dir.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

fn facts_of(stat: &Stat) -> io::Result<Facts> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Symlink => return Err(Errno::LOOP.into()),
        _ => return Err(Errno::NOENT.into()),
    }
    let nanos = stat.st_mtime.saturating_mul(NANOS_PER_SECOND);
    let nanos = nanos.saturating_add(i64::try_from(stat.st_mtime_nsec).unwrap_or(0));
    Ok(Facts {
        size: u64::try_from(stat.st_size).unwrap_or(0),
        modified: Timestamp(nanos),
    })
}
