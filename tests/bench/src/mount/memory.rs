//! A filesystem in memory behind FUSE: what a mount costs when nothing is stored. It asks the
//! same of the kernel as the mount of a zone does, and answers on the thread that was asked.

mod tree;

use std::ffi::OsStr;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use fuser::{
    BackgroundSession, BsdFileFlags, Errno, FileAttr, FileHandle, Filesystem, FopenFlags,
    Generation, INodeNo, InitFlags, KernelConfig, LockOwner, MountOption, OpenFlags, RenameFlags,
    ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry,
    ReplyOpen, ReplyWrite, Request, SessionACL, TimeOrNow, WriteFlags,
};
use parking_lot::{Mutex, MutexGuard};

use tree::{Answer, Body, Tree, attributes, now};

const CACHE_FOR: Duration = Duration::from_secs(10);
const GENERATION: Generation = Generation(0);
const O_TRUNC: i32 = rustix::fs::OFlags::TRUNC.bits().cast_signed();

/// As crates/nexus-fuse/src/filesystem.rs asks for them.
const WANTED: [InitFlags; 8] = [
    InitFlags::FUSE_ASYNC_DIO,
    InitFlags::FUSE_ATOMIC_O_TRUNC,
    InitFlags::FUSE_AUTO_INVAL_DATA,
    InitFlags::FUSE_CACHE_SYMLINKS,
    InitFlags::FUSE_DO_READDIRPLUS,
    InitFlags::FUSE_HANDLE_KILLPRIV_V2,
    InitFlags::FUSE_READDIRPLUS_AUTO,
    InitFlags::FUSE_PARALLEL_DIROPS,
];
const TRANSFER_BYTES_MAX: u32 = 1 << 20;
const BACKGROUND_REQUESTS_MAX: u16 = 64;

/// Serves until standard input ends, so that it does not outlive whoever started it. Each line
/// on standard input mounts it anew, with what is in it.
pub(crate) fn serve(directory: &Path) -> Result<()> {
    let tree = Arc::new(Mutex::new(Tree::new()));
    let mut input = io::stdin().lock().lines();
    loop {
        let kernel = mount(Arc::clone(&tree), directory)?;
        println!("mounted on {}", directory.display());
        io::stdout().flush()?;
        let next = input.next().transpose()?;
        kernel.umount_and_join()?;
        if next.is_none() {
            return Ok(());
        }
    }
}

fn mount(tree: Arc<Mutex<Tree>>, directory: &Path) -> Result<BackgroundSession> {
    let mut config = fuser::Config::default();
    config.mount_options = vec![
        MountOption::FSName("nexus-bench".into()),
        MountOption::DefaultPermissions,
        MountOption::NoDev,
        MountOption::NoSuid,
        MountOption::NoAtime,
    ];
    config.acl = SessionACL::Owner;
    config.n_threads = Some(threads());
    config.clone_fd = true;
    fuser::spawn_mount(MemoryFilesystem(tree), directory, &config)
        .with_context(|| format!("mounting on {}", directory.display()))
}

/// As crates/nexus-fuse/src/options.rs has them.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |count| (count.get() / 2).clamp(1, 4))
}

struct MemoryFilesystem(Arc<Mutex<Tree>>);

impl MemoryFilesystem {
    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.0.lock()
    }
}

macro_rules! answer {
    ($reply:ident, $done:expr, $value:pat => $send:expr) => {
        match $done {
            Ok($value) => $send,
            Err(errno) => $reply.error(errno),
        }
    };
}

fn entry(reply: ReplyEntry, found: Answer<FileAttr>) {
    answer!(reply, found, attributes => reply.entry(&CACHE_FOR, &attributes, GENERATION));
}

fn empty(reply: ReplyEmpty, done: Answer<()>) {
    answer!(reply, done, () => reply.ok());
}

/// Inode number 0 stands for a name that is not there.
fn no_entry() -> FileAttr {
    attributes(INodeNo(0), fuser::FileType::RegularFile, 0, (0, 0))
}

