use redb::StorageBackend;

use super::{SECTOR, SimulatedDisk};

const LENGTH: usize = 4 * SECTOR;

/// A disk of `LENGTH` bytes that holds `byte` everywhere, synced.
fn disk_of(byte: u8, seed: u64) -> SimulatedDisk {
    let disk = SimulatedDisk::new(seed);
    disk.set_len(LENGTH as u64).unwrap();
    disk.write(0, &[byte; LENGTH]).unwrap();
    disk.sync_data().unwrap();
    disk
}

fn content(disk: &SimulatedDisk) -> Vec<u8> {
    let mut bytes = vec![0; disk.len().unwrap() as usize];
    disk.read(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn what_was_synced_survives() {
    for seed in 0..50 {
        assert_eq!(
            content(&disk_of(1, seed).restart()),
            [1; LENGTH],
            "seed {seed}"
        );
    }
}

#[test]
fn unsynced_writes_survive_by_whole_sectors() {
    let mut torn = 0;
    for seed in 0..200 {
        let disk = disk_of(1, seed);
        disk.write(100, &[2; LENGTH - 100]).unwrap();
        let found = content(&disk.restart());
        assert!(found[..100].iter().all(|byte| *byte == 1), "seed {seed}");
        let edges = std::iter::once(100).chain((1..=4).map(|n| n * SECTOR));
        let edges: Vec<_> = edges.collect();
        let sectors: Vec<_> = edges
            .windows(2)
            .map(|edge| &found[edge[0]..edge[1]])
            .collect();
        assert!(
            sectors
                .iter()
                .all(|sector| sector.iter().all(|byte| *byte == sector[0]))
        );
        let mixed = sectors.iter().any(|sector| sector[0] != sectors[0][0]);
        torn += usize::from(mixed);
    }
    assert!(torn > 20, "only {torn} writes were torn");
}

#[test]
fn the_power_goes_when_it_was_told_to() {
    let disk = disk_of(1, 7);
    disk.lose_power_after(2);
    disk.write(0, b"one").unwrap();
    disk.write(0, b"two").unwrap();
    assert!(disk.has_power());
    disk.sync_data().unwrap_err();
    assert!(!disk.has_power());
    disk.write(0, b"four").unwrap_err();
    disk.read(0, &mut [0]).unwrap_err();
}

#[test]
fn a_lying_disk_keeps_nothing_for_certain() {
    let lost = (0..50).any(|seed| {
        let disk = SimulatedDisk::new(seed);
        disk.lie_about_syncs();
        disk.set_len(LENGTH as u64).unwrap();
        disk.sync_data().unwrap();
        disk.restart().len().unwrap() == 0
    });
    assert!(lost);
}

#[test]
fn a_seed_replays() {
    let leftover = |seed| {
        let disk = disk_of(1, seed);
        disk.write(0, &[2; LENGTH]).unwrap();
        content(&disk.restart())
    };
    for seed in 0..50 {
        assert_eq!(leftover(seed), leftover(seed));
    }
}
