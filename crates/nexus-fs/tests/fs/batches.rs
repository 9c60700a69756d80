use bytes::Bytes;
use futures::StreamExt;
use nexus_fs::{At, BatchStep, MkdirOptions, MoveOptions, RemoveOptions, Session, WriteOptions};
use nexus_kernel::Durability;

use crate::support::{fresh, put, text, tree};

fn write(path: &str, content: impl Into<Bytes>) -> BatchStep {
    BatchStep::Write {
        path: path.into(),
        content: content.into(),
        options: WriteOptions {
            parents: true,
            metadata: vec![("k".into(), Bytes::from("v"))],
            ..WriteOptions::default()
        },
    }
}

fn remove(path: &str, recursive: bool) -> BatchStep {
    BatchStep::Remove {
        path: path.into(),
        recursive,
        if_match: None,
    }
}

fn rename(from: &str, to: &str) -> BatchStep {
    BatchStep::Rename {
        from: from.into(),
        to: to.into(),
        options: MoveOptions::default(),
    }
}

fn copy(from: &str, to: &str) -> BatchStep {
    BatchStep::Copy {
        from: from.into(),
        to: to.into(),
        options: MoveOptions::default(),
    }
}

async fn batch(files: &Session, steps: Vec<BatchStep>) {
    files.batch(steps, Durability::Sync).await.unwrap();
}

/// Copying a tree in a batch takes it as the steps before have left it.
#[tokio::test]
async fn a_copy_sees_the_steps_before_it() {
    let (_zone, files) = fresh().await;
    for path in ["/d/gone", "/d/kept", "/other"] {
        put(&files, path, path).await;
    }
    let steps = vec![
        write("/d/new", "new"),
        remove("/d/gone", false),
        rename("/other", "/d/moved"),
        write("/d/sub/deep", "deep"),
        copy("/d", "/copy"),
    ];
    batch(&files, steps).await;
    let copied = tree(&files, At::Latest).await;
    let copied: Vec<_> = copied
        .iter()
        .filter_map(|(path, _)| path.strip_prefix("/copy/"))
        .collect();
    assert_eq!(copied, ["kept", "moved", "new", "sub", "sub/deep"]);
    assert_eq!(text(&files, "/copy/sub/deep").await, "deep");
}

/// A name can be removed and made again in one batch, as something else too.
#[tokio::test]
async fn a_name_can_be_made_anew() {
    let (_zone, files) = fresh().await;
    put(&files, "/a/x", "1").await;
    let steps = vec![
        remove("/a", true),
        write("/a", "a file"),
        remove("/a", false),
        BatchStep::Mkdir {
            path: "/a".into(),
            options: MkdirOptions::default(),
        },
        write("/a/y", "2"),
    ];
    batch(&files, steps).await;
    let paths: Vec<_> = tree(&files, At::Latest).await;
    assert_eq!(
        paths,
        [("/a".into(), None), ("/a/y".into(), Some("2".into()))]
    );
}

/// A batch that takes names from a file with several leaves it findable by the last.
#[tokio::test]
async fn a_batch_may_take_all_names_but_one() {
    for steps in [
        vec![remove("/y", false), remove("/x", false)],
        vec![
            rename("/y", "/y2"),
            remove("/x", false),
            remove("/y2", false),
        ],
        vec![remove("/x", false), remove("/y", false)],
    ] {
        let (_zone, files) = fresh().await;
        put(&files, "/x", "1").await;
        for path in ["/y", "/z"] {
            files.hard_link("/x", path, Durability::Sync).await.unwrap();
        }
        let todo = ["todo".to_owned()];
        files
            .set_tags("/x", &todo, &[], Durability::Sync)
            .await
            .unwrap();
        batch(&files, steps).await;
        let found = files.find_by_tag("todo", 10, None).await.unwrap().entries;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "/z");
    }
}

/// What one step of a batch makes and a later one unmakes leaves nothing behind: no
/// content that cannot be collected, no metadata.
#[tokio::test]
async fn what_a_batch_makes_and_unmakes_is_gone() {
    let (_zone, files) = fresh().await;
    let big = |byte: u8, len: usize| Bytes::from(vec![byte; len]);
    put(&files, "/b", "1").await;
    let steps = vec![
        write("/a", big(1, 100_000)),
        remove("/a", false),
        write("/b", big(2, 100_000)),
        write("/b", big(3, 1_500_000)),
        write("/b", "small"),
        write("/c", big(4, 100_000)),
        write("/c", "small"),
    ];
    batch(&files, steps).await;
    assert_eq!(
        files
            .find_by_metadata("k", None, 10, None)
            .await
            .unwrap()
            .entries
            .len(),
        2
    );
    assert!(files.gc(false).await.unwrap().blobs > 3);
    assert_eq!(files.gc(true).await.unwrap().blobs, 0);
    let left = files
        .verify()
        .fold(0, |_, item| async { item.unwrap().checked_blobs });
    assert_eq!(left.await, 0);
    files.remove("/b", RemoveOptions::default()).await.unwrap();
}
