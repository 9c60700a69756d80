use std::sync::Arc;

use nexus_service_api::SystemClock;
use nexus_testkit::object_store::{Faults, FaultyObjectStore};
use nexus_testkit::object_store_contract;

use super::MemoryObjectStore;

fn store() -> Arc<MemoryObjectStore> {
    Arc::new(MemoryObjectStore::new(Arc::new(SystemClock)))
}

object_store_contract!((store(), ()));

mod behind_a_fault_injector_without_faults {
    use super::*;

    object_store_contract!((
        Arc::new(FaultyObjectStore::new(store(), 1, Faults::OFF)),
        ()
    ));
}
