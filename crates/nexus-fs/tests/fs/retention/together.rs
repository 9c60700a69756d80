//! Retention beside those who read and write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nexus_fs::WriteOptions;
use nexus_kernel::Revision;

use super::{Kept, at, oldest};

/// While some write and others collect, whoever reads the past reads what was there or is told that
/// it was collected.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_writers_and_collections_go_on_together() {
    let kept = Arc::new(Kept::new().await);
    kept.keep("/**", None, Some(3)).await;
    let written = Arc::new(std::sync::Mutex::new(Vec::new()));
    let ended = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn({
        let (kept, written, ended) = (kept.clone(), written.clone(), ended.clone());
        async move {
            while !ended.load(Ordering::SeqCst) {
                tokio::task::yield_now().await;
                let some: Vec<(Revision, String)> = {
                    let written = written.lock().unwrap();
                    written.iter().rev().step_by(2).take(5).cloned().collect()
                };
                for (revision, content) in some {
                    match kept.files.read("/f", at(revision)).await {
                        Ok(file) => assert_eq!(file.bytes, content),
                        Err(error) => drop(oldest(&error)),
                    }
                }
            }
        }
    });
    let collector = tokio::spawn({
        let (kept, ended) = (kept.clone(), ended.clone());
        async move {
            while !ended.load(Ordering::SeqCst) {
                kept.files.gc(false).await.unwrap();
            }
        }
    });
    for i in 0..400 {
        let content = format!("content {i}");
        let options = WriteOptions::default();
        let changed = kept
            .files
            .write("/f", content.clone().into(), options)
            .await;
        written
            .lock()
            .unwrap()
            .push((changed.unwrap().revision, content));
    }
    ended.store(true, Ordering::SeqCst);
    reader.await.unwrap();
    collector.await.unwrap();
    kept.files.gc(false).await.unwrap();
    let written = written.lock().unwrap().clone();
    let (gone, left) = written.split_at(written.len() - 3);
    for (revision, _) in gone {
        oldest(&kept.files.read("/f", at(*revision)).await.unwrap_err());
    }
    for (revision, content) in left {
        let file = kept.files.read("/f", at(*revision)).await.unwrap();
        assert_eq!(file.bytes, content);
    }
    assert!(kept.problems().await.is_empty());
    let blobs = kept.stores.objects.list("b/", None, 100).await.unwrap();
    assert_eq!(blobs.objects.len(), 3);
}
