//! Bringing the archive of a zone into the data of a node that does not run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nexus_fs::{Imported, Zone};
use nexus_kernel::{Error, Result};
use nexus_service_api::{Clock, SystemClock};
use tokio::fs::File;
use tokio::io::BufReader;

use crate::config::Config;
use crate::data_folder::DataFolder;
use crate::drivers;
use crate::node::Node;

/// How much of the archive is read at once.
const BUFFER_BYTES: usize = 1 << 20;

/// What is to be imported.
#[derive(Clone, Debug)]
pub struct ImportConfig {
    /// The archive.
    pub archive: PathBuf,
    /// Throw away what an import has left behind that was not ended.
    pub anew: bool,
}

impl Node {
    /// Brings the archive of a zone into a data folder that no node has used yet, or goes on with
    /// that where it stopped. `watch` is told how many bytes of the archive are done.
    ///
    /// # Errors
    ///
    /// As [`Zone::import`]; `Unavailable` while a node runs on the data, `InvalidArgument` for
    /// stores that forget what they hold.
    pub async fn import_zone(
        config: &Config,
        import: &ImportConfig,
        mut watch: impl FnMut(u64),
    ) -> Result<Imported> {
        drivers::check(config)?;
        if !drivers::needs_data_folder(config) {
            return Err(Error::invalid(
                "these stores forget what they hold when the import ends; name others",
            ));
        }
        let archive = open(&import.archive).await?;
        let folder = DataFolder::open(&config.data)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let drivers = drivers::open(config, folder.path(), &clock)?;
        let stores = &drivers.stores;
        let imported = async {
            if import.anew && stores.metastore.restoring().await?.is_some() {
                Zone::abandon_import(stores).await?;
            }
            Zone::import(stores, archive, |_, progress| watch(progress.bytes)).await
        };
        let imported = imported.await;
        let closed = drivers.close().await;
        imported.and_then(|imported| closed.map(|()| imported))
    }
}

async fn open(path: &Path) -> Result<BufReader<File>> {
    let file = File::open(path).await.map_err(|error| {
        Error::not_found("the archive cannot be read; check its name")
            .with("file", path.display())
            .with("cause", &error)
            .because(error)
    })?;
    Ok(BufReader::with_capacity(BUFFER_BYTES, file))
}
