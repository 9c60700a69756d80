//! Keys that are none, no longer, or not enough.

use nexus_client::{Kind, NewKeyOptions, PrincipalKind, Rights, Timestamp, WatchQuery};
use nexus_tests::http::file;
use serde_json::json;

use super::*;

/// Makes a key; answers its public id and its secret.
fn make_key(node: &Node<'_>, rights: &str, prefix: Option<&str>) -> (String, String) {
    let wanted = json!({ "name": "k", "id": "bob", "rights": rights, "prefix": prefix });
    let made = node.http().post("/api/v2/keys", &wanted).ok().json();
    let text = |value: &serde_json::Value| value.as_str().expect("it is text").to_owned();
    (text(&made["key"]["key_id"]), text(&made["secret"]))
}

fn revoke(node: &Node<'_>, key_id: &str) {
    node.http()
        .request("DELETE", &format!("/api/v2/keys/{key_id}"))
        .send()
        .ok();
}

fn reads(path: &str) -> Vec<Ask> {
    let of = || path.to_owned();
    vec![Ask::Read(of()), Ask::Range(of(), 0, 2), Ask::Stat(of())]
}

fn changes(path: &str) -> Vec<Ask> {
    let of = || path.to_owned();
    vec![
        Ask::Write(of(), "x".into()),
        Ask::Create(format!("{path}.new"), "x".into()),
        Ask::Remove(of()),
        Ask::Mkdir(format!("{path}.d")),
        Ask::Rename(of(), format!("{path}.new")),
        Ask::Edits(of(), 1),
    ]
}

/// Every one of these is refused at every door.
#[track_caller]
fn all_refused(doors: &Doors, asks: Vec<Ask>, kind: &str) {
    for ask in asks {
        for door in ALL {
            check(door, &format!("{ask:?}"), doors.ask(door, &ask), kind, "");
        }
    }
}

#[test]
fn without_a_key_or_with_a_wrong_or_a_revoked_one_there_is_no_access() {
    let home = Home::new();
    let guarded = Guarded::new(&home);
    let node = &guarded.node;
    let (revoked_id, revoked) = make_key(node, "admin", None);
    let doors = Doors::new(node, &revoked);
    doors
        .ask(Door::Grpc, &Ask::Read("/notes.txt".to_owned()))
        .expect("it is a key");
    revoke(node, &revoked_id);
    let forged = format!("{}0", &revoked[..revoked.len() - 1]);
    for doors in [
        doors,
        Doors::new(node, "sk-wrong"),
        Doors::new(node, &forged),
    ] {
        all_refused(&doors, reads("/notes.txt"), "unauthenticated");
        all_refused(&doors, changes("/notes.txt"), "unauthenticated");
        let finds = ["/", "**", "secret"].map(str::to_owned);
        let [list, glob, grep] = finds;
        let finds = vec![Ask::List(list), Ask::Glob(glob), Ask::Grep(grep)];
        all_refused(&doors, finds, "unauthenticated");
    }
    for target in [
        "/api/v2/stat?path=/",
        "/api/v2/events",
        "/api/v2/events/ws",
        "/api/v2/cursors",
        "/api/v2/keys",
        "/api/v2/revision",
    ] {
        let answer = node.http().without_key().get(target);
        assert_eq!(answer.status, 401, "{target}");
        assert!(
            answer.text().contains("Authorization: Bearer"),
            "{}",
            answer.text()
        );
    }
    for open in ["/health", "/api/v2/openapi.json"] {
        assert_eq!(node.http().without_key().get(open).status, 200, "{open}");
    }
    guarded.assert_as_before();
}

#[tokio::test]
async fn a_key_is_refused_once_it_has_expired() {
    let home = Home::new();
    let node = home.start();
    let client = node.client().await;
    let now = node.http().write("/now", "x").ok();
    drop(now);
    let now = client
        .stat("/now", "".into())
        .await
        .expect("it is there")
        .modified;
    let options = NewKeyOptions {
        name: "short".to_owned(),
        kind: PrincipalKind::User,
        id: "bob".to_owned(),
        zone: None,
        rights: Rights::ReadOnly,
        prefix: None,
        expires: Some(Timestamp(now.0 + 1_000_000_000)),
    };
    let key = client
        .create_key(options)
        .await
        .expect("a second is still to come");
    let short = node.client_with(&key.secret).await;
    let refusal = loop {
        // Every call before the end is answered; the first after it is not.
        if let Err(error) = short.stat("/now", "".into()).await {
            break error;
        }
    };
    assert_eq!(refusal.kind(), Kind::Unauthenticated, "{refusal:?}");
    client
        .write("/now", "later".into(), Default::default())
        .await
        .expect("it is the admin");
    let later = client
        .stat("/now", "".into())
        .await
        .expect("it is there")
        .modified;
    assert!(later.0 >= now.0 + 1_000_000_000, "it was refused too early");
}

