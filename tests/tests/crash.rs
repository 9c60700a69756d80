//! A node that is killed in the middle of work, again and again.

use std::iter;

use nexus_client::{Client, Revision};
use nexus_tests::{Home, Node, Random};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

mod tree;
mod writer;

use tree::Tree;
use writer::Writer;

const ROUNDS: u64 = 8;
const WRITERS: u64 = 5;

/// Every writer has a folder of its own, so it knows what has to be there: what it was told has
/// happened, and of the one change under way either all or nothing. A writer that does not wait
/// for durability may in addition find an earlier state of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_every_kill_and_nothing_is_half_done() {
    let home = Home::new();
    let mut moments = Random::new(7);
    let mut writers: Vec<Writer> = (0..WRITERS).map(Writer::new).collect();
    for round in 0..ROUNDS {
        let node = home.start();
        check(&node, &mut writers, round).await;
        let acknowledgements = 20 + moments.below(60);
        writers = run_and_end(node, writers, acknowledgements, Node::kill).await;
    }
    let node = home.start();
    check(&node, &mut writers, ROUNDS).await;
    assert!(node.stop().success());
}

/// The same of a node that is asked to end: it ends well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_before_a_node_ended_is_there_after_it() {
    let home = Home::new();
    let mut writers: Vec<Writer> = (0..WRITERS).map(Writer::new).collect();
    for round in 0..3 {
        let node = home.start();
        check(&node, &mut writers, round).await;
        writers = run_and_end(node, writers, 60, |node| assert!(node.stop().success())).await;
    }
    check(&home.start(), &mut writers, 3).await;
}

/// Lets all writers write at once, and ends the node when this many changes are acknowledged.
async fn run_and_end<'home>(
    node: Node<'home>,
    writers: Vec<Writer>,
    count: usize,
    end: impl FnOnce(Node<'home>),
) -> Vec<Writer> {
    let (acknowledged, mut told) = mpsc::unbounded_channel();
    let mut running = JoinSet::new();
    for mut writer in writers {
        let (client, acknowledged) = (node.client().await, acknowledged.clone());
        running.spawn(async move {
            writer.write_until_ended(&client, &acknowledged).await;
            writer
        });
    }
    drop(acknowledged);
    for _ in 0..count {
        told.recv().await.expect("no writer ends before the node");
    }
    end(node);
    running.join_all().await
}

async fn check(node: &Node<'_>, writers: &mut [Writer], round: u64) {
    let client = node.client().await;
    for writer in writers.iter_mut() {
        let found = Tree::read(&client, writer.root()).await;
        writer.settle(found, round);
    }
    let durable = writers.iter().map(Writer::durable);
    let newest = durable.chain(iter::once(Revision(0))).max();
    assert!(client.revision().await.ok() >= newest, "round {round}");
    let said = node.cli().ok(["verify"]);
    assert!(said.contains("all is well"), "round {round}: {said}");
    collect_garbage(&client).await;
}

/// What broken-off changes left behind goes, and goes once.
async fn collect_garbage(client: &Client) {
    client.gc(false).await.expect("there may be garbage");
    let left = client.gc(true).await.expect("nothing runs beside it");
    assert_eq!(left.blobs, 0);
}
