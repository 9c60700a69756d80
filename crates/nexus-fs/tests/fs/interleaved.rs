//! Changes by others between the moment a change has looked where its path leads and the moment
//! it is made.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use nexus_fs::{
    At, MkdirOptions, MoveOptions, Precondition, RemoveOptions, Session, WriteOptions, Zone,
    ZoneConfig,
};
use nexus_kernel::{Durability, Kind, Result};
use nexus_service_api::{Action, Authorizer, Context, Target};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::support::{memory_stores, put, text, tree};

/// Holds back one change where it asks whether it may: its path is resolved by then.
#[derive(Default)]
pub(crate) struct Gate {
    holds: AtomicBool,
    /// Only who asks for this is held back, if it is given.
    only: Option<Action>,
    reached: Notify,
    opened: Notify,
}

impl Gate {
    pub(crate) fn of(only: Action) -> Self {
        Self {
            only: Some(only),
            ..Self::default()
        }
    }

    /// Begins a change, and comes back when it is held.
    pub(crate) async fn begin<T: Send + 'static>(
        &self,
        change: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.holds.store(true, Ordering::SeqCst);
        let task = tokio::spawn(change);
        self.reached.notified().await;
        task
    }

    /// Lets it go on to its end.
    pub(crate) async fn end<T>(&self, change: JoinHandle<T>) -> T {
        self.opened.notify_one();
        change.await.unwrap()
    }
}

#[async_trait]
impl Authorizer for Gate {
    async fn authorize(&self, _: &Context, action: Action, _: Target<'_>) -> Result<()> {
        let is_meant = self.only.is_none_or(|only| only == action);
        if is_meant && self.holds.swap(false, Ordering::SeqCst) {
            self.reached.notify_one();
            self.opened.notified().await;
        }
        Ok(())
    }

    async fn visible(&self, _: &Context, targets: &[Target<'_>]) -> Result<Vec<bool>> {
        Ok(vec![true; targets.len()])
    }

    async fn sees_all_below(&self, _: &Context, _: Target<'_>) -> bool {
        true
    }
}

struct Fixture {
    gate: Arc<Gate>,
    files: Session,
    _zone: Zone,
}

impl Fixture {
    async fn new() -> Self {
        let gate = Arc::new(Gate::default());
        let zone = Zone::open(memory_stores(), gate.clone(), ZoneConfig::default());
        let zone = zone.await.unwrap();
        let files = zone.session(Context::system());
        Self {
            gate,
            files,
            _zone: zone,
        }
    }

    /// Begins a change, and comes back when its path is resolved.
    async fn begin<T: Send + 'static>(
        &self,
        change: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.gate.begin(change).await
    }

    /// Begins a write that looks where it leads before anybody else.
    async fn begin_write(
        &self,
        path: &'static str,
        precondition: Precondition,
    ) -> JoinHandle<Result<()>> {
        let files = self.files.clone();
        let options = WriteOptions {
            precondition,
            parents: true,
            ..WriteOptions::default()
        };
        self.begin(async move {
            let written = files.write(path, Bytes::from("late"), options).await;
            written.map(drop)
        })
        .await
    }

    async fn end<T>(&self, change: JoinHandle<T>) -> T {
        self.gate.end(change).await
    }
}

/// Two who make the same missing directories share them.
#[tokio::test]
async fn parents_that_another_makes_meanwhile_are_used() {
    let fixture = Fixture::new().await;
    let late = fixture.begin_write("/a/b/late", Precondition::None).await;
    put(&fixture.files, "/a/b/early", "early").await;
    fixture.end(late).await.unwrap();
    assert_eq!(text(&fixture.files, "/a/b/early").await, "early");
    assert_eq!(text(&fixture.files, "/a/b/late").await, "late");
}

/// A directory that another makes meanwhile is not made again.
#[tokio::test]
async fn a_directory_is_made_once() {
    let fixture = Fixture::new().await;
    let files = fixture.files.clone();
    let mkdir = async move { files.mkdir("/a", MkdirOptions::default()).await };
    let late = fixture.begin(mkdir).await;
    put(&fixture.files, "/a/early", "early").await;
    let error = fixture.end(late).await.unwrap_err();
    assert_eq!(error.kind(), Kind::AlreadyExists);
    assert_eq!(text(&fixture.files, "/a/early").await, "early");
}

/// A write that wants to create the file does not replace one that came meanwhile.
#[tokio::test]
async fn an_exclusive_create_loses_to_one_that_came_meanwhile() {
    let fixture = Fixture::new().await;
    let late = fixture.begin_write("/a", Precondition::Absent).await;
    put(&fixture.files, "/a", "early").await;
    let error = fixture.end(late).await.unwrap_err();
    assert_eq!(error.kind(), Kind::AlreadyExists);
    assert_eq!(text(&fixture.files, "/a").await, "early");
}

