//! What is known of where contents came from, when those go.

use nexus_fs::{
    At, ForkOptions, LineageDirection, LineageEntry, LineageQuery, MoveOptions, NewSnapshot,
    RemoveOptions, UndoOptions, UndoWhat,
};
use nexus_kernel::{Durability, Freshness, KeyRange, Scan};

use super::{HOUR, Kept};

impl Kept {
    async fn copy(&self, from: &str, to: &str) {
        let copied = self.files.copy(from, to, MoveOptions::default());
        copied.await.unwrap();
    }

    async fn rows_of(&self, prefix: &'static str) -> usize {
        let scan = Scan::forward(KeyRange::prefix(prefix), 1_000);
        let page = self.stores.metastore.scan(scan, Freshness::Linearizable);
        page.await.unwrap().entries.len()
    }

    /// Lets the floor pass all there is, in as many collections as that takes.
    async fn pass_all(&self) {
        self.keep("/**", Some(HOUR), None).await;
        for _ in 0..3 {
            self.pass(2 * HOUR);
            self.write("/last", "x").await;
            self.compact().await;
        }
    }

    async fn ancestors(&self, path: &str, at: At) -> Vec<LineageEntry> {
        let query = LineageQuery {
            at,
            direction: LineageDirection::Ancestors,
            ..LineageQuery::default()
        };
        self.files.lineage(path, query).await.unwrap().entries
    }
}

/// Where a content came from is known for as long as the content can be read, and not longer.
#[tokio::test]
async fn where_a_content_came_from_goes_with_it() {
    let kept = Kept::new().await;
    kept.write("/a", "a").await;
    for to in ["/stays", "/replaced", "/removed", "/held"] {
        kept.copy("/a", to).await;
    }
    let held = NewSnapshot {
        name: Some("held".into()),
        ..NewSnapshot::default()
    };
    kept.write("/replaced", "another").await;
    kept.files
        .remove("/removed", RemoveOptions::default())
        .await
        .unwrap();
    kept.files.create_snapshot("/", held).await.unwrap();
    kept.write("/held", "another").await;
    assert_eq!((kept.rows_of("a").await, kept.rows_of("A").await), (4, 4));
    kept.pass_all().await;
    assert_eq!((kept.rows_of("a").await, kept.rows_of("A").await), (2, 2));
    assert_eq!(kept.ancestors("/stays", At::Latest).await.len(), 1);
    let snapshot = At::Snapshot("held".into());
    assert_eq!(kept.ancestors("/held", snapshot).await.len(), 1);
    assert!(kept.ancestors("/replaced", At::Latest).await.is_empty());
    kept.files.delete_snapshot("held").await.unwrap();
    kept.pass_all().await;
    assert_eq!((kept.rows_of("a").await, kept.rows_of("A").await), (1, 1));
    let query = LineageQuery::default();
    let lineage = kept.files.lineage("/a", query).await.unwrap();
    assert_eq!(lineage.entries.len(), 1, "{lineage:?}");
}

/// What a version came from is known though only a later state of that version is left, and what a
/// fork came from though no row says what it is.
#[tokio::test]
async fn where_a_content_came_from_stays_with_a_part_of_it() {
    let kept = Kept::new().await;
    kept.write("/d/a", "a").await;
    kept.copy("/d/a", "/b").await;
    kept.files
        .fork("/d", "/fork", ForkOptions::default())
        .await
        .unwrap();
    let mode = nexus_fs::SetAttributes {
        mode: Some(0o600),
        ..nexus_fs::SetAttributes::default()
    };
    kept.pass(3 * HOUR);
    kept.files
        .set_attributes("/b", mode, Durability::Sync)
        .await
        .unwrap();
    kept.pass_all().await;
    assert_eq!(kept.ancestors("/b", At::Latest).await.len(), 1);
    assert_eq!(kept.ancestors("/fork", At::Latest).await.len(), 1);
    assert!(kept.problems().await.is_empty());
}

/// What is known of undone operations goes with them.
#[tokio::test]
async fn marks_of_undone_operations_go_with_them() {
    let kept = Kept::new().await;
    for content in ["one", "two"] {
        kept.write("/f", content).await;
    }
    let last = kept.write("/f", "three").await;
    let undone = UndoOptions::new(UndoWhat::Operation(last));
    kept.files.undo(undone).await.unwrap();
    assert_eq!(kept.rows_of("u").await, 1);
    kept.pass_all().await;
    assert_eq!(kept.rows_of("u").await, 0);
}
