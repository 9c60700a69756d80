//! Searching, beside ripgrep.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use futures::StreamExt;
use nexus_fs::GrepQuery;

use crate::report::{Report, time};
use crate::zone::{TestZone, folder, path};

const FILES: usize = 10_000;

pub(crate) async fn run(report: &mut Report) -> Result<()> {
    let zone = TestZone::new().await?;
    zone.fill("/g", FILES, text).await?;
    let folder = folder()?;
    for i in 0..FILES {
        let file = folder.path().join(&path("/g", i)[1..]);
        std::fs::create_dir_all(file.parent().expect("a folder"))?;
        std::fs::write(file, text(i))?;
    }
    let mut ours = Vec::new();
    let mut rg = Vec::new();
    for _ in 0..11 {
        let start = Instant::now();
        let query = GrepQuery {
            pattern: "needle".into(),
            literal: true,
            path: "/g".into(),
            ..GrepQuery::default()
        };
        let found = zone.files.grep(query).count().await;
        ours.push(start.elapsed());
        assert_eq!(found, FILES / 100);
        rg.push(ripgrep(folder.path())?);
    }
    ours.sort_unstable();
    rg.sort_unstable();
    let ratio = ours[5].as_secs_f64() / rg[5].as_secs_f64();
    report.row(
        "grep of a literal over 10,000 files",
        time(ours[5]),
        format!("ripgrep on disk, warm {}", time(rg[5])),
        Some(ratio),
        "<= 3",
        ratio <= 3.0,
    );
    Ok(())
}

fn ripgrep(folder: &std::path::Path) -> Result<Duration> {
    let start = Instant::now();
    Command::new("rg")
        .args(["-F", "needle", "."])
        .current_dir(folder)
        .stdout(Stdio::null())
        .status()?;
    Ok(start.elapsed())
}

/// About 4 KiB of lines; one file in a hundred has what is sought.
fn text(i: usize) -> Bytes {
    let mut text = String::with_capacity(4200);
    for line in 0..64 {
        text.push_str(&format!(
            "let value_{line} = compute({i}, {line}) + offset; // plain text here\n"
        ));
    }
    if i.is_multiple_of(100) {
        text.push_str("a needle in a haystack\n");
    }
    text.into()
}
