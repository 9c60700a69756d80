//! Small files, one call after the other.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Bench;
use super::figures::{AtLeast, AtMost, Unit, each_timed, median_rate, timed};
use super::subjects::{Caches, drop_caches, drop_pages_of};
use crate::zone::noise;

const FILE_BYTES: usize = 4096;
const FILES: usize = 1000;
const WRITERS: usize = 16;
const FSYNCS_EACH: usize = 64;
const MEDIUM_FILES: usize = 64;
const MEDIUM_BYTES: usize = 1 << 20;

pub(super) fn create(bench: &mut Bench<'_>) -> Result<()> {
    let contents: Vec<_> = (0..FILES).map(|i| noise(i, FILE_BYTES)).collect();
    let created = |root: &Path, round: usize| {
        let folder = made(root, &format!("create-{round}"))?;
        each_timed(FILES, |i| {
            let mut file = File::create(folder.join(i.to_string()))?;
            Ok(file.write_all(&contents[i])?)
        })
    };
    bench.rounds(1, |root, _| created(root, usize::MAX))?;
    let times = bench.rounds(bench.rounds, created)?;
    bench.time_row(
        "create + write 4 KiB + close, p50",
        times.p50(),
        AtMost::Time(Duration::from_micros(100)),
    );
    let target = AtLeast::Rate(8000.0);
    bench.rate_row("the same", times.rates(), Unit::Calls, target);
    Ok(())
}

pub(super) fn fsync(bench: &mut Bench<'_>) -> Result<()> {
    let rates = bench.rounds(bench.rounds, |root, round| {
        let folder = made(root, &format!("fsync-{round}"))?;
        fsyncs(&folder, round)
    })?;
    bench.rate_row(
        "create + write 4 KiB + fsync + close, 16 threads",
        rates.map(median_rate),
        Unit::Calls,
        AtLeast::TimesExt4(5.0),
    );
    Ok(())
}

fn fsyncs(folder: &Path, round: usize) -> Result<f64> {
    let write = |writer: usize| -> Result<()> {
        for i in 0..FSYNCS_EACH {
            let seed = (round * WRITERS + writer) * FSYNCS_EACH + i;
            let mut file = File::create(folder.join(format!("{writer}-{i}")))?;
            file.write_all(&noise(seed, FILE_BYTES))?;
            file.sync_all()?;
        }
        Ok(())
    };
    let start = Instant::now();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| scope.spawn(move || write(writer)))
            .collect();
        writers
            .into_iter()
            .try_for_each(|writer| writer.join().expect("a writer that panicked has said why"))
    })?;
    Ok((WRITERS * FSYNCS_EACH) as f64 / start.elapsed().as_secs_f64())
}

pub(super) fn stat(bench: &mut Bench<'_>) -> Result<()> {
    bench.rounds(1, |root, _| filled(root, "stat", FILES, FILE_BYTES))?;
    let stat = |root: &Path, i: usize| -> Result<()> {
        fs::metadata(root.join("stat").join(i.to_string()))?;
        Ok(())
    };
    let cached = bench.rounds(bench.rounds, |root, _| {
        (0..FILES).try_for_each(|i| stat(root, i))?;
        // Too short to be timed one by one.
        let all = timed(|| (0..FILES).try_for_each(|i| stat(root, i)))?;
        Ok(all / FILES as u32)
    })?;
    bench.time_row(
        "stat, cached by the kernel",
        cached.medians(),
        AtMost::TimesMemory(1.1),
    );
    let disk = bench.subjects.ext4.clone();
    let uncached = bench.rounds(bench.rounds, |root, _| {
        drop_caches(Caches::Names, &disk)?;
        each_timed(FILES, |i| stat(root, i))
    })?;
    bench.time_row(
        "stat, not cached, p50",
        uncached.p50(),
        AtMost::Time(Duration::from_micros(40)),
    );
    Ok(())
}

pub(super) fn read(bench: &mut Bench<'_>) -> Result<()> {
    bench.rounds(1, |root, _| filled(root, "read", FILES, FILE_BYTES))?;
    let target = AtMost::Time(Duration::from_micros(40));
    let what = "open + read 4 KiB + close";
    read_rows(bench, "read", what, (FILES, FILE_BYTES), target)
}

pub(super) fn medium(bench: &mut Bench<'_>) -> Result<()> {
    let files = (MEDIUM_FILES, MEDIUM_BYTES);
    bench.rounds(1, |root, _| filled(root, "medium", files.0, files.1))?;
    let what = "open + read 1 MiB + close";
    read_rows(bench, "medium", what, files, AtMost::Anything)
}

fn read_rows(
    bench: &mut Bench<'_>,
    name: &str,
    what: &str,
    (files, bytes): (usize, usize),
    target: AtMost,
) -> Result<()> {
    let mut buffer = vec![0; bytes];
    let mut read = |folder: &Path, i: usize| -> Result<()> {
        File::open(folder.join(i.to_string()))?.read_exact(&mut buffer)?;
        Ok(())
    };
    let warm = bench.rounds(bench.rounds, |root, _| {
        let folder = root.join(name);
        (0..files).try_for_each(|i| read(&folder, i))?;
        each_timed(files, |i| read(&folder, i))
    })?;
    bench.time_row(&format!("{what}, p50"), warm.p50(), target);
    let dropped = bench.rounds(bench.rounds, |root, _| {
        let folder = root.join(name);
        (0..files).try_for_each(|i| drop_pages_of(&folder.join(i.to_string())))?;
        each_timed(files, |i| read(&folder, i))
    })?;
    bench.time_row(
        &format!("{what}, its pages dropped, p50"),
        dropped.p50(),
        AtMost::Anything,
    );
    let disk = bench.subjects.ext4.clone();
    let cold = bench.rounds(bench.rounds, |root, _| {
        drop_caches(Caches::All, &disk)?;
        each_timed(files, |i| read(&root.join(name), i))
    })?;
    bench.time_row(
        &format!("{what}, nothing cached by the kernel, p50"),
        cold.p50(),
        AtMost::Anything,
    );
    Ok(())
}

pub(super) fn list(bench: &mut Bench<'_>) -> Result<()> {
    bench.rounds(1, |root, _| filled(root, "list", FILES, 100))?;
    let list = |root: &Path| {
        timed(|| {
            for entry in fs::read_dir(root.join("list"))? {
                entry?.metadata()?;
            }
            Ok(())
        })
    };
    let target = AtMost::Time(Duration::from_millis(5));
    let disk = bench.subjects.ext4.clone();
    let cold = bench.rounds(bench.rounds, |root, _| {
        drop_caches(Caches::Names, &disk)?;
        list(root)
    })?;
    let what = "readdir + stat of 1,000 entries, not cached";
    bench.time_row(what, cold.medians(), target);
    let warm = bench.rounds(bench.rounds, |root, _| {
        list(root)?;
        list(root)
    })?;
    let what = "readdir + stat of 1,000 entries, again";
    bench.time_row(what, warm.medians(), target);
    Ok(())
}

fn made(root: &Path, name: &str) -> Result<PathBuf> {
    let folder = root.join(name);
    fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder)
}

fn filled(root: &Path, name: &str, files: usize, bytes: usize) -> Result<()> {
    let folder = made(root, name)?;
    for i in 0..files {
        fs::write(folder.join(i.to_string()), noise(i, bytes))?;
    }
    Ok(())
}
