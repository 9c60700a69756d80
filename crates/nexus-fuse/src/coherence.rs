//! What others change, the kernel is told of: so it may go by what it has without asking.

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use fuser::{INodeNo, Notifier};
use futures::{FutureExt, StreamExt};
use nexus_fs::{Change, ChangeKind};
use nexus_kernel::{Result, Revision};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;

use crate::volume::Volume;

/// What the kernel has yet to be told.
const UNTOLD_MAX: usize = 1024;
/// How long it looks away after a change of the mount's own, of which there are many in a row
/// as a rule: waking for each costs more than the change.
const PAUSE: Duration = Duration::from_millis(2);
/// How long a watch that failed rests.
const REST: Duration = Duration::from_secs(1);

/// Tells the kernel of changes, until dropped.
pub(crate) struct Coherence(JoinHandle<()>);

impl Drop for Coherence {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Something that the kernel may have and that is no longer so.
#[derive(Debug, PartialEq, Eq)]
enum Stale {
    /// A name, or that there is none.
    Name(INodeNo, String),
    Attributes(INodeNo),
    Content(INodeNo),
}

impl Coherence {
    /// Tells of every change after `after`.
    pub(crate) fn start(volume: Arc<dyn Volume>, notifier: Notifier, after: Revision) -> Self {
        let (sender, receiver) = mpsc::channel(UNTOLD_MAX);
        // The kernel may have a caller wait for a directory that a request still holds; no
        // thread that requests need may wait with it.
        let teller = std::thread::Builder::new().name("fuse-notify".into());
        let told = teller.spawn(move || tell_all(&notifier, receiver));
        if let Err(error) = told {
            tracing::error!(%error, "no thread to tell the kernel of changes: it sees them when its own memory of them ends");
        }
        Self(tokio::spawn(watch(volume, sender, after)))
    }
}

async fn watch(volume: Arc<dyn Volume>, told: Sender<Stale>, mut after: Revision) {
    while let Err(error) = follow(&*volume, &told, &mut after).await {
        tracing::error!(?error, "changes made elsewhere are not seen for now");
        tokio::time::sleep(REST).await;
    }
}

/// Ends when nobody is told any more.
async fn follow(volume: &dyn Volume, told: &Sender<Stale>, after: &mut Revision) -> Result<()> {
    let mut records = volume.changes(*after);
    let mut own = false;
    loop {
        let ready = records.next().now_or_never();
        let record = match ready {
            Some(record) => record,
            None => {
                if own {
                    tokio::time::sleep(PAUSE).await;
                }
                records.next().await
            }
        };
        let Some(record) = record.transpose()? else {
            return Ok(());
        };
        *after = record.revision;
        own = volume.is_own(&record);
        if own {
            continue;
        }
        for stale in record.changes.iter().flat_map(stale) {
            if told.send(stale).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// What a change makes stale.
fn stale(change: &Change) -> Vec<Stale> {
    if change.kind.leaves_files() {
        return Vec::new();
    }
    let ino = INodeNo(change.ino.0);
    let mut stale = vec![match change.kind {
        ChangeKind::FileWrite | ChangeKind::FileCopy => Stale::Content(ino),
        _ => Stale::Attributes(ino),
    }];
    let keeps_names = match change.kind {
        ChangeKind::AttributeChange | ChangeKind::MetadataChange => true,
        ChangeKind::FileWrite => change.version > 1,
        _ => false,
    };
    if keeps_names {
        return stale;
    }
    let new = (Some(change.parent), Some(&change.path));
    for (parent, path) in [new, (change.old_parent, change.old_path.as_ref())] {
        if let (Some(parent), Some(path)) = (parent, path) {
            let parent = INodeNo(parent.0);
            let name = path.rsplit('/').next().unwrap_or_default();
            stale.push(Stale::Name(parent, name.to_owned()));
            stale.push(Stale::Attributes(parent));
        }
    }
    stale
}

fn tell_all(notifier: &Notifier, mut receiver: Receiver<Stale>) {
    while let Some(stale) = receiver.blocking_recv() {
        if let Err(error) = tell(notifier, &stale) {
            // Unmounted meanwhile, most likely.
            tracing::debug!(%error, ?stale, "the kernel did not take it");
        }
    }
}

fn tell(notifier: &Notifier, stale: &Stale) -> io::Result<()> {
    match stale {
        Stale::Name(parent, name) => notifier.inval_entry(*parent, OsStr::new(name)),
        // A negative offset leaves the content.
        Stale::Attributes(ino) => notifier.inval_inode(*ino, -1, 0),
        Stale::Content(ino) => notifier.inval_inode(*ino, 0, 0),
    }
}
