//! `undo`, `restore`.

use clap::{ArgGroup, Args};
use nexus_client::{
    Kind, OnConflict, Result, Revision, UndoConflict, UndoEffect, UndoKind, UndoOptions,
    UndoReport, UndoWhat,
};

use crate::app::App;
use crate::args::DurabilityArgument;
use crate::format::printable;
use crate::json;
use crate::location::RemotePath;
use crate::points;
use crate::style::{Paint, Style};

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("what").required(true).args(["revision", "session", "actor"]))]
#[command(after_help = "\
Examples:
  nexus undo 4711                              One operation; `nexus log` tells its number
  nexus undo 4711 --to 4720                    All from one to another
  nexus undo --session run-17 --dry-run        What undoing a run of an agent would do
  nexus undo --session run-17 --on-conflict skip
  nexus undo --actor agent:writer --since 2h
  nexus undo --session run-17 --path /docs     Only what it did there

An undo is an operation like others, in one commit: undo it to have back what it took. Where others
have worked on since, these files are listed and nothing is undone, unless --on-conflict says to
skip those files or to force them back.")]
pub struct Undo {
    /// The operation, by its revision
    #[arg(value_parser = points::revision)]
    revision: Option<Revision>,
    /// And all later ones up to and with this one
    #[arg(long, value_name = "REVISION", requires = "revision", value_parser = points::revision)]
    to: Option<Revision>,
    /// All operations of a run of an agent
    #[arg(long)]
    session: Option<String>,
    /// All operations of somebody, user:ID or agent:ID
    #[arg(long)]
    actor: Option<String>,
    /// Of an actor: only after this point
    #[arg(long, value_name = "POINT", requires = "actor")]
    since: Option<String>,
    /// Of an actor: only up to this point
    #[arg(long, value_name = "POINT", requires = "actor")]
    until: Option<String>,
    /// Only what they did at this path or below it
    #[arg(long)]
    path: Option<RemotePath>,
    /// What becomes of files that others have changed since: abort, skip or force
    #[arg(long, value_name = "CHOICE", default_value = "abort")]
    on_conflict: OnConflict,
    /// Only tell what would happen
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    durability: DurabilityArgument,
}

impl Undo {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let options = UndoOptions {
            what: self.what(app)?,
            dry_run: self.dry_run,
            on_conflict: self.on_conflict,
            path_prefix: self.path.as_ref().map(|path| path.as_str().to_owned()),
            durability: self.durability.into(),
        };
        match client.undo(options.clone()).await {
            Err(error) if error.kind() == Kind::Conflict && !self.dry_run => {
                let dry_run = UndoOptions {
                    dry_run: true,
                    ..options
                };
                show_conflicts(app, &client.undo(dry_run).await?)?;
                Err(error)
            }
            done => show(app, &done?, self.dry_run),
        }
    }

    fn what(&self, app: &App) -> Result<UndoWhat> {
        let point = |text: &Option<String>| {
            let text = text.as_deref();
            text.map(|text| points::at(text, app.now)).transpose()
        };
        Ok(match (self.revision, &self.session, &self.actor) {
            (Some(from), _, _) => match self.to {
                Some(to) => UndoWhat::Range { from, to },
                None => UndoWhat::Operation(from),
            },
            (None, Some(session), _) => UndoWhat::OfSession(session.clone()),
            (None, None, actor) => UndoWhat::OfActor {
                actor: actor.clone().unwrap_or_default(),
                since: point(&self.since)?,
                until: point(&self.until)?,
            },
        })
    }
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus restore /work --to 2h                  What the directory was two hours ago
  nexus restore /work --to before-migration    What a snapshot has of it
  nexus restore /work --to r4711^ --path src --path Cargo.toml
  nexus restore /notes.txt --to 4711 --dry-run

What was added since goes, what was deleted comes back, what was moved gets its old name back. It
is an operation that `nexus undo` takes back.")]
pub struct Restore {
    /// A directory or a file
    path: RemotePath,
    /// The point: a revision, a time, how long ago, an operation or a snapshot
    #[arg(long, value_name = "POINT")]
    to: String,
    /// Only this path of the directory; may be given more than once
    #[arg(long = "path", value_name = "PATH")]
    paths: Vec<String>,
    /// Only tell what would happen
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    durability: DurabilityArgument,
}

impl Restore {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let at = points::at(&self.to, app.now)?;
        let options = nexus_client::RestoreOptions {
            dry_run: self.dry_run,
            paths: self.paths,
            durability: self.durability.into(),
        };
        let report = client.restore(self.path.as_str(), at, options).await?;
        show(app, &report, self.dry_run)
    }
}

pub(super) fn show(app: &mut App, report: &UndoReport, dry_run: bool) -> Result<()> {
    app.out.show(
        || json::undo_report(report),
        |style| text(report, dry_run, style),
    )
}

/// Why nothing was undone.
fn show_conflicts(app: &mut App, report: &UndoReport) -> Result<()> {
    let lines = |style| {
        let lines = report.conflicts.iter().map(|it| conflict_line(it, style));
        lines.collect::<Vec<_>>().join("\n")
    };
    app.out.show(|| json::undo_report(report), lines)
}

fn text(report: &UndoReport, dry_run: bool, style: Style) -> String {
    let mut lines: Vec<String> = Vec::new();
    lines.extend(
        report
            .effects
            .iter()
            .map(|effect| effect_line(effect, style)),
    );
    lines.extend(report.conflicts.iter().map(|it| conflict_line(it, style)));
    lines.push(match report.revisions.last() {
        Some(revision) => format!("revision {revision}; `nexus undo {revision}` takes it back"),
        None if dry_run => "nothing was changed; this is what would happen".to_owned(),
        None => "nothing had to be changed".to_owned(),
    });
    lines.join("\n")
}

fn effect_line(effect: &UndoEffect, style: Style) -> String {
    let path = printable(&effect.path);
    match effect.kind {
        UndoKind::Remove => style.paint(Paint::Removed, &format!("- {path}")),
        UndoKind::BringBack => style.paint(Paint::Added, &format!("+ {path}")),
        UndoKind::RenameBack => {
            let from = printable(effect.from.as_deref().unwrap_or_default());
            format!("> {from} -> {path}")
        }
        UndoKind::RestoreContent => format!("~ {path}: content"),
        UndoKind::Attributes => format!("~ {path}: attributes"),
        UndoKind::Metadata => format!("~ {path}: metadata"),
        UndoKind::Unknown => format!("? {path}"),
    }
}

fn conflict_line(conflict: &UndoConflict, style: Style) -> String {
    let path = printable(&conflict.path);
    if conflict.collected {
        let line = format!("! {path}: what it was has been collected from history");
        return style.paint(Paint::Strong, &line);
    }
    let by = match (&conflict.revision, &conflict.actor) {
        (Some(revision), Some(actor)) => format!("revision {revision} by {}", printable(actor)),
        (Some(revision), None) => format!("revision {revision}"),
        _ => "later work".to_owned(),
    };
    let force = match conflict.can_force {
        true => "",
        false => "; cannot be forced",
    };
    let line = format!("! {path}: {by} stands on it{force}");
    style.paint(Paint::Strong, &line)
}
