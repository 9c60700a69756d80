//! Directories that are registered, and lists of forks.

use std::time::Duration;

use nexus_fs::{ChangeKind, LogQuery, MkdirOptions, MoveOptions, NewWorkspace, RemoveOptions};
use nexus_kernel::Kind;

use crate::forks::fork;
use crate::rights::confined;
use crate::support::{fresh, put};

fn called(name: &str) -> NewWorkspace {
    NewWorkspace {
        name: Some(name.to_owned()),
        ..NewWorkspace::default()
    }
}

/// A registration follows the directory where it moves, and ends when it is told to.
#[tokio::test]
async fn a_workspace_is_registered_by_directory() {
    let (_zone, files) = fresh().await;
    put(&files, "/a/x", "1").await;
    let made = files.register_workspace("/a", called("one")).await.unwrap();
    assert_eq!((&made.path[..], made.name.as_deref()), ("/a", Some("one")));
    let again = files.register_workspace("/a", called("two")).await;
    assert_eq!(again.unwrap_err().kind(), Kind::AlreadyExists);
    files
        .rename("/a", "/b", MoveOptions::default())
        .await
        .unwrap();
    let found = files.workspace("/b").await.unwrap();
    assert_eq!((found.directory, &found.path[..]), (made.directory, "/b"));
    let listed = files.workspaces(10, None).await.unwrap();
    assert_eq!(listed.items, [found]);
    files.unregister_workspace("/b").await.unwrap();
    let gone = files.workspace("/b").await;
    assert_eq!(gone.unwrap_err().kind(), Kind::NotFound);
    let gone = files.unregister_workspace("/b").await;
    assert_eq!(gone.unwrap_err().kind(), Kind::NotFound);
}

/// A registration and its end are in the log, with the name of the workspace.
#[tokio::test]
async fn workspaces_are_logged() {
    let (_zone, files) = fresh().await;
    put(&files, "/a/x", "1").await;
    files.register_workspace("/a", called("one")).await.unwrap();
    files.unregister_workspace("/a").await.unwrap();
    let query = LogQuery {
        kinds: vec![
            ChangeKind::WorkspaceRegister,
            ChangeKind::WorkspaceUnregister,
        ],
        ..LogQuery::default()
    };
    let records = files.log(query).await.unwrap().records;
    let changes = records.iter().flat_map(|record| &record.changes);
    let told: Vec<_> = changes
        .map(|c| (c.kind, c.path.as_str(), c.subject.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            (ChangeKind::WorkspaceRegister, "/a", Some("one")),
            (ChangeKind::WorkspaceUnregister, "/a", Some("one")),
        ]
    );
}

/// Workspaces and forks are listed in pages.
#[tokio::test]
async fn workspaces_and_forks_are_listed_in_pages() {
    let (_zone, files) = fresh().await;
    put(&files, "/a/x", "1").await;
    for name in ["/b", "/c", "/d"] {
        fork(&files, "/a", name).await;
        files.register_workspace(name, called(name)).await.unwrap();
    }
    fork(&files, "/b", "/e").await;
    let mut seen = (Vec::new(), Vec::new());
    let (mut cursor, mut after) = (None, None);
    for _ in 0..4 {
        let page = files.workspaces(1, cursor.as_deref()).await.unwrap();
        seen.0.extend(page.items.into_iter().map(|item| item.path));
        let forks = files.forks(Some("/a"), 1, after.as_deref()).await.unwrap();
        seen.1.extend(forks.items.into_iter().map(|item| item.path));
        (cursor, after) = (page.next, forks.next);
        if cursor.is_none() && after.is_none() {
            break;
        }
    }
    assert_eq!(seen.0, ["/b", "/c", "/d"]);
    assert_eq!(seen.1, ["/b", "/c", "/d"]);
    let all = files.forks(None, 10, None).await.unwrap().items;
    let origins: Vec<_> = all.iter().map(|fork| fork.origin_path.as_deref()).collect();
    assert_eq!(origins, [Some("/a"), Some("/a"), Some("/a"), Some("/b")]);
    let options = RemoveOptions {
        recursive: true,
        ..RemoveOptions::default()
    };
    files.remove("/c", options).await.unwrap();
    let left = files.forks(Some("/a"), 10, None).await.unwrap().items;
    assert_eq!(left.len(), 2);
    assert_eq!(files.workspaces(10, None).await.unwrap().items.len(), 2);
}

/// What nobody can register.
#[tokio::test]
async fn a_workspace_is_a_directory_with_little_to_say() {
    let (_zone, files) = fresh().await;
    put(&files, "/a/x", "1").await;
    let ttl = |ttl: Duration| NewWorkspace {
        ttl: Some(ttl),
        ..NewWorkspace::default()
    };
    let many = NewWorkspace {
        tags: vec!["t".to_owned(); 65],
        ..NewWorkspace::default()
    };
    let cases = [
        ("/a/x", called("x"), Kind::WrongType),
        ("/none", called("x"), Kind::NotFound),
        ("/a", called(&"x".repeat(256)), Kind::LimitExceeded),
        ("/a", many, Kind::LimitExceeded),
        ("/a", ttl(Duration::ZERO), Kind::InvalidArgument),
        (
            "/a",
            ttl(Duration::from_secs(400 * 86_400)),
            Kind::InvalidArgument,
        ),
    ];
    for (path, new, kind) in cases {
        let refused = files.register_workspace(path, new).await;
        assert_eq!(refused.unwrap_err().kind(), kind, "{path}");
    }
    for cursor in ["", "w:x", "n:1"] {
        let refused = files.workspaces(10, Some(cursor)).await;
        assert_eq!(refused.unwrap_err().kind(), Kind::InvalidArgument);
    }
    let refused = files.forks(None, 0, None).await;
    assert_eq!(refused.unwrap_err().kind(), Kind::LimitExceeded);
}

/// Nobody hears of what is out of sight: no workspace there, no fork, and not what a fork is of.
#[tokio::test]
async fn lists_stay_within_sight() {
    let (_zone, system, user) = confined().await;
    put(&system, "/secret/x", "1").await;
    fork(&system, "/secret", "/team/f").await;
    fork(&system, "/secret", "/hidden").await;
    for path in ["/secret", "/team/f"] {
        let made = system.register_workspace(path, called("w")).await;
        made.unwrap();
    }
    let forks = user.forks(None, 10, None).await.unwrap().items;
    assert_eq!(forks.len(), 1);
    assert_eq!(
        (&forks[0].path[..], &forks[0].origin_path),
        ("/team/f", &None)
    );
    let seen = user.workspaces(10, None).await.unwrap().items;
    assert_eq!(seen.len(), 1);
    for path in ["/secret", "/"] {
        let refused = user.register_workspace(path, called("w")).await;
        assert_eq!(refused.unwrap_err().kind(), Kind::PermissionDenied);
    }
    user.mkdir("/team/w", MkdirOptions::default())
        .await
        .unwrap();
    user.register_workspace("/team/w", called("w"))
        .await
        .unwrap();
}
