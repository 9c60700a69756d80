//! The tests of the whole, in one binary.

mod crash;
mod faults;
mod harness;
mod python;
mod tour;
