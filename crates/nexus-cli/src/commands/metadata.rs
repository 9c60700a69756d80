//! `meta`, `tag`.

use bytes::Bytes;
use clap::{Args, Subcommand};
use nexus_client::{Error, Result};

use crate::app::App;
use crate::args::{AtArgument, DurabilityArgument};
use crate::format::printable;
use crate::json;
use crate::location::{PastPath, RemotePath};
use crate::report::done;

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus meta set /a.txt project=apollo author=ada
  nexus meta get /a.txt
  nexus meta get /a.txt project
  nexus meta rm /a.txt author
  nexus find --meta project=apollo")]
pub struct Meta {
    #[command(subcommand)]
    action: MetaAction,
}

#[derive(Debug, Subcommand)]
enum MetaAction {
    /// Show all metadata of a path, or the value of one key
    Get {
        path: PastPath,
        #[arg(value_name = "KEY")]
        name: Option<String>,
        #[command(flatten)]
        at: AtArgument,
    },
    /// Set keys
    Set {
        path: RemotePath,
        #[arg(required = true, value_name = "KEY=VALUE", value_parser = pair)]
        pairs: Vec<(String, String)>,
        #[command(flatten)]
        durability: DurabilityArgument,
    },
    /// Remove keys
    Rm {
        path: RemotePath,
        #[arg(required = true)]
        keys: Vec<String>,
        #[command(flatten)]
        durability: DurabilityArgument,
    },
}

impl Meta {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        match self.action {
            MetaAction::Get { path, name, at } => {
                let values = client.metadata(path.as_str(), at.of(&path, app)?).await?;
                show_metadata(&values, name.as_deref(), app)
            }
            MetaAction::Set {
                path,
                pairs,
                durability,
            } => {
                let set = pairs
                    .into_iter()
                    .map(|(key, value)| (key, value.into()))
                    .collect();
                let changed = client
                    .set_metadata(path.as_str(), set, Vec::new(), durability.into())
                    .await?;
                done(app, &changed)
            }
            MetaAction::Rm {
                path,
                keys,
                durability,
            } => {
                let changed = client
                    .set_metadata(path.as_str(), Vec::new(), keys, durability.into())
                    .await?;
                done(app, &changed)
            }
        }
    }
}

fn show_metadata(values: &[(String, Bytes)], key: Option<&str>, app: &mut App) -> Result<()> {
    let Some(key) = key else {
        return app.out.show(
            || json::metadata(values),
            |_| {
                let line = |(key, value): &(String, Bytes)| {
                    format!(
                        "{}={}",
                        printable(key),
                        printable(&String::from_utf8_lossy(value))
                    )
                };
                values.iter().map(line).collect::<Vec<_>>().join("\n")
            },
        );
    };
    let value = values.iter().find(|(name, _)| name == key);
    let pair = value.ok_or_else(|| {
        Error::not_found(
            "there is no such metadata key; `nexus meta get PATH` lists those there are",
        )
        .with("key", key.escape_debug())
    })?;
    if app.out.is_json() {
        return app.out.show(
            || json::metadata(std::slice::from_ref(pair)),
            |_| String::new(),
        );
    }
    app.out.bytes(&pair.1)?;
    if app.out.is_live() {
        app.out.line("")
    } else {
        Ok(())
    }
}

/// `KEY=VALUE`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match key_and_value(text) {
        (key, Some(value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

/// `KEY` or `KEY=VALUE`.
pub(crate) fn key_and_value(text: &str) -> (&str, Option<&str>) {
    match text.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (text, None),
    }
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus tag add /a.txt draft reviewed
  nexus tag rm /a.txt draft
  nexus tag ls /a.txt
  nexus find --tag reviewed")]
pub struct Tag {
    #[command(subcommand)]
    action: TagAction,
}

#[derive(Debug, Subcommand)]
enum TagAction {
    /// Show the tags of a path
    Ls {
        path: PastPath,
        #[command(flatten)]
        at: AtArgument,
    },
    /// Add tags
    Add {
        path: RemotePath,
        #[arg(required = true)]
        tags: Vec<String>,
        #[command(flatten)]
        durability: DurabilityArgument,
    },
    /// Remove tags
    Rm {
        path: RemotePath,
        #[arg(required = true)]
        tags: Vec<String>,
        #[command(flatten)]
        durability: DurabilityArgument,
    },
}

impl Tag {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let (path, add, remove, durability) = match self.action {
            TagAction::Ls { path, at } => {
                let tags = client.tags(path.as_str(), at.of(&path, app)?).await?;
                return app
                    .out
                    .show(|| tags.clone().into(), |_| printable_lines(&tags));
            }
            TagAction::Add {
                path,
                tags,
                durability,
            } => (path, tags, Vec::new(), durability),
            TagAction::Rm {
                path,
                tags,
                durability,
            } => (path, Vec::new(), tags, durability),
        };
        let changed = client
            .set_tags(path.as_str(), add, remove, durability.into())
            .await?;
        done(app, &changed)
    }
}

fn printable_lines(lines: &[String]) -> String {
    lines
        .iter()
        .map(|line| printable(line))
        .collect::<Vec<_>>()
        .join("\n")
}
