//! Measures what `docs/PERFORMANCE.md` claims, each figure beside its baseline from the same
//! run. Run it through `cargo xtask bench`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people"
)]

mod baseline;
mod create;
mod grep;
mod http;
mod read;
mod report;
mod sample;
mod scale;
mod start;
mod stream;
mod zone;

use anyhow::Result;
use clap::Parser;

use report::Report;

/// Measure Nexus beside its baselines.
#[derive(Parser)]
struct Args {
    /// Only these groups: create, read, stream, grep, http, scale, start.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Files in the groups `scale` and `start`.
    #[arg(long, default_value_t = 1_000_000)]
    files: usize,
    /// MiB in the group `stream`.
    #[arg(long, default_value_t = 1024)]
    stream_mib: usize,
    /// The release build of the node, for the groups `http` and `start`.
    #[arg(long, default_value = "target/release/nexus-node")]
    node: std::path::PathBuf,
    /// Serve the baseline of the group `http`.
    #[arg(long, hide = true)]
    echo: bool,
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
    let wanted = |group: &str| args.only.is_empty() || args.only.iter().any(|only| only == group);
    let mut report = Report::default();
    if wanted("create") {
        create::run(&mut report).await?;
    }
    if wanted("read") {
        read::run(&mut report).await?;
    }
    if wanted("stream") {
        stream::run(&mut report, args.stream_mib).await?;
    }
    if wanted("grep") {
        grep::run(&mut report).await?;
    }
    if wanted("http") {
        http::run(&mut report, &args.node).await?;
    }
    if wanted("scale") {
        scale::run(&mut report, args.files).await?;
    }
    if wanted("start") {
        start::run(&mut report, &args.node, args.files).await?;
    }
    println!(
        "{}",
        if args.json {
            report.json()
        } else {
            report.table()
        }
    );
    Ok(())
}
