use super::*;

fn query(pattern: &str, path: &str) -> GlobQuery {
    GlobQuery {
        pattern: pattern.into(),
        path: path.into(),
        ..GlobQuery::default()
    }
}

async fn paths(session: &Session, query: GlobQuery) -> Vec<String> {
    session
        .glob(query)
        .map_ok(|entry| entry.path)
        .try_collect()
        .await
        .unwrap()
}

const FILES: &[(&str, &str)] = &[
    ("/README.md", "r"),
    ("/src/lib.rs", "lib"),
    ("/src/a/mod.rs", "mod"),
    ("/src/a/b/deep.rs", "deep"),
    ("/src/a.rs", "a"),
    ("/docs/é.md", "e"),
    ("/.hidden/x.rs", "x"),
];

#[tokio::test]
async fn names_are_found_in_the_order_of_a_listing() {
    let files = tree(FILES).await;
    let found = paths(&files, query("**/*.rs", "/src")).await;
    assert_eq!(
        found,
        [
            "/src/a/b/deep.rs",
            "/src/a/mod.rs",
            "/src/a.rs",
            "/src/lib.rs"
        ]
    );
    assert_eq!(
        paths(&files, query("*", "/src")).await,
        ["/src/a", "/src/a.rs", "/src/lib.rs"]
    );
    assert_eq!(
        paths(&files, query("/docs/?.md", "/src")).await,
        ["/docs/é.md"]
    );
    let found = paths(&files, query("{src,docs}/[!l]*.{rs,md}", "/")).await;
    assert_eq!(found, ["/docs/é.md", "/src/a.rs"]);
    assert_eq!(
        paths(&files, query("**/x.rs", "/")).await,
        ["/.hidden/x.rs"]
    );
    assert_eq!(paths(&files, query("**", "/")).await.len(), FILES.len() + 5);
}

#[tokio::test]
async fn every_result_has_its_attributes() {
    let files = tree(FILES).await;
    let found: Vec<DirEntry> = files
        .glob(query("/src/*", "/"))
        .try_collect()
        .await
        .unwrap();
    for entry in found {
        let stat = entry.stat.clone().expect("a glob has attributes");
        assert_eq!(stat, files.stat(&entry.path, At::Latest).await.unwrap());
        assert_eq!((stat.ino, stat.kind), (entry.ino, entry.kind));
    }
}

#[tokio::test]
async fn a_glob_without_wildcards_names_one_path() {
    let files = tree(FILES).await;
    assert_eq!(paths(&files, query("src/a.rs", "/")).await, ["/src/a.rs"]);
    assert_eq!(paths(&files, query("/src/a/", "/")).await, ["/src/a"]);
    assert!(paths(&files, query("/src/none", "/")).await.is_empty());
    assert!(
        paths(&files, query("/src/lib.rs/none", "/"))
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn what_is_not_there_matches_nothing_but_the_base_must_exist() {
    let files = tree(FILES).await;
    assert!(paths(&files, query("/nowhere/*", "/")).await.is_empty());
    assert!(paths(&files, query("/src/lib.rs/*", "/")).await.is_empty());
    assert!(paths(&files, query("nowhere/*", "/src")).await.is_empty());
    for pattern in ["*", "x"] {
        let error = files
            .glob(query(pattern, "/nowhere"))
            .try_next()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
    }
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    let files = tree(&[]).await;
    for (pattern, path) in [("[", "/"), ("../x", "/"), ("*", "relative"), ("", "/")] {
        let error = files
            .glob(query(pattern, path))
            .try_next()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidArgument, "{pattern} in {path}");
    }
}

#[tokio::test]
async fn a_base_may_lead_through_a_link_and_links_below_are_not_followed() {
    let files = tree(FILES).await;
    files
        .symlink("/src", "/link", Durability::Sync)
        .await
        .unwrap();
    assert_eq!(
        paths(&files, query("/link/*.rs", "/")).await,
        ["/src/a.rs", "/src/lib.rs"]
    );
    assert_eq!(
        paths(&files, query("a/*.rs", "/link")).await,
        ["/src/a/mod.rs"]
    );
    assert_eq!(paths(&files, query("/l*", "/")).await, ["/link"]);
    assert!(
        !paths(&files, query("/**/a.rs", "/"))
            .await
            .contains(&"/link/a.rs".to_owned())
    );
}

#[tokio::test]
async fn a_glob_sees_a_past_revision_as_it_was() {
    let files = tree(FILES).await;
    let before = files.revision().await.unwrap();
    files
        .rename("/src/a.rs", "/src/z.rs", MoveOptions::default())
        .await
        .unwrap();
    put(&files, "/src/new.rs", "n").await;
    let then = GlobQuery {
        at: At::Revision(before),
        ..query("/src/*.rs", "/")
    };
    assert_eq!(paths(&files, then).await, ["/src/a.rs", "/src/lib.rs"]);
    let now = paths(&files, query("/src/*.rs", "/")).await;
    assert_eq!(now, ["/src/lib.rs", "/src/new.rs", "/src/z.rs"]);
}

#[tokio::test]
async fn what_the_caller_may_not_see_is_not_found() {
    let files = tree(&[("/a/ok", ""), ("/b/ok", "")]).await;
    put_hidden(&files).await;
    let found = paths(&files, query("**", "/")).await;
    assert_eq!(
        found,
        ["/a", "/a/ok", "/b", "/b/ok", "/x-sealed", "/x-sealed/f"]
    );
    let error = files
        .glob(query("/x-secret/*", "/"))
        .try_next()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::PermissionDenied);
}

#[tokio::test]
async fn a_large_directory_is_searched_to_its_end() {
    let files = tree(&[]).await;
    for i in 0..2_500 {
        put(&files, &format!("/d/{i:05}"), "").await;
    }
    assert_eq!(paths(&files, query("*7", "/d")).await.len(), 250);
}
