//! `diff`: how files and trees differ.

use clap::Args;
use nexus_client::{At, Client, DiffMode, Error, FileDiff, FileKind, Kind, Result, VersionAt};
use serde_json::{Value, json};

use crate::app::App;
use crate::exit::Exit;
use crate::format::printable;
use crate::location::PastPath;
use crate::points;
use crate::style::{Paint, Style};

mod tree;
mod words;

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus diff /a.txt                    The last change of a file
  nexus diff /a.txt v2 v4              Between two versions
  nexus diff /a.txt '1h ago' --word    Word by word
  nexus diff /project 42               What changed in a directory since revision 42
  nexus diff /project@{monday} --stat  ... since a snapshot, with counts of lines
  nexus diff /project 42 50 -p         ... between two points, as a patch
  nexus diff /main@{42} /fork          How one directory differs from another

A tree is listed by what happened: A added, D removed, M modified, R renamed. A directory that
came or went is one line, unless --expand, --stat or --patch asks for all below it.")]
pub struct Diff {
    /// The file or directory, as it is or, written PATH@{POINT}, as it was
    path: PastPath,
    /// From: a version (v2), a revision (42), a time or a snapshot; or the PATH to compare with.
    /// Of a file the version before the newest, if not given
    #[arg(value_name = "FROM")]
    from: Option<String>,
    /// To: likewise; what it is now if not given
    to: Option<String>,
    /// Count the lines that were added and removed
    #[arg(long, conflicts_with_all = ["name_status", "word", "patch"])]
    stat: bool,
    /// Only what happened to which path, with tabs between
    #[arg(long, conflicts_with_all = ["word", "patch"])]
    name_status: bool,
    /// Compare word by word
    #[arg(long)]
    word: bool,
    /// Of a directory, also how each file differs
    #[arg(short, long)]
    patch: bool,
    /// List everything below a directory that came or went
    #[arg(long)]
    expand: bool,
    /// Exit with 1 if there is a difference
    #[arg(long)]
    exit_code: bool,
}

/// Two states to compare.
struct Sides {
    old: Side,
    new: Side,
}

/// A path, and when.
#[derive(Clone)]
struct Side {
    path: String,
    at: VersionAt,
}

impl Diff {
    /// How a path differs between two points; from the first on to now if there is no other.
    pub(crate) fn between(path: &str, from: String, to: Option<String>) -> Self {
        let Ok(path) = path.parse();
        Self {
            path,
            from: Some(from),
            to,
            stat: false,
            name_status: false,
            word: false,
            patch: false,
            expand: false,
            exit_code: false,
        }
    }

    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let (old_path, new_path, points) = self.operands()?;
        let mut points = points.into_iter();
        let mut point = |app: &App| {
            let point: Option<String> = points.next().flatten();
            point
                .map(|point| points::version_at(&point, app.now))
                .transpose()
        };
        let (from, to) = (point(app)?, point(app)?);
        let new = Side {
            path: new_path,
            at: to.unwrap_or(VersionAt::At(At::latest())),
        };
        let from = match from {
            Some(from) => from,
            None if old_path != new.path => VersionAt::At(At::latest()),
            None if is_tree(&client, &new).await? => return Err(no_point(&new.path)),
            None => previous(&client, &new.path).await?,
        };
        let old = Side {
            path: old_path,
            at: from,
        };
        let sides = Sides { old, new };
        let tree = is_tree(&client, &sides.new).await? || is_tree(&client, &sides.old).await?;
        let differs = match tree {
            true => tree::show(&self, app, &client, &sides).await?,
            false => self.show_file(app, &client, &sides).await?,
        };
        if self.exit_code && differs {
            app.exit = Exit::Failure;
        }
        Ok(())
    }

    /// The two paths, and the points that are given for them in order.
    fn operands(&self) -> Result<(String, String, [Option<String>; 2])> {
        let path = self.path.as_str().to_owned();
        if let Some(other) = self.from.as_deref().filter(|from| from.starts_with('/')) {
            if self.to.is_some() {
                return Err(Error::invalid(
                    "two paths name their points themselves, as PATH@{POINT}",
                ));
            }
            let Ok(other) = other.parse::<PastPath>();
            let points = [
                Some(
                    self.path
                        .point
                        .clone()
                        .unwrap_or_else(|| "latest".to_owned()),
                ),
                other.point.clone(),
            ];
            return Ok((path, other.as_str().to_owned(), points));
        }
        let given = [&self.path.point, &self.from, &self.to];
        let mut given = given.into_iter().flatten().cloned();
        let points = [given.next(), given.next()];
        match given.next() {
            None => Ok((path.clone(), path, points)),
            Some(third) => Err(Error::invalid(
                "a comparison is between two points; leave one of them out",
            )
            .with("point", third.escape_debug())),
        }
    }

    fn mode(&self) -> DiffMode {
        match (self.word, self.stat || self.name_status) {
            (true, _) => DiffMode::Words,
            (_, true) => DiffMode::Summary,
            _ => DiffMode::Unified,
        }
    }

    async fn show_file(&self, app: &mut App, client: &Client, sides: &Sides) -> Result<bool> {
        let diff = compare(client, sides, self.mode()).await?;
        if app.out.is_json() {
            app.out
                .show(|| file_json(sides, &diff), |_| String::new())?;
        } else if self.name_status && diff.differs {
            app.out.line(&format!(
                "{}\t{}",
                letter(&diff),
                printable(&sides.new.path)
            ))?;
        } else if self.stat && diff.differs {
            let line = stat_line(&sides.new.path, &diff, app.out.style());
            app.out.line(&line)?;
        } else {
            show_text(app, &diff, self.mode())?;
        }
        Ok(diff.differs)
    }
}

