//! How trees differ, for callers who may not see all of them, and over large ones. That the
//! log, a walk and two listings tell the same is proved beside the code.

use nexus_fs::{At, DiffTreeOptions, MoveOptions, RemoveOptions, Session, TreeChange, TreeDiff};
use nexus_kernel::{Kind, Revision};

use crate::rights::confined;
use crate::support::put;

async fn diff(files: &Session, path: &str, from: Revision) -> TreeDiff {
    let options = DiffTreeOptions::default();
    files
        .diff_tree(path, At::Revision(from), At::Latest, options)
        .await
        .unwrap()
}

fn line(change: &TreeChange) -> String {
    let from = change.old_path.iter().map(|old| format!(" from {old}"));
    let line = format!("{} {}", change.kind.as_str(), change.path);
    from.fold(line, |line, from| line + &from)
}

fn lines(diff: &TreeDiff) -> Vec<String> {
    diff.changes.iter().map(line).collect()
}

/// A caller learns of what moved out of its sight that it went, of what moved into it that it
/// came, and of the rest nothing.
#[tokio::test]
async fn a_diff_shows_what_the_caller_may_see() {
    let (_zone, system, user) = confined().await;
    for path in [
        "/team/leaves",
        "/team/stays",
        "/secret/comes",
        "/secret/stays",
    ] {
        put(&system, path, "1").await;
    }
    let before = system.revision().await.unwrap();
    let moves = [
        ("/team/leaves", "/secret/left"),
        ("/secret/comes", "/team/came"),
    ];
    for (from, to) in moves {
        system
            .rename(from, to, MoveOptions::default())
            .await
            .unwrap();
    }
    put(&system, "/team/stays", "2").await;
    put(&system, "/secret/stays", "2").await;
    let expected = [
        "added /team/came",
        "removed /team/leaves",
        "modified /team/stays",
    ];
    for path in ["/team", "/"] {
        let told = diff(&user, path, before).await;
        assert_eq!(lines(&told), expected, "{path}");
        assert!(!format!("{told:?}").contains("secret"));
    }
    let refused = user.diff_tree(
        "/secret",
        At::Revision(before),
        At::Latest,
        DiffTreeOptions::default(),
    );
    let error = refused.await.unwrap_err();
    assert_eq!(error.kind(), Kind::PermissionDenied);
    let refused = user.diff_trees(
        ("/team", At::Latest),
        ("/secret", At::Latest),
        DiffTreeOptions::default(),
    );
    assert_eq!(refused.await.unwrap_err().kind(), Kind::PermissionDenied);
}

/// How much went with a directory counts only what the caller may see.
#[tokio::test]
async fn what_is_hidden_is_not_counted_with_its_directory() {
    let (_zone, system, user) = confined().await;
    put(&system, "/team/d/a", "1").await;
    put(&system, "/team/d/b", "1").await;
    let before = system.revision().await.unwrap();
    let recursive = RemoveOptions {
        recursive: true,
        ..RemoveOptions::default()
    };
    system
        .rename("/team/d/b", "/hidden", MoveOptions::default())
        .await
        .unwrap();
    system.remove("/team/d", recursive).await.unwrap();
    let told = diff(&user, "/team", before).await;
    assert_eq!(lines(&told), ["removed /team/d"]);
    // For the user b went with the directory.
    assert_eq!(told.changes[0].below, 2);
}
