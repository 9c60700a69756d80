//! A whole zone into an archive and back, beside tar.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, ensure};
use futures::TryStreamExt;
use nexus_fs::{ExportOptions, Stores, Zone};
use nexus_kernel::Durability;
use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufReader};

use crate::report::Report;
use crate::zone::{TestZone, folder, noise, stores};

const SMALL: (usize, usize) = (20_000, 4 << 10);
const LARGE: (usize, usize) = (400, 256 << 10);

pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let folder = folder()?;
    let zone = TestZone::new().await?;
    let plain = folder.path().join("plain");
    for (name, (files, bytes)) in [("small", SMALL), ("large", LARGE)] {
        fill(&zone, &plain, name, files, bytes).await?;
    }
    zone.zone.close().await?;
    let mib = (SMALL.0 * SMALL.1 + LARGE.0 * LARGE.1) as f64 / f64::from(1 << 20);
    let rate = |start: Instant| mib / start.elapsed().as_secs_f64();

    let start = Instant::now();
    shell(
        folder.path(),
        "tar -cf - plain | cat > plain.tar && sync plain.tar",
    )?;
    let tar_out = rate(start);
    let start = Instant::now();
    shell(
        folder.path(),
        "mkdir copy && cat plain.tar | tar -C copy -xf - && sync -f copy",
    )?;
    let tar_in = rate(start);

    let archive = folder.path().join("zone.nxz");
    let start = Instant::now();
    export(&zone, &archive).await?;
    let ours_out = rate(start);
    let start = Instant::now();
    import(&folder.path().join("other"), &archive).await?;
    let ours_in = rate(start);
    for (what, ours, tar) in [("export", ours_out, tar_out), ("import", ours_in, tar_in)] {
        report.judged(
            format!(
                "archive: {what} of {mib:.0} MiB, {} files",
                SMALL.0 + LARGE.0
            ),
            format!("{ours:.0} MiB/s"),
            format!("tar {tar:.0} MiB/s"),
            Some(ours / tar),
            "",
            None,
        );
    }
    Ok(())
}

/// The same files in the zone and on the disk, all different.
async fn fill(zone: &TestZone, plain: &Path, name: &str, files: usize, bytes: usize) -> Result<()> {
    let directory = plain.join(name);
    std::fs::create_dir_all(&directory)?;
    for n in 0..files {
        let content = noise(n ^ bytes, bytes);
        std::fs::write(directory.join(n.to_string()), &content)?;
        let options = nexus_fs::WriteOptions {
            parents: true,
            durability: Durability::Relaxed,
            ..Default::default()
        };
        zone.files
            .write(&format!("/{name}/{n}"), content, options)
            .await?;
    }
    Ok(())
}

async fn export(zone: &TestZone, archive: &Path) -> Result<()> {
    let mut body = zone.files.export_zone(ExportOptions::default()).await?;
    let mut file = File::create(archive).await?;
    while let Some(block) = body.try_next().await? {
        file.write_all(&block).await?;
    }
    file.sync_all().await?;
    Ok(())
}

async fn import(folder: &Path, archive: &Path) -> Result<()> {
    std::fs::create_dir(folder)?;
    let (metastore, objects) = stores(folder)?;
    let stores = Stores {
        metastore: metastore as _,
        objects: objects as _,
    };
    let file = BufReader::with_capacity(1 << 20, File::open(archive).await?);
    Zone::import(&stores, file, |_, _| {}).await?;
    Ok(())
}

fn shell(folder: &Path, script: &str) -> Result<()> {
    let status = Command::new("sh")
        .args(["-ec", script])
        .current_dir(folder)
        .status()?;
    ensure!(status.success(), "{script} failed");
    Ok(())
}
