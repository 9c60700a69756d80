//! The parts of the `nexus` command.
//!
//! [`Cli`] is what was typed, [`run`] does it. A command is an arguments struct with a `run`
//! method in the file of its group under `commands`; what several share — copying trees,
//! the archive format, output — lies beside them.

mod app;
pub mod archive;
mod args;
mod commands;
mod etag;
mod exit;
mod format;
mod io;
mod json;
mod location;
mod output;
mod points;
mod report;
mod style;
mod transfer;

pub use app::{App, run};
pub use args::{Cli, Connection};
pub use exit::Exit;
pub use output::Output;
