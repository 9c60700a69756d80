//! What a caller confined to one subtree may do, learn and leave behind.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use nexus_fs::{
    At, ChangeKind, FeedQuery, Ino, KeyPresence, LogQuery, MkdirOptions, MoveOptions, NewInode,
    NewKind, OpenMode, Precondition, Record, RemoveOptions, Replace, Session, SetAttributes,
    WriteOptions, Zone, ZoneConfig,
};
use nexus_kernel::{ByteStream, Durability, Error, Kind, Result};
use nexus_service_api::{
    Action, Authorizer, Context, Principal, PrincipalKind, Revocation, Target,
};

use crate::support::{fresh, memory_stores, put, text};

/// A user may do anything at and below `/team`, and see what leads there.
struct Team;

const TEAM: &str = "/team";

impl Team {
    fn allows(who: &Context, action: Action, path: &str) -> bool {
        let below = path.strip_prefix(TEAM);
        who.principal.kind == PrincipalKind::System
            || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            || (action == Action::Stat && path == "/")
    }
}

#[async_trait]
impl Authorizer for Team {
    async fn authorize(&self, who: &Context, action: Action, target: Target<'_>) -> Result<()> {
        if Self::allows(who, action, target.path) {
            return Ok(());
        }
        Err(Error::denied("only /team is yours").with("path", target.path))
    }

    async fn visible(&self, who: &Context, targets: &[Target<'_>]) -> Result<Vec<bool>> {
        let seen = |target: &Target<'_>| Self::allows(who, Action::Stat, target.path);
        Ok(targets.iter().map(seen).collect())
    }

    async fn sees_all_below(&self, who: &Context, target: Target<'_>) -> bool {
        Self::allows(who, Action::Read, target.path)
    }
}

fn user() -> Principal {
    Principal {
        kind: PrincipalKind::User,
        id: "ada".into(),
        ..Principal::system()
    }
}

/// A zone, the system in it, and a user confined to `/team`.
pub(crate) async fn confined() -> (Zone, Session, Session) {
    let zone = Zone::open(memory_stores(), Arc::new(Team), ZoneConfig::default());
    let zone = zone.await.unwrap();
    let system = zone.session(Context::system());
    let user = zone.session(Context::new(Arc::new(user())));
    system.mkdir(TEAM, MkdirOptions::default()).await.unwrap();
    (zone, system, user)
}

/// A directory is read to its end, whatever of it the caller may not see.
#[tokio::test]
async fn what_is_hidden_does_not_end_a_directory() {
    let (_zone, system, user) = confined().await;
    for path in ["/a", "/b", "/z"] {
        put(&system, path, "secret").await;
    }
    let seen = user.readdir(Ino::ROOT, None, 1).await.unwrap();
    let paths: Vec<_> = seen.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, [TEAM]);
    let rest = user.readdir(Ino::ROOT, Some("team"), 1).await.unwrap();
    assert_eq!(rest, []);
    let error = user.readdir(Ino::ROOT, None, 0).await.unwrap_err();
    assert_eq!(error.kind(), Kind::LimitExceeded);
}

fn parents() -> WriteOptions {
    WriteOptions {
        parents: true,
        ..WriteOptions::default()
    }
}

/// More than is kept inline.
fn blob() -> Bytes {
    Bytes::from(vec![7; 100_000])
}

/// A body that nobody may read.
fn untouched() -> ByteStream {
    Box::pin(futures::stream::once(async { panic!("the body was read") }))
}

