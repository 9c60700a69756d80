//! A zone that is mounted, beside the disk and the floor of FUSE: the same calls with each, in
//! turn.

mod figures;
mod large;
mod memory;
mod small;
mod subjects;
mod trees;

use std::path::Path;

use anyhow::{Result, bail};
use tokio::signal::unix::{SignalKind, signal};

pub(crate) use memory::serve as serve_memory;

use crate::report::Report;
use subjects::{Running, Subjects};

/// What is measured, by the name it is asked for.
const ROWS: [(&str, Measure); 10] = [
    ("create", small::create),
    ("fsync", small::fsync),
    ("stat", small::stat),
    ("read", small::read),
    ("medium", small::medium),
    ("list", small::list),
    ("git", trees::git),
    ("copy", trees::copy),
    ("stream", large::stream),
    ("build", trees::build),
];

/// How it is measured.
pub(crate) struct MountOptions<'a> {
    pub node: &'a Path,
    /// Only these; all if empty.
    pub rows: &'a [String],
    pub rounds: usize,
    pub stream_mib: usize,
}

struct Bench<'a> {
    report: &'a mut Report,
    subjects: Subjects,
    rounds: usize,
    stream_mib: usize,
}

type Measure = fn(&mut Bench<'_>) -> Result<()>;

/// Why this machine cannot do it, if it cannot.
pub(crate) fn check_machine() -> Result<()> {
    subjects::check_machine()
}

pub(crate) fn run(report: &mut Report, options: &MountOptions<'_>) -> Result<()> {
    check_machine()?;
    tell_of_halts();
    let chosen = chosen(options.rows)?;
    let running = Running::default();
    let watching = tokio::spawn(stop_at_signals(running.clone())?);
    let measured = tokio::task::block_in_place(|| {
        let mut bench = Bench {
            report,
            subjects: Subjects::start(options.node, &running)?,
            rounds: options.rounds.max(1),
            stream_mib: options.stream_mib,
        };
        for (name, measure) in chosen {
            eprintln!("mount: {name}");
            bench.subjects.renew()?;
            measure(&mut bench)?;
        }
        Ok(())
    });
    watching.abort();
    // What fails after a signal fails because of it.
    running.check_goes_on().and(measured)
}

fn chosen(names: &[String]) -> Result<Vec<(&'static str, Measure)>> {
    for name in names {
        if !ROWS.iter().any(|(row, _)| row == name) {
            let known = ROWS.map(|(row, _)| row).join(", ");
            bail!("there is no row {name:?}; there are {known}");
        }
    }
    let wanted = |row: &str| names.is_empty() || names.iter().any(|name| name == row);
    Ok(ROWS.into_iter().filter(|(row, _)| wanted(row)).collect())
}

/// Where idle processors halt at once, waking them takes more time than a small request.
fn tell_of_halts() {
    let polled = std::fs::read_to_string("/sys/module/haltpoll/parameters/guest_halt_poll_ns");
    if polled.is_ok_and(|nanoseconds| nanoseconds.trim() == "0") {
        eprintln!(
            "(idle processors of this virtual machine halt at once: see Speed in docs/MOUNT.md)"
        );
    }
}

/// At Ctrl-C or SIGTERM, nothing may stay mounted.
fn stop_at_signals(running: Running) -> Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        running.stop();
    })
}
