use std::path::Path;

use nexus_kernel::Kind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Node, RunningNode};
use crate::config::Config;

fn in_memory() -> Config {
    config(&[("metastore", "memory:"), ("object_store", "memory:")])
}

fn in_folder(folder: &Path) -> Config {
    config(&[("data", folder.to_str().unwrap())])
}

fn config(settings: &[(&str, &str)]) -> Config {
    let usual = [("listen", "127.0.0.1:0"), ("shutdown.deadline", "2s")];
    Config::with(usual.into_iter().chain(settings.iter().copied())).unwrap()
}

/// One HTTP request on a connection of its own; the status and the body.
async fn ask(node: &RunningNode, method: &str, path: &str, key: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(node.address()).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: node\r\nconnection: close\r\nauthorization: Bearer {key}\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

fn secret(node: &RunningNode) -> String {
    node.admin_key().unwrap().secret.clone()
}

#[tokio::test]
async fn a_node_in_memory_starts_answers_and_stops() {
    let node = Node::start(in_memory()).await.unwrap();
    assert_eq!(ask(&node, "GET", "/health", "", "").await.0, 200);
    let address = node.address();
    node.shutdown().await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn without_a_key_there_is_no_access() {
    let node = Node::start(in_memory()).await.unwrap();
    let key = secret(&node);
    assert_eq!(ask(&node, "GET", "/api/v2/whoami", &key, "").await.0, 200);
    for wrong in ["", "sk-000000000000-00", &key[..key.len() - 1]] {
        assert_eq!(ask(&node, "GET", "/api/v2/whoami", wrong, "").await.0, 401);
    }
    node.shutdown().await.unwrap();
}

#[tokio::test]
async fn files_and_keys_outlive_a_node_and_the_admin_key_is_made_once() {
    let root = tempfile::tempdir().unwrap();
    let large = "x".repeat(100_000);
    let node = Node::start(in_folder(root.path())).await.unwrap();
    let key = secret(&node);
    for (name, content) in [("small", "hi"), ("large", large.as_str())] {
        let (status, _) = ask(
            &node,
            "PUT",
            &format!("/api/v2/files/{name}"),
            &key,
            content,
        )
        .await;
        assert!((200..300).contains(&status), "{status}");
    }
    node.shutdown().await.unwrap();

    let node = Node::start(in_folder(root.path())).await.unwrap();
    assert!(node.admin_key().is_none());
    let small = ask(&node, "GET", "/api/v2/files/small", &key, "").await;
    assert_eq!(small, (200, "hi".to_owned()));
    assert!(ask(&node, "GET", "/api/v2/files/large", &key, "").await == (200, large));
    node.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_folder_in_use_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let node = Node::start(in_folder(root.path())).await.unwrap();
    let refused = Node::start(in_folder(root.path())).await.err().unwrap();
    assert_eq!(refused.kind(), Kind::Unavailable);
    assert_eq!(
        refused.fact("process id"),
        Some(std::process::id().to_string().as_str())
    );
    assert!(Node::make_admin_key(&in_folder(root.path())).await.is_err());
    node.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_address_in_use_is_refused_before_the_data_is_touched() {
    let node = Node::start(in_memory()).await.unwrap();
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let address = node.address().to_string();
    let settings = [
        ("data", data.to_str().unwrap()),
        ("listen", address.as_str()),
    ];
    let refused = Node::start(config(&settings)).await.err().unwrap();
    assert_eq!(refused.kind(), Kind::Unavailable);
    assert_eq!(refused.fact("listen"), Some(address.as_str()));
    assert!(!data.exists());
    node.shutdown().await.unwrap();
}

#[tokio::test]
async fn whoever_has_the_machine_gets_back_in() {
    let root = tempfile::tempdir().unwrap();
    Node::start(in_folder(root.path()))
        .await
        .unwrap()
        .shutdown()
        .await
        .unwrap();
    let made = Node::make_admin_key(&in_folder(root.path())).await.unwrap();
    let node = Node::start(in_folder(root.path())).await.unwrap();
    assert_eq!(
        ask(&node, "GET", "/api/v2/keys", &made.secret, "").await.0,
        200
    );
    node.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_off_at_the_deadline() {
    let settings = [
        ("metastore", "memory:"),
        ("object_store", "memory:"),
        ("shutdown.deadline", "20ms"),
    ];
    let node = Node::start(config(&settings)).await.unwrap();
    let head = format!(
        "PUT /api/v2/files/a HTTP/1.1\r\nhost: node\r\nauthorization: Bearer {}\r\n\
         content-length: 10\r\nexpect: 100-continue\r\n\r\n",
        secret(&node)
    );
    let mut stream = TcpStream::connect(node.address()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    // The node asks for the body, so the request is under way.
    assert_eq!(stream.read_u8().await.unwrap(), b'H');
    node.shutdown().await.unwrap();
    // Whatever of an answer came before it, the connection ends.
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

#[tokio::test]
async fn a_driver_that_is_missing_is_refused_before_the_data_is_touched() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let settings = [
        ("data", data.to_str().unwrap()),
        ("object_store", "s3://bucket"),
    ];
    let refused = Node::start(config(&settings)).await.err().unwrap();
    assert_eq!(refused.kind(), Kind::Unsupported);
    assert!(!data.exists());
}

#[tokio::test]
async fn metrics_show_the_stores() {
    let root = tempfile::tempdir().unwrap();
    let node = Node::start(in_folder(root.path())).await.unwrap();
    let (status, text) = ask(&node, "GET", "/metrics", &secret(&node), "").await;
    assert_eq!(status, 200);
    for name in [
        "nexus_metastore_transactions_total",
        "nexus_metastore_bytes",
        "nexus_objects_journal_bytes_total",
    ] {
        assert!(text.contains(name), "{name} is not in {text}");
    }
    node.shutdown().await.unwrap();
}