impl Filesystem for MemoryFilesystem {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        for wanted in WANTED {
            // What this kernel does not have, the other mount does without too.
            let _ = config.add_capabilities(wanted);
        }
        let _ = config.set_max_write(TRANSFER_BYTES_MAX);
        let _ = config
            .set_max_readahead(TRANSFER_BYTES_MAX)
            .or_else(|most| config.set_max_readahead(most));
        let _ = config.set_max_background(BACKGROUND_REQUESTS_MAX);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.tree().find(parent, name);
        entry(reply, found.map(|found| found.unwrap_or_else(no_entry)));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let found = self.tree().inode(ino).map(|inode| inode.attributes);
        answer!(reply, found, attributes => reply.attr(&CACHE_FOR, &attributes));
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        accessed: Option<TimeOrNow>,
        modified: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut tree = self.tree();
        let set = tree.inode_mut(ino).and_then(|inode| {
            size.map_or(Ok(()), |size| inode.resize(size as usize))?;
            let set = &mut inode.attributes;
            set.perm = mode.map_or(set.perm, |mode| (mode & 0o7777) as u16);
            (set.uid, set.gid) = (uid.unwrap_or(set.uid), gid.unwrap_or(set.gid));
            set.atime = accessed.map_or(set.atime, time);
            set.mtime = modified.map_or(set.mtime, time);
            set.ctime = now();
            Ok(*set)
        });
        answer!(reply, set, attributes => reply.attr(&CACHE_FOR, &attributes));
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        let tree = self.tree();
        let target = tree.inode(ino).and_then(|inode| inode.target());
        answer!(reply, target, target => reply.data(target.as_os_str().as_encoded_bytes()));
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let body = Body::Directory(Default::default());
        entry(reply, self.tree().make(request, (parent, name), mode, body));
    }

    fn symlink(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let body = Body::Symlink(target.to_owned());
        let made = self.tree().make(request, (parent, name), 0o777, body);
        entry(reply, made);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(reply, self.tree().remove((parent, name)));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(reply, self.tree().remove((parent, name)));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        to: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let replace = !flags.contains(RenameFlags::RENAME_NOREPLACE);
        let renamed = self.tree().rename((parent, name), (to, new_name), replace);
        empty(reply, renamed);
    }

    fn link(&self, _: &Request, ino: INodeNo, to: INodeNo, name: &OsStr, reply: ReplyEntry) {
        entry(reply, self.tree().link(ino, (to, name)));
    }

    fn open(&self, _: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let mut tree = self.tree();
        let opened = tree.open(ino).and_then(|inode| {
            if flags.0 & O_TRUNC != 0 {
                inode.resize(0)?;
            }
            Ok(())
        });
        answer!(reply, opened, () => reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE));
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let mut tree = self.tree();
        let made = tree.make(request, (parent, name), mode, Body::File(Vec::new()));
        let made = made.and_then(|made| tree.open(made.ino).map(|inode| inode.attributes));
        let flags = FopenFlags::FOPEN_KEEP_CACHE;
        answer!(reply, made, made => {
            reply.created(&CACHE_FOR, &made, GENERATION, FileHandle(0), flags);
        });
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let tree = self.tree();
        let bytes = tree.inode(ino).and_then(|inode| inode.bytes());
        answer!(reply, bytes, bytes => {
            let start = bytes.len().min(offset as usize);
            let end = bytes.len().min(start + size as usize);
            reply.data(&bytes[start..end]);
        });
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut tree = self.tree();
        let inode = tree.inode_mut(ino);
        let written = inode.and_then(|inode| inode.write(offset as usize, data));
        answer!(reply, written, () => reply.written(data.len() as u32));
    }

    /// Answered, as whoever keeps something at close has to be asked.
    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        empty(reply, self.tree().close(ino));
    }

    fn opendir(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let opened = self.tree().open_listing(ino);
        let flags = FopenFlags::FOPEN_CACHE_DIR | FopenFlags::FOPEN_KEEP_CACHE;
        answer!(reply, opened, number => reply.opened(FileHandle(number), flags));
    }

    fn readdir(
        &self,
        _: &Request,
        _: INodeNo,
        directory: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let tree = self.tree();
        answer!(reply, tree.listing(directory.0), listing => {
            for ((name, ino), next) in listing.iter().zip(1..).skip(offset as usize) {
                let kind = tree.inode(INodeNo(*ino)).map(|inode| inode.attributes.kind);
                let Ok(kind) = kind else { continue };
                if reply.add(INodeNo(*ino), next, kind, name) {
                    break;
                }
            }
            reply.ok();
        });
    }

    fn readdirplus(
        &self,
        _: &Request,
        _: INodeNo,
        directory: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let tree = self.tree();
        answer!(reply, tree.listing(directory.0), listing => {
            for ((name, ino), next) in listing.iter().zip(1..).skip(offset as usize) {
                let Ok(inode) = tree.inode(INodeNo(*ino)) else { continue };
                let attributes = &inode.attributes;
                if reply.add(INodeNo(*ino), next, name, &CACHE_FOR, attributes, GENERATION) {
                    break;
                }
            }
            reply.ok();
        });
    }

    fn releasedir(
        &self,
        _: &Request,
        _: INodeNo,
        directory: FileHandle,
        _: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.tree().close_listing(directory.0);
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn getxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, reply: fuser::ReplyXattr) {
        reply.error(Errno::ENODATA);
    }
}

fn time(time: TimeOrNow) -> SystemTime {
    match time {
        TimeOrNow::SpecificTime(time) => time,
        TimeOrNow::Now => now(),
    }
}
