//! The same question asked through each door, and the answer in one form.

use std::collections::BTreeSet;

use bytes::Bytes;
use nexus_client::Client;
use nexus_tests::http::{Answer, Http};
use nexus_tests::{Cli, Node};
use serde_json::Value;
use tokio::runtime::Runtime;

mod command;
mod grpc;
mod json_rpc;
mod rest;

/// A way into the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Rest,
    Grpc,
    JsonRpc,
    Cli,
}

pub(crate) const ALL: [Door; 4] = [Door::Rest, Door::Grpc, Door::JsonRpc, Door::Cli];

/// Something that every door can do.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Read(String),
    Range(String, u64, u64),
    Stat(String),
    Write(String, Bytes),
    /// Only over the content with this etag.
    WriteOver(String, Bytes, String),
    /// Only where there is nothing.
    Create(String, Bytes),
    Remove(String),
    Mkdir(String),
    Rename(String, String),
    List(String),
    Glob(String),
    Grep(String),
    /// So many edits.
    Edits(String, usize),
}

/// Why a door refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) kind: String,
    pub(crate) message: String,
    /// The HTTP status, the code of JSON-RPC, the exit status; of gRPC nothing.
    pub(crate) code: i64,
}

/// The doors of a node, with one key.
pub(crate) struct Doors {
    http: Http,
    cli: Cli,
    client: Client,
    runtime: Runtime,
}

type Told = std::result::Result<Bytes, Refusal>;

impl Doors {
    pub(crate) fn new(node: &Node<'_>, key: &str) -> Self {
        let runtime = Runtime::new().expect("threads can be started");
        Self {
            http: node.http().with_key(key),
            cli: node.cli_with(key),
            client: runtime.block_on(node.client_with(key)),
            runtime,
        }
    }

    /// What `door` answers: content, or names one a line, or nothing after a change.
    #[track_caller]
    pub(crate) fn ask(&self, door: Door, ask: &Ask) -> Told {
        match door {
            Door::Rest => rest::ask(&self.http, ask),
            Door::Grpc => self.runtime.block_on(grpc::ask(&self.client, ask)),
            Door::JsonRpc => json_rpc::ask(&self.http, ask),
            Door::Cli => command::ask(&self.cli, ask),
        }
    }
}

fn of_rest(answer: &Answer) -> Refusal {
    of_details(&answer.json()["error"], answer.status.into())
}

fn of_details(error: &Value, code: i64) -> Refusal {
    Refusal {
        kind: as_text(&error["kind"]),
        message: format!("{} {}", as_text(&error["message"]), error["context"]),
        code,
    }
}

fn as_text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}

fn paths(items: &[Value], name: &str) -> Bytes {
    lines(items.iter().map(|item| as_text(&item[name])))
}

/// Sorted, and each once: doors differ in the order they like, and in how often a file is named
/// in which several lines match.
fn lines(items: impl Iterator<Item = String>) -> Bytes {
    let sorted: BTreeSet<_> = items.collect();
    sorted.into_iter().collect::<Vec<_>>().join("\n").into()
}