/// A write to a file that came meanwhile is its next version; the file stays the same.
#[tokio::test]
async fn a_write_continues_a_file_that_came_meanwhile() {
    let fixture = Fixture::new().await;
    let late = fixture.begin_write("/a", Precondition::None).await;
    put(&fixture.files, "/a", "early").await;
    let early = fixture.files.stat("/a", At::Latest).await.unwrap();
    fixture.end(late).await.unwrap();
    let stat = fixture.files.stat("/a", At::Latest).await.unwrap();
    assert_eq!((stat.ino, stat.version), (early.ino, 2));
}

/// A write lands in the file that has the name when it is made, not in one that had it.
#[tokio::test]
async fn a_write_follows_its_name() {
    let fixture = Fixture::new().await;
    let files = &fixture.files;
    put(files, "/a", "old").await;
    put(files, "/b", "new").await;
    let linked = files.hard_link("/a", "/kept", Durability::Sync).await;
    linked.unwrap();
    let late = fixture.begin_write("/a", Precondition::None).await;
    let renamed = files.rename("/b", "/a", MoveOptions::default()).await;
    renamed.unwrap();
    fixture.end(late).await.unwrap();
    assert_eq!(text(files, "/a").await, "late");
    assert_eq!(text(files, "/kept").await, "old");
}

/// A removal takes the file that has the name with it, and no other.
#[tokio::test]
async fn a_removal_follows_its_name() {
    let fixture = Fixture::new().await;
    let files = &fixture.files;
    put(files, "/a", "old").await;
    put(files, "/b", "new").await;
    let linked = files.hard_link("/a", "/kept", Durability::Sync).await;
    linked.unwrap();
    let remover = files.clone();
    let remove = async move { remover.remove("/a", RemoveOptions::default()).await };
    let late = fixture.begin(remove).await;
    let renamed = files.rename("/b", "/a", MoveOptions::default()).await;
    renamed.unwrap();
    fixture.end(late).await.unwrap();
    let left = tree(files, At::Latest).await;
    assert_eq!(left, [("/kept".into(), Some("old".into()))]);
    let kept = files.stat("/kept", At::Latest).await.unwrap();
    assert_eq!(kept.links, 1);
}

/// A rename moves what has the old name, onto what has the new one.
#[tokio::test]
async fn a_rename_follows_its_names() {
    let fixture = Fixture::new().await;
    let files = &fixture.files;
    for (path, content) in [("/a", "old"), ("/b", "new"), ("/there", "there")] {
        put(files, path, content).await;
    }
    for (path, link) in [("/a", "/kept"), ("/there", "/kept there")] {
        let linked = files.hard_link(path, link, Durability::Sync).await;
        linked.unwrap();
    }
    let mover = files.clone();
    let rename = async move { mover.rename("/a", "/there", MoveOptions::default()).await };
    let late = fixture.begin(rename).await;
    for (from, to) in [("/b", "/a"), ("/kept there", "/elsewhere")] {
        let renamed = files.rename(from, to, MoveOptions::default()).await;
        renamed.unwrap();
    }
    fixture.end(late).await.unwrap();
    let left = tree(files, At::Latest).await;
    let expected = [("/elsewhere", "there"), ("/kept", "old"), ("/there", "new")];
    assert_eq!(
        left,
        expected.map(|(path, content)| (path.into(), Some(content.into())))
    );
}

/// A rename that may replace nothing does not replace what came meanwhile.
#[tokio::test]
async fn a_rename_to_a_free_name_loses_to_a_file_that_came_meanwhile() {
    use nexus_fs::Replace;
    let fixture = Fixture::new().await;
    let files = &fixture.files;
    put(files, "/a", "late").await;
    let mover = files.clone();
    let options = MoveOptions {
        replace: Replace::Refuse,
        ..MoveOptions::default()
    };
    let rename = async move { mover.rename("/a", "/b", options).await };
    let late = fixture.begin(rename).await;
    put(files, "/b", "early").await;
    let error = fixture.end(late).await.unwrap_err();
    assert_eq!(error.kind(), Kind::AlreadyExists);
    assert_eq!(text(files, "/b").await, "early");
}

/// A directory that goes meanwhile takes no new file with it, in a fork neither.
#[tokio::test]
async fn a_write_into_a_directory_that_went_meanwhile_makes_it_anew_or_is_refused() {
    for top in ["/a", "/b"] {
        let fixture = Fixture::new().await;
        let files = &fixture.files;
        let options = MkdirOptions {
            parents: true,
            ..MkdirOptions::default()
        };
        files.mkdir("/a/d", options).await.unwrap();
        let forked = nexus_fs::ForkOptions::default();
        files.fork("/a", "/b", forked).await.unwrap();
        let path: &'static str = if top == "/a" {
            "/a/d/late"
        } else {
            "/b/d/late"
        };
        let late = fixture.begin_write(path, Precondition::None).await;
        let directory = format!("{top}/d");
        let removed = files.rmdir(&directory, RemoveOptions::default()).await;
        removed.unwrap();
        fixture.end(late).await.unwrap();
        assert_eq!(text(files, path).await, "late");
    }
}
