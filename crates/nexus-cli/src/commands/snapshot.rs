//! `snapshot`.

use clap::{Args, Subcommand};
use futures::TryStreamExt;
use nexus_client::{At, NewSnapshot, RestoreOptions, Result, SnapshotQuery, SnapshotUpdate};
use serde_json::{Value, json};

use crate::app::App;
use crate::args::DurabilityArgument;
use crate::commands::diff::Diff;
use crate::commands::undo;
use crate::format;
use crate::location::RemotePath;
use crate::points;
use crate::style::{Paint, Style};

#[derive(Args, Debug)]
#[command(after_help = "\
A snapshot names the state of a directory. It copies nothing, costs the same for any number of
files, and keeps retention off what it needs. Its name can be given wherever a point in time can.

Examples:
  nexus snapshot create /project before-refactoring --tag release -m 'all tests green'
  nexus cat /project/main.rs@{before-refactoring}
  nexus snapshot list /project
  nexus snapshot diff before-refactoring
  nexus snapshot restore before-refactoring --dry-run
  nexus snapshot pin before-refactoring
  nexus snapshot create /project nightly --expires 7d
  nexus snapshot delete nightly")]
pub struct Snapshot {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a snapshot of a directory
    Create(Create),
    /// List snapshots
    #[command(alias = "ls")]
    List(List),
    /// Show one
    Show {
        /// Its name
        name: String,
    },
    /// Show what changed in the directory since one, or from one to another
    Diff {
        /// From
        name: String,
        /// To: another, or any other point; now if not given
        to: Option<String>,
    },
    /// Make the directory, or some paths in it, what they were when one was made
    Restore(Restore),
    /// Change what is said of one
    Update(Update),
    /// Hold one against deletion and expiry
    Pin {
        /// Its name
        name: String,
    },
    /// Let one be deleted again
    Unpin {
        /// Its name
        name: String,
    },
    /// Delete snapshots; a pinned one is refused
    #[command(alias = "rm")]
    Delete {
        /// Their names
        #[arg(required = true)]
        names: Vec<String>,
    },
}

#[derive(Args, Debug)]
struct Create {
    /// The directory
    path: RemotePath,
    /// Its name, which begins with a letter; made up if not given
    name: Option<String>,
    /// What it is for
    #[arg(short = 'm', long, default_value = "")]
    description: String,
    /// To find it by; may be given several times
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Hold it against deletion and expiry
    #[arg(long)]
    pin: bool,
    /// When it may go by itself: a time, or a while from now like 12h or 30d
    #[arg(long, value_name = "WHEN")]
    expires: Option<String>,
}

#[derive(Args, Debug)]
struct List {
    /// Only those of this directory, now or when they were made
    path: Option<RemotePath>,
    /// Only those with this tag
    #[arg(long)]
    tag: Option<String>,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus snapshot restore before-refactoring                    The whole directory
  nexus snapshot restore before-refactoring src Cargo.toml     These paths in it
  nexus snapshot restore before-refactoring --dry-run          What would happen

What was added since goes, what was deleted comes back, what was moved gets its old name back; the
directory too. It is an operation that `nexus undo` takes back, and the snapshot stays.")]
struct Restore {
    /// Its name
    name: String,
    /// Only these paths, in the directory or whole ones
    paths: Vec<String>,
    /// Only tell what would happen
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    durability: DurabilityArgument,
}

#[derive(Args, Debug)]
#[group(id = "change", required = true, multiple = true, args = ["description", "tags", "no_tags", "expires", "never_expires"])]
struct Update {
    /// Its name
    name: String,
    /// What it is for
    #[arg(short = 'm', long)]
    description: Option<String>,
    /// All its tags; may be given several times
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// It has no tags any more
    #[arg(long, conflicts_with = "tags")]
    no_tags: bool,
    /// When it may go by itself: a time, or a while from now like 12h or 30d
    #[arg(long, value_name = "WHEN")]
    expires: Option<String>,
    /// It goes no more by itself
    #[arg(long, conflicts_with = "expires")]
    never_expires: bool,
}

impl Snapshot {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        match self.action {
            Action::Create(create) => create.run(app).await,
            Action::List(list) => list.run(app).await,
            Action::Show { name } => {
                let snapshot = app.client().await?.snapshot(&name).await?;
                show(app, &snapshot)
            }
            Action::Diff { name, to } => {
                let from = app.client().await?.snapshot(&name).await?;
                Diff::between(&from.path, name, to).run(app).await
            }
            Action::Restore(restore) => restore.run(app).await,
            Action::Update(update) => update.run(app).await,
            Action::Pin { name } => pin(app, &name, true).await,
            Action::Unpin { name } => pin(app, &name, false).await,
            Action::Delete { names } => {
                for name in names {
                    let gone = app.client().await?.delete_snapshot(&name).await?;
                    app.out.show(
                        || document(&gone),
                        |_| format!("deleted {}, r{} of {}", gone.name, gone.revision, gone.path),
                    )?;
                }
                Ok(())
            }
        }
    }
}

