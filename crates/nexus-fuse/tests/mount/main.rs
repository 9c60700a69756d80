//! A mounted zone as programs see it, through the kernel.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod allocate;
mod attributes;
mod callers;
mod coherence;
mod files;
mod listing;
mod mounting;
mod names;
mod oracle;
mod passthrough;
mod past;
mod support;
mod trouble;
mod xattrs;
