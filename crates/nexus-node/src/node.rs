//! A node: everything put together, and taken apart again in order.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nexus_fs::{Zone, ZoneConfig};
use nexus_kernel::{Error, Result};
use nexus_server::{App, Limits};
use nexus_service_api::{
    Authorizer, Clock, Context, CreatedKey, Entropy, KeyService, NewKey, PrincipalKind, Rights,
    SystemClock, SystemEntropy,
};
use nexus_services::authorizer::KeyAuthorizer;
use nexus_services::identity::{KeyParts, Keys};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, MountConfig};
use crate::data_folder::DataFolder;
use crate::doors::{self, Mount};
use crate::drivers::{self, Drivers};

#[cfg(test)]
mod tests;

/// The zone a node serves.
const ZONE: &str = "root";

/// A node to be started.
#[derive(Debug)]
pub struct Node;

/// A node that serves. Dropped without [`shutdown`](Self::shutdown), it stops as in a crash:
/// nothing acknowledged is lost.
pub struct RunningNode {
    address: SocketAddr,
    admin_key: Option<CreatedKey>,
    parts: Parts,
    stop: CancellationToken,
    /// None once it has ended.
    serving: Option<JoinHandle<()>>,
    mount: Option<Mount>,
    deadline: Duration,
}

/// A zone that is mounted, and nothing else: no door on the network is open.
pub struct MountedZone {
    mount: Mount,
    parts: Parts,
}

/// What a node consists of behind its doors. Dropped in this order.
struct Parts {
    keys: Keys,
    zone: Zone,
    drivers: Drivers,
    environment: Environment,
    /// Last, so that nobody else opens the stores before they are closed.
    folder: Option<DataFolder>,
}

#[derive(Clone)]
struct Environment {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Node {
    /// Opens the data, and serves it. The address answers when this returns.
    ///
    /// # Errors
    ///
    /// `Unsupported` for a driver that is not in this build or data of a newer version,
    /// `Unavailable` when the address or the data is in use, and whatever the stores answer.
    pub async fn start(config: Config) -> Result<RunningNode> {
        // Before the data is touched: a first admin key must not be made and then lost
        // because nothing can be served.
        let (listener, address) = listen(config.listen).await?;
        let parts = Parts::open(&config).await?;
        let mount = match &config.mount {
            Some(mount) => Some(parts.mount(mount).await?),
            None => None,
        };
        let admin_key = parts.keys.bootstrap().await?;
        let stop = CancellationToken::new();
        let stopping = stop.clone().cancelled_owned();
        let serving = tokio::spawn(nexus_server::serve(listener, parts.app(), stopping));
        tracing::info!(%address, "listening");
        let deadline = config.shutdown_deadline;
        Ok(RunningNode {
            address,
            admin_key,
            parts,
            stop,
            serving: Some(serving),
            mount,
            deadline,
        })
    }

    /// Opens the data and mounts the zone, with no door on the network.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start); `InvalidArgument` for a directory that cannot be mounted on.
    pub async fn mount(config: &Config, mount: &MountConfig) -> Result<MountedZone> {
        let parts = Parts::open(config).await?;
        let mount = parts.mount(mount).await?;
        Ok(MountedZone { mount, parts })
    }

    /// Checks that this build can start `config`, without opening anything.
    ///
    /// # Errors
    ///
    /// `Unsupported` for a driver that is not in this build.
    pub fn check(config: &Config) -> Result<()> {
        drivers::check(config)
    }

    /// Makes one more admin key in the data of a node that does not run: the way back in
    /// when all admin keys are lost. Whoever can write the data folder may do that.
    ///
    /// # Errors
    ///
    /// `Unavailable` while a node runs on the data.
    pub async fn make_admin_key(config: &Config) -> Result<CreatedKey> {
        let parts = Parts::open(config).await?;
        let new = NewKey {
            name: "made on the node's machine".into(),
            kind: PrincipalKind::User,
            id: "admin".into(),
            zone: ZONE.into(),
            rights: Rights::Admin,
            prefix: None,
            expires: None,
        };
        let key = parts.keys.create(&Context::system(), new).await;
        if let Err(error) = parts.close().await {
            // The key is durable by now, and nobody else will ever see its secret.
            tracing::error!(?error, "the data could not be closed well");
        }
        key
    }
}

impl RunningNode {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The admin key that was made at this start, if it was the first on its data. Its
    /// secret cannot be had again.
    #[must_use]
    pub fn admin_key(&self) -> Option<&CreatedKey> {
        self.admin_key.as_ref()
    }

    /// Where the zone is mounted, if it is.
    #[must_use]
    pub fn mounted_at(&self) -> Option<&Path> {
        self.mount.as_ref().map(Mount::directory)
    }