impl Create {
    async fn run(self, app: &mut App) -> Result<()> {
        let now = app.now;
        let expires = self.expires.map(|when| points::moment(&when, now));
        let new = NewSnapshot {
            name: self.name,
            description: self.description,
            tags: self.tags,
            pinned: self.pin,
            expires: expires.transpose()?,
        };
        let client = app.client().await?;
        let made = client.create_snapshot(self.path.as_str(), new).await?;
        show(app, &made)
    }
}

impl List {
    async fn run(self, app: &mut App) -> Result<()> {
        let query = SnapshotQuery {
            path: self.path.as_ref().map(ToString::to_string),
            tag: self.tag,
        };
        let mut snapshots = app.client().await?.snapshots(query);
        while let Some(snapshot) = snapshots.try_next().await? {
            app.out
                .show(|| document(&snapshot), |style| line(&snapshot, style))?;
        }
        Ok(())
    }
}

impl Restore {
    async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let snapshot = client.snapshot(&self.name).await?;
        let options = RestoreOptions {
            dry_run: self.dry_run,
            paths: self.paths,
            durability: self.durability.into(),
        };
        // Not by its name, which may be another's by now.
        let at = At::revision(snapshot.revision);
        let report = client.restore(&snapshot.path, at, options).await?;
        undo::show(app, &report, self.dry_run)
    }
}

impl Update {
    async fn run(self, app: &mut App) -> Result<()> {
        let now = app.now;
        let expires = match self.expires {
            Some(when) => Some(Some(points::moment(&when, now)?)),
            None => self.never_expires.then_some(None),
        };
        let update = SnapshotUpdate {
            description: self.description,
            tags: (self.no_tags || !self.tags.is_empty()).then_some(self.tags),
            pinned: None,
            expires,
        };
        let client = app.client().await?;
        let changed = client.update_snapshot(&self.name, update).await?;
        show(app, &changed)
    }
}

async fn pin(app: &mut App, name: &str, pinned: bool) -> Result<()> {
    let update = SnapshotUpdate {
        pinned: Some(pinned),
        ..SnapshotUpdate::default()
    };
    let changed = app.client().await?.update_snapshot(name, update).await?;
    show(app, &changed)
}

fn show(app: &mut App, snapshot: &nexus_client::Snapshot) -> Result<()> {
    app.out
        .show(|| document(snapshot), |style| whole(snapshot, style))
}

/// As the REST interface shows it.
fn document(snapshot: &nexus_client::Snapshot) -> Value {
    let mut value = json!({
        "name": snapshot.name,
        "number": snapshot.number,
        "directory": snapshot.directory,
        "path": snapshot.path,
        "revision": snapshot.revision.0,
        "description": snapshot.description,
        "tags": snapshot.tags,
        "actor": snapshot.actor,
        "time": format::rfc3339(snapshot.time),
        "pinned": snapshot.pinned,
    });
    if let Some(expires) = snapshot.expires {
        value["expires"] = format::rfc3339(expires).into();
    }
    value
}

fn line(snapshot: &nexus_client::Snapshot, style: Style) -> String {
    let revision = style.paint(Paint::Faint, &format!("r{}", snapshot.revision));
    let mut text = format!(
        "{}  {revision}  {}  {}",
        format::time(snapshot.time),
        style.paint(Paint::Strong, &snapshot.name),
        format::printable(&snapshot.path),
    );
    if snapshot.pinned {
        text += "  pinned";
    }
    if !snapshot.tags.is_empty() {
        text += &format!("  [{}]", snapshot.tags.join(", "));
    }
    if let Some(first) = snapshot.description.lines().next() {
        text += &format!("  {}", format::printable(first));
    }
    text
}

fn whole(snapshot: &nexus_client::Snapshot, style: Style) -> String {
    let mut text = line(snapshot, style);
    text += &format!("\n  number   {}", snapshot.number);
    text += &format!("\n  actor    {}", snapshot.actor);
    if let Some(expires) = snapshot.expires {
        text += &format!("\n  expires  {}", format::time(expires));
    }
    text
}
