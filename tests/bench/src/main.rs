//! Measures what `docs/PERFORMANCE.md` claims, each figure beside its baseline from the same
//! run. Run it through `cargo xtask bench`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people"
)]

mod archive;
mod baseline;
mod create;
mod diff;
mod feed;
mod fork;
mod grep;
mod history;
mod http;
mod lock;
mod mount;
mod read;
mod report;
mod sample;
mod scale;
mod start;
mod stream;
mod undo;
mod zone;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

use mount::MountOptions;
use report::Report;

/// Measure Nexus beside its baselines.
#[derive(Parser)]
struct Args {
    /// Only these groups: create, read, stream, archive, grep, http, feed, lock, scale, history,
    /// start, diff, undo, fork, mount.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Files in the groups `scale`, `history`, `start` and `diff`.
    #[arg(long, default_value_t = 1_000_000)]
    files: usize,
    /// MiB in the group `stream`, and in that row of the group `mount`.
    #[arg(long, default_value_t = 1024)]
    stream_mib: usize,
    /// Only these rows of the group `mount`: create, fsync, stat, read, medium, list, git, copy,
    /// stream, build.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// How often each row of the group `mount` is measured; the long ones half as often.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The release build of the node, for the groups `http`, `feed`, `start` and `mount`.
    #[arg(long, default_value = "target/release/nexus-node")]
    node: PathBuf,
    /// Serve the baseline of the group `http`.
    #[arg(long, hide = true)]
    echo: bool,
    /// Serve the baseline of the group `feed`.
    #[arg(long, hide = true)]
    broadcast: bool,
    /// Serve a baseline of the group `mount` on this directory.
    #[arg(long, hide = true)]
    serve_memory: Option<PathBuf>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    if args.echo {
        return http::serve_echo().await;
    }
    if args.broadcast {
        return feed::serve_broadcast().await;
    }
    if let Some(directory) = &args.serve_memory {
        return mount::serve_memory(directory);
    }
    let mut report = Report::default();
    let measured = measure(&args, &mut report).await;
    println!(
        "{}",
        if args.json {
            report.json()
        } else {
            report.table()
        }
    );
    measured
}

/// What was measured until something failed stays in the report.
async fn measure(args: &Args, report: &mut Report) -> Result<()> {
    let wanted = |group: &str| args.only.is_empty() || args.only.iter().any(|only| only == group);
    if wanted("create") {
        create::run(report).await?;
    }
    if wanted("read") {
        read::run(report).await?;
    }
    if wanted("stream") {
        stream::run(report, args.stream_mib).await?;
    }
    if wanted("archive") {
        archive::run(report).await?;
    }
    if wanted("grep") {
        grep::run(report).await?;
    }
    if wanted("http") {
        http::run(report, &args.node).await?;
    }
    if wanted("lock") {
        lock::run(report).await?;
    }
    if wanted("feed") {
        feed::run(report, &args.node).await?;
    }
    if wanted("scale") {
        scale::run(report, args.files).await?;
    }
    if wanted("history") {
        history::run(report, args.files).await?;
    }
    if wanted("start") {
        start::run(report, &args.node, args.files).await?;
    }
    if wanted("diff") {
        diff::run(report, args.files).await?;
    }
    if wanted("undo") {
        undo::run(report).await?;
    }
    if wanted("fork") {
        fork::run(report).await?;
    }
    if wanted("mount") {
        mount(args, report)?;
    }
    Ok(())
}

/// Where all is measured, a machine that cannot mount leaves this out.
fn mount(args: &Args, report: &mut Report) -> Result<()> {
    if args.only.is_empty()
        && let Err(reason) = mount::check_machine()
    {
        eprintln!("mount: left out: {reason:#}");
        return Ok(());
    }
    let options = MountOptions {
        node: &args.node,
        rows: &args.rows,
        rounds: args.rounds,
        stream_mib: args.stream_mib,
    };
    mount::run(report, &options)
}
