//! Imports that stop on the way.

use bytes::Bytes;
use nexus_archive::{Block, Reader};
use nexus_fs::{At, Session, Stores, Zone};
use nexus_kernel::Kind;
use nexus_service_api::Context;
use nexus_testkit::authorizer::Open;
use std::sync::Arc;

use super::{export, import, noise, problems, same, system, write};
use crate::support::{fresh, memory_stores, open, put};

async fn zone_with_files() -> (Zone, Session) {
    let (zone, files) = fresh().await;
    for n in 0..12 {
        put(&files, &format!("/d/{n}"), &format!("text {n}")).await;
        write(&files, &format!("/{n}"), noise(n, 400_000)).await;
    }
    (zone, files)
}

/// Where each block ends.
async fn borders(archive: &[u8]) -> Vec<usize> {
    let mut reader = Reader::begin(archive).await.unwrap();
    let mut borders = vec![usize::try_from(reader.progress().bytes).unwrap()];
    while let Some(block) = reader.next().await.unwrap() {
        if !matches!(block, Block::End(_)) {
            borders.push(usize::try_from(reader.progress().bytes).unwrap());
        }
    }
    borders
}

async fn is_no_zone(stores: &Stores) {
    let opened = Zone::open(stores.clone(), Arc::new(Open), Default::default()).await;
    let refused = opened.err().expect("half a zone does not open");
    assert_eq!(refused.kind(), Kind::Conflict);
    assert!(refused.message().contains("restore"), "{refused}");
}

/// An archive that was cut short makes no zone, wherever it was cut, and the whole one goes on
/// where it stopped.
#[tokio::test]
async fn a_cut_archive_makes_no_zone_and_the_whole_one_goes_on() {
    let (_zone, files) = zone_with_files().await;
    let archive = export(&files).await;
    let borders = borders(&archive).await;
    assert!(borders.len() > 5);
    let within = borders.iter().map(|border| border + 9);
    for cut in borders.iter().copied().chain(within) {
        let stores = memory_stores();
        let refused = Zone::import(&stores, &archive[..cut], |_, _| {}).await;
        assert_eq!(refused.unwrap_err().kind(), Kind::Corrupt, "{cut}");
        is_no_zone(&stores).await;
        let imported = Zone::import(&stores, &archive[..], |_, _| {})
            .await
            .unwrap();
        assert_eq!(imported.progress.bytes, archive.len() as u64);
        let copy = open(&stores).await;
        same::same_state(&files, &system(&copy), At::Latest).await;
    }
}

/// What is there already is not written again.
#[tokio::test]
async fn an_import_goes_on_after_the_rows_it_has() {
    let (_zone, files) = zone_with_files().await;
    let archive = export(&files).await;
    let all_rows = borders(&archive).await[1];
    let stores = memory_stores();
    let cut = Zone::import(&stores, &archive[..all_rows], |_, _| {}).await;
    assert!(cut.is_err());
    let imported = Zone::import(&stores, &archive[..], |_, _| {})
        .await
        .unwrap();
    assert_eq!(imported.resumed_after_bytes, all_rows as u64);
}

/// Nothing is applied from the first changed block on, and nothing is a zone.
#[tokio::test]
async fn an_archive_with_a_flipped_bit_makes_no_zone() {
    let (_zone, files) = zone_with_files().await;
    let archive = export(&files).await;
    for n in 0..40 {
        let mut changed = archive.to_vec();
        let at = n * (archive.len() / 40) + n;
        changed[at] ^= 1 << (n % 8);
        let stores = memory_stores();
        assert!(
            Zone::import(&stores, &changed[..], |_, _| {})
                .await
                .is_err()
        );
        if stores.metastore.restoring().await.unwrap().is_some() {
            is_no_zone(&stores).await;
        }
    }
}

/// Another archive than the one that was begun is refused, and what there is stays.
#[tokio::test]
async fn an_import_goes_on_only_with_its_own_archive() {
    let (_zone, files) = zone_with_files().await;
    let archive = export(&files).await;
    // At the same revision, made at another time.
    let other = export(&files).await;
    put(&files, "/later", "1").await;
    let later = export(&files).await;
    let stores = memory_stores();
    let cut = &archive[..archive.len() / 2];
    assert!(Zone::import(&stores, cut, |_, _| {}).await.is_err());
    for wrong in [&other, &later] {
        let refused = Zone::import(&stores, &wrong[..], |_, _| {}).await;
        assert_eq!(refused.unwrap_err().kind(), Kind::Conflict);
    }
    import(&stores, &archive).await;
}

/// Also one that is shorter than what there is already, with nothing in it to compare.
#[tokio::test]
async fn an_import_does_not_end_with_a_shorter_archive() {
    let (_zone, files) = fresh().await;
    for n in 0..600 {
        write(&files, &format!("/{n}"), noise(1, 8_000)).await;
    }
    let archive = export(&files).await;
    let stores = memory_stores();
    let borders = borders(&archive).await;
    let cut = &archive[..borders[borders.len() - 2]];
    assert!(Zone::import(&stores, cut, |_, _| {}).await.is_err());

    let (_zone, small) = fresh().await;
    let revision = files.revision().await.unwrap();
    while small.revision().await.unwrap() < revision {
        put(&small, "/small", "text").await;
    }
    assert_eq!(small.revision().await.unwrap(), revision);
    let shorter = export(&small).await;
    let refused = Zone::import(&stores, &shorter[..], |_, _| {}).await;
    assert_eq!(refused.unwrap_err().kind(), Kind::Conflict);
    is_no_zone(&stores).await;
    import(&stores, &archive).await;
}

/// An import that was given up leaves stores that another archive can be imported into.
#[tokio::test]
async fn an_import_can_be_abandoned() {
    let (_zone, files) = zone_with_files().await;
    let archive = export(&files).await;
    let stores = memory_stores();
    let nothing = Zone::abandon_import(&stores).await.unwrap_err();
    assert_eq!(nothing.kind(), Kind::Conflict);
    let cut = &archive[..archive.len() / 2];
    assert!(Zone::import(&stores, cut, |_, _| {}).await.is_err());
    Zone::abandon_import(&stores).await.unwrap();
    put(&files, "/later", "1").await;
    let copy = import(&stores, &export(&files).await).await;
    let copy = copy.session(Context::system());
    same::same_state(&files, &copy, At::Latest).await;
    assert_eq!(problems(&copy).await, Vec::<String>::new());
}

/// A content that is there already is checked, not taken for good.
#[tokio::test]
async fn a_damaged_content_in_the_way_is_noticed() {
    let (_zone, files) = zone_with_files().await;
    let archive = export(&files).await;
    let stores = memory_stores();
    let etag = files.stat("/3", At::Latest).await.unwrap().etag.unwrap();
    let key = format!("b/{:02x}/{etag}", etag.hash[0]);
    let key = nexus_kernel::ObjectKey::new(key).unwrap();
    let body = Box::pin(futures::stream::iter([Ok(Bytes::from("something else"))]));
    let put = stores.objects.put(&key, body, Default::default()).await;
    put.unwrap();
    let refused = Zone::import(&stores, &archive[..], |_, _| {}).await;
    assert_eq!(refused.unwrap_err().kind(), Kind::Corrupt);
}
