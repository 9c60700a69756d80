//! `lock`.

use std::time::Duration;

use clap::{Args, Subcommand};
use futures::TryStreamExt;
use nexus_client::{AcquireOptions, Lease, LockMode, LockQuery, LockState, Result};

use crate::app::App;
use crate::args::DurabilityArgument;
use crate::format;
use crate::json;
use crate::location::RemotePath;
use crate::points;
use crate::style::{Paint, Style};

mod run;

#[derive(Args, Debug)]
#[command(after_help = "\
RESOURCE is a file or directory, /a/path or ino:42, or any name, name:deploy. A lock on a file
follows it through renames.

Examples:
  nexus lock run /docs/plan.md -- ./rewrite.sh      Hold it while a command runs
  nexus lock run name:gpu --permits 2 --wait 1h -- ./train.sh
  export NEXUS_FENCE=\"$(nexus lock acquire name:deploy --ttl 5m)\"
  nexus write /site/version 42                      Refused once the lease has ended
  nexus lock release name:deploy 4711
  nexus lock list --path /docs
  nexus lock force-unlock name:deploy

A lease ends by itself after its --ttl unless it is extended. Locks keep nobody out who does not
ask for them; a change that carries the fence of a lease, with --fence or NEXUS_FENCE, is
committed only while that lease is held.")]
pub struct Lock {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Get a lease; prints its fence, which is its token and what it is on
    Acquire(Acquire),
    /// Let a lease hold for longer, from now on
    Extend(Extend),
    /// Give a lease up
    Release(Release),
    /// Show who holds a lock and who waits for it
    Inspect {
        /// What it is on
        resource: String,
    },
    /// List the locks that somebody holds or waits for
    #[command(alias = "ls")]
    List(List),
    /// End leases whoever holds them; of others' it takes admin rights, and is on record
    ForceUnlock(ForceUnlock),
    /// Run a command while holding a lock, and end as it ends
    Run(run::Run),
}

/// What to ask for.
#[derive(Args, Debug)]
struct Wanted {
    /// Hold it together with others who share it
    #[arg(long, conflicts_with = "permits")]
    shared: bool,
    /// Let so many hold it; all who use it at a time have to say the same number
    #[arg(long, value_name = "COUNT")]
    permits: Option<u32>,
    /// How long the lease holds unless it is extended, up to 24h
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = points::length)]
    ttl: Duration,
    #[command(flatten)]
    durability: DurabilityArgument,
}

impl Wanted {
    fn options(&self, wait: Duration) -> AcquireOptions {
        AcquireOptions {
            mode: match self.permits {
                Some(permits) => LockMode::Counting { permits },
                None if self.shared => LockMode::Shared,
                None => LockMode::Exclusive,
            },
            ttl: self.ttl,
            wait,
            durability: self.durability.into(),
        }
    }
}

#[derive(Args, Debug)]
struct Acquire {
    /// What to lock
    resource: String,
    #[command(flatten)]
    wanted: Wanted,
    /// How long to wait while others hold it, up to 1h; first come, first served
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = points::length)]
    wait: Duration,
}

#[derive(Args, Debug)]
struct Extend {
    /// What it is on
    resource: String,
    /// The lease
    token: u64,
    /// How long it holds from now on, up to 24h; never less long than it did
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = points::length)]
    ttl: Duration,
    #[command(flatten)]
    durability: DurabilityArgument,
}

#[derive(Args, Debug)]
struct Release {
    /// What it is on
    resource: String,
    /// The lease
    token: u64,
    #[command(flatten)]
    durability: DurabilityArgument,
}

#[derive(Args, Debug)]
struct List {
    /// Only those on this path and below it
    #[arg(long)]
    path: Option<RemotePath>,
    /// Only those that somebody, user:ID or agent:ID, holds or waits for
    #[arg(long, value_name = "PRINCIPAL")]
    holder: Option<String>,
}

#[derive(Args, Debug)]
struct ForceUnlock {
    /// What it is on
    resource: String,
    /// Only this lease; all if not given
    #[arg(long)]
    token: Option<u64>,
}

impl Lock {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        match self.action {
            Action::Acquire(acquire) => acquire.run(app).await,
            Action::Extend(extend) => extend.run(app).await,
            Action::Release(release) => release.run(app).await,
            Action::Inspect { resource } => {
                let state = app.client().await?.inspect_lock(&resource).await?;
                app.out
                    .show(|| json::lock_state(&state), |style| whole(&state, style))
            }
            Action::List(list) => list.run(app).await,
            Action::ForceUnlock(force) => force.run(app).await,
            Action::Run(run) => run.run(app).await,
        }
    }
}

impl Acquire {
    async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let options = self.wanted.options(self.wait);
        let lease = client.acquire_lock(&self.resource, options).await?;
        app.out
            .show(|| json::lease(&lease), |_| lease.fence().to_string())
    }
}

impl Extend {
    async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let extended =
            client.extend_lock(&self.resource, self.token, self.ttl, self.durability.into());
        let lease = extended.await?;
        app.out.show(|| json::lease(&lease), |_| held(&lease))
    }
}

impl Release {
    async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let released = client.release_lock(&self.resource, self.token, self.durability.into());
        let revision = released.await?;
        app.out.show(
            || serde_json::json!({"revision": revision.0}),
            |_| String::new(),
        )
    }
}

impl List {
    async fn run(self, app: &mut App) -> Result<()> {
        let query = LockQuery {
            path_prefix: self.path.map(|path| path.to_string()),
            holder: self.holder,
        };
        let mut locks = app.client().await?.list_locks(query);
        while let Some(state) = locks.try_next().await? {
            app.out
                .show(|| json::lock_state(&state), |style| whole(&state, style))?;
        }
        Ok(())
    }
}

impl ForceUnlock {
    async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let forced = client.force_unlock(&self.resource, self.token).await?;
        app.out.show(
            || json::forced(&forced),
            |_| {
                let ended = forced
                    .leases
                    .iter()
                    .map(|lease| format!("ended {}", held(lease)));
                ended.collect::<Vec<_>>().join("\n")
            },
        )
    }
}

/// `4711  exclusive  agent:ada  until 2026-01-31 12:00:00`.
fn held(lease: &Lease) -> String {
    format!(
        "{}  {}  {}  until {}",
        lease.token,
        mode(lease.mode),
        format::printable(&lease.holder),
        format::time(lease.expires)
    )
}

fn mode(mode: LockMode) -> String {
    match mode.permits() {
        Some(permits) => format!("{} {permits}", mode.as_str()),
        None => mode.as_str().to_owned(),
    }
}

/// A lock, those who hold it, and those who wait.
fn whole(state: &LockState, style: Style) -> String {
    let name = format::printable(state.path.as_deref().unwrap_or(&state.resource));
    let mut lines = vec![match state.path {
        Some(_) => format!("{}  {}", style.paint(Paint::Strong, &name), state.resource),
        None => style.paint(Paint::Strong, &name),
    }];
    lines.extend(
        state
            .leases
            .iter()
            .map(|lease| format!("  held     {}", held(lease))),
    );
    lines.extend(state.waiters.iter().map(|waiter| {
        format!(
            "  waiting  {}  {}  since {}",
            mode(waiter.mode),
            format::printable(&waiter.holder),
            format::time(waiter.since)
        )
    }));
    lines.join("\n")
}
