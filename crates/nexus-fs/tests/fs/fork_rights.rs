//! Forks and merges by a caller confined to one subtree, `/team`.

use nexus_fs::{At, ForkOptions, MergeOptions, MoveOptions, RemoveOptions};
use nexus_kernel::Kind;

use crate::rights::confined;
use crate::support::{put, text};

/// Who forks must be allowed to read the directory and to make the fork.
#[tokio::test]
async fn forks_stay_within_what_the_caller_may_do() {
    let (_zone, system, user) = confined().await;
    put(&system, "/secret/x", "1").await;
    put(&system, "/team/a/x", "1").await;
    for (from, to) in [
        ("/secret", "/team/b"),
        ("/team/a", "/b"),
        ("/", "/team/all"),
    ] {
        let refused = user.fork(from, to, ForkOptions::default()).await;
        assert_eq!(
            refused.unwrap_err().kind(),
            Kind::PermissionDenied,
            "{from}"
        );
    }
    let made = user.fork("/team/a", "/team/b", ForkOptions::default());
    made.await.unwrap();
    put(&user, "/team/b/x", "2").await;
    let merged = user.merge("/team/b", MergeOptions::default()).await;
    assert!(merged.unwrap().applied);
    assert_eq!(text(&user, "/team/a/x").await, "2");
}

/// A merge into what is out of sight is refused, and the refusal does not tell where that is.
#[tokio::test]
async fn a_merge_does_not_reach_out_of_sight() {
    let (_zone, system, user) = confined().await;
    put(&system, "/secret/x", "1").await;
    let fork = system.fork("/secret", "/team/b", ForkOptions::default());
    fork.await.unwrap();
    put(&user, "/team/b/x", "2").await;
    let refused = user.merge("/team/b", MergeOptions::default()).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), Kind::PermissionDenied);
    assert!(!format!("{refused:?}").contains("secret"), "{refused:?}");
    let refused = user.merge("/secret", MergeOptions::default()).await;
    assert_eq!(refused.unwrap_err().kind(), Kind::PermissionDenied);
    assert_eq!(text(&system, "/secret/x").await, "1");
}

/// A fork that was made out of the caller's sight and has moved into it is merged as any: what
/// the caller may do goes by where it is.
#[tokio::test]
async fn a_fork_is_merged_by_where_it_is() {
    let (_zone, system, user) = confined().await;
    put(&system, "/team/a/x", "1\n2\n3\n").await;
    put(&system, "/team/a/d/y", "1\n").await;
    let fork = system.fork("/team/a", "/staging", ForkOptions::default());
    fork.await.unwrap();
    let moved = system.rename("/staging", "/team/b", MoveOptions::default());
    moved.await.unwrap();
    put(&user, "/team/b/x", "one\n2\n3\n").await;
    put(&user, "/team/a/x", "1\n2\nthree\n").await;
    let options = RemoveOptions::default();
    user.remove("/team/b/d/y", options).await.unwrap();
    let report = user.merge("/team/b", MergeOptions::default()).await;
    let report = report.unwrap();
    assert!(report.applied, "{report:?}");
    assert_eq!(text(&user, "/team/a/x").await, "one\n2\nthree\n");
    assert!(!user.exists("/team/a/d/y", At::Latest).await.unwrap());
    // It is the same after it has moved again.
    let moved = user.rename("/team/b", "/team/c", MoveOptions::default());
    moved.await.unwrap();
    put(&user, "/team/c/x", "one!\n2\n3\n").await;
    let report = user.merge("/team/c", MergeOptions::default()).await;
    assert!(report.unwrap().applied);
    assert_eq!(text(&user, "/team/a/x").await, "one!\n2\nthree\n");
}
