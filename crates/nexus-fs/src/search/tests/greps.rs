use super::*;

fn query(pattern: &str) -> GrepQuery {
    GrepQuery {
        pattern: pattern.into(),
        ..GrepQuery::default()
    }
}

async fn lines(session: &Session, query: GrepQuery) -> Vec<String> {
    let shown = session
        .grep(query)
        .map_ok(|m| format!("{}:{}:{}", m.path, m.line, m.content));
    shown.try_collect().await.unwrap()
}

async fn refused(session: &Session, query: GrepQuery) -> Error {
    session
        .grep(query)
        .try_collect::<Vec<_>>()
        .await
        .unwrap_err()
}

const FILES: &[(&str, &str)] = &[
    ("/a/one.txt", "first\nneedle one\nlast\n"),
    ("/a/two.md", "no\nneedle two"),
    ("/a.txt", "needle\n"),
    ("/b/three.txt", "hay\n"),
    ("/b/Four.TXT", "Needle\n"),
];

#[tokio::test]
async fn lines_are_found_in_the_order_of_paths() {
    let files = tree(FILES).await;
    let expected = [
        "/a/one.txt:2:needle one",
        "/a/two.md:2:needle two",
        "/a.txt:1:needle",
    ];
    assert_eq!(lines(&files, query("needle")).await, expected);
    let caseless = GrepQuery {
        ignore_case: true,
        ..query("NEEDLE$")
    };
    assert_eq!(
        lines(&files, caseless).await,
        ["/a.txt:1:needle", "/b/Four.TXT:1:Needle"]
    );
}

#[tokio::test]
async fn a_file_pattern_chooses_files() {
    let files = tree(FILES).await;
    let by = |glob: &str| GrepQuery {
        file_pattern: Some(glob.into()),
        ..query("needle")
    };
    assert_eq!(lines(&files, by("*.md")).await, ["/a/two.md:2:needle two"]);
    assert_eq!(lines(&files, by("/*.txt")).await, ["/a.txt:1:needle"]);
    assert_eq!(
        lines(&files, by("a/*.txt")).await,
        ["/a/one.txt:2:needle one"]
    );
    assert_eq!(refused(&files, by("[")).await.kind(), Kind::InvalidArgument);
}

#[tokio::test]
async fn the_search_may_begin_at_a_file_or_through_a_link() {
    let files = tree(FILES).await;
    let at = |path: &str| GrepQuery {
        path: path.into(),
        ..query("needle")
    };
    assert_eq!(
        lines(&files, at("/a/two.md")).await,
        ["/a/two.md:2:needle two"]
    );
    files
        .symlink("/a", "/link", Durability::Sync)
        .await
        .unwrap();
    assert_eq!(lines(&files, at("/link")).await.len(), 2);
    let named = GrepQuery {
        file_pattern: Some("/link/*.md".into()),
        ..at("/link")
    };
    assert_eq!(lines(&files, named).await, ["/a/two.md:2:needle two"]);
    assert_eq!(refused(&files, at("/nowhere")).await.kind(), Kind::NotFound);
}

#[tokio::test]
async fn binary_and_empty_and_too_large_files_are_left_out() {
    let files = tree(&[("/a", "x\0x"), ("/b", ""), ("/c", "x\n"), ("/d", "xx\n")]).await;
    let small = GrepQuery {
        file_bytes_max: 2,
        ..query("x")
    };
    assert_eq!(lines(&files, small).await, ["/c:1:x"]);
    assert_eq!(lines(&files, query("x")).await, ["/c:1:x", "/d:1:xx"]);
}

#[tokio::test]
async fn a_search_sees_a_past_revision_as_it_was() {
    let files = tree(FILES).await;
    let before = files.revision().await.unwrap();
    put(&files, "/a.txt", "nothing\n").await;
    files
        .remove("/a/two.md", RemoveOptions::default())
        .await
        .unwrap();
    assert_eq!(
        lines(&files, query("needle")).await,
        ["/a/one.txt:2:needle one"]
    );
    let then = GrepQuery {
        at: At::Revision(before),
        ..query("needle")
    };
    assert_eq!(lines(&files, then).await.len(), 3);
}

