//! Forks: what one costs, beside a copy of the same tree on the disk.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nexus_fs::{At, ForkOptions, WriteOptions};

use crate::report::{Report, time};
use crate::sample::each;
use crate::zone::{TestZone, folder, noise, path};

const FILES: usize = 100_000;
const FILE_BYTES: usize = 200;
const FORKS: usize = 50;
/// Writes that are timed, each to another file.
const WRITES: usize = 500;
/// How long a fork may take.
const MS_MAX: u128 = 100;

pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let zone = TestZone::new().await?;
    zone.fill("/few", 10, |i| noise(i, FILE_BYTES)).await?;
    zone.fill("/many", FILES, |i| noise(i, FILE_BYTES)).await?;
    let few = forks(&zone, "/few").await;
    let many = forks(&zone, "/many").await;
    let copy = copy_on_disk()?;
    report.row(
        format!("fork of {FILES} files, p50"),
        time(many),
        format!(
            "of 10 files {}; cp -r on the disk {}",
            time(few),
            time(copy)
        ),
        Some(many.as_secs_f64() / copy.as_secs_f64()),
        "<= 100 ms",
        many.as_millis() <= MS_MAX,
    );
    let usage = async |of: &str| zone.files.usage(of, At::Latest).await;
    ensure!(
        usage("/many-0").await? == usage("/many").await?,
        "a fork shows what it is of"
    );
    first_writes(report, &zone).await;
    zone.close().await
}

async fn forks(zone: &TestZone, of: &str) -> Duration {
    let files = &zone.files;
    let fork = |i| async move {
        let to = format!("{of}-{i}");
        let made = files.fork(of, &to, ForkOptions::default()).await;
        made.expect("the name is free");
    };
    each(FORKS, fork).await.p50()
}

/// What the first write to a file of a fork costs more than one to a file that has its rows.
async fn first_writes(report: &mut Report, zone: &TestZone) {
    let writes = async |top: &'static str| {
        let write = |i| async move {
            let content = noise(i, FILE_BYTES);
            let options = WriteOptions::default();
            let written = zone.files.write(&path(top, i), content, options).await;
            written.expect("a write");
        };
        each(WRITES, write).await.p50()
    };
    let plain = writes("/many").await;
    let first = writes("/many-1").await;
    report.judged(
        "first durable write to a file of a fork, p50",
        time(first),
        format!("to a file that was not forked {}", time(plain)),
        Some(first.as_secs_f64() / plain.as_secs_f64()),
        "",
        None,
    );
}

/// The same tree copied by the system, which shares blocks where the disk can.
fn copy_on_disk() -> Result<Duration> {
    let folder = folder()?;
    let from = folder.path().join("many");
    for i in 0..FILES {
        let name = path("many", i);
        let file = folder.path().join(Path::new(&name));
        if i % 1000 == 0 {
            std::fs::create_dir_all(file.parent().context("it lies in a directory")?)?;
        }
        std::fs::write(file, noise(i, FILE_BYTES))?;
    }
    let start = Instant::now();
    let copied = Command::new("cp")
        .args(["-r", "--reflink=auto"])
        .args([&from, &folder.path().join("copy")])
        .status()?;
    ensure!(copied.success(), "cp failed");
    Ok(start.elapsed())
}
