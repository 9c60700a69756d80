//! Durable writes.

use anyhow::Result;
use bytes::Bytes;
use nexus_fs::{MkdirOptions, WriteOptions};

use crate::baseline::{OneRow, durable_file};
use crate::report::{Report, rate, time};
use crate::sample::{concurrent, each, threads};
use crate::zone::{TestZone, folder, noise};

pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let one = one_writer(report).await?;
    many_writers(report, one).await?;
    larger_writes(report).await
}

fn write_to(
    zone: &TestZone,
    top: &'static str,
    size: usize,
) -> impl Fn(usize) -> futures::future::BoxFuture<'static, ()> + Clone + use<> {
    let files = zone.files.clone();
    move |i| {
        let files = files.clone();
        Box::pin(async move {
            let content = if size > 8192 {
                noise(i, size)
            } else {
                Bytes::from(vec![7; size])
            };
            files
                .write(&format!("{top}/f{i:06}"), content, WriteOptions::default())
                .await
                .expect("a write");
        })
    }
}

async fn one_writer(report: &mut Report) -> Result<f64> {
    let zone = TestZone::new().await?;
    zone.files.mkdir("/one", MkdirOptions::default()).await?;
    let write = write_to(&zone, "/one", 4096);
    let baseline = folder()?;
    let row = OneRow::new(baseline.path());
    each(200, |i| {
        row.commit(i, &[7; 4096]);
        async {}
    })
    .await;
    each(200, |i| write(1_000_000 + i)).await;
    let base = each(2000, |i| {
        row.commit(1000 + i, &[7; 4096]);
        async {}
    })
    .await;
    let ours = each(2000, &write).await;
    let ratio = ours.p50().as_secs_f64() / base.p50().as_secs_f64();
    report.row(
        "durable create of 4 KiB, 1 writer, p50",
        time(ours.p50()),
        format!("redb commit of one 4 KiB row {}", time(base.p50())),
        Some(ratio),
        "<= 1.5",
        ratio <= 1.5,
    );
    Ok(concurrent(3, 1, 1000, move |i| write(10_000 + i)).await)
}

async fn many_writers(report: &mut Report, one: f64) -> Result<()> {
    let zone = TestZone::new().await?;
    zone.files.mkdir("/many", MkdirOptions::default()).await?;
    let ours = concurrent(5, 64, 200, write_to(&zone, "/many", 4096)).await;
    let folder = folder()?;
    let ext4 = threads(3, 64, 20, |i| {
        durable_file(folder.path(), &format!("f{i}"), &[7; 4096]);
    });
    report.row(
        "durable create of 4 KiB, 64 writers",
        rate(ours),
        format!("1 writer {}", rate(one)),
        Some(ours / one),
        ">= 8",
        ours / one >= 8.0,
    );
    report.row(
        "the same",
        rate(ours),
        format!("ext4, 64 writers {}", rate(ext4)),
        Some(ours / ext4),
        ">= 5",
        ours / ext4 >= 5.0,
    );
    Ok(())
}

async fn larger_writes(report: &mut Report) -> Result<()> {
    let zone = TestZone::new().await?;
    zone.files.mkdir("/large", MkdirOptions::default()).await?;
    let ours = concurrent(5, 16, 100, write_to(&zone, "/large", 64 << 10)).await;
    let folder = folder()?;
    let ext4 = threads(3, 16, 40, |i| {
        durable_file(folder.path(), &format!("f{i}"), &noise(i, 64 << 10));
    });
    report.row(
        "durable write of 64 KiB, 16 writers",
        rate(ours),
        format!("ext4, 16 writers {}", rate(ext4)),
        Some(ours / ext4),
        ">= 3",
        ours / ext4 >= 3.0,
    );
    Ok(())
}
