//! Locks: what a lease costs that nobody else wants, and what a fence adds to a write.

use std::time::Duration;

use anyhow::Result;
use nexus_fs::{AcquireOptions, Session, WriteOptions};
use nexus_kernel::Durability;
use nexus_service_api::Fence;

use crate::baseline::OneRow;
use crate::report::{Report, time};
use crate::sample::each;
use crate::zone::{TestZone, folder};

const DURABLE: usize = 500;
const RELAXED: usize = 5000;
/// Two commits, and something for what they hold.
const DURABLE_RATIO_MAX: f64 = 1.5;
const RELAXED_MAX: Duration = Duration::from_micros(100);

pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let zone = TestZone::new().await?;
    let files = &zone.files;
    files
        .write("/a", "x".into(), WriteOptions::default())
        .await?;
    let folder = folder()?;
    let baseline = OneRow::new(folder.path());
    let commits = each(DURABLE, |i| {
        baseline.commit(2 * i, b"row");
        baseline.commit(2 * i + 1, b"row");
        std::future::ready(())
    });
    let two_commits = commits.await.p50();
    let sync = each(DURABLE, |_| acquire_release(files, Durability::Sync))
        .await
        .p50();
    let ratio = sync.as_secs_f64() / two_commits.as_secs_f64();
    report.row(
        "lock acquire + release, durable, p50",
        time(sync),
        format!("two durable commits of redb {}", time(two_commits)),
        Some(ratio),
        "<= 1.5",
        ratio <= DURABLE_RATIO_MAX,
    );
    let relaxed = each(RELAXED, |_| acquire_release(files, Durability::Relaxed))
        .await
        .p50();
    report.row(
        "lock acquire + release, relaxed, p50",
        time(relaxed),
        String::new(),
        None,
        "<= 100 us",
        relaxed <= RELAXED_MAX,
    );
    fence(report, files).await?;
    zone.close().await
}

async fn acquire_release(files: &Session, durability: Durability) {
    let options = AcquireOptions {
        durability,
        ..AcquireOptions::default()
    };
    let lease = files.acquire_lock("/a", options).await.expect("it is free");
    let released = files.release_lock("/a", lease.token, durability).await;
    released.expect("it is held");
}

async fn fence(report: &mut Report, files: &Session) -> Result<()> {
    let lease = files.acquire_lock("/a", AcquireOptions::default()).await?;
    let fenced = files.standing_on(vec![Fence {
        token: lease.token,
        resource: lease.resource.into(),
    }]);
    let plain = each(RELAXED, |i| write(files, i)).await.p50();
    let with_fence = each(RELAXED, |i| write(&fenced, i)).await.p50();
    report.judged(
        "relaxed write with a fence, p50",
        time(with_fence),
        format!("the same without {}", time(plain)),
        Some(with_fence.as_secs_f64() / plain.as_secs_f64()),
        "",
        None,
    );
    Ok(())
}

async fn write(files: &Session, i: usize) {
    let options = WriteOptions {
        durability: Durability::Relaxed,
        ..WriteOptions::default()
    };
    let written = files
        .write("/a", crate::zone::noise(i, 1024), options)
        .await;
    written.expect("a write");
}
