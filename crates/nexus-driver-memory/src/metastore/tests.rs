use std::sync::Arc;

use super::MemoryMetastore;

nexus_testkit::metastore_contract!(Arc::new(MemoryMetastore::new()));
