//! Stores that fail while an archive is brought in.

use std::sync::Arc;

use nexus_fs::{At, Stores, Zone};
use nexus_testkit::metastore::{Faults, FaultyMetastore};

use super::{export, noise, problems, same, system, write};
use crate::support::{fresh, memory_stores, open};

/// Whatever fails on the way, before it happened or after, an import that is tried again arrives
/// at the same zone.
#[tokio::test]
async fn an_import_that_is_tried_again_arrives() {
    let (_zone, files) = fresh().await;
    for n in 0..40 {
        write(&files, &format!("/{n}"), noise(n, 7_000)).await;
        write(&files, &format!("/large-{n}"), noise(n, 100_000)).await;
    }
    let archive = export(&files).await;
    let mut failures = 0;
    for seed in 0..40 {
        let healthy = memory_stores();
        let faults = Faults {
            before_per_mille: 200,
            after_per_mille: 200,
            late_per_mille: 0,
        };
        let faulty = FaultyMetastore::new(healthy.metastore.clone(), seed, faults);
        let stores = Stores {
            metastore: Arc::new(faulty),
            objects: healthy.objects.clone(),
        };
        while Zone::import(&stores, &archive[..], |_, _| {})
            .await
            .is_err()
        {
            failures += 1;
            if healthy.metastore.restoring().await.unwrap().is_none()
                && healthy.metastore.sync().await.unwrap().0 > 0
            {
                // It had ended, and only the answer was lost.
                break;
            }
        }
        let copy = open(&healthy).await;
        same::same_state(&files, &system(&copy), At::Latest).await;
        assert_eq!(problems(&system(&copy)).await, Vec::<String>::new());
    }
    assert!(failures > 40, "only {failures} failures");
}
