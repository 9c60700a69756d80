use super::*;

/// The files that are left when ignore rules hold.
async fn kept(session: &Session, path: &str) -> Vec<String> {
    let query = GlobQuery {
        path: path.into(),
        ignore: true,
        ..GlobQuery::default()
    };
    let entries: Vec<DirEntry> = session.glob(query).try_collect().await.unwrap();
    let files = entries
        .into_iter()
        .filter(|entry| entry.kind == FileKind::File);
    files.map(|entry| entry.path).collect()
}

#[tokio::test]
async fn ignored_and_hidden_files_are_left_out_only_when_asked() {
    let files = tree(&[
        ("/p/.gitignore", "*.log\n/build/\n!keep.log\n"),
        ("/p/a.txt", ""),
        ("/p/a.log", ""),
        ("/p/keep.log", ""),
        ("/p/build/out.txt", ""),
        ("/p/src/build/out.txt", ""),
        ("/p/.env", ""),
    ])
    .await;
    assert_eq!(
        kept(&files, "/p").await,
        ["/p/a.txt", "/p/keep.log", "/p/src/build/out.txt"]
    );
    let all = GlobQuery {
        path: "/p".into(),
        ..GlobQuery::default()
    };
    assert_eq!(files.glob(all).count().await, 10);
}

#[tokio::test]
async fn deeper_rules_have_the_last_word_and_those_above_hold() {
    let files = tree(&[
        ("/.gitignore", "*.tmp\n"),
        ("/a/.gitignore", "!one.tmp\n"),
        ("/a/one.tmp", ""),
        ("/a/two.tmp", ""),
        ("/a/b/one.tmp", ""),
        ("/c/one.tmp", ""),
        ("/c/x", ""),
    ])
    .await;
    assert_eq!(
        kept(&files, "/").await,
        ["/a/b/one.tmp", "/a/one.tmp", "/c/x"]
    );
    assert_eq!(kept(&files, "/a/b").await, ["/a/b/one.tmp"]);
    assert_eq!(kept(&files, "/c").await, ["/c/x"]);
}

#[tokio::test]
async fn an_ignore_file_overrules_git() {
    let files = tree(&[
        ("/.gitignore", "*.gen\n"),
        ("/.ignore", "!*.gen\nvendor\n"),
        ("/x.gen", ""),
        ("/vendor/y", ""),
        ("/sub/.gitignore", "*\n"),
        ("/sub/z.gen", ""),
        ("/sub/w", ""),
    ])
    .await;
    assert_eq!(kept(&files, "/").await, ["/sub/z.gen", "/x.gen"]);
}

#[tokio::test]
async fn a_repository_does_not_inherit_the_rules_above_it() {
    let files = tree(&[
        ("/.gitignore", "*.o\n"),
        ("/.ignore", "*.bak\n"),
        ("/repo/.git/HEAD", ""),
        ("/repo/a.o", ""),
        ("/repo/a.bak", ""),
        ("/b.o", ""),
    ])
    .await;
    assert_eq!(kept(&files, "/").await, ["/repo/a.o"]);
}

#[tokio::test]
async fn rules_are_those_of_the_revision_searched() {
    let files = tree(&[("/.gitignore", "a\n"), ("/a", ""), ("/b", "")]).await;
    let before = files.revision().await.unwrap();
    put(&files, "/.gitignore", "b\n").await;
    let query = GlobQuery {
        at: At::Revision(before),
        ignore: true,
        ..GlobQuery::default()
    };
    let found: Vec<_> = files
        .glob(query)
        .map_ok(|entry| entry.path)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(found, ["/b"]);
    assert_eq!(kept(&files, "/").await, ["/a"]);
}

#[tokio::test]
async fn rules_that_make_no_sense_are_skipped_one_by_one() {
    let files = tree(&[("/.gitignore", "[z-a]\na{\nb\n"), ("/b", ""), ("/c", "")]).await;
    assert_eq!(kept(&files, "/").await, ["/c"]);
}

#[tokio::test]
async fn a_huge_file_of_rules_is_refused() {
    let files = tree(&[("/a", "")]).await;
    put(&files, "/.gitignore", vec![b'x'; (1 << 20) + 1]).await;
    let query = GlobQuery {
        ignore: true,
        ..GlobQuery::default()
    };
    let error = files.glob(query).try_next().await.unwrap_err();
    assert_eq!(error.kind(), Kind::LimitExceeded);
}
