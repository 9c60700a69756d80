//! What history costs: kept beside collected, snapshots, and reads of the past.

use std::os::unix::fs::MetadataExt;
use std::time::Instant;

use anyhow::{Context, Result};
use bytes::Bytes;
use nexus_fs::{At, BatchStep, NewSnapshot, RetentionLimits, WriteOptions};
use nexus_kernel::Durability;

use crate::report::{Report, time};
use crate::sample::{Samples, each, rounds};
use crate::zone::{TestZone, folder, noise, path};

/// Files that are overwritten, and how often.
const FILES: usize = 5_000;
const VERSIONS: usize = 10;
const FILE_BYTES: usize = 4096;
const LATER: usize = 1_000;

pub(crate) async fn run(report: &mut Report, files: usize) -> Result<()> {
    keeping(report).await?;
    snapshots(report, files).await?;
    as_of(report).await
}

/// What the overwrites took.
struct Overwrites {
    seconds: f64,
    /// Of the folder at the end, as the disk counts its blocks.
    kept: u64,
    /// What went to the disk on the way.
    written: u64,
}

/// The same overwrites with and without their history: time with the collection, and bytes.
async fn keeping(report: &mut Report) -> Result<()> {
    let all = overwrites(None).await?;
    let one = overwrites(Some(1)).await?;
    let ratio = all.seconds / one.seconds;
    report.row(
        format!("{FILES} files of 4 KiB overwritten {VERSIONS} times, all history kept"),
        format!("{:.2} s", all.seconds),
        format!("one version kept {:.2} s", one.seconds),
        Some(ratio),
        "<= 1.25",
        ratio <= 1.25,
    );
    let ratio = all.written as f64 / one.written as f64;
    report.row(
        "bytes that went to the disk for it",
        mebibytes(all.written),
        format!("one version kept {}", mebibytes(one.written)),
        Some(ratio),
        "<= 1.6",
        ratio <= 1.6,
    );
    report.judged(
        "bytes that it takes on the disk in the end",
        mebibytes(all.kept),
        format!(
            "one version kept {}; the contents alone {} and {}",
            mebibytes(one.kept),
            mebibytes((FILES * VERSIONS * FILE_BYTES) as u64),
            mebibytes((FILES * FILE_BYTES) as u64),
        ),
        Some(all.kept as f64 / one.kept as f64),
        "",
        None,
    );
    Ok(())
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

async fn overwrites(versions: Option<u64>) -> Result<Overwrites> {
    let folder = folder()?;
    let zone = TestZone::open(folder.path()).await?;
    if versions.is_some() {
        let limits = RetentionLimits {
            max_age: None,
            max_versions: versions,
        };
        zone.files.set_retention("/**", limits).await?;
    }
    let (begun, before) = (Instant::now(), written()?);
    for round in 0..VERSIONS {
        zone.fill("/w", FILES, |i| noise(round * FILES + i, FILE_BYTES))
            .await?;
        if versions.is_some() {
            let now = zone.files.now();
            zone.files.compact(now, false).await?;
        }
    }
    zone.files.sync().await?;
    let seconds = begun.elapsed().as_secs_f64();
    zone.close().await?;
    Ok(Overwrites {
        seconds,
        kept: bytes_below(folder.path())?,
        written: written()? - before,
    })
}

/// Bytes that this process has sent to the disk.
fn written() -> Result<u64> {
    let counters = std::fs::read_to_string("/proc/self/io")?;
    let line = counters
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: "));
    Ok(line.context("the system counts what is written")?.parse()?)
}

fn bytes_below(folder: &std::path::Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).context("the folder of the zone")? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => bytes_below(&entry.path())?,
            false => entry.metadata()?.blocks() * 512,
        };
    }
    Ok(bytes)
}

/// A snapshot of many files beside one of ten, and beside one durable commit.
async fn snapshots(report: &mut Report, files: usize) -> Result<()> {
    let zone = TestZone::new().await?;
    zone.fill("/ten", 10, |_| Bytes::from_static(&[7; 200]))
        .await?;
    zone.fill("/many", files, |_| Bytes::from_static(&[7; 200]))
        .await?;
    let commit = each(300, |i| {
        let files = &zone.files;
        async move {
            let mode = nexus_fs::SetAttributes {
                mode: Some(0o700 + u32::try_from(i % 8).unwrap_or(0)),
                ..Default::default()
            };
            let changed = files.set_attributes("/ten", mode, Durability::Sync);
            changed.await.expect("a change");
        }
    })
    .await;
    let few = makes(&zone, "/ten").await;
    let many = makes(&zone, "/many").await;
    let over = many.p50().saturating_sub(commit.p50());
    report.row(
        format!("snapshot of {files} files, p50, over one durable commit"),
        time(over),
        format!("a durable commit {}", time(commit.p50())),
        None,
        "<= 1 ms",
        over.as_micros() <= 1_000,
    );
    let ratio = many.p50().as_secs_f64() / few.p50().as_secs_f64();
    report.row(
        format!("snapshot of {files} files, p50"),
        time(many.p50()),
        format!("of 10 files {}", time(few.p50())),
        Some(ratio),
        "<= 1.25",
        ratio <= 1.25,
    );
    Ok(())
}

async fn makes(zone: &TestZone, top: &str) -> Samples {
    let files = &zone.files;
    each(300, |_| async move {
        let made = files.create_snapshot(top, NewSnapshot::default()).await;
        made.expect("a snapshot");
    })
    .await
}

/// A read of the past with many later versions on top beside a read of today.
async fn as_of(report: &mut Report) -> Result<()> {
    let zone = TestZone::new().await?;
    zone.fill("/r", 1_000, |i| noise(i, 4096)).await?;
    let target = path("/r", 500);
    let first = zone.files.revision().await?;
    for round in 0..LATER / 100 {
        for i in 0..100 {
            let steps = vec![BatchStep::Write {
                path: target.clone(),
                content: noise(1_000_000 + round * 100 + i, 4096),
                options: WriteOptions::default(),
            }];
            zone.files.batch(steps, Durability::Relaxed).await?;
        }
        zone.files.sync().await?;
    }
    let read = async |at: At| {
        let read = || async {
            let read = zone.files.read(&target, at.clone()).await;
            drop(std::hint::black_box(read.expect("it is there")));
        };
        rounds(20, 200, read).await;
        rounds(200, 200, read).await.p50()
    };
    let today = read(At::Latest).await;
    let now = read(At::Revision(zone.files.revision().await?)).await;
    let past = read(At::Revision(first)).await;
    let ratio = past.as_secs_f64() / now.as_secs_f64();
    report.row(
        format!("read 4 KiB as of a revision, {LATER} later versions on top, p50"),
        time(past),
        format!(
            "as of the newest revision {}, today's from memory {}",
            time(now),
            time(today)
        ),
        Some(ratio),
        "<= 2",
        ratio <= 2.0,
    );
    Ok(())
}
