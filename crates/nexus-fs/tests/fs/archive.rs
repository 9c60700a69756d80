//! A whole zone as an archive, and back.

mod companions;
mod faults;
mod forged;
mod interrupted;
mod random;
mod same;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use nexus_archive::{Block, Reader};
use nexus_fs::{At, EXPORTS_MAX, ExportOptions, Session, Stores, WriteOptions, Zone};
use nexus_kernel::{Entry, Kind, Revision};
use nexus_service_api::{Context, Expect};

use crate::support::{memory_stores, open, put, text};

async fn export(files: &Session) -> Bytes {
    export_with(files, ExportOptions::default()).await
}

async fn export_with(files: &Session, options: ExportOptions) -> Bytes {
    let body = files.export_zone(options).await.unwrap();
    collect(body).await
}

async fn collect(body: nexus_kernel::ByteStream) -> Bytes {
    let pieces: Vec<Bytes> = body.try_collect().await.unwrap();
    pieces.concat().into()
}

async fn import(stores: &Stores, archive: &[u8]) -> Zone {
    Zone::import(stores, archive, |_, _| {}).await.unwrap();
    open(stores).await
}

fn system(zone: &Zone) -> Session {
    zone.session(Context::system())
}

async fn revision_of(archive: &[u8]) -> Revision {
    let reader = Reader::begin(archive).await.unwrap();
    reader.header().revision()
}

async fn rows_of(archive: &[u8]) -> Vec<Entry> {
    let mut reader = Reader::begin(archive).await.unwrap();
    let mut rows = Vec::new();
    while let Some(block) = reader.next().await.unwrap() {
        if let Block::Rows(more) = block {
            rows.extend(more);
        }
    }
    rows
}

/// Content that no other seed has.
fn noise(seed: u8, len: usize) -> Bytes {
    let mut bytes = vec![0; len];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[seed]);
    hasher.finalize_xof().fill(&mut bytes);
    bytes.into()
}

async fn write(files: &Session, path: &str, content: Bytes) -> Revision {
    let written = files.write(path, content, WriteOptions::default()).await;
    written.unwrap().revision
}

async fn problems(files: &Session) -> Vec<String> {
    let reports: Vec<_> = files.verify().try_collect().await.unwrap();
    reports
        .into_iter()
        .filter_map(|report| report.problem)
        .collect()
}

/// An export is one state, whatever is written while it is made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_during_writes_is_the_zone_at_its_revision() {
    let stores = memory_stores();
    let zone = open(&stores).await;
    let files = system(&zone);
    for n in 0..20 {
        put(&files, &format!("/d/{n}"), &"old".repeat(n * 500)).await;
    }
    let writer = tokio::spawn({
        let files = files.clone();
        async move {
            for n in 0..60_u8 {
                write(&files, &format!("/d/{}", n % 20), noise(n, 20_000)).await;
            }
        }
    });
    let mut copies = Vec::new();
    while !writer.is_finished() || copies.is_empty() {
        copies.push(export(&files).await);
    }
    writer.await.unwrap();
    for archive in copies {
        let copy_stores = memory_stores();
        let copy = import(&copy_stores, &archive).await;
        let copy = system(&copy);
        let revision = revision_of(&archive).await;
        assert_eq!(copy.revision().await.unwrap(), revision);
        same::same_state(&files, &copy, At::Revision(revision)).await;
        assert_eq!(problems(&copy).await, Vec::<String>::new());
    }
}

/// What an export has begun to copy is not collected before it has ended.
#[tokio::test]
async fn nothing_that_an_export_has_is_collected_meanwhile() {
    let stores = memory_stores();
    let zone = open(&stores).await;
    let files = system(&zone);
    for n in 0..200 {
        write(&files, &format!("/{n}"), noise(n, 100_000)).await;
    }
    let body = files.export_zone(ExportOptions::default()).await.unwrap();
    // As the collection of history does: nothing refers to any content any more.
    let counts = nexus_kernel::KeyRange::prefix(&b"c"[..]);
    let txn = nexus_kernel::Txn {
        ops: vec![nexus_kernel::Op::DeleteRange(counts)],
        ..Default::default()
    };
    let released = stores.metastore.commit(txn).await.unwrap();
    assert!(matches!(released, nexus_kernel::Commit::Applied(_)));
    assert_eq!(files.gc(false).await.unwrap().blobs, 0);
    let archive = collect(body).await;
    assert_eq!(files.gc(false).await.unwrap().blobs, 200);
    let copy_stores = memory_stores();
    let copy = import(&copy_stores, &archive).await;
    assert_eq!(problems(&system(&copy)).await, Vec::<String>::new());
}

