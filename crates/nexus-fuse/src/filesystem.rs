//! The kernel's requests, one method each.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fuser::{
    BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, Filesystem, FopenFlags, INodeNo,
    InitFlags, IoctlFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate,
    ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLseek,
    ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use nexus_fs::{Ino, Stat};
use tokio::sync::watch;

use crate::attributes::{Changes, attributes};
use crate::bridge::{Answer, Bridge};
use crate::callers::Callers;
use crate::files::{Files, writes};
use crate::history::{States, attributes_kept_for, name_kept_for};
use crate::listing::Directories;
use crate::names::Maker;
use crate::options::Options;
use crate::replies::{GENERATION, NO_ENTRY, Plus, sized};
use crate::volume::{Caller, Volume};

/// What the requests work on. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Core {
    pub(crate) volume: Arc<dyn Volume>,
    pub(crate) states: Arc<States>,
    pub(crate) options: Arc<Options>,
    pub(crate) files: Arc<Files>,
    pub(crate) directories: Arc<Directories>,
}

impl Core {
    /// The same, with changes on record as those of `caller`.
    pub(crate) fn acting_for(&self, caller: &Caller) -> Self {
        Self {
            volume: self.volume.acting_for(caller),
            ..self.clone()
        }
    }

    pub(crate) fn check_writable(&self) -> Answer<()> {
        if self.options.read_only {
            return Err(Errno::EROFS.into());
        }
        Ok(())
    }
}

/// A zone as the kernel sees it.
pub(crate) struct ZoneFilesystem {
    pub(crate) core: Arc<Core>,
    pub(crate) bridge: Arc<Bridge>,
    pub(crate) callers: Arc<Callers>,
    /// Becomes true when the kernel has no more to ask.
    pub(crate) ended: watch::Sender<bool>,
}

const WRITE_BYTES_MAX: u32 = 1 << 20;
const READ_AHEAD_BYTES_MAX: u32 = 1 << 20;
const BACKGROUND_REQUESTS_MAX: u16 = 64;

/// What is asked of the kernel, where it can.
const WANTED: [InitFlags; 8] = [
    InitFlags::FUSE_ASYNC_DIO,
    // One version for an overwritten file, and none without its content.
    InitFlags::FUSE_ATOMIC_O_TRUNC,
    InitFlags::FUSE_AUTO_INVAL_DATA,
    InitFlags::FUSE_CACHE_SYMLINKS,
    InitFlags::FUSE_DO_READDIRPLUS,
    InitFlags::FUSE_HANDLE_KILLPRIV_V2,
    InitFlags::FUSE_READDIRPLUS_AUTO,
    InitFlags::FUSE_PARALLEL_DIROPS,
];

impl ZoneFilesystem {
    fn cache_for(&self) -> Duration {
        self.core.options.cache_for
    }

    fn entry(&self) -> impl FnOnce(ReplyEntry, Stat) + Send + use<> {
        let cache_for = self.cache_for();
        move |reply, stat| reply.entry(&cache_for, &attributes(&stat), GENERATION)
    }

    fn attr(&self) -> impl FnOnce(ReplyAttr, Stat) + Send + use<> {
        let cache_for = self.cache_for();
        move |reply, stat| {
            let cache_for = attributes_kept_for(stat.ino).unwrap_or(cache_for);
            reply.attr(&cache_for, &attributes(&stat));
        }
    }

    fn core(&self) -> Arc<Core> {
        Arc::clone(&self.core)
    }

    /// What makes a change, on record as that of the program which asks for it.
    fn acting(&self, request: &Request) -> impl Future<Output = Arc<Core>> + Send + use<> {
        let (core, callers, pid) = (self.core(), Arc::clone(&self.callers), request.pid());
        async move { callers.acting(core, pid).await }
    }
}

fn done(reply: ReplyEmpty, (): ()) {
    reply.ok();
}

fn opened(reply: ReplyOpen, (file, hints): (FileHandle, FopenFlags)) {
    reply.opened(file, hints);
}

/// Asks the kernel to read files of disks by itself. Whatever stands on the mount may still be in
/// layers, so what the mount stands on may not.
fn passes_through(config: &mut KernelConfig) -> bool {
    let asked = config.add_capabilities(InitFlags::FUSE_PASSTHROUGH);
    asked.is_ok() && config.set_max_stack_depth(1).is_ok()
}

fn maker(request: &Request, mode: u32) -> Maker {
    Maker {
        uid: request.uid(),
        gid: request.gid(),
        mode,
    }
}

