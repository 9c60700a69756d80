//! All doors lead to the same files.

use bytes::Bytes;
use nexus_client::At;
use nexus_tests::{Home, Node, Random};
use serde_json::{Value, json};

use crate::every_door::{ALL, Ask, Door, Doors};

/// What every door says of a file.
#[derive(Debug, PartialEq)]
struct Attributes {
    etag: String,
    size: u64,
    version: u64,
    /// Where the door tells it.
    revision: Option<u64>,
    /// Microseconds, which is what all doors tell, after the full second.
    modified_us: u32,
}

impl Attributes {
    fn of_json(stat: &Value) -> Self {
        Self {
            etag: stat["etag"]
                .as_str()
                .expect("a file has an etag")
                .to_owned(),
            size: stat["size"].as_u64().expect("a file has a size"),
            version: stat["version"].as_u64().expect("a file has a version"),
            revision: stat["revision"].as_u64(),
            modified_us: microseconds(stat),
        }
    }
}

/// `....:17.891626835Z` or `....:17.891626+00:00`.
fn microseconds(stat: &Value) -> u32 {
    let time = stat
        .get("modified")
        .or(stat.get("modified_at"))
        .expect("a file has a time");
    let time = time
        .as_str()
        .or(time["data"].as_str())
        .expect("a time is text");
    let fraction = time.split_once('.').map_or("", |(_, fraction)| fraction);
    let digits = fraction.chars().take_while(char::is_ascii_digit);
    let six: String = digits.chain("000000".chars()).take(6).collect();
    six.parse().expect("they are digits")
}

#[tokio::main(flavor = "current_thread")]
async fn attributes(node: &Node<'_>, door: Door, path: &str) -> Attributes {
    let http = node.http();
    match door {
        Door::Rest => {
            Attributes::of_json(&http.get(&format!("/api/v2/stat?path={path}")).ok().json())
        }
        Door::Grpc => {
            let stat = node.client().await.stat(path, At::latest()).await;
            let stat = stat.expect("the file is there");
            let subsecond_ns = stat.modified.0.rem_euclid(1_000_000_000);
            Attributes {
                etag: stat.etag.expect("a file has an etag"),
                size: stat.size,
                version: stat.version,
                revision: Some(stat.revision.0),
                modified_us: u32::try_from(subsecond_ns / 1000).expect("it is below a second"),
            }
        }
        Door::JsonRpc => {
            let path = json!({ "path": path });
            let mut stat = http.rpc("stat", &path)["result"].take();
            let metadata = &http.rpc("get_metadata", &path)["result"]["metadata"];
            stat["version"] = metadata["version"].clone();
            Attributes::of_json(&stat)
        }
        Door::Cli => {
            let said = node.cli().ok(["--json", "stat", path]);
            Attributes::of_json(&serde_json::from_str(&said).expect("it is JSON"))
        }
    }
}

#[test]
fn what_one_door_writes_every_door_reads_the_same() {
    let home = Home::new();
    let node = home.start();
    let doors = Doors::new(&node, node.key());
    let mut random = Random::new(1);
    for written_by in ALL {
        for size in [0, 17, 100 << 10, 3 << 20] {
            let (path, content) = (format!("/{written_by:?}/{size}"), random.content(size));
            doors
                .ask(written_by, &Ask::Write(path.clone(), "first".into()))
                .expect("it is new");
            doors
                .ask(written_by, &Ask::Write(path.clone(), content.clone()))
                .expect("it is there");
            let revision = node.http().revision();
            let expected = attributes(&node, Door::Rest, &path);
            assert_eq!(
                (expected.size, expected.version),
                (size as u64, 2),
                "{path}"
            );
            assert_eq!(expected.revision, Some(revision), "{path}");
            for read_by in ALL {
                let read = doors
                    .ask(read_by, &Ask::Read(path.clone()))
                    .expect("it is there");
                assert!(read == content, "{path} through {read_by:?}");
                let mut told = attributes(&node, read_by, &path);
                told.revision = told.revision.or(expected.revision);
                assert_eq!(told, expected, "{path} through {read_by:?}");
                if let Some(end) = size.checked_sub(7) {
                    let part = Ask::Range(path.clone(), 5, end as u64);
                    let part = doors.ask(read_by, &part).expect("it is there");
                    assert!(part == content[5..end], "{path} through {read_by:?}");
                }
            }
        }
    }
    assert!(node.cli().ok(["verify"]).contains("all is well"));
}