    /// Waits until the node serves no longer, which without [`shutdown`](Self::shutdown)
    /// means that it failed.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn ended(&mut self) {
        let Some(serving) = &mut self.serving else {
            return;
        };
        match serving.await {
            Err(error) if error.is_panic() => tracing::error!(%error, "the server failed"),
            _ => {}
        }
        self.serving = None;
    }

    /// Accepts nothing more, lets requests under way finish until the deadline, and closes
    /// the data.
    ///
    /// # Errors
    ///
    /// Whatever the stores answer; what was acknowledged as durable is safe all the same.
    pub async fn shutdown(mut self) -> Result<()> {
        self.stop.cancel();
        if tokio::time::timeout(self.deadline, self.ended())
            .await
            .is_err()
        {
            tracing::warn!(deadline = ?self.deadline, "requests still under way are cut off");
            self.serving.iter().for_each(JoinHandle::abort);
            self.ended().await;
        }
        let unmounted = match self.mount {
            Some(mount) => mount.unmount().await,
            None => Ok(()),
        };
        let closed = self.parts.close().await;
        unmounted.and(closed)?;
        tracing::info!("stopped");
        Ok(())
    }
}

impl MountedZone {
    /// Where it is mounted.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.mount.directory()
    }

    /// Waits until somebody else has unmounted it.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at will.
    pub async fn ended(&mut self) {
        self.mount.ended().await;
    }

    /// Unmounts and closes the data.
    ///
    /// # Errors
    ///
    /// Whatever the stores answer.
    pub async fn close(self) -> Result<()> {
        let unmounted = self.mount.unmount().await;
        let closed = self.parts.close().await;
        unmounted.and(closed)
    }
}

impl Parts {
    async fn open(config: &Config) -> Result<Self> {
        drivers::check(config)?;
        let environment = Environment {
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
        };
        let folder = match drivers::needs_data_folder(config) {
            true => Some(DataFolder::open(&config.data)?),
            false => None,
        };
        let place = folder.as_ref().map_or(Path::new(""), DataFolder::path);
        let drivers = drivers::open(config, place, &environment.clock)?;
        let authorizer: Arc<dyn Authorizer> = Arc::new(KeyAuthorizer::new(ZONE));
        let zone_config = zone_config(config, &environment);
        let zone = Zone::open(drivers.stores.clone(), Arc::clone(&authorizer), zone_config).await?;
        let keys = Keys::open(KeyParts {
            zone: ZONE.into(),
            settings: zone.settings(),
            authorizer,
            clock: Arc::clone(&environment.clock),
            entropy: Arc::clone(&environment.entropy),
        });
        let keys = keys.await?;
        Ok(Self {
            keys,
            zone,
            drivers,
            environment,
            folder,
        })
    }

    fn app(&self) -> App {
        App {
            zone: self.zone.clone(),
            zone_id: ZONE.into(),
            keys: Arc::new(self.keys.clone()),
            clock: Arc::clone(&self.environment.clock),
            entropy: Arc::clone(&self.environment.entropy),
            gauges: Arc::new(self.drivers.figures()),
            limits: Limits::default(),
            closing: CancellationToken::new(),
        }
    }

    /// Whoever may mount may read the data folder, and so do anything.
    async fn mount(&self, config: &MountConfig) -> Result<Mount> {
        let run = format!("mount:{}", config.directory.display());
        let context = Context {
            on_behalf_of: config.on_behalf_of.clone(),
            session: Some(run.into()),
            request_id: Some(format!("mount-{:032x}", self.environment.entropy.id()).into()),
            ..Context::system()
        };
        let session = self.zone.session(context);
        let data = self.folder.as_ref().map(DataFolder::path);
        doors::mount(session, config, data).await
    }

    /// Everything is closed, whatever fails on the way; the first error is returned.
    async fn close(self) -> Result<()> {
        let closed = self.zone.close().await;
        drop((self.keys, self.zone));
        closed.and(self.drivers.close().await)
    }
}

fn zone_config(config: &Config, environment: &Environment) -> ZoneConfig {
    ZoneConfig {
        clock: Arc::clone(&environment.clock),
        hash: config.content.hash,
        inline_bytes_max: config.content.inline_bytes_max,
        metadata_cache_bytes: config.memory.metadata_bytes,
        content_cache_bytes: config.memory.content_bytes,
        draft_bytes_max: config.handles.draft_bytes_max,
        draft_age_max: config.handles.draft_age_max,
        feeds_max: config.feeds_max,
        retention_every: config.retention_every,
        ..ZoneConfig::default()
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await;
    let bound = listener.and_then(|listener| {
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    bound.map_err(|error| {
        let message = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "the address is in use, perhaps by another node; stop that one, or choose another with --listen"
            }
            _ => "this address cannot be listened on; choose another with --listen",
        };
        Error::unavailable(message)
            .with("listen", address)
            .with("cause", &error)
            .because(error)
    })
}
