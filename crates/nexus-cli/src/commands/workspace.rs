//! `workspace`, `fork` and `merge`.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, Subcommand};
use futures::TryStreamExt;
use nexus_client::{
    ForkOptions, MergeOptions, MergeReport, MergeStrategy, NewWorkspace, Result, Workspace,
};

use crate::app::App;
use crate::args::DurabilityArgument;
use crate::exit::Exit;
use crate::format;
use crate::json;
use crate::location::RemotePath;
use crate::points;
use crate::style::{Paint, Style};

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus workspace register /proj --name website --tag web --meta owner=ada
  nexus workspace register /scratch --ttl 7d
  nexus workspace list
  nexus workspace info /proj
  nexus workspace forks /proj
  nexus workspace unregister /proj

A registration is of the directory and follows it where it moves. It gives nobody any right.")]
pub struct WorkspaceCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Register a directory
    Register(Register),
    /// List the workspaces
    #[command(alias = "ls")]
    List,
    /// Show what is registered of a directory
    Info {
        /// The directory
        path: RemotePath,
    },
    /// End a registration; the directory stays
    Unregister {
        /// The directory
        path: RemotePath,
    },
    /// List the forks of a directory, or all
    Forks {
        /// The directory
        path: Option<RemotePath>,
    },
}

#[derive(Args, Debug)]
struct Register {
    /// The directory
    path: RemotePath,
    /// What to call it
    #[arg(long)]
    name: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// To find it by; may be given several times
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Whatever else there is to say; may be given several times
    #[arg(long = "meta", value_name = "KEY=VALUE", value_parser = fact)]
    metadata: Vec<(String, String)>,
    /// The run of an agent that it is for
    #[arg(long = "for-session", value_name = "SESSION")]
    for_session: Option<String>,
    /// End the registration after so long, up to 366d
    #[arg(long, value_name = "TIME", value_parser = points::length)]
    ttl: Option<Duration>,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus fork /proj /tries/one        Another /proj, to be changed by itself
  nexus fork /proj /tries/two -p
  nexus merge /tries/one             Bring what changed there back into /proj
  nexus rm -r /tries/two             Give the other up

Content is not copied, and a million files take as long as ten. What open mounts have not written
back is not in the fork.")]
pub struct Fork {
    /// The directory
    from: RemotePath,
    /// Where the fork is made
    to: RemotePath,
    /// Make missing parents of the fork
    #[arg(short, long)]
    parents: bool,
    #[command(flatten)]
    durability: DurabilityArgument,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus merge /tries/one --dry-run             What would change, and what is in the way
  nexus merge /tries/one
  nexus merge /tries/one --strategy markers    Both versions of a line, between markers
  nexus merge /tries/one --strategy theirs     The fork counts where both changed the same
  nexus merge /tries/one --into /tries/two     Into another fork of the same directory

What changed in the fork since it was made, or last merged, comes into the directory that it is
of: in one commit, or, with a conflict that the strategy does not decide, not at all; then the
exit status is that of a conflict. The fork stays and can be merged again.")]
pub struct Merge {
    /// The fork
    fork: RemotePath,
    /// Another fork of the same directory; the directory itself unless given
    #[arg(long, value_name = "PATH")]
    into: Option<RemotePath>,
    /// Where both sides changed the same: report, markers, ours (the target) or theirs (the fork)
    #[arg(long, value_name = "STRATEGY", default_value = "report")]
    strategy: MergeStrategy,
    /// Show what would be done, and do nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    #[command(flatten)]
    durability: DurabilityArgument,
}

impl WorkspaceCommand {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let found = match self.action {
            Action::Register(register) => {
                let path = register.path.to_string();
                client
                    .register_workspace(&path, register.into_new())
                    .await?
            }
            Action::Info { path } => client.workspace(&path.to_string()).await?,
            Action::Unregister { path } => client.unregister_workspace(&path.to_string()).await?,
            Action::List => {
                let mut all = client.workspaces();
                while let Some(found) = all.try_next().await? {
                    show(app, &found)?;
                }
                return Ok(());
            }
            Action::Forks { path } => {
                let mut all = client.forks(path.map(|path| path.to_string()));
                while let Some(fork) = all.try_next().await? {
                    app.out.show(
                        || json::fork(&fork),
                        |style| {
                            let of = fork.origin_path.as_deref().unwrap_or("what has gone");
                            format!(
                                "{}  of {} at r{}  {}  {}",
                                style.paint(Paint::Strong, &format::printable(&fork.path)),
                                format::printable(of),
                                fork.base,
                                format::printable(&fork.created_by),
                                format::time(fork.created)
                            )
                        },
                    )?;
                }
                return Ok(());
            }
        };
        show(app, &found)
    }
}

impl Register {
    fn into_new(self) -> NewWorkspace {
        NewWorkspace {
            name: self.name,
            description: self.description,
            tags: self.tags,
            metadata: BTreeMap::from_iter(self.metadata),
            session: self.for_session,
            ttl: self.ttl,
        }
    }
}

fn show(app: &mut App, workspace: &Workspace) -> Result<()> {
    app.out.show(
        || json::workspace(workspace),
        |style| {
            let mut line = style.paint(Paint::Strong, &format::printable(&workspace.path));
            for text in [&workspace.name, &workspace.description]
                .into_iter()
                .flatten()
            {
                line.push_str("  ");
                line.push_str(&format::printable(text));
            }
            for tag in &workspace.tags {
                line.push_str("  #");
                line.push_str(&format::printable(tag));
            }
            line
        },
    )
}

impl Fork {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let options = ForkOptions {
            parents: self.parents,
            durability: self.durability.into(),
        };
        let (from, to) = (self.from.to_string(), self.to.to_string());
        let made = client.fork(&from, &to, options).await?;
        app.out
            .show(|| json::changed(&made), |_| format!("r{}", made.revision))
    }
}

impl Merge {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let options = MergeOptions {
            into: self.into.map(|path| path.to_string()),
            strategy: self.strategy,
            dry_run: self.dry_run,
            durability: self.durability.into(),
        };
        let report = client.merge(&self.fork.to_string(), options).await?;
        if report.conflicts.iter().any(|conflict| !conflict.resolved) {
            app.exit = Exit::Conflict;
        }
        app.out.show(
            || json::merge_report(&report),
            |style| whole(&report, style),
        )
    }
}

fn whole(report: &MergeReport, style: Style) -> String {
    let mut lines = Vec::new();
    for change in &report.changes {
        let from = change.old_path.as_deref().map(format::printable);
        let from = from.map_or(String::new(), |from| format!(" from {from}"));
        let path = format::printable(&change.path);
        lines.push(format!("{:10}  {path}{from}", change.kind));
    }
    for conflict in &report.conflicts {
        let decided = if conflict.resolved { " (decided)" } else { "" };
        let path = style.paint(Paint::Strong, &format::printable(&conflict.path));
        lines.push(format!("conflict    {path}: {}{decided}", conflict.kind));
    }
    let into = format::printable(&report.into);
    let stuck = report.conflicts.iter().any(|conflict| !conflict.resolved);
    lines.push(match (report.revision, report.applied) {
        (Some(revision), _) => format!("merged into {into} in r{revision}"),
        (None, true) => format!("{into} has it all already"),
        (None, false) if stuck => {
            "nothing was merged; decide conflicts with --strategy, or change one side".to_owned()
        }
        (None, false) => "nothing was merged yet: this was a dry run".to_owned(),
    });
    lines.join("\n")
}

fn fact(text: &str) -> std::result::Result<(String, String), String> {
    let fact = text.split_once('=');
    let (key, value) = fact.ok_or("write it as KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
