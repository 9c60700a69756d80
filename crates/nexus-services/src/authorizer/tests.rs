use std::sync::Arc;

use nexus_kernel::Kind;
use nexus_service_api::{
    Action::{self, Administer, Create, Delete, Read, Stat, Write},
    Authorizer, Context, Principal, PrincipalKind, Revocation, Rights, Target,
};

use super::KeyAuthorizer;

const ACTIONS: [Action; 6] = [Stat, Read, Write, Create, Delete, Administer];

fn guard() -> KeyAuthorizer {
    KeyAuthorizer::new("root")
}

fn caller(rights: Rights, prefix: Option<&str>) -> Context {
    Context::new(Arc::new(Principal {
        kind: PrincipalKind::Agent,
        id: "scout".into(),
        key_id: Some("k1".into()),
        zone: "root".into(),
        rights,
        prefix: prefix.map(str::to_owned),
        expires: None,
        revocation: Revocation::default(),
    }))
}

fn at(path: &str) -> Target<'_> {
    Target { path, inodes: &[1] }
}

/// Exactly `allowed` may be done at `path`.
async fn check(who: &Context, path: &str, allowed: &[Action]) {
    for action in ACTIONS {
        let answer = guard().authorize(who, action, at(path)).await;
        let principal = &who.principal;
        assert_eq!(
            answer.is_ok(),
            allowed.contains(&action),
            "{action:?} {path} as {principal:?}"
        );
        if let Err(error) = answer {
            assert_eq!(error.kind(), Kind::PermissionDenied);
        }
    }
}

#[tokio::test]
async fn rights_allow_what_they_name_and_nothing_more() {
    let table: [(Rights, &[Action]); 3] = [
        (Rights::ReadOnly, &[Stat, Read]),
        (Rights::ReadWrite, &[Stat, Read, Write, Create, Delete]),
        (Rights::Admin, &ACTIONS),
    ];
    for (rights, allowed) in table {
        for path in ["/", "/a", "/a/b"] {
            check(&caller(rights, None), path, allowed).await;
        }
    }
}

#[tokio::test]
async fn at_and_below_the_prefix_rights_decide() {
    let files: &[Action] = &[Stat, Read, Write, Create, Delete];
    for path in ["/team", "/team/a", "/team/a/b"] {
        check(
            &caller(Rights::ReadOnly, Some("/team")),
            path,
            &[Stat, Read],
        )
        .await;
        check(&caller(Rights::ReadWrite, Some("/team")), path, files).await;
    }
}

#[tokio::test]
async fn above_the_prefix_only_stat_is_allowed() {
    for path in ["/", "/org"] {
        check(&caller(Rights::ReadWrite, Some("/org/team")), path, &[Stat]).await;
        check(&caller(Rights::Admin, Some("/org/team")), path, &[Stat]).await;
    }
}

#[tokio::test]
async fn beside_the_prefix_nothing_is_allowed() {
    for path in [
        "/team2",
        "/team2/a",
        "/tea",
        "/team.txt",
        "/other",
        "/other/team",
    ] {
        check(&caller(Rights::Admin, Some("/team")), path, &[]).await;
    }
}

#[tokio::test]
async fn a_prefix_takes_administration_away() {
    let who = caller(Rights::Admin, Some("/team"));
    let refused = guard()
        .authorize(&who, Administer, at("/team"))
        .await
        .unwrap_err();
    assert!(refused.message().contains("cannot administer"), "{refused}");
}

#[tokio::test]
async fn a_key_of_another_zone_may_do_nothing() {
    let other = KeyAuthorizer::new("elsewhere");
    let who = caller(Rights::Admin, None);
    for action in ACTIONS {
        let refused = other.authorize(&who, action, at("/")).await.unwrap_err();
        assert_eq!(refused.fact("key's zone"), Some("root"));
    }
    assert_eq!(other.visible(&who, &[at("/")]).await.unwrap(), [false]);
    assert!(!other.sees_all_below(&who, at("/")).await);
}

#[tokio::test]
async fn the_system_may_do_anything_anywhere() {
    check(&Context::system(), "/", &ACTIONS).await;
    check(&Context::system(), "/a/b", &ACTIONS).await;
}

#[tokio::test]
async fn a_refusal_says_what_is_missing() {
    let who = caller(Rights::ReadOnly, Some("/team"));
    let refused = guard()
        .authorize(&who, Write, at("/team/a"))
        .await
        .unwrap_err();
    assert_eq!(refused.fact("rights"), Some("read-only"));
    assert_eq!(refused.fact("needed"), Some("read-write"));
    assert_eq!(refused.fact("action"), Some("write"));
    let refused = guard()
        .authorize(&who, Read, at("/team2"))
        .await
        .unwrap_err();
    assert_eq!(refused.fact("prefix"), Some("/team"));
    assert_eq!(refused.fact("path"), Some("/team2"));
}

#[tokio::test]
async fn a_filter_keeps_what_leads_to_the_prefix_and_what_is_in_it() {
    let who = caller(Rights::ReadOnly, Some("/org/team"));
    let paths = [
        "/",
        "/org",
        "/org/team",
        "/org/team/a",
        "/org/team2",
        "/organic",
        "/tmp",
    ];
    let seen = guard().visible(&who, &paths.map(at)).await.unwrap();
    assert_eq!(seen, [true, true, true, true, false, false, false]);
}

#[tokio::test]
async fn a_subtree_goes_unfiltered_only_within_the_prefix() {
    let who = caller(Rights::ReadOnly, Some("/org/team"));
    for (path, all) in [
        ("/", false),
        ("/org", false),
        ("/org/team", true),
        ("/org/team/a", true),
        ("/tmp", false),
    ] {
        assert_eq!(guard().sees_all_below(&who, at(path)).await, all, "{path}");
    }
    assert!(
        guard()
            .sees_all_below(&caller(Rights::ReadOnly, None), at("/"))
            .await
    );
}
