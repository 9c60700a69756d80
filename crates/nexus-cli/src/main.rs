//! The `nexus` command.

use std::io::{IsTerminal, stdout};
use std::process::ExitCode;

use clap::Parser;
use nexus_cli::{App, Cli, Output, run};
use nexus_client::Timestamp;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime needs no more than threads and a file descriptor");
    let output = Output::new(
        Box::new(stdout()),
        cli.json,
        colors(),
        stdout().is_terminal(),
    );
    let app = App::new(cli.connection, output, now());
    let exit = runtime.block_on(run(cli.command, app));
    // Reading standard input cannot be cancelled; it must not keep the command from ending.
    runtime.shutdown_background();
    exit.into()
}

/// See <https://no-color.org>.
fn colors() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && stdout().is_terminal()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a command line's clock is the machine's, read once"
)]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = since.unwrap_or_default().as_nanos();
    Timestamp(i64::try_from(nanos).unwrap_or(i64::MAX))
}
