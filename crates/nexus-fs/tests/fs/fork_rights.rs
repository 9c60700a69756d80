//! Forks and merges by a caller confined to one subtree, `/team`.

use nexus_fs::{ForkOptions, MergeOptions};
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
