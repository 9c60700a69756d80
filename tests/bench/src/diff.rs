//! A hundred changes among a million files.

use std::time::Instant;

use anyhow::Result;
use bytes::Bytes;
use nexus_fs::{At, DiffTreeOptions, ListOptions, MoveOptions, RemoveOptions, WriteOptions};
use nexus_kernel::Revision;

use crate::report::{Report, time};
use crate::sample::each;
use crate::zone::{TestZone, path};

const CHANGES: usize = 100;
/// How long it may take.
const MS_MAX: u128 = 20;

pub(crate) async fn run(report: &mut Report, files: usize) -> Result<()> {
    let zone = TestZone::new().await?;
    zone.fill("/all", files, |_| Bytes::from_static(&[7; 200]))
        .await?;
    let before = zone.files.revision().await?;
    change(&zone, files).await?;
    let samples = each(20, |_| async {
        let changes = changes(&zone, before).await.expect("a comparison");
        assert_eq!(changes, CHANGES, "each change is told once");
    })
    .await;
    let began = Instant::now();
    let listed = list(&zone).await?;
    let walk = began.elapsed();
    assert!(listed >= files, "everything is listed");
    let ratio = samples.p50().as_secs_f64() / walk.as_secs_f64();
    report.row(
        format!("diff of {CHANGES} changes in {files} files, p50"),
        time(samples.p50()),
        format!("one listing of all {}", time(walk)),
        Some(ratio),
        "<= 20 ms",
        samples.p50().as_millis() <= MS_MAX,
    );
    Ok(())
}

/// Writes, makes, removes and moves files all over the tree.
async fn change(zone: &TestZone, files: usize) -> Result<()> {
    let session = &zone.files;
    for i in 0..CHANGES {
        let path = path("/all", i * (files / CHANGES));
        let (content, options) = (Bytes::from_static(b"new"), WriteOptions::default());
        match i % 4 {
            0 => session.write(&path, content, options).await?,
            1 => {
                session
                    .write(&format!("{path}-new"), content, options)
                    .await?
            }
            2 => session.remove(&path, RemoveOptions::default()).await?,
            _ => {
                let to = format!("{path}-moved");
                session.rename(&path, &to, MoveOptions::default()).await?
            }
        };
    }
    Ok(())
}

async fn changes(zone: &TestZone, before: Revision) -> Result<usize> {
    let (from, options) = (At::Revision(before), DiffTreeOptions::default());
    let diff = zone
        .files
        .diff_tree("/all", from, At::Latest, options)
        .await?;
    Ok(diff.changes.len())
}

async fn list(zone: &TestZone) -> Result<usize> {
    let mut options = ListOptions {
        recursive: true,
        limit: ListOptions::LIMIT_MAX,
        ..ListOptions::default()
    };
    let mut listed = 0;
    loop {
        let page = zone.files.list("/all", options.clone()).await?;
        listed += page.entries.len();
        match page.next {
            Some(next) => options.cursor = Some(next),
            None => return Ok(listed),
        }
    }
}
