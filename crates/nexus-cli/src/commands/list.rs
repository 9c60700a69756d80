//! `ls`, `tree`, `du`.

use clap::Args;
use futures::TryStreamExt;
use nexus_client::{At, Client, DirEntry, FileKind, Kind, ListOptions, Result};

use crate::app::App;
use crate::args::AtArgument;
use crate::format;
use crate::json;
use crate::location::{PastPath, below};
use crate::style::{Paint, Style};

/// Entries of a page: enough that pages cost nothing, few enough that the first comes at once.
const PAGE: u32 = 1000;

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus ls                      The top directory
  nexus ls -l /docs             With attributes
  nexus ls -R / --at 42         All there was at revision 42
  nexus --json ls -lR / | jq -r 'select(.kind == \"file\") | .stat.etag'")]
pub struct Ls {
    /// A directory or file
    #[arg(default_value = "/")]
    path: PastPath,
    /// Kind, permissions, links, owner, size and time
    #[arg(short, long)]
    long: bool,
    /// All below too
    #[arg(short = 'R', long)]
    recursive: bool,
    #[command(flatten)]
    at: AtArgument,
}

impl Ls {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let at = self.at.of(&self.path, app)?;
        let options = ListOptions {
            at: at.clone(),
            recursive: self.recursive,
            details: self.long,
            limit: PAGE,
            cursor: None,
        };
        let mut entries = client.list_all(self.path.as_str(), options);
        let first = match entries.try_next().await {
            Err(error) if error.kind() == Kind::WrongType => {
                return self.show_file(&client, at, app).await;
            }
            first => first?,
        };
        let Some(first) = first else { return Ok(()) };
        self.show(&first, app)?;
        while let Some(entry) = entries.try_next().await? {
            self.show(&entry, app)?;
        }
        Ok(())
    }

    async fn show_file(&self, client: &Client, at: At, app: &mut App) -> Result<()> {
        let path = self.path.as_str();
        let stat = client.lstat(path, at).await?;
        let entry = DirEntry {
            path: path.to_owned(),
            ino: stat.ino,
            kind: stat.kind,
            stat: self.long.then_some(stat),
        };
        let name = entry.path.clone();
        app.out
            .show(|| json::entry(&entry), |style| line(&entry, &name, style))
    }

    fn show(&self, entry: &DirEntry, app: &mut App) -> Result<()> {
        let name = if self.recursive {
            below(&entry.path, self.path.as_str())?
        } else {
            entry.name()
        };
        app.out
            .show(|| json::entry(entry), |style| line(entry, name, style))
    }
}

fn line(entry: &DirEntry, name: &str, style: Style) -> String {
    let name = decorated(entry, name, style);
    match &entry.stat {
        Some(stat) => format!("{} {name}", format::long(stat)),
        None => name,
    }
}

/// The name with what it is: `docs/`, `link -> target`.
fn decorated(entry: &DirEntry, name: &str, style: Style) -> String {
    let name = format::printable(name);
    let target = entry.stat.as_ref().and_then(|stat| stat.target.as_deref());
    match (entry.kind, target) {
        (FileKind::File, _) => name,
        (FileKind::Directory, _) => format!("{}/", style.paint(Paint::Directory, &name)),
        (FileKind::Symlink, None) => style.paint(Paint::Link, &name),
        (FileKind::Symlink, Some(target)) => {
            format!(
                "{} -> {}",
                style.paint(Paint::Link, &name),
                format::printable(target)
            )
        }
    }
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus tree /project -L 2      Two levels
  nexus tree / --at '1h ago'    As it was an hour ago")]
pub struct Tree {
    /// The directory at the top
    #[arg(default_value = "/")]
    path: PastPath,
    /// How many levels to show
    #[arg(short = 'L', long, value_name = "LEVELS")]
    depth: Option<usize>,
    #[command(flatten)]
    at: AtArgument,
}

impl Tree {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let at = self.at.of(&self.path, app)?;
        if app.out.is_json() {
            return self.entries(&client, at, app).await;
        }
        app.out.line(self.path.as_str())?;
        let top = children(&client, self.path.as_str(), &at).await?;
        let mut levels = vec![top.into_iter().peekable()];
        let mut counts = (0, 0);
        while let Some(level) = levels.last_mut() {
            let Some(entry) = level.next() else {
                levels.pop();
                continue;
            };
            app.out
                .line(&branch(&entry, &mut levels, app.out.style()))?;
            match entry.kind {
                FileKind::Directory => counts.0 += 1,
                FileKind::File | FileKind::Symlink => counts.1 += 1,
            }
            if entry.kind == FileKind::Directory
                && self.depth.is_none_or(|most| levels.len() < most)
            {
                levels.push(
                    children(&client, &entry.path, &at)
                        .await?
                        .into_iter()
                        .peekable(),
                );
            }
        }
        let (directories, files) = counts;
        let (directories, files) = (
            format::count(directories, "directory"),
            format::count(files, "file"),
        );
        app.out.line(&format!("\n{directories}, {files}"))
    }

    async fn entries(&self, client: &Client, at: At, app: &mut App) -> Result<()> {
        let options = ListOptions {
            at,
            recursive: true,
            limit: PAGE,
            ..ListOptions::default()
        };
        let mut entries = client.list_all(self.path.as_str(), options);
        while let Some(entry) = entries.try_next().await? {
            let levels = below(&entry.path, self.path.as_str())?.split('/').count();
            if self.depth.is_none_or(|most| levels <= most) {
                app.out.show(|| json::entry(&entry), |_| String::new())?;
            }
        }
        Ok(())
    }
}

/// What is left to show of a directory.
type Level = std::iter::Peekable<std::vec::IntoIter<DirEntry>>;

/// An entry behind the lines that lead to it.
fn branch(entry: &DirEntry, levels: &mut [Level], style: Style) -> String {
    let (own, above) = levels
        .split_last_mut()
        .expect("the entry came from a level");
    let mut text = String::new();
    for level in above {
        text.push_str(if level.peek().is_some() {
            "│   "
        } else {
            "    "
        });
    }
    text.push_str(if own.peek().is_some() {
        "├── "
    } else {
        "└── "
    });
    text + &decorated(entry, entry.name(), style)
}

async fn children(client: &Client, path: &str, at: &At) -> Result<Vec<DirEntry>> {
    let options = ListOptions {
        at: at.clone(),
        limit: PAGE,
        ..ListOptions::default()
    };
    client.list_all(path, options).try_collect().await
}

#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  nexus du /project /docs")]
pub struct Du {
    /// Files or directories
    #[arg(default_value = "/")]
    paths: Vec<PastPath>,
    #[command(flatten)]
    at: AtArgument,
}

impl Du {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        for path in &self.paths {
            let at = self.at.of(path, app)?;
            let usage = client.usage(path.as_str(), at).await?;
            app.out.show(
                || json::usage(path.as_str(), &usage),
                |_| {
                    let files = format::count(usage.files, "file");
                    let directories = format::count(usage.directories, "directory");
                    format!(
                        "{:>9}  {files}, {directories}  {path}",
                        format::size(usage.bytes)
                    )
                },
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
