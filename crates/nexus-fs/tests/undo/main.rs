//! Undo and restore, over real drivers. Each test's doc comment is a sentence of
//! `docs/SEMANTICS.md`.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

#[path = "../model/rows.rs"]
mod rows;
#[expect(dead_code, reason = "the other tests need the rest")]
#[path = "../fs/support.rs"]
mod support;

mod common;
mod conflicts;
mod kinds;
mod redo;
mod restores;
