//! In place of the mount, in a build without it.

use std::convert::Infallible;
use std::path::Path;

use nexus_fs::Session;
use nexus_kernel::{Error, Result};

use crate::config::MountConfig;

pub(crate) struct Mount(Infallible);

impl Mount {
    pub(super) async fn start(_: Session, config: &MountConfig, _: Option<&Path>) -> Result<Self> {
        Err(Error::unsupported(
            "this build was made without the mount; rebuild it with --features door-fuse",
        )
        .with("directory", config.directory.display()))
    }

    pub(crate) fn directory(&self) -> &Path {
        match self.0 {}
    }

    pub(crate) async fn ended(&mut self) {
        match self.0 {}
    }

    pub(crate) async fn unmount(self) -> Result<()> {
        match self.0 {}
    }
}
