//! Bad input through each door: the right answer, nothing changed.

use std::collections::BTreeMap;
use std::fmt::Write;

use nexus_tests::http::Answer;
use nexus_tests::{Home, Node};

use crate::every_door::{ALL, Ask, Door, Doors, Refusal};

mod calls;
mod input;
mod keys;

/// What each door calls a kind: HTTP, JSON-RPC, the command.
const CODES: [(&str, i64, &[i64], i64); 7] = [
    ("not_found", 404, &[-32000], 3),
    ("invalid_argument", 400, &[-32005, -32002, -32602], 2),
    ("limit_exceeded", 413, &[-32005, -32002], 6),
    ("conflict", 409, &[-32006], 4),
    ("unauthenticated", 401, &[401, -32003], 5),
    ("permission_denied", 403, &[-32003], 5),
    ("corrupt", 500, &[-32603], 8),
];

/// It was refused with this kind, under the code that the door has for that, and the message has
/// these words.
#[track_caller]
fn check(door: Door, what: &str, told: Result<bytes::Bytes, Refusal>, kind: &str, words: &str) {
    let refusal = told.expect_err(what);
    let context = format!("{what} through {door:?}: {refusal:?}");
    assert_eq!(refusal.kind, kind, "{context}");
    assert!(refusal.message.contains(words), "no {words:?} in {context}");
    let row = CODES
        .iter()
        .find(|row| row.0 == kind)
        .expect("the kind has a row");
    let is_its_code = match door {
        // The status of a condition that does not hold, and of a range that is not there.
        Door::Rest => refusal.code == row.1 || [412, 416].contains(&refusal.code),
        Door::Grpc => true,
        Door::JsonRpc => row.2.contains(&refusal.code),
        Door::Cli => refusal.code == row.3,
    };
    assert!(is_its_code, "{context}");
}

/// A node with a few files, which has to be the same in the end.
struct Guarded<'home> {
    node: Node<'home>,
    before: String,
}

impl<'home> Guarded<'home> {
    fn new(home: &'home Home) -> Self {
        let node = home.start();
        for (path, content) in FILES {
            node.http().write(path, content).ok();
        }
        let before = tree(&node);
        Self { node, before }
    }

    #[track_caller]
    fn assert_as_before(self) {
        assert_eq!(tree(&self.node), self.before);
        assert!(self.node.cli().ok(["verify"]).contains("all is well"));
        assert!(self.node.stop().success());
    }
}

const FILES: [(&str, &str); 4] = [
    ("/notes.txt", "a secret word"),
    ("/team/plan.txt", "the team's secret"),
    ("/team/deep/more.txt", "one more secret"),
    ("/teammates.txt", "not the team's secret"),
];

/// All there is, with revisions.
fn tree(node: &Node<'_>) -> String {
    let listed = node
        .http()
        .get("/api/v2/list?path=/&recursive=true&details=true")
        .ok();
    listed.text()
}
