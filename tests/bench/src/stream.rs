//! Large files.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use bytes::Bytes;
use futures::TryStreamExt;
use nexus_fs::{At, WriteOptions};

use crate::report::Report;
use crate::zone::{TestZone, folder, noise};

const PIECE: usize = 1 << 20;

pub(crate) async fn run(report: &mut Report, mib: usize) -> Result<()> {
    let pieces: Vec<Bytes> = (0..mib).map(|i| noise(i, PIECE)).collect();
    let start = Instant::now();
    pieces
        .iter()
        .for_each(|piece| _ = std::hint::black_box(blake3::hash(piece)));
    let hash = mib as f64 / start.elapsed().as_secs_f64();
    let folder = folder()?;
    let (disk_in, disk_out) = disk(folder.path(), &pieces)?;
    let zone = TestZone::new().await?;
    let start = Instant::now();
    let body = futures::stream::iter(pieces.into_iter().map(Ok));
    zone.files
        .write_stream("/big", Box::pin(body), WriteOptions::default())
        .await?;
    let ours_in = mib as f64 / start.elapsed().as_secs_f64();
    let start = Instant::now();
    let mut content = zone.files.open("/big", At::Latest, None).await?;
    let mut read = 0;
    while let Some(piece) = content.body.try_next().await? {
        read += piece.len();
    }
    assert_eq!(read, mib * PIECE);
    let ours_out = mib as f64 / start.elapsed().as_secs_f64();
    for (way, ours, disk, least) in [
        ("in", ours_in, disk_in, 0.5),
        ("out", ours_out, disk_out, 0.7),
    ] {
        let base = disk.min(hash);
        report.row(
            format!("stream {mib} MiB {way}"),
            format!("{ours:.0} MiB/s"),
            format!("BLAKE3 {hash:.0}, disk {disk:.0} MiB/s"),
            Some(ours / base),
            &format!(">= {least}"),
            ours / base >= least,
        );
    }
    Ok(())
}

/// What the disk takes in durably and gives out again, in MiB/s.
fn disk(folder: &Path, pieces: &[Bytes]) -> Result<(f64, f64)> {
    let path = folder.join("plain");
    let start = Instant::now();
    let mut file = File::create(&path)?;
    for piece in pieces {
        file.write_all(piece)?;
    }
    file.sync_all()?;
    let written = pieces.len() as f64 / start.elapsed().as_secs_f64();
    let start = Instant::now();
    let mut file = File::open(&path)?;
    let mut buffer = vec![0; PIECE];
    while file.read(&mut buffer)? > 0 {}
    Ok((written, pieces.len() as f64 / start.elapsed().as_secs_f64()))
}
