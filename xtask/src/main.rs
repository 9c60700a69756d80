//! The project's own commands. `cargo xtask ci` is the truth: what it accepts, the project accepts.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool reports on its output"
)]

mod bench;
mod ci;
mod setup;
mod shell;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Refuse to change Cargo.lock. `CI=true` sets this.
    #[arg(long, global = true, env = "CI", value_parser = clap::builder::BoolishValueParser::new())]
    locked: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Everything a change has to pass: formatting, lints, tidy, bans, tests. Writes no source file.
    Ci,
    /// Install what the tests need, then run every test.
    Test,
    /// The rules of the tree that no compiler checks.
    Tidy,
    /// Measure what docs/PERFORMANCE.md claims, in release builds; a few minutes after the build.
    Bench {
        /// What to measure and how; `--help` lists it.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Install what the tests need into `.tools/`. Quick when it is there already.
    Setup,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let cargo = shell::Cargo {
        locked: arguments.locked,
    };
    match arguments.command {
        Command::Ci => ci::everything(cargo),
        Command::Test => ci::test(cargo),
        Command::Tidy => tidy::check(),
        Command::Bench { arguments } => bench::run(cargo, &arguments),
        Command::Setup => setup::install(),
    }
}
