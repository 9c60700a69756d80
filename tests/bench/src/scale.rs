//! A million files.

use anyhow::Result;
use bytes::Bytes;
use nexus_fs::{MoveOptions, WriteOptions};

use crate::report::{Report, time};
use crate::sample::{Samples, each};
use crate::zone::TestZone;

pub(crate) async fn run(report: &mut Report, files: usize) -> Result<()> {
    let zone = TestZone::new().await?;
    zone.fill("/small", 10_000, |_| Bytes::from_static(&[7; 200]))
        .await?;
    let few = creates(&zone, "few").await;
    zone.fill("/all", files - 10_000, |_| Bytes::from_static(&[7; 200]))
        .await?;
    let many = creates(&zone, "many").await;
    let ratio = many.p50().as_secs_f64() / few.p50().as_secs_f64();
    report.row(
        format!("create at {files} files, p50"),
        time(many.p50()),
        format!("at 10,000 files {}", time(few.p50())),
        Some(ratio),
        "<= 1.5",
        ratio <= 1.5,
    );
    let resident = resident_mib("self")?;
    report.row(
        format!("resident memory with {files} files"),
        format!("{resident} MiB"),
        String::new(),
        None,
        "< 512 MiB",
        resident < 512,
    );
    rename(report, &zone).await
}

async fn creates(zone: &TestZone, name: &str) -> Samples {
    let files = &zone.files;
    each(1000, |i| async move {
        let options = WriteOptions {
            parents: true,
            ..WriteOptions::default()
        };
        files
            .write(
                &format!("/new-{name}/{i}"),
                Bytes::from_static(&[7; 200]),
                options,
            )
            .await
            .expect("a write");
    })
    .await
}

async fn rename(report: &mut Report, zone: &TestZone) -> Result<()> {
    zone.fill("/hundred", 100_000, |_| Bytes::from_static(&[7; 20]))
        .await?;
    zone.files
        .mkdir("/empty", nexus_fs::MkdirOptions::default())
        .await?;
    let files = &zone.files;
    let back_and_forth = |name: &'static str| async move {
        each(400, |i| async move {
            let (one, two) = (format!("/{name}"), format!("/{name}2"));
            let (from, to) = if i % 2 == 0 { (one, two) } else { (two, one) };
            files
                .rename(&from, &to, MoveOptions::default())
                .await
                .expect("a rename");
        })
        .await
        .p50()
    };
    let empty = back_and_forth("empty").await;
    let full = back_and_forth("hundred").await;
    let ratio = full.as_secs_f64() / empty.as_secs_f64();
    report.row(
        "rename of a directory with 100,000 files, p50",
        time(full),
        format!("of an empty one {}", time(empty)),
        Some(ratio),
        "<= 1.2",
        ratio <= 1.2,
    );
    Ok(())
}

/// Resident memory of a process.
pub(crate) fn resident_mib(pid: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    Ok(kib / 1024)
}
