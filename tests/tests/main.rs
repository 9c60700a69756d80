//! The tests of the whole, in one binary.

mod crash;
mod harness;
mod python;
