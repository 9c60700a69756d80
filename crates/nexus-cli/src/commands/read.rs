//! `cat`, `stat`.

use std::ops::Range;

use clap::Args;
use futures::TryStreamExt;
use nexus_client::{ReadOptions, Result};

use crate::app::App;
use crate::args::AtArgument;
use crate::format::{self, printable};
use crate::json;
use crate::location::PastPath;
use crate::points;

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus cat /a.txt /b.txt
  nexus cat /a.txt --at 42              As of revision 42
  nexus cat '/a.txt@{2h}' '/a.txt@{r42^}'   Two hours ago, and just before revision 42
  nexus cat /a.txt --version 2          Its second content
  nexus cat /data.bin --range 0..512    The first 512 bytes

With --json a file comes as lines of {\"path\", \"data\"}, data in pieces: text, or base64.")]
pub struct Cat {
    /// Files, one after the other
    #[arg(required = true)]
    paths: Vec<PastPath>,
    /// Bytes from (included) to (excluded); either may be left out
    #[arg(long, value_name = "FROM..TO", value_parser = range)]
    range: Option<Range<u64>>,
    /// This version instead of the newest
    #[arg(long, value_name = "VERSION", value_parser = points::version, conflicts_with = "at")]
    version: Option<u64>,
    #[command(flatten)]
    at: AtArgument,
}

impl Cat {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let range = self.range.clone().unwrap_or(0..u64::MAX);
        for path in &self.paths {
            let options = ReadOptions {
                at: self.at.of(path, app)?,
                offset: range.start,
                length: (range.end != u64::MAX).then(|| range.end - range.start),
                version: self.version,
            };
            let mut content = client.open(path.as_str(), options).await?;
            while let Some(piece) = content.body.try_next().await? {
                if app.out.is_json() {
                    app.out
                        .show(|| json::piece(path.as_str(), &piece), |_| String::new())?;
                } else {
                    app.out.bytes(&piece)?;
                }
            }
        }
        Ok(())
    }
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let parse = |digits: &str, default| match digits {
        "" => Some(default),
        _ => digits.parse().ok(),
    };
    let ends = text
        .split_once("..")
        .and_then(|(from, to)| Some((parse(from, 0)?, parse(to, u64::MAX)?)));
    match ends {
        Some((from, to)) if from <= to => Ok(from..to),
        _ => Err("a range is FROM..TO in bytes, like 0..512 or 100..".to_owned()),
    }
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus stat /a.txt
  nexus --json stat /a.txt | jq -r .etag")]
pub struct Stat {
    /// Files or directories
    #[arg(required = true)]
    paths: Vec<PastPath>,
    /// What a symbolic link points to, not the link
    #[arg(short = 'L', long)]
    follow: bool,
    #[command(flatten)]
    at: AtArgument,
}

impl Stat {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        for path in &self.paths {
            let at = self.at.of(path, app)?;
            let stat = match self.follow {
                true => client.stat(path.as_str(), at).await?,
                false => client.lstat(path.as_str(), at).await?,
            };
            app.out
                .show(|| json::stat(path.as_str(), &stat), |_| text(path, &stat))?;
        }
        Ok(())
    }
}

fn text(path: &PastPath, stat: &nexus_client::Stat) -> String {
    let mut lines = vec![
        format!("{path}"),
        format!("  kind      {}", stat.kind.as_str()),
        format!("  size      {} ({})", stat.size, format::size(stat.size)),
        format!(
            "  mode      {:04o} ({})",
            stat.mode,
            format::mode(stat.kind, stat.mode)
        ),
        format!(
            "  owner     {} (uid {}, gid {})",
            stat.owner, stat.uid, stat.gid
        ),
        format!(
            "  inode     {}, {}",
            stat.ino,
            format::count(stat.links.into(), "link")
        ),
        format!("  version   {} at revision {}", stat.version, stat.revision),
        format!("  created   {}", format::rfc3339(stat.created)),
        format!("  modified  {}", format::rfc3339(stat.modified)),
        format!("  changed   {}", format::rfc3339(stat.changed)),
    ];
    lines.extend(stat.etag.as_ref().map(|etag| format!("  etag      {etag}")));
    lines.extend(
        stat.target
            .as_ref()
            .map(|target| format!("  target    {}", printable(target))),
    );
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn a_range_may_leave_out_its_ends() {
        assert_eq!(range("0..512"), Ok(0..512));
        assert_eq!(range("100.."), Ok(100..u64::MAX));
        assert_eq!(range("..7"), Ok(0..7));
        for wrong in ["", "7", "9..3", "a..b", "-1..4"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
