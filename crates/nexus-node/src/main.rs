//! `nexus-node`: runs a node until it is told to stop.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use nexus_kernel::{Error, Result};
use nexus_node::{Config, ImportConfig, MountConfig, Node, RawConfig};
use rustix::fs::Mode;
use rustix::process::umask;
use tokio::runtime::Runtime;

use cli::{Cli, Command, ConfigCommand, ImportZone};

mod cli;
mod descriptors;
mod importing;
mod logging;
mod signals;
mod welcome;

/// How long the process waits for work on other threads once everything is closed.
const THREADS_END_WITHIN: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    // Whatever a driver makes is its owner's alone.
    umask(Mode::RWXG | Mode::RWXO);
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::debug!(?error, "failed");
            // Nobody is left to tell when standard error is gone too.
            let _ = writeln!(std::io::stderr(), "nexus-node: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    let raw = RawConfig::load(cli.sources()?)?;
    match cli.command {
        None => serve(&raw),
        Some(Command::AdminKey) => make_admin_key(&raw),
        Some(Command::ImportZone(command)) => import_zone(&raw, command),
        Some(Command::Mount(command)) => mount(&raw, command.directory),
        Some(Command::Config {
            command: ConfigCommand::Show { json: false },
        }) => print(&raw.to_toml()),
        Some(Command::Config {
            command: ConfigCommand::Show { json: true },
        }) => print(&format!("{:#}\n", raw.to_json())),
        Some(Command::Config {
            command: ConfigCommand::Check,
        }) => {
            Node::check(&Config::new(&raw)?)?;
            print("the configuration is good\n")
        }
    }
}

fn serve(raw: &RawConfig) -> Result<()> {
    let config = Config::new(raw)?;
    logging::start(&config.log);
    descriptors::raise_limit();
    let runtime = runtime()?;
    let outcome = runtime.block_on(async {
        let mut signals = signals::Signals::new()?;
        let mut node = Node::start(config).await?;
        print(&welcome::text(&node))?;
        tokio::select! {
            () = signals.next() => {}
            () = node.ended() => return Err(Error::unavailable("the node stopped; its log says why")),
        }
        tracing::info!("stopping; a second signal stops at once");
        tokio::select! {
            outcome = node.shutdown() => outcome,
            () = signals.next() => Err(Error::unavailable("stopped at once; nothing durable is lost")),
        }
    });
    runtime.shutdown_timeout(THREADS_END_WITHIN);
    outcome
}

fn mount(raw: &RawConfig, directory: PathBuf) -> Result<()> {
    let config = Config::new(raw)?;
    let mount = MountConfig::new(raw, directory)?;
    logging::start(&config.log);
    descriptors::raise_limit();
    let runtime = runtime()?;
    let outcome = runtime.block_on(async {
        let mut signals = signals::Signals::new()?;
        let mut zone = Node::mount(&config, &mount).await?;
        print(&format!("mounted on {}\n", zone.directory().display()))?;
        tokio::select! {
            () = signals.next() => {}
            () = zone.ended() => {}
        }
        tracing::info!("unmounting; a second signal stops at once");
        tokio::select! {
            outcome = zone.close() => outcome,
            () = signals.next() => Err(Error::unavailable("stopped at once; nothing durable is lost")),
        }
    });
    runtime.shutdown_timeout(THREADS_END_WITHIN);
    outcome
}

fn make_admin_key(raw: &RawConfig) -> Result<()> {
    let config = Config::new(raw)?;
    logging::start(&config.log);
    let key = runtime()?.block_on(Node::make_admin_key(&config))?;
    print(&welcome::admin_key(&key))
}

fn import_zone(raw: &RawConfig, command: ImportZone) -> Result<()> {
    let config = Config::new(raw)?;
    logging::start(&config.log);
    let import = ImportConfig {
        archive: command.archive,
        anew: command.anew,
    };
    let mut line = importing::Line::new(&import.archive);
    let imported = Node::import_zone(&config, &import, |bytes| line.draw(bytes));
    let imported = runtime()?.block_on(imported);
    line.end();
    print(&importing::text(&imported?, command.json))
}

fn runtime() -> Result<Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.map_err(|error| {
        Error::unavailable("no threads could be started; check the limits of this user")
            .with("cause", &error)
            .because(error)
    })
}

fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let done = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    done.map_err(|error| {
        Error::unavailable("standard output cannot be written to; check where it leads")
            .with("cause", &error)
            .because(error)
    })
}
