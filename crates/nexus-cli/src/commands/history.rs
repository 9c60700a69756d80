//! `versions`, `rollback`.

use clap::Args;
use nexus_client::{Result, Version};

use crate::app::App;
use crate::args::DurabilityArgument;
use crate::format;
use crate::json;
use crate::location::RemotePath;
use crate::points;
use crate::report::wrote;
use crate::style::{Paint, Style};

/// Versions asked for at once.
const PAGE: u32 = 1000;

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus versions /a.txt
  nexus cat /a.txt --version 2
  nexus diff /a.txt v2 v3
  nexus rollback /a.txt v2")]
pub struct Versions {
    /// The file
    path: RemotePath,
    /// At most so many, newest first
    #[arg(short = 'n', long)]
    limit: Option<u32>,
}

impl Versions {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let mut left = self.limit.unwrap_or(u32::MAX);
        let mut before = None;
        while left > 0 {
            let page = client
                .versions(self.path.as_str(), left.min(PAGE), before)
                .await?;
            let Some(last) = page.last() else { break };
            before = Some(last.version);
            left = left.saturating_sub(u32::try_from(page.len()).unwrap_or(u32::MAX));
            for version in &page {
                app.out
                    .show(|| json::version(version), |style| line(version, style))?;
            }
            if last.version <= 1 {
                break;
            }
        }
        Ok(())
    }
}

fn line(version: &Version, style: Style) -> String {
    let mark = if version.current { "*" } else { " " };
    let number = style.paint(Paint::Strong, &format!("v{:<4}", version.version));
    let etag = version.etag.get(..15).unwrap_or(&version.etag);
    format!(
        "{mark}{number} {}  {:>9}  r{:<8} {:<16} {etag}",
        format::time(version.created),
        format::size(version.size),
        version.revision.0,
        version.author,
    )
}

#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  nexus rollback /a.txt v2

The earlier content becomes a new version; nothing is lost.")]
pub struct Rollback {
    /// The file
    path: RemotePath,
    /// Which version to bring back
    #[arg(value_parser = points::version)]
    version: u64,
    #[command(flatten)]
    durability: DurabilityArgument,
}

impl Rollback {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let path = self.path.as_str();
        let changed = client
            .rollback(path, self.version, self.durability.into())
            .await?;
        wrote(app, path, &changed)
    }
}
