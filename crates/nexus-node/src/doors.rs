//! Which doors this build has beside those on the network: the mount.

use std::path::Path;

use nexus_fs::Session;
use nexus_kernel::Result;

use crate::config::MountConfig;

#[cfg(feature = "door-fuse")]
mod fuse;
#[cfg(not(feature = "door-fuse"))]
mod no_fuse;

#[cfg(feature = "door-fuse")]
pub(crate) use fuse::Mount;
#[cfg(not(feature = "door-fuse"))]
pub(crate) use no_fuse::Mount;

/// Mounts the zone where the configuration asks for it. `data` is where its contents lie, for
/// `df` to tell how much room there is; none in memory.
///
/// # Errors
///
/// `Unsupported` with the feature that brings the door if this build is without it; whatever
/// speaks against mounting there.
pub(crate) async fn mount(
    session: Session,
    config: &MountConfig,
    data: Option<&Path>,
) -> Result<Mount> {
    Mount::start(session, config, data).await
}
