//! An `fsync` on a mount reaches the disk, as `strace` sees it: the node flushes at least once for
//! each that comes alone, and for many that come at the same time far fewer times than they are.

use std::fs::File;
use std::io::Write;
use std::sync::Barrier;
use std::thread;

use nexus_tests::{Home, Mounted, WAIT_MAX};

const UNDER_STRACE: [&str; 5] = [
    "strace",
    "-f",
    "-qq",
    "--signal=none",
    "--trace=fsync,fdatasync,sync_file_range,syncfs,sync",
];

/// Each flush takes 20 ms: longer than all who sync need to come, however fast the disk is and
/// however busy the machine.
const SLOW_FLUSHES: &str = "--inject=fsync,fdatasync:delay_enter=20000";

/// How often the node has flushed so far: `strace` says each before the node hears of its end.
fn flushes(said: &[String]) -> usize {
    let is_flush = |line: &&String| line.contains("sync") && line.contains(" = 0");
    said.iter().filter(is_flush).count()
}

fn flushes_of(mounted: &Mounted) -> usize {
    let said = mounted.process().log();
    flushes(&said.lines().map(str::to_owned).collect::<Vec<_>>())
}

fn write_and_sync(mut file: &File, text: &str) {
    file.write_all(text.as_bytes()).expect("it is open");
    file.sync_all().expect("the disk is well");
}

#[test]
fn each_fsync_reaches_the_disk() {
    const SYNCS: usize = 30;
    let home = Home::new();
    let mounted = home.mount_through(&UNDER_STRACE);
    let file = File::create(mounted.path("a")).expect("it is free");
    let before = flushes_of(&mounted);
    for n in 1..=SYNCS {
        write_and_sync(&file, "line\n");
        mounted
            .process()
            .wait_for_log("a flush for each fsync", WAIT_MAX, |said| {
                (flushes(said) >= before + n).then_some(())
            });
    }
    drop(file);
    mounted.unmount();
}

#[test]
fn many_who_sync_at_once_share_flushes() {
    const THREADS: usize = 16;
    const SYNCS: usize = 20;
    let home = Home::new();
    let under = [&UNDER_STRACE[..], &[SLOW_FLUSHES]].concat();
    let mounted = home.mount_through(&under);
    let together = Barrier::new(THREADS);
    let before = flushes_of(&mounted);
    thread::scope(|scope| {
        for n in 0..THREADS {
            let path = mounted.path(&n.to_string());
            let file = File::create(path).expect("it is free");
            let together = &together;
            scope.spawn(move || {
                for _ in 0..SYNCS {
                    together.wait();
                    write_and_sync(&file, "line\n");
                }
            });
        }
    });
    let shared = flushes_of(&mounted) - before;
    // A round of all threads takes at least one.
    assert!(
        (SYNCS..=THREADS * SYNCS / 3).contains(&shared),
        "{shared} flushes for {} fsyncs",
        THREADS * SYNCS
    );
    mounted.unmount();
}
