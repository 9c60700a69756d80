//! `watch`.

use std::pin::pin;
use std::time::Duration;

use clap::Args;
use futures::StreamExt;
use nexus_client::{
    ChangeKind, Client, Durability, FeedPosition, Kind, Record, Result, Revision, WatchQuery,
    WatchStart,
};

use super::log;
use crate::app::App;
use crate::exit::Exit;
use crate::{json, points};

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus watch                                Everything, from now on
  nexus watch '/docs/**' --after r42         And what was since revision 42
  nexus watch '/inbox/*' --kind file_write --wait --timeout 5m && process-inbox
  nexus --json watch --cursor indexer | while read -r event; do ...; done

With --json, one event a line for each change. After an interruption go on with --after and the last
revision seen, or with --cursor, which the node remembers: nothing is lost. --wait and --exit-after
end with status 1 when the time is up before.")]
pub struct Watch {
    /// Only changes of paths that match one of these; everything if not given
    patterns: Vec<String>,
    /// Only changes of this kind; may be given more than once
    #[arg(long, value_parser = log::change_kind())]
    kind: Vec<ChangeKind>,
    /// Only by this principal: user:NAME or agent:NAME
    #[arg(long)]
    actor: Option<String>,
    /// Only of this session
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
    /// What came after this revision, and from now on
    #[arg(long, value_name = "REVISION", value_parser = points::revision)]
    after: Option<Revision>,
    /// Go on where this cursor is, and move it past what is printed; made if there is none
    #[arg(long, value_name = "NAME")]
    cursor: Option<String>,
    /// Only what no loss of power takes back any more; so always with a cursor
    #[arg(long)]
    durable: bool,
    /// End after the first commit
    #[arg(long, conflicts_with = "exit_after")]
    wait: bool,
    /// End after so many commits
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    exit_after: Option<u64>,
    /// End after so long, like 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = points::length)]
    timeout: Option<Duration>,
}

impl Watch {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let zone = client.whoami().await?.zone;
        let most = self.exit_after.or(self.wait.then_some(1));
        let mut records = client.watch(self.query(&client).await?).await?;
        let mut time_is_up = pin!(async {
            match self.timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        });
        let mut seen = 0;
        while most.is_none_or(|most| seen < most) {
            let record = tokio::select! {
                record = records.next() => record.transpose()?,
                () = &mut time_is_up => {
                    app.exit = if most.is_some() { Exit::Failure } else { Exit::Ok };
                    return Ok(());
                }
            };
            let Some(record) = record else { return Ok(()) };
            show(app, &record, &zone)?;
            self.acknowledge(&client, &record).await?;
            seen += 1;
        }
        Ok(())
    }

    async fn query(&self, client: &Client) -> Result<WatchQuery> {
        Ok(WatchQuery {
            patterns: self.patterns.clone(),
            kinds: self.kind.clone(),
            actor: self.actor.clone(),
            session: self.session.clone(),
            start: self.start(client).await?,
            durable: self.durable || self.cursor.is_some(),
        })
    }

    async fn start(&self, client: &Client) -> Result<WatchStart> {
        let Some(name) = &self.cursor else {
            return Ok(self.after.map_or(WatchStart::Now, WatchStart::from));
        };
        match (client.cursor(name).await, self.after) {
            (Ok(_), None) => {}
            (Ok(_), Some(after)) => drop(client.rewind_cursor(name, after.into()).await?),
            (Err(error), after) if error.kind() == Kind::NotFound => {
                client
                    .create_cursor(name, after.map(FeedPosition::from))
                    .await?;
            }
            (Err(error), _) => return Err(error),
        }
        Ok(WatchStart::Cursor(name.clone()))
    }

    async fn acknowledge(&self, client: &Client, record: &Record) -> Result<()> {
        if let Some(name) = &self.cursor {
            let until = record.revision.into();
            client.acknowledge(name, until, Durability::Relaxed).await?;
        }
        Ok(())
    }
}

/// What is shown has left the program when this returns.
fn show(app: &mut App, record: &Record, zone: &str) -> Result<()> {
    if app.out.is_json() {
        for change in &record.changes {
            let event = || json::event(record, change, zone);
            app.out.show(event, |_| String::new())?;
        }
    } else {
        let none = || serde_json::Value::Null;
        app.out.show(none, |style| log::text(record, style))?;
    }
    app.out.flush()
}
