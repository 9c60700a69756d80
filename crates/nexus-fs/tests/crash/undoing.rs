//! The power goes off at any operation of either disk while work is undone, done again and
//! restored.

use bytes::Bytes;
use nexus_fs::{
    At, BatchStep, LogQuery, MoveOptions, RemoveOptions, RestoreOptions, Session, UndoOptions,
    UndoWhat, WriteOptions,
};
use nexus_kernel::{Durability, Freshness, KeyRange, Result, Revision, Scan};
use nexus_service_api::Context;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::disks::{Disks, Lie};
use crate::forking::{State, check_sound, start, state};
use crate::machine::runtime;
use crate::ops::noise;
use crate::zone::purged;

/// One operation that takes work back, durable when it is answered.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// All that the run did.
    UndoRun,
    /// What the last step did.
    UndoLast,
    /// What was before the run.
    Restore,
}

use Step::{Restore, UndoLast, UndoRun};

const STORY: [Step; 5] = [UndoRun, UndoLast, UndoLast, Restore, UndoLast];

/// Values are so short that the log tells of these steps in several rows.
const VALUE_BYTES_MAX: usize = 600;
/// Files that the run makes.
const MADE: usize = 12;

async fn write(files: &Session, path: &str, seed: u64, bytes: usize) {
    let options = WriteOptions {
        parents: true,
        ..WriteOptions::default()
    };
    let content = noise(seed, bytes).into();
    files.write(path, content, options).await.unwrap();
}

/// A machine on which a run has worked, with the revision before that. What the run deleted has
/// been cleared away.
fn after_a_run(random: &mut StdRng) -> (Disks, Revision) {
    let mut disks = Disks::new(random, Lie::None).with_values_up_to(VALUE_BYTES_MAX);
    disks.create_database(random);
    let point = runtime().block_on(async {
        let (stores, zone, files) = start(&disks).await;
        for (path, seed, bytes) in [
            ("/w/inline", 1, 10),
            ("/w/blob", 2, 40),
            ("/w/d/e/blob", 3, 50),
            ("/w/gone/x/inline", 4, 12),
            ("/w/gone/blob", 5, 45),
        ] {
            write(&files, path, seed, bytes).await;
        }
        let point = files.revision().await.unwrap();
        let run = zone.session(Context {
            session: Some("run".into()),
            ..Context::system()
        });
        work(&run).await;
        purged(&stores).await;
        zone.close().await.unwrap();
        point
    });
    (disks, point)
}

async fn work(files: &Session) {
    write(files, "/w/inline", 6, 11).await;
    write(files, "/w/blob", 7, 42).await;
    let moved = files.rename("/w/d/e", "/w/f", MoveOptions::default());
    moved.await.unwrap();
    let recursive = RemoveOptions {
        recursive: true,
        ..RemoveOptions::default()
    };
    files.remove("/w/gone", recursive).await.unwrap();
    let key = vec![("key".to_owned(), Some(Bytes::from_static(b"value")))];
    let sync = Durability::Sync;
    files.set_metadata("/w/inline", key, sync).await.unwrap();
    let made = (0..MADE).map(|n| BatchStep::Write {
        path: format!("/w/d/{n:090}"),
        content: noise(100 + n as u64, 5 * n).into(),
        options: WriteOptions::default(),
    });
    files.batch(made.collect(), sync).await.unwrap();
}

impl Step {
    async fn perform(self, files: &Session, point: Revision) -> Result<()> {
        let undo = |what| files.undo(UndoOptions::new(what));
        match self {
            UndoRun => undo(UndoWhat::OfSession("run".into())).await.map(drop),
            UndoLast => {
                let query = LogQuery {
                    newest_first: true,
                    limit: 1,
                    ..LogQuery::default()
                };
                let last = files.log(query).await?.records.remove(0).revision;
                undo(UndoWhat::Operation(last)).await.map(drop)
            }
            Restore => {
                let restored = files.restore("/w", At::Revision(point), RestoreOptions::default());
                restored.await.map(drop)
            }
        }
    }
}

/// Wherever the story is cut off, the step under way has happened as a whole or not at all, the
/// feed tells what the log holds, and the story goes on from there to the same end.
#[test]
fn an_undo_that_is_cut_off_anywhere_is_done_or_not() {
    let states = whole_story();
    for operations in 0.. {
        if !is_cut_off(operations, &states) {
            assert!(operations > 15, "it took {operations} operations");
            return;
        }
    }
}

/// The states before the first step and after each.
fn whole_story() -> Vec<State> {
    let (disks, point) = after_a_run(&mut StdRng::seed_from_u64(0));
    runtime().block_on(async {
        let (stores, _zone, files) = start(&disks).await;
        let mut states = vec![state(&files, &stores).await];
        for step in STORY {
            step.perform(&files, point).await.unwrap();
            states.push(state(&files, &stores).await);
        }
        let further = Scan::forward(KeyRange::prefix("L"), 100);
        let further = stores.metastore.scan(further, Freshness::Linearizable);
        let further = further.await.unwrap().entries.len();
        assert!(further > STORY.len(), "records have one row each");
        states
    })
}

/// Whether the power went off before the story had ended.
fn is_cut_off(operations: u64, states: &[State]) -> bool {
    let mut random = StdRng::seed_from_u64(operations);
    let (disks, point) = after_a_run(&mut random);
    let done = runtime().block_on(async {
        let (_stores, _zone, files) = start(&disks).await;
        disks.power.off_after(operations);
        perform_all(&files, &disks, &STORY, point).await
    });
    let cut = disks.power.is_off();
    let disks = disks.after_power_loss(&mut random);
    runtime().block_on(async {
        let (stores, _zone, files) = start(&disks).await;
        let found = state(&files, &stores).await;
        let under_way = (done + 1).min(STORY.len());
        let at = (done..=under_way).find(|at| states[*at] == found);
        let at =
            at.unwrap_or_else(|| panic!("cut at {operations}, after {done} steps: {found:#?}"));
        check_sound(&files, &stores, &mut random).await;
        let rest = perform_all(&files, &disks, &STORY[at..], point).await;
        assert_eq!(rest, STORY.len() - at);
        let end = state(&files, &stores).await;
        assert_eq!(end, states[STORY.len()], "cut at {operations}");
        check_sound(&files, &stores, &mut random).await;
    });
    cut
}

/// How many steps were acknowledged before the power went off.
async fn perform_all(files: &Session, disks: &Disks, steps: &[Step], point: Revision) -> usize {
    for (done, step) in steps.iter().enumerate() {
        if let Err(error) = step.perform(files, point).await {
            assert!(disks.power.is_off(), "{step:?}: {error:?}");
            return done;
        }
    }
    steps.len()
}
