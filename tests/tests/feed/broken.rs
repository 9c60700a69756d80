//! Connections that break in the middle of an event.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use futures::StreamExt;
use nexus_client::{Client, FeedPosition, Revision, WatchQuery};
use nexus_tests::{Home, Http, Node, Random};
use serde_json::{Value, json};

const COMMITS: usize = 120;
const CHANGES: usize = 5;
/// More than the largest frame of HTTP/2 with what comes before it on a connection.
const FRAME_BYTES_MAX: u64 = 24_000;

/// Passes bytes on to a node, and cuts each connection after some of those that come back.
struct Cutter {
    address: String,
    cuts: Arc<AtomicU32>,
}

impl Cutter {
    fn start(node: &str, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it listens").to_string();
        let cuts = Arc::new(AtomicU32::new(0));
        let (node, count) = (node.to_owned(), Arc::clone(&cuts));
        thread::spawn(move || {
            let mut random = Random::new(seed);
            for client in listener.incoming().map_while(Result::ok) {
                let server = TcpStream::connect(&node).expect("the node listens");
                // A frame of HTTP/2 comes whole or not at all: some connections have to carry one,
                // however many events are in it for a reader that is far behind.
                let most = match random.below(4) {
                    0 => FRAME_BYTES_MAX,
                    _ => 500 + random.below(12_000) as u64,
                };
                let count = Arc::clone(&count);
                thread::spawn(move || {
                    pass(client, server, most);
                    count.fetch_add(1, Ordering::Relaxed);
                });
            }
        });
        Self { address, cuts }
    }

    fn cuts(&self) -> u32 {
        self.cuts.load(Ordering::Relaxed)
    }
}

fn pass(client: TcpStream, server: TcpStream, most: u64) {
    let up = (client.try_clone(), server.try_clone());
    let (Ok(mut from), Ok(mut to)) = up else {
        return;
    };
    thread::spawn(move || drop(io::copy(&mut from, &mut to)));
    let mut back = (&server).take(most);
    let _ = io::copy(&mut back, &mut (&client));
    let _ = (&client).flush();
    for end in [client, server] {
        let _ = end.shutdown(Shutdown::Both);
    }
}

/// Commits of several changes each; where the last one ended.
fn write_all(http: &Http) -> Revision {
    for commit in 0..COMMITS {
        let steps: Vec<_> = (0..CHANGES)
            .map(|i| json!({ "op": "write", "path": format!("/f{i}"), "content": format!("{commit}") }))
            .collect();
        http.post("/api/v2/batch", &json!({ "steps": steps })).ok();
    }
    Revision(http.revision())
}

type Seen = Vec<(u64, u64)>;

/// Each change of each commit, once and in order.
fn assert_whole(seen: &Seen) {
    assert_eq!(seen.len(), COMMITS * CHANGES);
    for (commit, changes) in seen.chunks(CHANGES).enumerate() {
        let revision = changes[0].0;
        assert!(commit == 0 || seen[commit * CHANGES - 1].0 < revision);
        let expected: Seen = (0..CHANGES as u64).map(|i| (revision, i)).collect();
        assert_eq!(changes, expected);
    }
}

fn run(read: impl FnOnce(&str, &Node<'_>, Revision) -> Seen + Send) {
    let home = Home::new();
    let node = home.start();
    let start = Revision(node.http().revision());
    let cutter = Cutter::start(node.address(), 11);
    let http = node.http();
    let seen = thread::scope(|scope| {
        let writer = scope.spawn(move || write_all(&http));
        let seen = read(&cutter.address, &node, start);
        writer.join().expect("everything is written");
        seen
    });
    assert_whole(&seen);
    assert!(
        cutter.cuts() > 2,
        "only {} connections broke",
        cutter.cuts()
    );
}

/// No event is lost or told twice to who comes back with the id of the last one that came whole.
#[test]
fn server_sent_events_survive_connections_that_break() {
    run(|address, node, start| {
        let http = Http::new(address, node.key());
        let mut last = start.to_string();
        let mut seen = Seen::new();
        while seen.len() < COMMITS * CHANGES {
            let request = http
                .request("GET", "/api/v2/events")
                .header("Accept", "text/event-stream")
                .header("Last-Event-ID", &last);
            let mut id = String::new();
            let mut event = None;
            for line in request.open().lines().map_while(Result::ok) {
                if let Some(found) = line.strip_prefix("id: ") {
                    id = found.to_owned();
                } else if let Some(data) = line.strip_prefix("data: ") {
                    event = serde_json::from_str::<Value>(data).ok();
                } else if line.is_empty() {
                    // Only with the empty line an event has come whole.
                    last.clone_from(&id);
                    seen.extend(event.take().map(|event| place(&event)));
                }
                if seen.len() == COMMITS * CHANGES {
                    break;
                }
            }
        }
        seen
    });
}

fn place(event: &Value) -> (u64, u64) {
    let number = |name: &str| event[name].as_u64().expect("it is a number");
    (number("revision"), number("sequence"))
}

/// The same of pages, each asked for with where the one before it ended.
#[test]
fn pages_survive_connections_that_break() {
    run(|address, node, start| {
        let http = Http::new(address, node.key());
        let mut next = start.to_string();
        let mut seen = Seen::new();
        while seen.len() < COMMITS * CHANGES {
            let target = format!("/api/v2/events?wait=5s&limit=7&after={next}");
            let Ok(answer) = http.request("GET", &target).try_send() else {
                continue;
            };
            let page = answer.json();
            let events = page["events"].as_array().expect("it is a page");
            seen.extend(events.iter().map(place));
            next = page["next"].as_str().expect("it is a position").to_owned();
        }
        seen
    });
}

/// The same over gRPC, commit by commit.
#[test]
fn a_watch_survives_connections_that_break() {
    run(|address, node, start| {
        let runtime = tokio::runtime::Runtime::new().expect("there are threads");
        runtime.block_on(watch(address, node.key(), start))
    });
}

async fn watch(address: &str, key: &str, start: Revision) -> Seen {
    let mut position = FeedPosition::from(start);
    let mut seen = Seen::new();
    while seen.len() < COMMITS * CHANGES {
        let Ok(client) = Client::connect(&format!("http://{address}"), key).await else {
            continue;
        };
        let query = WatchQuery {
            start: nexus_client::WatchStart::After(position),
            ..WatchQuery::default()
        };
        let Ok(mut records) = client.watch(query).await else {
            continue;
        };
        while seen.len() < COMMITS * CHANGES {
            let Some(Ok(record)) = records.next().await else {
                break;
            };
            let changes = record.changes.iter();
            seen.extend(changes.map(|change| (record.revision.0, u64::from(change.sequence))));
            position = record.revision.into();
        }
    }
    seen
}