#[tokio::test]
async fn what_the_caller_may_not_read_is_not_found() {
    let files = tree(&[("/a", "x\n")]).await;
    put_hidden(&files).await;
    assert_eq!(lines(&files, query("x")).await, ["/a:1:x"]);
    let direct = GrepQuery {
        path: "/x-sealed/f".into(),
        ..query("x")
    };
    assert_eq!(refused(&files, direct).await.kind(), Kind::PermissionDenied);
}

#[tokio::test]
async fn files_of_every_size_are_searched() {
    let files = tree(&[]).await;
    let mut expected = Vec::new();
    for (i, count) in [1, 1_000, 100_000, 1_000_000].into_iter().enumerate() {
        let mut text: String = (1..count).map(|n| format!("{n}\n")).collect();
        text.push_str("target\n");
        put(&files, &format!("/{i}"), text).await;
        expected.push(format!("/{i}:{count}:target"));
    }
    assert_eq!(lines(&files, query("^target")).await, expected);
    let across = GrepQuery {
        multi_line: true,
        ..query(r"9\ntarget")
    };
    assert_eq!(lines(&files, across).await.len(), 3);
}

#[tokio::test]
async fn a_maximum_counts_over_the_pieces_of_a_large_file() {
    let files = tree(&[("/small", "x\nx\nx\n")]).await;
    let line = |i| {
        if i % 100_000 == 0 {
            "x\n"
        } else {
            "0123456789012345678\n"
        }
    };
    let text: String = (0..500_000).map(line).collect();
    put(&files, "/large", text).await;
    let limited = GrepQuery {
        max_per_file: Some(2),
        ..query("x")
    };
    let expected = ["/large:1:x", "/large:100001:x", "/small:1:x", "/small:2:x"];
    assert_eq!(lines(&files, limited).await, expected);
}

#[tokio::test]
async fn every_match_of_many_is_delivered_in_order() {
    let files = tree(&[]).await;
    for i in 0..600 {
        put(&files, &format!("/{i:03}"), "hit\nmiss\n".repeat(10)).await;
    }
    let found: Vec<GrepMatch> = files.grep(query("hit")).try_collect().await.unwrap();
    assert_eq!(found.len(), 6_000);
    assert!(found.iter().map(|m| (&m.path, m.line)).is_sorted());
}

#[tokio::test]
async fn a_search_can_be_dropped_after_the_first_match() {
    let files = tree(FILES).await;
    let first = files.grep(query("needle")).next().await.unwrap().unwrap();
    assert_eq!(first.path, "/a/one.txt");
}

#[tokio::test]
async fn content_that_was_replaced_and_collected_meanwhile_is_read_anew() {
    let files = tree(&[("/0", "a\n")]).await;
    for i in 1..600 {
        put(
            &files,
            &format!("/{i:03}"),
            format!("a{}\n", "y".repeat(9_000 + i)),
        )
        .await;
    }
    let mut found = files.grep(query("^[ab]"));
    assert!(found.try_next().await.unwrap().is_some());
    for i in 1..600 {
        put(
            &files,
            &format!("/{i:03}"),
            format!("b{}\n", "y".repeat(9_000 + i)),
        )
        .await;
    }
    let rest: Vec<GrepMatch> = found.try_collect().await.unwrap();
    assert_eq!(rest.len(), 599);
}

#[tokio::test]
async fn a_search_past_its_deadline_stops() {
    let files = tree(FILES).await;
    let mut late = files.clone();
    late.context.deadline = Some(nexus_kernel::Timestamp(1));
    assert_eq!(
        refused(&late, query("needle")).await.kind(),
        Kind::Unavailable
    );
}

#[tokio::test]
async fn ignored_files_are_left_out_when_asked() {
    let files = tree(&[("/.gitignore", "*.log\n"), ("/a.log", "x\n"), ("/b", "x\n")]).await;
    let kept = GrepQuery {
        ignore: true,
        ..query("x")
    };
    assert_eq!(lines(&files, kept).await, ["/b:1:x"]);
    let explicit = GrepQuery {
        ignore: true,
        path: "/a.log".into(),
        ..query("x")
    };
    assert_eq!(lines(&files, explicit).await, ["/a.log:1:x"]);
}
