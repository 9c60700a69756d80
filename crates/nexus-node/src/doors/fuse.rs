//! The zone mounted as a directory.

use std::path::Path;
use std::sync::Arc;

use nexus_fs::Session;
use nexus_fuse::{LocalVolume, Options};
use nexus_kernel::Result;

use crate::config::MountConfig;

pub(crate) struct Mount(nexus_fuse::Mount);

impl Mount {
    pub(super) async fn start(
        session: Session,
        config: &MountConfig,
        data: Option<&Path>,
    ) -> Result<Self> {
        let volume = Arc::new(LocalVolume::new(session));
        let mut options = Options::default();
        options.read_only = config.read_only;
        options.write_cache = config.write_cache;
        options.space_of = data.map(Path::to_owned);
        let mount = nexus_fuse::Mount::start(volume, &config.directory, options).await?;
        Ok(Self(mount))
    }

    /// Where it is mounted.
    pub(crate) fn directory(&self) -> &Path {
        self.0.directory()
    }

    /// Waits until somebody else has unmounted it.
    pub(crate) async fn ended(&mut self) {
        self.0.ended().await;
    }

    pub(crate) async fn unmount(self) -> Result<()> {
        self.0.unmount().await
    }
}
