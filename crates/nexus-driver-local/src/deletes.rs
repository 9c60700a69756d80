//! Deletes on their way.

use std::collections::HashMap;
use std::sync::Arc;

use nexus_kernel::ObjectKey;
use parking_lot::Mutex;

/// How many deletes of each key were asked for and are not done. A delete stays here when its
/// caller gives up, for as long as it may still happen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deletes(Arc<Mutex<HashMap<ObjectKey, usize>>>);

/// One of them; done, or never to be, when dropped.
#[derive(Debug)]
pub(crate) struct Deleting {
    all: Deletes,
    key: ObjectKey,
}

impl Deletes {
    pub(crate) fn begin(&self, key: &ObjectKey) -> Deleting {
        *self.0.lock().entry(key.clone()).or_default() += 1;
        Deleting {
            all: self.clone(),
            key: key.clone(),
        }
    }

    pub(crate) fn has(&self, key: &ObjectKey) -> bool {
        self.0.lock().contains_key(key)
    }
}

impl Drop for Deleting {
    fn drop(&mut self) {
        let mut all = self.all.0.lock();
        let left = all.get_mut(&self.key).expect("it was counted");
        *left -= 1;
        if *left == 0 {
            all.remove(&self.key);
        }
    }
}
