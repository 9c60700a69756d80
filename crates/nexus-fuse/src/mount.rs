//! Mounting and unmounting.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fuser::{BackgroundSession, Config, MountOption, SessionACL};
use nexus_kernel::{Error, Result};
use rustix::mount::UnmountFlags;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{JoinError, spawn_blocking};

use crate::bridge::Bridge;
use crate::coherence::Coherence;
use crate::filesystem::{Core, ZoneFilesystem};
use crate::history::{States, WithPast};
use crate::options::Options;
use crate::volume::Volume;

const DEVICE: &str = "/dev/fuse";
const READ_AHEAD_KIB: &str = "1024";
/// As the kernel lists what is mounted.
const NAME: &str = "nexus";

/// A zone that is mounted. Dropped without [`unmount`](Self::unmount), it is unmounted all the
/// same, and what is open is closed in the background.
pub struct Mount {
    directory: PathBuf,
    core: Arc<Core>,
    bridge: Arc<Bridge>,
    /// None once it is being unmounted.
    kernel: Option<BackgroundSession>,
    ended: watch::Receiver<bool>,
    _coherence: Coherence,
    /// The kernel's number for the connection.
    connection: u64,
}

impl Mount {
    /// Mounts a volume on an empty directory. When this returns, the
    /// directory shows the zone. Requests are served by the runtime this is called in, which has
    /// to have several threads.
    ///
    /// The kernel is told of every change that is not the mount's own. A past state is mounted
    /// read-only; any other volume shows past states of itself under `.nexus/at`.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a place that cannot be mounted on, `Unavailable` where this
    /// machine or user cannot mount.
    pub async fn start(
        volume: Arc<dyn Volume>,
        directory: &Path,
        mut options: Options,
    ) -> Result<Self> {
        let directory = blocking({
            let directory = directory.to_owned();
            move || check_directory(&directory)
        })
        .await?;
        let runtime = Handle::current();
        let begin = volume.revision().await?;
        let states = Arc::new(States::new(volume.now()));
        let volume = if volume.is_past() {
            options.read_only = true;
            volume
        } else {
            Arc::new(WithPast::new(volume, Arc::clone(&states)))
        };
        let bridge = Bridge::new(runtime, options.requests_max, options.request_deadline);
        let (bridge, config) = (Arc::new(bridge), config(&options));
        let core = Arc::new(Core {
            volume,
            states,
            options: Arc::new(options),
            files: Default::default(),
            directories: Default::default(),
        });
        let (ending, ended) = watch::channel(false);
        let filesystem = ZoneFilesystem {
            core: Arc::clone(&core),
            bridge: Arc::clone(&bridge),
            callers: Arc::default(),
            ended: ending,
        };
        let at = directory.clone();
        let (kernel, connection) = blocking(move || attach(filesystem, &at, &config)).await?;
        tracing::info!(directory = %directory.display(), "mounted");
        let coherence = Coherence::start(Arc::clone(&core.volume), kernel.notifier(), begin);
        Ok(Self {
            directory,
            core,
            bridge,
            kernel: Some(kernel),
            ended,
            _coherence: coherence,
            connection,
        })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Waits until it is mounted no longer: unmounted by somebody else, without
    /// [`unmount`](Self::unmount).
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn ended(&mut self) {
        // An error means that the filesystem is gone, which is the same.
        let _ = self.ended.wait_for(|ended| *ended).await;
    }

    /// Unmounts, writes back what is open and makes everything durable. Where programs still
    /// use the directory, it goes from the namespace all the same, and they get errors.
    ///
    /// # Errors
    ///
    /// Whatever the stores answer.
    pub async fn unmount(mut self) -> Result<()> {
        let deadline = self.core.options.unmount_deadline;
        if let Some(kernel) = self.kernel.take() {
            let directory = self.directory.clone();
            blocking(move || {
                detach(kernel, &directory);
                Ok(())
            })
            .await?;
        }
        if tokio::time::timeout(deadline, self.ended()).await.is_err() {
            tracing::warn!(?deadline, "programs still use the mount; they are cut off");
            self.abort().await;
        }
        if tokio::time::timeout(deadline, self.bridge.idle())
            .await
            .is_err()
        {
            tracing::warn!(?deadline, "requests still under way are left behind");
        }
        let stored = async {
            self.core.close_all().await;
            self.core.volume.sync().await
        };
        let stored = tokio::time::timeout(deadline, stored).await;
        tracing::info!(directory = %self.directory.display(), "unmounted");
        stored.unwrap_or_else(|_| Err(too_late(deadline)))
    }

    /// Ends the connection to the kernel; whoever still uses it gets `ENOTCONN`.
    async fn abort(&mut self) {
        let control = format!("/sys/fs/fuse/connections/{}/abort", self.connection);
        let aborted = blocking(move || Ok(fs::write(control, "1"))).await;
        match aborted {
            Ok(Ok(())) => self.ended().await,
            // Where that is not to be had, the connection ends with the process.
            failed => tracing::warn!(?failed, "the kernel's connection could not be ended"),
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Some(kernel) = self.kernel.take() {
            detach(kernel, &self.directory);
        }
    }
}

fn config(options: &Options) -> Config {
    let mut mount_options = vec![
        MountOption::FSName(NAME.into()),
        MountOption::Subtype(NAME.into()),
        MountOption::DefaultPermissions,
        MountOption::NoDev,
        MountOption::NoSuid,
        MountOption::NoAtime,
    ];
    if options.read_only {
        mount_options.push(MountOption::RO);
    }
    let mut config = Config::default();
    config.mount_options = mount_options;
    config.acl = match options.allow_other {
        true => SessionACL::All,
        false => SessionACL::Owner,
    };
    config.n_threads = Some(options.threads);
    config.clone_fd = true;
    config
}

fn attach(
    filesystem: ZoneFilesystem,
    directory: &Path,
    config: &Config,
) -> Result<(BackgroundSession, u64)> {
    let refused = |error: io::Error| refused(directory, error);
    let bridge = Arc::clone(&filesystem.bridge);
    let kernel = fuser::Session::new(filesystem, directory, config).map_err(refused)?;
    let device = kernel.as_fd().try_clone_to_owned().map_err(refused)?;
    bridge.look_out(device);
    let kernel = kernel.spawn().map_err(refused)?;
    let root = fs::metadata(directory).map_err(refused)?;
    let connection = u64::from(rustix::fs::minor(root.dev()));
    read_far_ahead(connection);
    Ok((kernel, connection))
}

/// Lets the kernel ask for more at once than the 128 KiB it begins with, where this user may.
fn read_far_ahead(connection: u64) {
    let control = format!("/sys/class/bdi/0:{connection}/read_ahead_kb");
    if let Err(error) = fs::write(&control, READ_AHEAD_KIB) {
        tracing::debug!(%error, control, "sequential reads are done in smaller pieces");
    }
}

/// Takes the mount out of the namespace. What still uses it goes on until it is done.
fn detach(kernel: BackgroundSession, directory: &Path) {
    drop(kernel);
    if is_mount(directory) {
        tracing::warn!(directory = %directory.display(), "still in use; unmounted lazily");
        if let Err(error) = rustix::mount::unmount(directory, UnmountFlags::DETACH) {
            tracing::error!(%error, directory = %directory.display(), "could not be unmounted; try `umount -l`");
        }
    }
}

fn is_mount(directory: &Path) -> bool {
    let above = directory.parent().unwrap_or(directory);
    match (fs::symlink_metadata(directory), fs::symlink_metadata(above)) {
        (Ok(here), Ok(above)) => here.dev() != above.dev(),
        _ => true,
    }
}

/// The directory by its full name, if a zone can be mounted there.
fn check_directory(directory: &Path) -> Result<PathBuf> {
    check_device()?;
    let unfit = |error: io::Error| {
        let message = match error.raw_os_error() {
            Some(code) if code == fuser::Errno::ENOTCONN.code() => {
                "a mount whose process is gone is still there; unmount it first, with umount"
            }
            _ => "this directory cannot be mounted on; name an empty directory",
        };
        Error::invalid(message)
            .with("directory", directory.display())
            .with("cause", &error)
            .because(error)
    };
    clear_dead(directory);
    let full = directory.canonicalize().map_err(unfit)?;
    let mut entries = fs::read_dir(&full).map_err(unfit)?;
    if entries.next().is_some() {
        return Err(Error::invalid(
            "this directory is not empty, and mounting would hide what is in it; name an empty one",
        )
        .with("directory", directory.display()));
    }
    if is_fuse(&full).map_err(unfit)? && is_mount(&full) {
        return Err(Error::invalid(
            "something is mounted here already; unmount it first, or name another directory",
        )
        .with("directory", directory.display()));
    }
    Ok(full)
}

/// Takes away what a process left behind that ended without unmounting: nobody can use it, and
/// it would keep the next from mounting.
fn clear_dead(directory: &Path) {
    let is_dead = |error: io::Error| error.raw_os_error() == Some(fuser::Errno::ENOTCONN.code());
    let Ok(full) = std::path::absolute(directory) else {
        return;
    };
    // Attributes the kernel may still have; to list, it has to ask.
    if fs::read_dir(&full).is_err_and(is_dead) && is_ours(&full) {
        let cleared = rustix::mount::unmount(&full, UnmountFlags::DETACH);
        tracing::warn!(directory = %full.display(), ?cleared, "a mount whose process has ended was still there");
    }
}

/// Whether the last thing mounted there, by the kernel's list, is a zone.
fn is_ours(directory: &Path) -> bool {
    let list = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounts = list.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        Some((fields.next()?, fields.next()?, fields.next()?))
    });
    let mut here = mounts.filter(|(_, at, _)| Path::new(at) == directory);
    let last = here.next_back();
    last.is_some_and(|(name, _, kind)| name == NAME && kind.starts_with("fuse"))
}