/// Content that is refused is not stored, and a refused stream is not read at all.
#[tokio::test]
async fn what_is_refused_leaves_nothing_in_the_stores() {
    let (_zone, system, user) = confined().await;
    put(&user, "/team/there", "1").await;
    let absent = WriteOptions {
        precondition: Precondition::Absent,
        ..WriteOptions::default()
    };
    let refusals = [
        (
            "/elsewhere",
            WriteOptions::default(),
            Kind::PermissionDenied,
        ),
        ("/team/no/parent", WriteOptions::default(), Kind::NotFound),
        ("/team/there", absent, Kind::AlreadyExists),
        (
            "/team/there/below",
            WriteOptions::default(),
            Kind::WrongType,
        ),
        ("/team", WriteOptions::default(), Kind::WrongType),
    ];
    for (path, options, kind) in refusals {
        let refused = user.write(path, blob(), options.clone()).await;
        assert_eq!(refused.unwrap_err().kind(), kind, "{path}");
        let refused = user.write_stream(path, untouched(), options).await;
        assert_eq!(refused.unwrap_err().kind(), kind, "{path}");
    }
    assert_eq!(system.gc(true).await.unwrap().blobs, 0);
}

/// Who may read a file but not change it cannot make the node rewrite it either.
#[tokio::test]
async fn a_refused_truncation_stores_nothing() {
    let (_zone, system, user) = confined().await;
    put(&system, "/open", "1").await;
    let set = SetAttributes {
        size: Some(64 << 30),
        ..SetAttributes::default()
    };
    let refused = user.set_attributes("/open", set, Durability::Sync).await;
    assert_eq!(refused.unwrap_err().kind(), Kind::PermissionDenied);
    assert_eq!(system.gc(true).await.unwrap().blobs, 0);
}

/// A refusal tells no more than the caller wrote: not where links outside its reach lead, nor
/// whether they lead anywhere. Links do not widen what a caller reaches either.
#[tokio::test]
async fn a_link_out_of_reach_is_neither_followed_nor_described() {
    let (_zone, system, user) = confined().await;
    put(&system, "/hidden/target", "1").await;
    put(&system, "/team/mine", "1").await;
    for (target, link) in [
        ("/hidden/target", "/leads"),
        ("/round", "/round"),
        ("/team/mine", "/back"),
    ] {
        system
            .symlink(target, link, Durability::Sync)
            .await
            .unwrap();
    }
    let through = ["/leads/x", "/round/x", "/back/x", "/nothing/x"];
    for link in ["/leads", "/round", "/back", "/nothing"]
        .into_iter()
        .chain(through)
    {
        let refused = user.stat(link, At::Latest).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::PermissionDenied, "{link}");
        assert_eq!(refused.fact("path"), Some(link));
        let refused = user.write(link, blob(), WriteOptions::default()).await;
        assert_eq!(refused.unwrap_err().fact("path"), Some(link));
    }
    system
        .symlink("/team/mine", "/team/link", Durability::Sync)
        .await
        .unwrap();
    assert_eq!(text(&user, "/team/link").await, "1");
}

/// Directories are made on the way only where the caller may make them.
#[tokio::test]
async fn parents_are_made_only_within_reach() {
    let (_zone, system, user) = confined().await;
    system.remove(TEAM, RemoveOptions::default()).await.unwrap();
    let made = system.mkdir(TEAM, MkdirOptions::default()).await;
    made.unwrap();
    user.write("/team/a/b/c", "1".into(), parents())
        .await
        .unwrap();

    let zone = Zone::open(memory_stores(), Arc::new(Deep), ZoneConfig::default());
    let zone = zone.await.unwrap();
    let user = zone.session(Context::new(Arc::new(self::user())));
    let refused = user
        .write("/a/b/c", "1".into(), parents())
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), Kind::PermissionDenied);
    assert_eq!(refused.fact("path"), Some("/a"));
}

/// A user may do anything at `/a/b/c` only.
struct Deep;

#[async_trait]
impl Authorizer for Deep {
    async fn authorize(&self, _: &Context, _: Action, target: Target<'_>) -> Result<()> {
        if target.path == "/a/b/c" {
            return Ok(());
        }
        Err(Error::denied("only /a/b/c is yours").with("path", target.path))
    }