/// After an import revisions go on where the archive ended, so that tokens and cursors keep their
/// order.
#[tokio::test]
async fn revisions_go_on_after_those_of_the_archive() {
    let (_zone, files) = crate::support::fresh().await;
    put(&files, "/a", "1").await;
    put(&files, "/a", "2").await;
    let archive = export(&files).await;
    let newest = files.revision().await.unwrap();
    let stores = memory_stores();
    let copy = import(&stores, &archive).await;
    let copy = system(&copy);
    assert_eq!(copy.revision().await.unwrap(), newest);
    let next = write(&copy, "/b", "3".into()).await;
    assert!(next > newest);
    assert_ne!(
        copy.stat("/a", At::Latest).await.unwrap().ino,
        copy.stat("/b", At::Latest).await.unwrap().ino
    );
}

/// Settings, and so the hashes of keys, are in an archive only when they are asked for.
#[tokio::test]
async fn settings_are_exported_only_when_they_are_asked_for() {
    let stores = memory_stores();
    let zone = open(&stores).await;
    let files = system(&zone);
    let settings = zone.settings();
    let secret = Bytes::from("a hash of a key");
    settings
        .put("keys/1", Some(secret.clone()), Expect::Any)
        .await
        .unwrap();
    let without = export(&files).await;
    assert!(rows_of(&without).await.iter().all(|row| row.key[0] != b's'));
    let with = export_with(&files, ExportOptions { secrets: true }).await;
    let (one, other) = (memory_stores(), memory_stores());
    let one = import(&one, &without).await;
    let other = import(&other, &with).await;
    assert_eq!(one.settings().get("keys/1").await.unwrap(), None);
    let kept = other.settings().get("keys/1").await.unwrap().unwrap();
    assert_eq!(kept.value, secret);
}

/// An archive is imported into nothing else than stores that were never used.
#[tokio::test]
async fn an_archive_is_imported_only_into_an_empty_store() {
    let (_zone, files) = crate::support::fresh().await;
    put(&files, "/a", "1").await;
    let archive = export(&files).await;
    let stores = memory_stores();
    let other = open(&stores).await;
    put(&system(&other), "/mine", "2").await;
    let refused = Zone::import(&stores, &archive[..], |_, _| {})
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), Kind::Conflict);
    assert_eq!(text(&system(&other), "/mine").await, "2");
}

/// So many exports of a zone go on at a time, and one that is dropped makes room.
#[tokio::test]
async fn so_many_exports_go_on_at_a_time() {
    let (_zone, files) = crate::support::fresh().await;
    for n in 0..40 {
        write(&files, &format!("/{n}"), noise(n, 200_000)).await;
    }
    let mut held = Vec::new();
    for _ in 0..EXPORTS_MAX {
        held.push(files.export_zone(ExportOptions::default()).await.unwrap());
    }
    let refused = files.export_zone(ExportOptions::default()).await;
    assert_eq!(refused.err().unwrap().kind(), Kind::LimitExceeded);
    held.clear();
    // The task of a dropped export ends when it notices.
    loop {
        match files.export_zone(ExportOptions::default()).await {
            Ok(body) => break drop(collect(body).await),
            Err(error) => assert_eq!(error.kind(), Kind::LimitExceeded),
        }
        tokio::task::yield_now().await;
    }
}

/// An archive that has all its rows is gone on with by any node that still has the contents.
#[tokio::test]
async fn an_archive_with_its_rows_is_gone_on_with_later() {
    let stores = memory_stores();
    let zone = open(&stores).await;
    let files = system(&zone);
    for n in 0..30 {
        write(&files, &format!("/{n}"), noise(n, 200_000)).await;
    }
    let whole = export(&files).await;
    let mut reader = Reader::begin(&whole[..whole.len() / 2]).await.unwrap();
    let mut names = Vec::new();
    while let Ok(Some(block)) = reader.next().await {
        if let Block::Rows(rows) = block {
            let named = rows
                .iter()
                .filter_map(|row| nexus_archive::blob_named_by(row).unwrap());
            names.extend(named);
        }
    }
    let good = *reader.progress();
    assert!(good.has_all_rows && good.blobs > 0 && good.blobs < 30);
    drop((files, zone));
    // What the zone has become meanwhile is not in the archive.
    let zone = open(&stores).await;
    let files = system(&zone);
    put(&files, "/later", "1").await;
    let missing = names.split_off(usize::try_from(good.blobs).unwrap());
    let rest = |missing: Vec<_>| stream::iter([Ok(missing)]).boxed();
    let body = files
        .export_rest(good, rest(missing.clone()))
        .await
        .unwrap();
    let begun = usize::try_from(good.bytes).unwrap();
    let joined = [&whole[..begun], &collect(body).await].concat();
    let copy = import(&memory_stores(), &joined).await;
    assert_eq!(problems(&system(&copy)).await, Vec::<String>::new());

    let gone = stores.objects.list("b/", None, 100).await.unwrap();
    for blob in gone.objects {
        stores.objects.delete(&blob.key).await.unwrap();
    }
    let body = files.export_rest(good, rest(missing)).await.unwrap();
    let refused = body.try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Conflict);
    let without_rows = nexus_archive::Progress {
        has_all_rows: false,
        ..good
    };
    let refused = files.export_rest(without_rows, rest(vec![])).await.err();
    assert_eq!(refused.unwrap().kind(), Kind::InvalidArgument);
}
