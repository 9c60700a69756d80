//! `glob`, `find`, `find-duplicates`.

use clap::Args;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use nexus_client::{DirEntry, GlobQuery, Result};

use crate::app::App;
use crate::args::AtArgument;
use crate::commands::metadata::key_and_value;
use crate::format;
use crate::json;
use crate::location::{PastPath, RemotePath};
use crate::style::Paint;

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus glob '**/*.rs'                All Rust files
  nexus glob '*.md' /docs             Those of one directory
  nexus glob '/logs/2026-*/**' --at 42

* stays within a name, ** crosses directories. Quote the pattern, or the shell expands it.")]
pub struct Glob {
    /// Absolute, or relative to the path
    pattern: String,
    /// Where to look
    #[arg(default_value = "/")]
    path: PastPath,
    /// Leave out hidden names and what .gitignore files say
    #[arg(long)]
    ignore: bool,
    #[command(flatten)]
    at: AtArgument,
}

impl Glob {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let query = GlobQuery {
            at: self.at.of(&self.path, app)?,
            pattern: self.pattern,
            path: self.path.to_string(),
            ignore: self.ignore,
        };
        let found = client.glob(query).await?;
        show_paths(found, app).await
    }
}

async fn show_paths(mut found: BoxStream<'static, Result<DirEntry>>, app: &mut App) -> Result<()> {
    while let Some(entry) = found.try_next().await? {
        app.out
            .show(|| json::entry(&entry), |_| format::printable(&entry.path))?;
    }
    Ok(())
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
#[command(after_help = "\
Examples:
  nexus find --tag draft
  nexus find --meta project=apollo
  nexus find --meta project           Any value")]
pub struct Find {
    /// What has this tag
    #[arg(long)]
    tag: Option<String>,
    /// What has this metadata key, and this value if one is given
    #[arg(long, value_name = "KEY[=VALUE]")]
    meta: Option<String>,
}

impl Find {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        if let Some(tag) = &self.tag {
            show_paths(client.find_by_tag(tag), app).await?;
        }
        if let Some(meta) = &self.meta {
            let (key, value) = key_and_value(meta);
            let value = value.map(|value| value.to_owned().into());
            show_paths(client.find_by_metadata(key, value), app).await?;
        }
        Ok(())
    }
}

#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  nexus find-duplicates / --min-bytes 1000000

Equal content is stored once, whatever this finds.")]
pub struct FindDuplicates {
    /// Where to look
    #[arg(default_value = "/")]
    path: RemotePath,
    /// Leave out smaller files
    #[arg(long, default_value_t = 1, value_name = "BYTES")]
    min_bytes: u64,
    /// At most so many sets
    #[arg(long, default_value_t = 1000)]
    limit: u32,
}

impl FindDuplicates {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        for set in client
            .duplicates(self.path.as_str(), self.min_bytes, self.limit)
            .await?
        {
            app.out.show(
                || json::duplicates(&set),
                |style| {
                    let head = format!("{} in {} files", format::size(set.size), set.paths.len());
                    let paths = set
                        .paths
                        .iter()
                        .map(|path| format!("\n  {}", format::printable(path)));
                    style.paint(Paint::Strong, &head) + &paths.collect::<String>()
                },
            )?;
        }
        Ok(())
    }
}