    async fn visible(&self, _: &Context, targets: &[Target<'_>]) -> Result<Vec<bool>> {
        Ok(targets
            .iter()
            .map(|target| target.path == "/a/b/c")
            .collect())
    }

    async fn sees_all_below(&self, _: &Context, _: Target<'_>) -> bool {
        false
    }
}

/// What a user is told of changes: kind, path, old path.
type Told = Vec<(ChangeKind, String, Option<String>)>;

fn told(records: &[Record]) -> Told {
    let changes = records.iter().flat_map(|record| &record.changes);
    changes
        .map(|change| (change.kind, change.path.clone(), change.old_path.clone()))
        .collect()
}

/// A change shows as far as the caller sees it: what comes from out of sight has no old path,
/// what leaves is a removal, and what is copied away did not change. Log and watch agree.
#[tokio::test]
async fn changes_across_the_edge_show_their_near_side() {
    let (_zone, system, user) = confined().await;
    let start = system.revision().await.unwrap();
    put(&system, "/secret/payroll", "1").await;
    put(&system, "/team/plan", "1").await;
    let all = MoveOptions::default();
    for (from, to) in [
        ("/secret/payroll", "/team/arrived"),
        ("/team/plan", "/secret/left"),
        ("/team/arrived", "/team/stays"),
    ] {
        system.rename(from, to, all).await.unwrap();
    }
    system
        .copy("/secret/left", "/team/copied", all)
        .await
        .unwrap();
    system
        .copy("/team/copied", "/secret/copy", all)
        .await
        .unwrap();
    system.rename(TEAM, "/gone", all).await.unwrap();
    put(&system, "/secret/last", "1").await;
    system.rename("/gone", TEAM, all).await.unwrap();
    system.remove("/secret", recursive()).await.unwrap();

    let query = LogQuery {
        since: Some(At::Revision(start)),
        ..LogQuery::default()
    };
    let log = user.log(query).await.unwrap().records;
    let change =
        |kind, path: &str, old: Option<&str>| (kind, path.to_owned(), old.map(str::to_owned));
    let expected = vec![
        change(ChangeKind::FileWrite, "/team/plan", None),
        change(ChangeKind::FileRename, "/team/arrived", None),
        change(ChangeKind::FileDelete, "/team/plan", None),
        change(ChangeKind::FileRename, "/team/stays", Some("/team/arrived")),
        change(ChangeKind::FileCopy, "/team/copied", None),
        change(ChangeKind::DirDelete, TEAM, None),
        change(ChangeKind::DirRename, TEAM, None),
    ];
    assert_eq!(told(&log), expected);
    let watch = user.watch(FeedQuery {
        start: start.into(),
        ..FeedQuery::default()
    });
    let watched: Vec<Record> = watch.take(log.len()).map(Result::unwrap).collect().await;
    assert_eq!(watched, log);
}

fn recursive() -> RemoveOptions {
    RemoveOptions {
        recursive: true,
        ..RemoveOptions::default()
    }
}

/// Filters look at what the caller may see, so they answer nothing about the rest.
#[tokio::test]
async fn filters_of_the_log_do_not_probe_what_is_hidden() {
    let (_zone, system, user) = confined().await;
    put(&system, "/secret/x", "1").await;
    let moved = system.rename("/secret/x", "/team/x", MoveOptions::default());
    moved.await.unwrap();
    for (prefix, found) in [("/secret/x", 0), ("/team/x", 1)] {
        let query = LogQuery {
            path_prefix: Some(prefix.into()),
            ..LogQuery::default()
        };
        assert_eq!(
            user.log(query).await.unwrap().records.len(),
            found,
            "{prefix}"
        );
    }
}

/// A download ends with the credential it was opened with.
#[tokio::test]
async fn a_stream_ends_with_its_credential() {
    let (zone, files) = fresh().await;
    let content = Bytes::from(
        (0..8 << 20)
            .map(|i: u32| (i / 999) as u8)
            .collect::<Vec<_>>(),
    );
    files
        .write("/big", content, WriteOptions::default())
        .await
        .unwrap();
    let revocation = Revocation::default();
    let principal = Principal {
        revocation: revocation.clone(),
        ..Principal::system()
    };
    let reader = zone.session(Context::new(Arc::new(principal)));
    let mut body = reader.open("/big", At::Latest, None).await.unwrap().body;
    body.next().await.unwrap().unwrap();
    revocation.revoke();
    let end = body.next().await.unwrap().unwrap_err();
    assert_eq!(end.kind(), Kind::Unauthenticated);
}

/// The size and other attributes change in one commit, or not at all.
#[tokio::test]
async fn a_truncation_with_other_attributes_is_one_change() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "123456").await;
    let before = files.revision().await.unwrap();
    let set = SetAttributes {
        size: Some(3),
        mode: Some(0o600),
        ..SetAttributes::default()
    };
    let changed = files
        .set_attributes("/a", set, Durability::Sync)
        .await
        .unwrap();
    let stat = changed.stat.as_ref().unwrap();
    assert_eq!((stat.size, stat.mode), (3, 0o600));
    assert_eq!(text(&files, "/a").await, "123");
    let query = LogQuery {
        since: Some(At::Revision(before)),
        ..LogQuery::default()
    };
    assert_eq!(files.log(query).await.unwrap().records.len(), 1);
}

