//! Runs the doors on a listener.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::app::{App, Shared};
use crate::grpc::SWEEP_EVERY;
use crate::prompt::Prompt;
use crate::router::routes;

/// A connection on which nothing passes is asked this often whether its peer still lives.
const PROBE_EVERY: Duration = Duration::from_secs(30);
/// A silent HTTP/2 connection is asked this often whether it still lives.
const PING_EVERY: Duration = Duration::from_secs(30);
/// Calls in flight on one HTTP/2 connection.
const STREAMS_MAX: u32 = 1_000;
/// What an HTTP/2 client may send ahead: enough to keep a fast link busy.
const WINDOW_BYTES: u32 = 4 << 20;
/// When no connection can be accepted (too many open files), the pause before the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `app` on `listener` until `shutdown` is ready; then accepts nothing more, ends
/// endless streams, and returns when the requests in flight have their answers. Drop the
/// future to cut those off too.
///
/// A connection that fails ends alone, and is logged.
pub async fn serve(listener: TcpListener, app: App, shutdown: impl Future<Output = ()>) {
    let closing = app.closing.clone();
    let silence_max = app.limits.silence_max;
    let permits = Arc::new(Semaphore::new(app.limits.connections_max));
    let shared = Shared::new(app);
    let service = TowerToHyperService::new(routes(shared.clone()));
    let builder = builder(silence_max);
    let connections = GracefulShutdown::new();
    let cut_off = CancellationToken::new();
    let _when_dropped = cut_off.clone().drop_guard();
    tokio::spawn(sweep(shared.clone(), cut_off.clone()));
    tokio::pin!(shutdown);
    loop {
        let accepted = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (
                permit.expect("the semaphore is never closed"),
                accept(&listener).await,
            )
        };
        let (permit, stream) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut shutdown => break,
        };
        let stream = TokioIo::new(Prompt::new(stream, silence_max));
        let connection = builder.serve_connection_with_upgrades(stream, service.clone());
        let connection = connections.watch(connection.into_owned());
        let cut_off = cut_off.clone();
        tokio::spawn(async move {
            tokio::select! {
                ended = connection => {
                    if let Err(error) = ended {
                        tracing::debug!(error, "a connection failed");
                    }
                }
                () = cut_off.cancelled() => {}
            }
            drop(permit);
        });
    }
    drop(listener);
    closing.cancel();
    connections.shutdown().await;
    shared.handles.close_all().await;
}

/// Closes what clients have left open.
async fn sweep(shared: Shared, cut_off: CancellationToken) {
    while cut_off
        .run_until_cancelled(tokio::time::sleep(SWEEP_EVERY))
        .await
        .is_some()
    {
        shared.handles.sweep().await;
    }
}

fn builder(silence_max: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(silence_max);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES);
    builder
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = tune(&stream) {
                    tracing::debug!(%error, "could not tune a connection");
                }
                return stream;
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Turns Nagle's algorithm off, and probes for peers that vanished without a word on.
fn tune(stream: &TcpStream) -> io::Result<()> {
    let probes = TcpKeepalive::new()
        .with_time(PROBE_EVERY)
        .with_interval(PROBE_EVERY / 3);
    SockRef::from(stream).set_tcp_keepalive(&probes)?;
    stream.set_nodelay(true)
}
