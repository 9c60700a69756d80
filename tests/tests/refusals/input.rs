//! Paths, patterns and conditions that are none.

use nexus_client::At;

use super::*;

fn names(count: usize, length: usize) -> String {
    (0..count).fold(String::new(), |mut path, _| {
        write!(path, "/{}", "n".repeat(length)).expect("text takes all");
        path
    })
}

#[test]
fn paths_that_are_none_are_refused_at_every_door() {
    let home = Home::new();
    let guarded = Guarded::new(&home);
    let doors = Doors::new(&guarded.node, guarded.node.key());
    let long_name = format!("/{}", "n".repeat(256));
    for (what, path, kind, words) in [
        (
            "dots",
            "/team/../notes.txt".to_owned(),
            "invalid_argument",
            "..",
        ),
        (
            "dots at the end",
            "/team/..".to_owned(),
            "invalid_argument",
            "..",
        ),
        ("a dot", "/./notes.txt".to_owned(), "invalid_argument", "."),
        (
            "an empty name",
            "/team//plan.txt".to_owned(),
            "invalid_argument",
            "empty",
        ),
        ("NUL", "/no\0tes".to_owned(), "invalid_argument", "NUL"),
        ("a long name", long_name, "limit_exceeded", "255"),
        ("a long path", names(17, 250), "limit_exceeded", "4096"),
        ("a deep path", names(1001, 1), "limit_exceeded", "1000"),
    ] {
        let of = || path.clone();
        for ask in [
            Ask::Read(of()),
            Ask::Stat(of()),
            Ask::Write(of(), "x".into()),
            Ask::Create(of(), "x".into()),
            Ask::Remove(of()),
            Ask::Mkdir(of()),
            Ask::Rename("/notes.txt".to_owned(), of()),
            Ask::Rename(of(), "/new.txt".to_owned()),
            Ask::List(of()),
            Ask::Edits(of(), 1),
        ] {
            for door in ALL {
                // No argument of a program can hold a NUL.
                if door != Door::Cli || !path.contains('\0') {
                    check(door, what, doors.ask(door, &ask), kind, words);
                }
            }
        }
    }
    guarded.assert_as_before();
}

#[test]
fn the_longest_of_everything_works_at_every_door() {
    let home = Home::new();
    let node = home.start();
    let doors = Doors::new(&node, node.key());
    for path in [
        format!("/{}", "n".repeat(255)),
        names(16, 254),
        names(1000, 1),
    ] {
        for door in ALL {
            let content = format!("by {door:?}");
            doors
                .ask(door, &Ask::Write(path.clone(), content.clone().into()))
                .expect("it fits");
            assert_eq!(
                doors
                    .ask(door, &Ask::Read(path.clone()))
                    .expect("it is there"),
                content
            );
        }
    }
    assert!(node.cli().ok(["verify"]).contains("all is well"));
}

#[test]
fn patterns_that_are_none_are_refused_at_every_door() {
    let home = Home::new();
    let guarded = Guarded::new(&home);
    let doors = Doors::new(&guarded.node, guarded.node.key());
    for (glob, kind, words) in [
        ("/team/[a", "invalid_argument", "never closed"),
        ("/{a,b", "invalid_argument", "never closed"),
        ("/team/../*", "invalid_argument", ".."),
        (&"a".repeat(5000), "limit_exceeded", "4096"),
    ] {
        let ask = Ask::Glob(glob.to_owned());
        for door in ALL {
            check(door, glob, doors.ask(door, &ask), kind, words);
        }
    }
    for (expression, kind, words) in [
        ("(a", "invalid_argument", "unclosed group"),
        ("*a", "invalid_argument", "repetition operator"),
        (r"(a)\1", "invalid_argument", "backreferences"),
        ("(a{1000}){1000}", "invalid_argument", "size limit"),
    ] {
        let ask = Ask::Grep(expression.to_owned());
        for door in ALL {
            check(door, expression, doors.ask(door, &ask), kind, words);
        }
    }
    // Longer than an address may be, so that REST does not get to see it.
    let long = Ask::Grep("a".repeat(70_000));
    for door in [Door::Grpc, Door::JsonRpc, Door::Cli] {
        check(
            door,
            "a long expression",
            doors.ask(door, &long),
            "limit_exceeded",
            "65536",
        );
    }
    guarded.assert_as_before();
}