/// What a caller may see of a past state by inode is decided by the paths of then, as by path.
#[tokio::test]
async fn the_past_is_shown_by_the_paths_of_then() {
    let (_zone, system, user) = confined().await;
    put(&system, "/team/ours", "1").await;
    put(&system, "/theirs", "1").await;
    let at = At::Revision(system.revision().await.unwrap());
    let options = MoveOptions::default;
    system
        .rename("/team/ours", "/ours", options())
        .await
        .unwrap();
    system
        .rename("/theirs", "/team/theirs", options())
        .await
        .unwrap();
    let ino = async |path| system.stat(path, At::Latest).await.unwrap().ino;
    let (ours, theirs) = (ino("/ours").await, ino("/team/theirs").await);

    let past = user.as_of(at).await.unwrap();
    let file = past.open(ours).await.unwrap();
    assert_eq!(file.read(0, 9).await.unwrap(), "1");
    let refused = [
        past.getattr(theirs).await.map(drop).unwrap_err(),
        past.open(theirs).await.map(drop).unwrap_err(),
        past.metadata_keys(theirs).await.map(drop).unwrap_err(),
        past.versions(theirs, 1).await.map(drop).unwrap_err(),
        past.lookup(Ino::ROOT, "theirs")
            .await
            .map(drop)
            .unwrap_err(),
        past.lookup(Ino::ROOT, "nothing")
            .await
            .map(drop)
            .unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.kind(), Kind::PermissionDenied, "{error:?}");
    }
    let seen = past.readdir(Ino::ROOT, None, 1, true).await.unwrap();
    let paths: Vec<_> = seen.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, [TEAM]);
}

/// A past file ends with the credential it was opened with.
#[tokio::test]
async fn a_past_file_ends_with_its_credential() {
    let (zone, files) = fresh().await;
    put(&files, "/a", "1").await;
    let revocation = Revocation::default();
    let principal = Principal {
        revocation: revocation.clone(),
        ..Principal::system()
    };
    let reader = zone.session(Context::new(Arc::new(principal)));
    let past = reader.as_of(At::Latest).await.unwrap();
    let ino = past.lookup(Ino::ROOT, "a").await.unwrap().ino;
    let file = past.open(ino).await.unwrap();
    revocation.revoke();
    let error = file.read(0, 9).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthenticated);
    let error = past.getattr(ino).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthenticated);
}

