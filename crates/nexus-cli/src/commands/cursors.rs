//! `cursors`.

use clap::{Args, Subcommand};
use futures::TryStreamExt;
use nexus_client::{Cursor, CursorOwner, Durability, Result, Revision};

use crate::app::App;
use crate::format;
use crate::json;
use crate::points;
use crate::style::{Paint, Style};

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus cursors create indexer --after r42
  nexus watch --cursor indexer
  nexus cursors list
  nexus cursors rewind indexer r42
  nexus cursors delete agent:crawler/indexer     Another principal's, with an admin key

A cursor is how far a consumer of the change feed has come, kept by the node.")]
pub struct Cursors {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a cursor
    Create {
        /// Letters, digits, dots, dashes and underscores
        name: String,
        /// Where it is to be; where the feed is now, if not given
        #[arg(long, value_name = "REVISION", value_parser = points::revision)]
        after: Option<Revision>,
    },
    /// List cursors
    #[command(alias = "ls")]
    List {
        /// Of this principal: user:NAME or agent:NAME
        #[arg(long, value_name = "PRINCIPAL", conflicts_with = "all")]
        owner: Option<String>,
        /// Of everybody
        #[arg(long)]
        all: bool,
    },
    /// Show where a cursor is
    Show {
        /// Its name
        name: String,
    },
    /// Note that everything up to a revision has been handled
    Ack {
        /// Its name
        name: String,
        /// The last revision that was handled
        #[arg(value_parser = points::revision)]
        revision: Revision,
    },
    /// Take a cursor back, or forward
    Rewind {
        /// Its name
        name: String,
        /// What comes after this revision comes again
        #[arg(value_parser = points::revision)]
        revision: Revision,
    },
    /// Forget cursors
    #[command(alias = "rm")]
    Delete {
        /// Their names
        #[arg(required = true)]
        names: Vec<String>,
    },
}

impl Cursors {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let cursor = match self.action {
            Action::Create { name, after } => {
                let at = after.map(Into::into);
                client.create_cursor(&name, at).await?
            }
            Action::Show { name } => client.cursor(&name).await?,
            Action::Ack { name, revision } => {
                let until = revision.into();
                client.acknowledge(&name, until, Durability::Sync).await?
            }
            Action::Rewind { name, revision } => {
                client.rewind_cursor(&name, revision.into()).await?
            }
            Action::List { owner, all } => return list(app, owner, all).await,
            Action::Delete { names } => {
                for name in names {
                    client.delete_cursor(&name).await?;
                }
                return Ok(());
            }
        };
        show(app, &cursor)
    }
}

async fn list(app: &mut App, owner: Option<String>, all: bool) -> Result<()> {
    let of = match (all, owner) {
        (true, _) => CursorOwner::Anyone,
        (false, Some(owner)) => CursorOwner::Principal(owner),
        (false, None) => CursorOwner::Caller,
    };
    let mut cursors = app.client().await?.cursors(of);
    while let Some(cursor) = cursors.try_next().await? {
        show(app, &cursor)?;
    }
    Ok(())
}

fn show(app: &mut App, cursor: &Cursor) -> Result<()> {
    app.out
        .show(|| json::cursor(cursor), |style| line(cursor, style))
}

fn line(cursor: &Cursor, style: Style) -> String {
    let position = style.paint(
        Paint::Strong,
        &format!("r{:<9}", cursor.position.to_string()),
    );
    let moved = format::time(cursor.moved);
    let owner = format::printable(&cursor.owner);
    format!("{position} {moved}  {}  {owner}", cursor.name)
}
