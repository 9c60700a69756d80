//! The harness of the tests of the whole: it starts the real `nexus-node`, drives it through the
//! real `nexus` command and over the wire, and stops it, gently or not.
//!
//! Nothing here sleeps: it waits for a line of output or for the end of a process, for so long and
//! no longer, and a wait that fails shows all that the process said.

mod cli;
pub mod http;
mod mounted;
mod node;
mod process;
mod random;
mod shell;
mod tools;

pub use cli::Cli;
pub use http::Http;
pub use mounted::Mounted;
pub use node::{Home, Node};
pub use process::{Process, WAIT_MAX};
pub use random::Random;
pub use shell::{WORK_MAX, run, sh};
pub use tools::{binary, python_with_client, ripgrep, suite};
