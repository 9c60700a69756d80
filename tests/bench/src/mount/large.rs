//! One large file from end to end.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use anyhow::Result;

use super::Bench;
use super::figures::{AtLeast, Each, Unit, median_rate, timed};
use super::subjects::{Caches, drop_caches, drop_pages_of};
use crate::zone::noise;

const MIB: usize = 1 << 20;
/// What the file is made of; each block gets a number, so that no two are alike.
const PATTERN_BYTES: usize = 64 * MIB;
const BLOCK_BYTES: usize = 4096;
const WRITE_RATE_MIN: f64 = 350.0;
const READ_RATE_MIN: f64 = 1000.0;
const NEAR_EXT4: f64 = 0.8;

#[derive(Clone, Copy)]
struct Rates {
    written: f64,
    durable: f64,
    cold: f64,
    dropped: f64,
    again: f64,
}

pub(super) fn stream(bench: &mut Bench<'_>) -> Result<()> {
    let mut pattern = noise(0, PATTERN_BYTES).to_vec();
    let (mib, disk) = (bench.stream_mib, bench.subjects.ext4.clone());
    let rounds = bench.rounds(bench.long_rounds(), |root, round| {
        let path = root.join("large");
        let mut write = |durable| write(&path, &mut pattern, mib, 2 * round, durable);
        let written = write(false)?;
        fs::remove_file(&path)?;
        let durable = write(true)?;
        drop_caches(Caches::Pages, &disk)?;
        let cold = read(&path, mib)?;
        drop_pages_of(&path)?;
        let rates = Rates {
            written,
            durable,
            cold,
            dropped: read(&path, mib)?,
            again: read(&path, mib)?,
        };
        fs::remove_file(&path)?;
        Ok(rates)
    })?;
    let of = |pick: fn(&Rates) -> f64| {
        let of = |rounds: &[Rates]| median_rate(rounds.iter().map(pick).collect());
        Each {
            ext4: of(&rounds.ext4),
            memory: of(&rounds.memory),
            nexus: of(&rounds.nexus),
        }
    };
    let (write, read) = (AtLeast::Rate(WRITE_RATE_MIN), AtLeast::Rate(READ_RATE_MIN));
    let near = AtLeast::TimesExt4(NEAR_EXT4);
    for (what, rates, target) in [
        ("write", of(|rates| rates.written), write),
        ("write, with fsync", of(|rates| rates.durable), write),
        ("read, cold", of(|rates| rates.cold), near),
        ("read, its pages dropped", of(|rates| rates.dropped), read),
        ("read, again", of(|rates| rates.again), AtLeast::Anything),
    ] {
        bench.rate_row(&format!("{what}, {mib} MiB"), rates, Unit::Mib, target);
    }
    Ok(())
}

fn write(path: &Path, pattern: &mut [u8], mib: usize, seed: usize, durable: bool) -> Result<f64> {
    let seed = seed + usize::from(durable);
    let took = timed(|| {
        let mut file = File::create(path)?;
        for i in 0..mib {
            let piece = &mut pattern[i * MIB % PATTERN_BYTES..][..MIB];
            for (block, bytes) in piece.chunks_mut(BLOCK_BYTES).enumerate() {
                let number = (seed * mib + i) * MIB + block;
                bytes[..size_of::<usize>()].copy_from_slice(&number.to_ne_bytes());
            }
            file.write_all(piece)?;
        }
        if durable {
            file.sync_all()?;
        }
        Ok(())
    })?;
    Ok(mib as f64 / took.as_secs_f64())
}

fn read(path: &Path, mib: usize) -> Result<f64> {
    let mut buffer = vec![0; MIB];
    let took = timed(|| {
        let mut file = File::open(path)?;
        for _ in 0..mib {
            file.read_exact(&mut buffer)?;
        }
        Ok(())
    })?;
    Ok(mib as f64 / took.as_secs_f64())
}