async fn compare(client: &Client, sides: &Sides, mode: DiffMode) -> Result<FileDiff> {
    let Sides { old, new } = sides;
    let (old, new) = ((&*old.path, old.at.clone()), (&*new.path, new.at.clone()));
    client.diff_files(old, new, mode).await
}

/// Prints a difference: on a terminal for people, else byte for byte, for programs like `patch`.
fn show_text(app: &mut App, diff: &FileDiff, mode: DiffMode) -> Result<()> {
    let style = app.out.style();
    match mode {
        DiffMode::Words => match words::shown(&diff.text, style).as_str() {
            "" => Ok(()),
            text => app.out.line(text),
        },
        _ if app.out.is_live() && !diff.text.is_empty() => app.out.line(&style.diff(&diff.text)),
        _ => app.out.bytes(diff.text.as_bytes()),
    }
}

fn letter(diff: &FileDiff) -> char {
    match (&diff.old, &diff.new) {
        (None, _) => 'A',
        (_, None) => 'D',
        _ => 'M',
    }
}

/// How much of a file changed.
fn stat_line(path: &str, diff: &FileDiff, style: Style) -> String {
    let path = style.paint(Paint::Path, &printable(path));
    if diff.binary.is_none() {
        let added = style.paint(Paint::Added, &format!("+{}", diff.added));
        let removed = style.paint(Paint::Removed, &format!("-{}", diff.removed));
        return format!("{path} | {added} {removed}");
    }
    let size = |stat: &Option<nexus_client::Stat>| stat.as_ref().map_or(0, |stat| stat.size);
    format!(
        "{path} | binary, {} -> {} bytes",
        size(&diff.old),
        size(&diff.new)
    )
}

fn file_json(sides: &Sides, diff: &FileDiff) -> Value {
    let mut value = json!({
        "path": sides.new.path,
        "diff": diff.text,
        "differs": diff.differs,
        "added": diff.added,
        "removed": diff.removed,
    });
    if sides.old.path != sides.new.path {
        value["old_path"] = json!(sides.old.path);
    }
    if let Some(binary) = &diff.binary {
        value["binary"] = json!({
            "common_prefix": binary.common_prefix,
            "common_suffix": binary.common_suffix,
        });
    }
    value
}

/// Whether a directory is there at that point; a version is a file's.
async fn is_tree(client: &Client, side: &Side) -> Result<bool> {
    let VersionAt::At(at) = &side.at else {
        return Ok(false);
    };
    match client.stat(&side.path, at.clone()).await {
        Ok(stat) => Ok(stat.kind == FileKind::Directory),
        Err(error) if error.kind() == Kind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

async fn previous(client: &Client, path: &str) -> Result<VersionAt> {
    let newest_two = client.versions(path, 2, None).await?;
    let before = newest_two
        .last()
        .map(|version| VersionAt::Version(version.version));
    Ok(before.unwrap_or(VersionAt::At(At::latest())))
}

fn no_point(path: &str) -> Error {
    Error::invalid(
        "say since when, with a revision, a time or a snapshot: nexus diff PATH '1h ago'",
    )
    .with("path", path.escape_debug())
}

#[cfg(test)]
mod tests;