#[test]
fn a_read_only_key_reads_and_changes_nothing() {
    let home = Home::new();
    let guarded = Guarded::new(&home);
    let (_, key) = make_key(&guarded.node, "read-only", None);
    let doors = Doors::new(&guarded.node, &key);
    all_refused(&doors, changes("/notes.txt"), "permission_denied");
    for door in ALL {
        for ask in reads("/notes.txt") {
            doors.ask(door, &ask).expect("it may read");
        }
    }
    let http = guarded.node.http().with_key(&key);
    for target in ["/api/v2/gc", "/api/v2/verify", "/api/v2/keys"] {
        let answer = http.post(
            target,
            &json!({ "name": "k", "id": "x", "rights": "admin" }),
        );
        assert_eq!(answer.status, 403, "{target}: {}", answer.text());
    }
    guarded.assert_as_before();
}

#[test]
fn a_key_with_a_prefix_reaches_and_finds_nothing_outside() {
    let home = Home::new();
    let guarded = Guarded::new(&home);
    let (_, key) = make_key(&guarded.node, "read-write", Some("/team"));
    let doors = Doors::new(&guarded.node, &key);
    for outside in ["/notes.txt", "/teammates.txt", "/none"] {
        all_refused(&doors, reads(outside), "permission_denied");
        all_refused(&doors, changes(outside), "permission_denied");
    }
    let [inside, out] = ["/team/plan.txt", "/out.txt"].map(str::to_owned);
    let moves = vec![
        Ask::Rename(inside.clone(), out.clone()),
        Ask::Rename(out, inside),
    ];
    all_refused(&doors, moves, "permission_denied");
    for door in ALL {
        let found = |ask: Ask| {
            let context = format!("{ask:?} through {door:?}");
            String::from_utf8_lossy(&doors.ask(door, &ask).expect(&context)).into_owned()
        };
        assert_eq!(
            found(Ask::Read("/team/plan.txt".to_owned())),
            "the team's secret"
        );
        assert_eq!(found(Ask::List("/".to_owned())), "/team", "{door:?}");
        assert_eq!(
            found(Ask::List("/team".to_owned())),
            "/team/deep\n/team/plan.txt"
        );
        let files = "/team/deep/more.txt\n/team/plan.txt";
        assert_eq!(found(Ask::Glob("**/*.txt".to_owned())), files, "{door:?}");
        assert_eq!(found(Ask::Grep("secret".to_owned())), files, "{door:?}");
    }
    guarded.assert_as_before();
}

#[tokio::test]
async fn a_watch_ends_when_its_key_is_revoked_and_tells_nothing_more() {
    use futures::StreamExt;

    let home = Home::new();
    let node = home.start();
    let (key_id, key) = make_key(&node, "read-only", None);
    let start = node.http().revision();
    let target = format!("/api/v2/events?after={start}");
    let watch = node.http().with_key(&key).request("GET", &target);
    let watch = watch.header("Accept", "application/x-ndjson").open();
    assert_eq!(watch.status, 200);
    let mut lines = watch.lines();
    let query = WatchQuery {
        start: nexus_client::Revision(start).into(),
        ..WatchQuery::default()
    };
    let watcher = node.client_with(&key).await;
    let mut records = watcher.watch(query).await.expect("it may watch");
    node.http().write("/seen", "x").ok();
    let line = lines.next().expect("it goes on").expect("it can be read");
    assert!(line.contains("/seen"), "{line}");
    let record = records
        .next()
        .await
        .expect("it goes on")
        .expect("it may watch");
    assert_eq!(record.changes[0].path, "/seen");

    revoke(&node, &key_id);
    node.http()
        .request("PUT", &file("/unseen"))
        .body("x")
        .send()
        .ok();
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert!(!rest.concat().contains("/unseen"), "{rest:?}");
    let rest: Vec<_> = records.collect().await;
    let told: BTreeMap<_, _> = rest
        .iter()
        .flatten()
        .map(|record| (record.revision, record))
        .collect();
    assert!(told.is_empty(), "{told:?}");
    let end = rest
        .last()
        .and_then(|end| end.as_ref().err())
        .map(nexus_client::Error::kind);
    assert_eq!(end, Some(Kind::Unauthenticated));
}
