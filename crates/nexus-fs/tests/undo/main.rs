//! Undo and restore, over real drivers. Each test's doc comment is a sentence of
//! `docs/SEMANTICS.md`.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

#[expect(dead_code, reason = "here no operation is done to a zone alone")]
#[path = "../model/ops.rs"]
mod ops;
#[path = "../model/rows.rs"]
mod rows;
#[path = "../model/semantics.rs"]
mod semantics;
#[expect(dead_code, reason = "the other tests need the rest")]
#[path = "../fs/support.rs"]
mod support;
#[path = "../model/tree.rs"]
mod tree;
#[expect(dead_code, reason = "here zones are opened by other means")]
#[path = "../model/zone.rs"]
mod zone;

mod bound;
mod common;
mod conflicts;
mod holes;
mod kinds;
mod large;
mod meanwhile;
mod oracle;
mod random;
mod redo;
mod restores;
mod rights;