/// Whoever may not see where an inode is gets its number back, and never its path: whatever is
/// asked of it, now and in the past.
#[tokio::test]
async fn a_number_out_of_reach_does_not_tell_its_path() {
    let (_zone, system, user) = confined().await;
    put(&system, "/hidden/within/file", "1").await;
    put(&system, "/team/own", "1").await;
    let ino = async |path| system.stat(path, At::Latest).await.unwrap().ino;
    let hidden = [
        ino("/hidden/within").await,
        ino("/hidden/within/file").await,
    ];
    let own = [ino(TEAM).await, ino("/team/own").await];
    let mut answers = questions(&user, hidden).await;
    answers.extend(questions_of_the_past(&user, hidden).await);
    answers.extend(changes(&user, hidden, own).await);
    let [within, file] = hidden.map(|ino| ino.0.to_string());
    for (call, answer) in answers.into_iter().enumerate() {
        let error = answer.unwrap_err();
        let told = format!("{error:?} {error}");
        assert!(!told.contains("hidden"), "call {call}: {told}");
        let ino = error.fact("ino").unwrap_or_default();
        assert!(ino == within || ino == file, "call {call}: {told}");
    }
}

async fn questions(user: &Session, [within, file]: [Ino; 2]) -> Vec<Result<()>> {
    vec![
        user.getattr(file).await.map(drop),
        user.open_handle(file, OpenMode::Read).await.map(drop),
        user.lookup(within, "file").await.map(drop),
        user.lookup(within, "none").await.map(drop),
        user.lookup(file, "below").await.map(drop),
        user.readdir(within, None, 1).await.map(drop),
        user.readdir_plus(within, None, 1).await.map(drop),
        user.path_of(file).await.map(drop),
        user.parent_of(file).await.map(drop),
        user.versions_of(file, 1).await.map(drop),
        user.metadata_keys(file).await.map(drop),
        user.metadata_value(file, "key").await.map(drop),
    ]
}

async fn questions_of_the_past(user: &Session, [within, file]: [Ino; 2]) -> Vec<Result<()>> {
    let past = user.as_of(At::Latest).await.unwrap();
    vec![
        past.getattr(file).await.map(drop),
        past.open(file).await.map(drop),
        past.lookup(within, "file").await.map(drop),
        past.lookup(within, "none").await.map(drop),
        past.readdir(within, None, 1, true).await.map(drop),
        past.path_of(file).await.map(drop),
        past.parent_of(file).await.map(drop),
        past.versions(file, 1).await.map(drop),
        past.metadata_keys(file).await.map(drop),
        past.metadata_value(file, "key").await.map(drop),
    ]
}

async fn changes(
    user: &Session,
    [within, file]: [Ino; 2],
    [team, own]: [Ino; 2],
) -> Vec<Result<()>> {
    const NOW: Durability = Durability::Sync;
    let mode = SetAttributes {
        mode: Some(0o600),
        ..SetAttributes::default()
    };
    let size = SetAttributes {
        size: Some(0),
        ..SetAttributes::default()
    };
    let new = || NewInode {
        kind: NewKind::File,
        mode: 0o600,
        uid: 0,
        gid: 0,
    };
    let value = Some(Bytes::new());
    let allow = Replace::Allow;
    vec![
        user.set_metadata_value(file, "key", value, KeyPresence::Any, NOW)
            .await
            .map(drop),
        user.setattr(file, mode, NOW).await.map(drop),
        user.setattr(file, size, NOW).await.map(drop),
        user.make_at(within, "new", new(), NOW).await.map(drop),
        user.make_at(within, "file", new(), NOW).await.map(drop),
        user.make_at(file, "below", new(), NOW).await.map(drop),
        user.unlink_at(within, "file", NOW).await.map(drop),
        user.rmdir_at(within, "file", NOW).await.map(drop),
        user.rename_at((within, "file"), (team, "x"), allow, NOW)
            .await
            .map(drop),
        user.rename_at((team, "own"), (within, "x"), allow, NOW)
            .await
            .map(drop),
        user.link_at(file, team, "x", NOW).await.map(drop),
        user.link_at(own, within, "x", NOW).await.map(drop),
    ]
}
