//! Telling a service manager how it goes, as `sd_notify(3)` does.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use nexus_client::Result;

use crate::io::io_error;

/// It is mounted.
pub(super) fn ready() -> Result<()> {
    tell(b"READY=1")
}

/// It is being unmounted.
pub(super) fn stopping() -> Result<()> {
    tell(b"STOPPING=1")
}

/// Nothing where no manager listens.
fn tell(state: &[u8]) -> Result<()> {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else {
        return Ok(());
    };
    let sent = address(&socket).and_then(|address| {
        let sender = UnixDatagram::unbound()?;
        sender.send_to_addr(state, &address)
    });
    sent.map(drop)
        .map_err(|error| io_error("the service manager could not be told", &error))
}

fn address(socket: &OsString) -> std::io::Result<SocketAddr> {
    match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(socket),
    }
}