#[test]
fn an_expression_that_explodes_elsewhere_is_just_answered() {
    let home = Home::new();
    let node = home.start();
    let line = "a".repeat(1 << 20);
    node.http().write("/a.txt", line).ok();
    let doors = Doors::new(&node, node.key());
    for pattern in ["(a*)*b", "(a|aa)+$x", "(a|a|a?)*c", "((a+)+)+d"] {
        for door in ALL {
            let found = doors.ask(door, &Ask::Grep(pattern.to_owned()));
            assert_eq!(
                found.expect("it is an expression"),
                "",
                "{pattern} through {door:?}"
            );
        }
    }
}

#[test]
fn conditions_and_ranges_that_do_not_hold_are_refused_at_every_door() {
    let home = Home::new();
    let guarded = Guarded::new(&home);
    let doors = Doors::new(&guarded.node, guarded.node.key());
    let file = || "/notes.txt".to_owned();
    let stale = format!("b3-{}", "0".repeat(64));
    let over = |etag: &str| Ask::WriteOver(file(), "x".into(), etag.to_owned());
    for (what, ask, kind, words) in [
        ("a stale etag", over(&stale), "conflict", ""),
        ("a made-up etag", over("made-up"), "conflict", "etag"),
        (
            "a range beyond the end",
            Ask::Range(file(), 100, 200),
            "invalid_argument",
            "range",
        ),
        (
            "too many edits",
            Ask::Edits(file(), 1001),
            "limit_exceeded",
            "1000",
        ),
    ] {
        for door in ALL {
            check(door, what, doors.ask(door, &ask), kind, words);
        }
    }
    guarded.assert_as_before();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cursors_and_points_that_are_none_are_refused() {
    let home = Home::new();
    let guarded = Guarded::new(&home);
    let (http, client) = (guarded.node.http(), guarded.node.client().await);
    let options = nexus_client::ListOptions {
        cursor: Some("made-up".to_owned()),
        ..Default::default()
    };
    let refusal = client
        .list("/", options)
        .await
        .expect_err("no page gave it");
    assert_eq!(refusal.kind(), nexus_client::Kind::InvalidArgument);
    for at in ["r999999", "2y", "-1", "r0^"] {
        let refusal = client
            .stat("/notes.txt", At::from(at))
            .await
            .expect_err("no such point");
        assert_eq!(refusal.kind(), nexus_client::Kind::InvalidArgument, "{at}");
    }
    for target in [
        "/api/v2/list?path=/&cursor=made-up",
        "/api/v2/log?cursor=made-up",
        "/api/v2/find?tag=x&cursor=made-up",
        "/api/v2/keys?cursor=made-up",
        "/api/v2/list?path=/&limit=10001",
        "/api/v2/list?path=/&at=r999999",
        "/api/v2/list?path=/&at=2y",
        "/api/v2/files/notes.txt?version=x",
    ] {
        let answer = http.get(target);
        let kind = answer.json()["error"]["kind"].clone();
        assert!(
            kind == "invalid_argument" || kind == "limit_exceeded",
            "{target}: {}",
            answer.text()
        );
        assert!(
            [400, 413].contains(&answer.status),
            "{target}: {}",
            answer.status
        );
    }
    let watch = http.get("/api/v2/events?after=999999");
    assert_eq!(
        watch.json()["error"]["kind"],
        "invalid_argument",
        "{}",
        watch.text()
    );
    let list = http.rpc(
        "list",
        &serde_json::json!({ "cursor": "made-up", "limit": 5 }),
    );
    assert_eq!(list["error"]["code"], -32005, "{list}");
    guarded.assert_as_before();
}
