//! From start to ready.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;

use crate::http::Server;
use crate::report::{Report, time};
use crate::scale::resident_mib;
use crate::zone::{TestZone, folder};

pub(crate) async fn run(report: &mut Report, node: &Path, files: usize) -> Result<()> {
    let empty = folder()?;
    drop(Server::new_node(node, empty.path())?);
    let (server, took) = started(node, empty.path())?;
    row(report, "start to ready, empty", took, 300);
    let resident = resident_mib(&server.pid().to_string())?;
    report.row(
        "idle memory",
        format!("{resident} MiB"),
        String::new(),
        None,
        "< 60 MiB",
        resident < 60,
    );
    drop(server);

    let full = folder()?;
    // The node lays its folder out; the files are put in without it, which is faster.
    drop(Server::new_node(node, full.path())?);
    let zone = TestZone::open(full.path()).await?;
    zone.fill("/all", files, |_| Bytes::from_static(&[7; 200]))
        .await?;
    zone.close().await?;
    let (server, took) = started(node, full.path())?;
    row(
        report,
        &format!("start to ready, {files} files"),
        took,
        1000,
    );
    drop(server);
    // Dropping kills: the next start finds an unclean stop.
    let (_server, took) = started(node, full.path())?;
    row(
        report,
        &format!("start to ready, {files} files, after a kill"),
        took,
        1000,
    );
    Ok(())
}

fn started(node: &Path, data: &Path) -> Result<(Server, Duration)> {
    let start = Instant::now();
    let server = Server::node(node, data)?;
    Ok((server, start.elapsed()))
}

fn row(report: &mut Report, what: &str, took: Duration, most_ms: u64) {
    let most = Duration::from_millis(most_ms);
    report.row(
        what,
        time(took),
        String::new(),
        None,
        &format!("<= {}", time(most)),
        took <= most,
    );
}
