//! `mount`, `umount`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use nexus_client::{Client, Error, Kind, Result};
use nexus_fuse::{Options, Volume};
use nexus_remote::RemoteVolume;
use nexus_service_api::{Clock, Entropy, SystemClock, SystemEntropy};
use serde_json::json;

use crate::app::App;
use crate::args::DurabilityArgument;

mod background;
mod local;
mod notify;
mod signals;
mod unmount;

pub(crate) use unmount::Umount;

/// What the mount adds to the time that it lets the node have, so that the reason for a failure
/// is the node's.
const SLACK: Duration = Duration::from_secs(5);
/// Most bytes in the name of a session.
const NAME_BYTES_MAX: usize = 128;

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  mkdir work && nexus mount work            Until Ctrl-C, or `nexus umount work`
  nexus mount --daemon work                 ... in the background
  nexus mount --at '2h ago' --daemon past   As it was two hours ago, read-only
  nexus mount --as agent:alice work         With an administrator's key, for alice in the log
  nexus mount --read-only --url http://10.0.0.7:2026 --key-file key work

What the key may not do is refused with `Permission denied`; of a key that is bound to a prefix,
only that is seen. With a node that does not answer, programs wait for --timeout and then get an
I/O error; one that comes back is sent what it had not yet stored. With --relaxed, changes are faster, and a
node that is killed may forget those of its last second.

If no node answers on this machine, and its data is here, the zone is mounted by `nexus-node
mount`, which opens the data itself. It takes root, or fusermount3 (package fuse3).")]
pub struct Mount {
    /// An empty directory
    directory: PathBuf,
    /// The zone; only the key's own
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// Mount a past state, read-only: a revision (42), a time (2026-01-31T12:00:00Z) or a while
    /// ago ('10m ago')
    #[arg(long, value_name = "POINT")]
    at: Option<String>,
    /// Refuse every change
    #[arg(long)]
    read_only: bool,
    #[command(flatten)]
    durability: DurabilityArgument,
    /// Seconds that programs wait for a node that does not answer
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..=3_600)
    )]
    timeout: u64,
    /// Stay until it is unmounted, which is the default
    #[arg(long, conflicts_with = "daemon")]
    foreground: bool,
    /// Return when it is mounted, and go on in the background
    #[arg(long)]
    daemon: bool,
    /// Where the node's data is, should no node answer
    #[arg(
        long,
        value_name = "FOLDER",
        env = "NEXUS_DATA",
        default_value = "./nexus-data"
    )]
    data: PathBuf,
}

impl Mount {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        if self.daemon {
            return background::start(app).await;
        }
        let request_id = format!("mount-{:032x}", SystemEntropy.id());
        let client = match app
            .client_named(&request_id, self.run_name().as_deref())
            .await
        {
            Err(error) if error.kind() == Kind::Unavailable && local::is_local(app.url()) => {
                return Err(local::mount(&self, app.on_behalf_of(), error));
            }
            client => client?,
        };
        self.check_zone(&client).await?;
        let volume = self.volume(app, client, request_id).await?;
        self.serve(app, volume).await
    }

    /// What the mount's changes are found by in the log.
    fn run_name(&self) -> Option<String> {
        let name = format!("mount:{}", self.directory.display());
        (name.is_ascii() && name.len() <= NAME_BYTES_MAX).then_some(name)
    }

    async fn check_zone(&self, client: &Client) -> Result<()> {
        let Some(zone) = &self.zone else {
            return Ok(());
        };
        let own = client.whoami().await?.zone;
        if *zone == own {
            return Ok(());
        }
        Err(Error::denied(
            "the key belongs to another zone; leave --zone out, or use a key of the zone you ask for",
        )
        .with("zone", zone.escape_debug())
        .with("key's zone", own))
    }

    async fn volume(
        &self,
        app: &App,
        client: Client,
        request_id: String,
    ) -> Result<Arc<dyn Volume>> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let options = nexus_remote::Options {
            patience: Duration::from_secs(self.timeout),
            durability: self.durability.into(),
            clock,
            request_id,
        };
        let volume = RemoteVolume::start(client, options).await?;
        match &self.at {
            None => Ok(Arc::new(volume)),
            Some(at) => {
                let point = crate::points::at(at, app.now)?;
                volume.as_of(point.to_string().parse()?).await
            }
        }
    }

    async fn serve(&self, app: &mut App, volume: Arc<dyn Volume>) -> Result<()> {
        log();
        let mut signals = signals::Signals::new()?;
        let mut options = Options::default();
        options.read_only = self.read_only || self.at.is_some();
        options.request_deadline = Duration::from_secs(self.timeout) + SLACK;
        let mut mount = nexus_fuse::Mount::start(volume, &self.directory, options).await?;
        say_mounted(app, mount.directory())?;
        notify::ready()?;
        tokio::select! {
            () = signals.next() => {}
            () = mount.ended() => {}
        }
        notify::stopping()?;
        tokio::select! {
            unmounted = mount.unmount() => unmounted,
            () = signals.next() => Err(Error::unavailable(
                "stopped at once; what was not yet sent to the node is lost",
            )),
        }
    }
}

/// Says so at once: somebody may wait for it.
fn say_mounted(app: &mut App, directory: &Path) -> Result<()> {
    let url = app.url().to_owned();
    app.out.show(
        || json!({"mounted": directory.display().to_string(), "url": url}),
        |_| format!("mounted on {}", directory.display()),
    )?;
    app.out.flush()
}

/// What happens while it is mounted is said on standard error.
fn log() {
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr);
    // Somebody who has set up a log already keeps theirs.
    let log = log.with_target(false).log_internal_errors(false);
    let _ = log.try_init();
}
