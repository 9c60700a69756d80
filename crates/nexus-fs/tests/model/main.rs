//! Random changes to `nexus-fs` and to a simple model of it: the same answers, the same
//! tree, the same history. The tests in `crash` do the same on stores that fail and on
//! machines that lose their power.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod compare;
mod ops;
mod retention;
mod rows;
mod semantics;
mod sequence;
mod subject;
mod tree;
mod zone;
