//! Staying awake for the next request.
//!
//! A program at work on a mount asks one thing after another, each as soon as the last is
//! answered. To sleep in between costs more than most requests: waking a processor takes
//! microseconds, in a virtual machine tens of them. So a thread that has answered looks out for
//! the next request for a moment, as long as the last one came that soon. The idea is that of
//! the kernel's haltpoll governor.

use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// A request that comes this soon was worth staying awake for.
const SOON: Duration = Duration::from_micros(100);

/// Looks out for requests, one thread at a time.
#[derive(Default)]
pub(crate) struct Lookout {
    device: OnceLock<OwnedFd>,
    /// When somebody last began to look out.
    last: Mutex<Option<Instant>>,
}

impl Lookout {
    /// Looks out on this device from now on.
    pub(crate) fn on(&self, device: OwnedFd) {
        // It is mounted once.
        let _ = self.device.set(device);
    }

    /// After a request that came at `arrived` was answered: returns when there is another one,
    /// or when none comes soon.
    pub(crate) fn wait(&self, arrived: Instant) {
        let (Some(device), Some(mut last)) = (self.device.get(), self.last.try_lock()) else {
            return;
        };
        let now = Instant::now();
        let came_soon = last.is_some_and(|last| arrived.saturating_duration_since(last) < SOON);
        *last = Some(now);
        while came_soon && now.elapsed() < SOON && !is_ready(device) {
            // Whoever has work to do here goes first.
            std::thread::yield_now();
        }
    }
}

/// Whether something can be read; an error is for the reader, too.
fn is_ready(device: &OwnedFd) -> bool {
    let mut device = [PollFd::new(device, PollFlags::IN)];
    poll(&mut device, Some(&Timespec::default())) != Ok(0)
}
