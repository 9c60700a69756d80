use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use nexus_fs::{At, Etag, HashAlgorithm, MoveOptions, RemoveOptions, WriteOptions};
use nexus_kernel::{ByteStream, Kind};
use nexus_service_api::Context;

use crate::support::{fresh, memory_stores, open};

/// Bytes that look random and are the same every time.
fn noise(seed: u64, length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    blake3::Hasher::new()
        .update(&seed.to_be_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes.into()
}

fn pieces(bytes: &Bytes, size: usize) -> ByteStream {
    let pieces: Vec<_> = (0..bytes.len())
        .step_by(size)
        .map(|at| Ok(bytes.slice(at..(at + size).min(bytes.len()))))
        .collect();
    Box::pin(stream::iter(pieces))
}

/// Content of every size is read back byte for byte, whole, streamed and in ranges.
#[tokio::test]
async fn every_size_is_read_back() {
    let (_zone, files) = fresh().await;
    for size in [
        0,
        1,
        8 << 10,
        (8 << 10) + 1,
        1 << 20,
        (1 << 20) + 1,
        9 << 20,
        20_000_003,
    ] {
        let bytes = noise(size as u64, size);
        let options = WriteOptions::default();
        let stat = files
            .write_stream("/f", pieces(&bytes, 70_001), options)
            .await
            .unwrap()
            .into_stat();
        assert_eq!(stat.etag, Some(Etag::of(HashAlgorithm::Blake3, &bytes)));
        assert_eq!(
            files.read("/f", At::Latest).await.unwrap().bytes,
            bytes,
            "{size}"
        );
        let content = files.open("/f", At::Latest, None).await.unwrap();
        let streamed: Vec<Bytes> = content.body.try_collect().await.unwrap();
        assert_eq!(streamed.concat(), bytes);
        for (start, end) in [(0, size / 3), (size / 3, size / 2), (size / 2, size)] {
            let range = start as u64..end as u64;
            let part = files.read_range("/f", At::Latest, range).await.unwrap();
            assert_eq!(
                part.bytes,
                bytes.slice(start..end),
                "{start}..{end} of {size}"
            );
        }
    }
    let problems: Vec<_> = files
        .verify()
        .filter_map(|p| async { p.unwrap().problem })
        .collect()
        .await;
    assert_eq!(problems, Vec::<String>::new());
}

/// A change in the middle of a large file stores only the chunks around it.
#[tokio::test]
async fn large_files_share_chunks() {
    let stores = memory_stores();
    let zone = open(&stores).await;
    let files = zone.session(Context::system());
    let count = || async {
        stores
            .objects
            .list("", None, 1000)
            .await
            .unwrap()
            .objects
            .len()
    };
    let one = noise(1, 30 << 20);
    files
        .write("/one", one.clone(), WriteOptions::default())
        .await
        .unwrap();
    let before = count().await;
    assert!(before > 10);
    let mut two = one.to_vec();
    two.splice(15 << 20..15 << 20, *b"inserted");
    files
        .write("/two", two.into(), WriteOptions::default())
        .await
        .unwrap();
    files
        .copy("/one", "/three", MoveOptions::default())
        .await
        .unwrap();
    assert!(
        count().await <= before + 3,
        "{} and {before}",
        count().await
    );
}

/// A body that breaks off changes nothing, and what it left behind is collected.
#[tokio::test]
async fn a_broken_upload_changes_nothing() {
    let (_zone, files) = fresh().await;
    let broken = pieces(&noise(1, 12 << 20), 1 << 20).chain(stream::once(async {
        Err(nexus_kernel::Error::unavailable("the client went away"))
    }));
    let error = files
        .write_stream("/f", Box::pin(broken), WriteOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(!files.exists("/f", At::Latest).await.unwrap());
    assert!(files.gc(true).await.unwrap().blobs > 0);
    assert!(files.gc(false).await.unwrap().blobs > 0);
    assert_eq!(files.gc(false).await.unwrap().blobs, 0);
}

/// Content that history still refers to is never collected.
#[tokio::test]
async fn collection_keeps_what_history_needs() {
    let (_zone, files) = fresh().await;
    let (small, large) = (noise(1, 100_000), noise(2, 5 << 20));
    files
        .write("/small", small.clone(), WriteOptions::default())
        .await
        .unwrap();
    files
        .write("/large", large.clone(), WriteOptions::default())
        .await
        .unwrap();
    let before = files.revision().await.unwrap();
    for path in ["/small", "/large"] {
        files.remove(path, RemoveOptions::default()).await.unwrap();
    }
    assert_eq!(files.gc(false).await.unwrap().blobs, 0);
    assert_eq!(
        files
            .read("/small", At::Revision(before))
            .await
            .unwrap()
            .bytes,
        small
    );
    assert_eq!(
        files
            .read("/large", At::Revision(before))
            .await
            .unwrap()
            .bytes,
        large
    );
}

/// Damaged content is found when it is read and when it is verified, never handed out.
#[tokio::test]
async fn damage_is_found() {
    let stores = memory_stores();
    let files = open(&stores).await.session(Context::system());
    files
        .write("/f", noise(1, 100_000), WriteOptions::default())
        .await
        .unwrap();
    let blob = stores
        .objects
        .list("", None, 10)
        .await
        .unwrap()
        .objects
        .remove(0)
        .key;
    let rotten = Box::pin(stream::once(async { Ok(noise(2, 100_000)) }));
    stores
        .objects
        .put(&blob, rotten, nexus_kernel::PutOptions::default())
        .await
        .unwrap();
    let zone = open(&stores).await;
    let files = zone.session(Context::system());
    assert_eq!(
        files.read("/f", At::Latest).await.unwrap_err().kind(),
        Kind::Corrupt
    );
    let problems: Vec<_> = files
        .verify()
        .filter_map(|p| async { p.unwrap().problem })
        .collect()
        .await;
    assert_eq!(problems.len(), 1);
    stores.objects.delete(&blob).await.unwrap();
    assert_eq!(
        open(&stores)
            .await
            .session(Context::system())
            .read("/f", At::Latest)
            .await
            .unwrap_err()
            .kind(),
        Kind::Corrupt
    );
}

/// Files with the same content are found, the costliest first.
#[tokio::test]
async fn duplicates_are_found() {
    let (_zone, files) = fresh().await;
    for (path, seed, size) in [
        ("/a", 1, 10),
        ("/b", 1, 10),
        ("/c", 2, 5000),
        ("/d", 2, 5000),
        ("/e", 3, 9),
    ] {
        files
            .write(path, noise(seed, size), WriteOptions::default())
            .await
            .unwrap();
    }
    let sets = files.duplicates("/", 1, 10).await.unwrap();
    let paths: Vec<_> = sets.into_iter().map(|set| set.paths).collect();
    assert_eq!(paths, [["/c", "/d"], ["/a", "/b"]]);
}
