mod barrier;
mod failures;
mod files;
mod groups;
mod model;
mod power_loss;
mod restoring;
mod syncing;

use nexus_testkit::metastore_contract;
use tempfile::TempDir;

use super::{RedbConfig, RedbMetastore};

metastore_contract!(RedbMetastore::open(&in_folder(&folder())).unwrap());

/// Every few commits fill a memtable, so that one is nearly always on its way into the file.
mod with_small_memtables {
    use super::*;

    metastore_contract!(
        RedbMetastore::open(&RedbConfig {
            memtable_bytes_max: 1000,
            ..in_folder(&folder())
        })
        .unwrap()
    );
}

mod with_few_relaxed_commits_between_flushes {
    use super::*;

    metastore_contract!(
        RedbMetastore::open(&RedbConfig {
            relaxed_commits_max: 3,
            ..in_folder(&folder())
        })
        .unwrap()
    );
}

fn folder() -> TempDir {
    TempDir::new().unwrap()
}

fn in_folder(folder: &TempDir) -> RedbConfig {
    RedbConfig::new(folder.path().join("metastore.redb"))
}