#[test]
fn what_one_door_makes_moves_and_removes_every_door_sees() {
    let home = Home::new();
    let node = home.start();
    let doors = Doors::new(&node, node.key());
    let sees = |path: &str| {
        let told = ALL.map(|door| doors.ask(door, &Ask::Stat(path.to_owned())).is_ok());
        assert!(told.iter().all(|one| *one == told[0]), "{path}: {told:?}");
        told[0]
    };
    for door in ALL {
        let [folder, from, to] =
            ["", "/from.txt", "/to.txt"].map(|name| format!("/{door:?}{name}"));
        let ask = |ask| doors.ask(door, &ask).expect("nothing stands against it");
        ask(Ask::Mkdir(folder.clone()));
        assert!(sees(&folder));
        ask(Ask::Create(
            from.clone(),
            format!("needle of {door:?}").into(),
        ));
        ask(Ask::Rename(from.clone(), to.clone()));
        assert!(!sees(&from) && sees(&to));
        for other in ALL {
            let found = |ask| doors.ask(other, &ask).expect("nothing stands against it");
            assert_eq!(found(Ask::List(folder.clone())), to, "{other:?}");
            assert_eq!(found(Ask::Glob(format!("{folder}/*"))), to, "{other:?}");
            assert_eq!(
                found(Ask::Grep(format!("ne+dle of {door:?}"))),
                to,
                "{other:?}"
            );
            assert_eq!(found(Ask::Read(to.clone())), format!("needle of {door:?}"));
        }
        ask(Ask::Remove(to.clone()));
        assert!(!sees(&to));
    }
}

#[test]
fn the_same_mistake_has_the_same_name_at_every_door() {
    let home = Home::new();
    let node = home.start();
    node.http().write("/file", "text").ok();
    node.http().write("/folder/file", "text").ok();
    let doors = Doors::new(&node, node.key());
    let stale = "b3-0000000000000000000000000000000000000000000000000000000000000000";
    let text = || Bytes::from("text");
    let of = |path: &str| path.to_owned();
    for (ask, kind) in [
        (Ask::Read(of("/none")), "not_found"),
        (Ask::Stat(of("/none")), "not_found"),
        (Ask::Remove(of("/none")), "not_found"),
        (Ask::Rename(of("/none"), of("/new")), "not_found"),
        (Ask::Mkdir(of("/none/new")), "not_found"),
        (Ask::Edits(of("/none"), 1), "not_found"),
        (Ask::Create(of("/file"), text()), "already_exists"),
        (
            Ask::Rename(of("/file"), of("/folder/file")),
            "already_exists",
        ),
        (Ask::Mkdir(of("/file")), "already_exists"),
        (Ask::Read(of("/folder")), "wrong_type"),
        (Ask::Write(of("/folder"), text()), "wrong_type"),
        (Ask::Write(of("/file/below"), text()), "wrong_type"),
        (Ask::Edits(of("/folder"), 1), "wrong_type"),
        (Ask::Remove(of("/folder")), "not_empty"),
        (Ask::WriteOver(of("/file"), text(), of(stale)), "conflict"),
        (Ask::WriteOver(of("/none"), text(), of(stale)), "conflict"),
        (
            Ask::Rename(of("/folder"), of("/folder/below")),
            "invalid_argument",
        ),
    ] {
        let before = node.http().revision();
        for door in ALL {
            let refusal = doors.ask(door, &ask).expect_err("it is a mistake");
            assert_eq!(refusal.kind, kind, "{ask:?} through {door:?}: {refusal:?}");
        }
        assert_eq!(node.http().revision(), before, "{ask:?} changed something");
    }
}
