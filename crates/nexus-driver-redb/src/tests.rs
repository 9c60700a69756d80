mod failures;
mod files;
mod groups;
mod power_loss;

use tempfile::TempDir;

use super::{RedbConfig, RedbMetastore};

nexus_testkit::metastore_contract!(RedbMetastore::open(&in_folder(&folder())).unwrap());

fn folder() -> TempDir {
    TempDir::new().unwrap()
}

fn in_folder(folder: &TempDir) -> RedbConfig {
    RedbConfig::new(folder.path().join("metastore.redb"))
}