fn is_fuse(directory: &Path) -> io::Result<bool> {
    const FUSE_SUPER_MAGIC: i64 = 0x6573_5546;
    Ok(rustix::fs::statfs(directory)?.f_type == FUSE_SUPER_MAGIC)
}

fn check_device() -> Result<()> {
    match fs::metadata(DEVICE) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::unavailable(
            "this machine has no /dev/fuse; load the module (modprobe fuse), or give the container the device (--device /dev/fuse)",
        )
        .with("cause", &error)
        .because(error)),
    }
}

fn refused(directory: &Path, error: io::Error) -> Error {
    let message = match error.kind() {
        ErrorKind::PermissionDenied => {
            "this user may not mount; become root, or install fuse3 (its fusermount3 mounts for users)"
        }
        ErrorKind::NotFound => {
            "fusermount3 is missing, which mounts for users; install fuse3, or become root"
        }
        _ => "the zone could not be mounted; see the cause",
    };
    Error::unavailable(message)
        .with("directory", directory.display())
        .with("cause", &error)
        .because(error)
}

fn too_late(deadline: Duration) -> Error {
    Error::unavailable(
        "unmounted, but the stores did not answer in time: what was written last may be lost",
    )
    .with("deadline", format_args!("{deadline:?}"))
    .outcome_unknown()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(failed(error)))
}

fn failed(error: JoinError) -> Error {
    Error::unavailable("a thread of the mount failed; see the log").because(error)
}
