//! Undo of a run of an agent, beside the run itself.

use std::time::Instant;

use anyhow::{Result, ensure};
use nexus_fs::{
    MoveOptions, RemoveOptions, Session, UndoOptions, UndoReport, UndoWhat, WriteOptions,
};
use nexus_kernel::Durability;
use nexus_service_api::Context;

use crate::report::{Report, time};
use crate::zone::{TestZone, noise, path};

const OPERATIONS: usize = 10_000;
const FILE_BYTES: usize = 500;
/// How long the undo may take, in milliseconds.
const MS_MAX: u128 = 1_000;
/// The name of the run.
const RUN: &str = "bench";

pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let zone = TestZone::new().await?;
    zone.fill("/run", OPERATIONS, |i| noise(i, FILE_BYTES))
        .await?;
    let mut context = Context::system();
    context.session = Some(RUN.into());
    let agent = zone.zone.session(context);
    let start = Instant::now();
    for i in 0..OPERATIONS {
        operation(&agent, i).await?;
    }
    drop(agent);
    zone.files.sync().await?;
    let did = start.elapsed();
    let what = UndoWhat::OfSession(RUN.into());
    let start = Instant::now();
    let planned = undo(&zone.files, what.clone(), true).await?;
    let plan = start.elapsed();
    ensure!(planned.revisions.is_empty(), "a dry run changed something");
    let start = Instant::now();
    let undone = undo(&zone.files, what, false).await?;
    let took = start.elapsed();
    ensure!(undone.operations.len() == OPERATIONS, "not all was undone");
    report.row(
        format!("undo of {OPERATIONS} operations, durable"),
        time(took),
        format!(
            "doing them, relaxed, {}; the dry run {}",
            time(did),
            time(plan)
        ),
        Some(took.as_secs_f64() / did.as_secs_f64()),
        "<= 1 s",
        took.as_millis() <= MS_MAX,
    );
    zone.close().await
}

/// Edits, makes, removes and renames, in turn.
async fn operation(agent: &Session, i: usize) -> Result<()> {
    let path = path("/run", i);
    let content = noise(OPERATIONS + i, FILE_BYTES);
    let options = WriteOptions {
        durability: Durability::Relaxed,
        ..WriteOptions::default()
    };
    match i % 4 {
        0 => agent.write(&path, content, options).await?,
        1 => {
            agent
                .write(&format!("{path}-new"), content, options)
                .await?
        }
        2 => {
            let options = RemoveOptions {
                durability: Durability::Relaxed,
                ..RemoveOptions::default()
            };
            agent.remove(&path, options).await?
        }
        _ => {
            let options = MoveOptions {
                durability: Durability::Relaxed,
                ..MoveOptions::default()
            };
            agent
                .rename(&path, &format!("{path}-moved"), options)
                .await?
        }
    };
    Ok(())
}

async fn undo(files: &Session, what: UndoWhat, dry_run: bool) -> nexus_kernel::Result<UndoReport> {
    let options = UndoOptions {
        dry_run,
        ..UndoOptions::new(what)
    };
    files.undo(options).await
}
