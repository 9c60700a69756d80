//! Stat, read and list in process.

use std::time::Duration;

use anyhow::Result;
use nexus_fs::{At, ListOptions};

use crate::report::{Report, time};
use crate::sample::{each, rounds};
use crate::zone::{TestZone, folder, noise, path};

const FILES: usize = 20_000;

pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let folder = folder()?;
    let zone = TestZone::open(folder.path()).await?;
    zone.fill("/r", FILES, |i| noise(i, 4096)).await?;
    hot(report, &zone).await;
    zone.close().await?;
    cold(report, folder.path()).await?;
    list(report, folder.path()).await
}

fn check(report: &mut Report, what: &str, p50: Duration, most: Duration, baseline: &str) {
    let target = format!("<= {}", time(most));
    report.row(what, time(p50), baseline.into(), None, &target, p50 <= most);
}

async fn hot(report: &mut Report, zone: &TestZone) {
    let files = &zone.files;
    let target = path("/r", 4242);
    let stat = || async { drop(std::hint::black_box(files.stat(&target, At::Latest).await)) };
    rounds(20, 1000, stat).await;
    let stat = rounds(300, 1000, stat).await;
    check(
        report,
        "stat, hot, p50",
        stat.p50(),
        Duration::from_micros(1),
        "",
    );
    let read = || async { drop(std::hint::black_box(files.read(&target, At::Latest).await)) };
    rounds(20, 1000, read).await;
    let read = rounds(300, 1000, read).await;
    let hash = rounds(100, 1000, || async {
        let _ = std::hint::black_box(blake3::hash(&[7; 4096]));
    })
    .await;
    let baseline = format!("its hash alone {}", time(hash.p50()));
    check(
        report,
        "read 4 KiB, hot, p50",
        read.p50(),
        Duration::from_micros(2),
        &baseline,
    );
}

async fn cold(report: &mut Report, folder: &std::path::Path) -> Result<()> {
    let zone = TestZone::open(folder).await?;
    let files = &zone.files;
    // One file of each directory and step, so that every inode and dentry is a miss.
    let target = |i: usize| path("/r", (i * 7919) % (FILES / 2));
    let stat = each(5000, |i| {
        let target = target(i);
        async move { drop(files.stat(&target, At::Latest).await) }
    })
    .await;
    check(
        report,
        "stat, cold, p50",
        stat.p50(),
        Duration::from_micros(20),
        "",
    );
    let target = |i: usize| path("/r", FILES / 2 + (i * 7919) % (FILES / 2));
    let read = each(5000, |i| {
        let target = target(i);
        async move { drop(files.read(&target, At::Latest).await) }
    })
    .await;
    check(
        report,
        "read 4 KiB, cold, p50",
        read.p50(),
        Duration::from_micros(25),
        "",
    );
    zone.close().await
}

async fn list(report: &mut Report, folder: &std::path::Path) -> Result<()> {
    let zone = TestZone::open(folder).await?;
    let files = &zone.files;
    for (details, most) in [(false, 300), (true, 1000)] {
        let options = ListOptions {
            details,
            ..ListOptions::default()
        };
        let list = |i: usize| {
            let options = options.clone();
            async move {
                let page = files
                    .list(&format!("/r/d{:04}", i % 4), options)
                    .await
                    .expect("a page");
                assert_eq!(page.entries.len(), 1000);
            }
        };
        each(20, list).await;
        let times = each(300, list).await;
        let what = if details {
            "list 1,000 entries, details, p50"
        } else {
            "list 1,000 entries, names, p50"
        };
        check(report, what, times.p50(), Duration::from_micros(most), "");
    }
    zone.close().await
}
