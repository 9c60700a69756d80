//! The whole filesystem, over redb and the local object store, on machines that lose their
//! power and on stores that fail: what was acknowledged stays, what was not is there or not
//! as a whole, and nothing ever points at what is gone.
//!
//! To look further than a build has time for, raise `MACHINES` in `power_loss.rs` and `RUNS`
//! in `faults.rs`; every seed is another story, and a failure prints its seed.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

#[path = "../model/compare.rs"]
mod compare;
#[expect(dead_code, reason = "here a zone is reopened by other means")]
#[path = "../model/ops.rs"]
mod ops;
#[path = "../model/rows.rs"]
mod rows;
#[path = "../model/semantics.rs"]
mod semantics;
#[path = "../model/tree.rs"]
mod tree;
#[path = "../model/zone.rs"]
mod zone;

mod books;
mod collecting;
mod deeds;
mod disks;
mod faults;
mod forking;
mod inspect;
mod locking;
mod machine;
mod power_loss;
mod through_handles;
mod undoing;