impl Filesystem for ZoneFilesystem {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let write_cache = self.core.options.write_cache;
        let write_cache = write_cache.then_some(InitFlags::FUSE_WRITEBACK_CACHE);
        for wanted in WANTED.into_iter().chain(write_cache) {
            if let Err(missing) = config.add_capabilities(wanted) {
                tracing::debug!(?missing, "this kernel's FUSE does without");
            }
        }
        // To gather writes itself, the kernel has to read everything through the mount.
        if !self.core.options.write_cache && passes_through(config) {
            self.core.files.passthrough.allow();
        }
        // Each answers with the nearest value that is possible.
        let _ = config
            .set_max_write(WRITE_BYTES_MAX)
            .or_else(|most| config.set_max_write(most));
        let _ = config
            .set_max_readahead(READ_AHEAD_BYTES_MAX)
            .or_else(|most| config.set_max_readahead(most));
        let _ = config.set_max_background(BACKGROUND_REQUESTS_MAX);
        Ok(())
    }

    /// What is still open then, the kernel will not close any more.
    fn destroy(&mut self) {
        let deadline = self.core.options.unmount_deadline;
        self.bridge.finish(deadline, self.core.close_all());
        self.ended.send_replace(true);
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let (core, name, cache_for) = (self.core(), name.to_owned(), self.cache_for());
        let work = async move { core.lookup(parent, &name).await };
        let states = Arc::clone(&self.core.states);
        self.bridge
            .serve("lookup", reply, work, move |reply, found| {
                let ino = found.as_ref().map(|stat| stat.ino);
                let cache_for = name_kept_for(Ino(parent.0), ino).unwrap_or(cache_for);
                ino.into_iter().for_each(|ino| states.told(ino));
                let attributes = found.map_or(NO_ENTRY, |stat| attributes(&stat));
                reply.entry(&cache_for, &attributes, GENERATION);
            });
    }

    fn forget(&self, _: &Request, ino: INodeNo, times: u64) {
        self.core.states.forgotten(Ino(ino.0), times);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let core = self.core();
        let work = async move { core.getattr(ino).await };
        self.bridge.serve("getattr", reply, work, self.attr());
    }

    fn setattr(
        &self,
        request: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        accessed: Option<TimeOrNow>,
        modified: Option<TimeOrNow>,
        _: Option<SystemTime>,
        file: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let core = self.acting(request);
        let changes = Changes {
            by: request.uid(),
            mode,
            uid,
            gid,
            size,
            file,
            accessed,
            modified,
        };
        let work = async move { core.await.setattr(ino, changes).await };
        self.bridge.serve("setattr", reply, work, self.attr());
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        let core = self.core();
        let work = async move { core.readlink(ino).await };
        self.bridge.serve("readlink", reply, work, |reply, target| {
            reply.data(target.as_bytes());
        });
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let (core, name, by) = (self.acting(request), name.to_owned(), maker(request, mode));
        let work = async move { core.await.mknod(parent, &name, by).await };
        self.bridge.serve("mknod", reply, work, self.entry());
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
        let (core, name, by) = (self.acting(request), name.to_owned(), maker(request, mode));
        let work = async move { core.await.mkdir(parent, &name, by).await };
        self.bridge.serve("mkdir", reply, work, self.entry());
    }

    fn symlink(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let (core, name, target) = (self.acting(request), name.to_owned(), target.to_owned());
        let by = maker(request, 0o777);
        let work = async move { core.await.symlink(parent, &name, &target, by).await };
        self.bridge.serve("symlink", reply, work, self.entry());
    }

    fn unlink(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let (core, name) = (self.acting(request), name.to_owned());
        let work = async move { core.await.unlink(parent, &name).await };
        self.bridge.serve("unlink", reply, work, done);
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let (core, name) = (self.acting(request), name.to_owned());
        let work = async move { core.await.rmdir(parent, &name).await };
        self.bridge.serve("rmdir", reply, work, done);
    }

    fn rename(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        to: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (core, name, new_name) = (self.acting(request), name.to_owned(), new_name.to_owned());
        let work = async move {
            core.await
                .rename((parent, &name), (to, &new_name), flags)
                .await
        };
        self.bridge.serve("rename", reply, work, done);
    }

    fn link(&self, request: &Request, ino: INodeNo, to: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let (core, name) = (self.acting(request), name.to_owned());
        let work = async move { core.await.link(ino, to, &name).await };
        self.bridge.serve("link", reply, work, self.entry());
    }

    fn open(&self, request: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let (core, acting, by) = (self.core(), self.acting(request), request.uid());
        let work = async move {
            let core = if writes(flags) { acting.await } else { core };
            core.open(ino, flags, by).await
        };
        let files = Arc::clone(&self.core.files);
        self.bridge
            .serve("open", reply, work, move |reply, opened| {
                opened.answer(reply, &files);
            });
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let (core, name, by) = (self.acting(request), name.to_owned(), maker(request, mode));
        let cache_for = self.cache_for();
        let work = async move { core.await.create(parent, &name, OpenFlags(flags), by).await };
        self.bridge
            .serve("create", reply, work, move |reply, (stat, opened)| {
                let attributes = attributes(&stat);
                let (file, hints) = (opened.file, opened.hints);
                reply.created(&cache_for, &attributes, GENERATION, file, hints);
            });
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        file: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let core = self.core();
        let work = async move { core.read(file, offset, size).await };
        self.bridge
            .serve("read", reply, work, |reply, bytes| reply.data(&bytes));
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        file: FileHandle,
        offset: u64,
        data: &[u8],
        from: WriteFlags,
        flags: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let (core, data) = (self.core(), Bytes::copy_from_slice(data));
        let work = async move { core.write(file, offset, data, flags, from).await };
        self.bridge.serve("write", reply, work, |reply, written| {
            reply.written(written);
        });
    }

    fn flush(&self, _: &Request, _: INodeNo, file: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        let core = self.core();
        let work = async move { core.flush(file).await };
        self.bridge.serve("flush", reply, work, done);
    }

    fn fsync(&self, _: &Request, _: INodeNo, file: FileHandle, _: bool, reply: ReplyEmpty) {
        let core = self.core();
        let work = async move { core.fsync(file).await };
        self.bridge.serve("fsync", reply, work, done);
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        file: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        let core = self.core();
        let work = async move { core.release(file).await };
        self.bridge.serve("release", reply, work, done);
    }

    fn opendir(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let core = self.core();
        let work = async move { core.opendir(ino).await };
        self.bridge.serve("opendir", reply, work, opened);
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        directory: FileHandle,
        offset: u64,
        reply: ReplyDirectory,
    ) {
        let (core, mut reply) = (self.core(), reply);
        self.bridge.fill("readdir", async move {
            let listed = core.list(ino, directory, offset, false, &mut reply);
            let listed = listed.await;
            (reply, listed)
        });
    }

    fn readdirplus(
        &self,
        _: &Request,
        ino: INodeNo,
        directory: FileHandle,
        offset: u64,
        reply: ReplyDirectoryPlus,
    ) {
        let core = self.core();
        let mut reply = Plus {
            reply,
            cache_for: attributes_kept_for(Ino(ino.0)).unwrap_or(self.cache_for()),
            states: Arc::clone(&self.core.states),
        };
        self.bridge.fill("readdirplus", async move {
            let listed = core.list(ino, directory, offset, true, &mut reply);
            let listed = listed.await;
            (reply, listed)
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
        self.core.releasedir(directory);
        reply.ok();
    }

    /// Names are committed when they change; this makes those commits durable.
    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let core = self.core();
        let work = async move { Ok(core.volume.sync().await?) };
        self.bridge.serve("fsyncdir", reply, work, done);
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        match self.core.space() {
            Ok(space) => reply.statfs(
                space.blocks,
                space.free,
                space.available,
                0,
                0,
                space.block_bytes,
                space.name_bytes_max,
                space.block_bytes,
            ),
            Err(refusal) => reply.error(refusal.number("statfs")),
        }
    }

    fn setxattr(
        &self,
        request: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _: u32,
        reply: ReplyEmpty,
    ) {
        let (core, name) = (self.acting(request), name.to_owned());
        let value = Bytes::copy_from_slice(value);
        let work = async move { core.await.setxattr(ino, &name, value, flags).await };
        self.bridge.serve("setxattr", reply, work, done);
    }

    fn getxattr(&self, _: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let (core, name) = (self.core(), name.to_owned());
        let work = async move { core.getxattr(ino, &name).await };
        self.bridge
            .serve("getxattr", reply, work, move |reply, value| {
                sized(reply, &value, size);
            });
    }

    fn listxattr(&self, _: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let core = self.core();
        let work = async move { core.listxattr(ino).await };
        self.bridge
            .serve("listxattr", reply, work, move |reply, names| {
                sized(reply, &names, size);
            });
    }

    fn removexattr(&self, request: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let (core, name) = (self.acting(request), name.to_owned());
        let work = async move { core.await.removexattr(ino, &name).await };
        self.bridge.serve("removexattr", reply, work, done);
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        file: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let core = self.core();
        let work = async move { core.allocate(ino, file, offset, length, mode).await };
        self.bridge.serve("fallocate", reply, work, done);
    }

    /// The kernel then takes every file for one without holes.
    fn lseek(&self, _: &Request, _: INodeNo, _: FileHandle, _: i64, _: i32, reply: ReplyLseek) {
        reply.error(Errno::ENOSYS);
    }

    /// The kernel then copies by reading and writing.
    fn copy_file_range(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: u64,
        _: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        reply.error(Errno::ENOSYS);
    }

    fn ioctl(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: IoctlFlags,
        _: u32,
        _: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(Errno::ENOTTY);
    }
}
