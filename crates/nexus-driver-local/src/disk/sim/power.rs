use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::io::Errno;

/// What the disks of one machine live on, so that they all stop at the same moment. Clones are
/// the same power.
#[derive(Clone, Debug, Default)]
pub struct Power(Arc<Mutex<Meter>>);

#[derive(Debug, Default)]
struct Meter {
    operations: u64,
    off_at: Option<u64>,
    is_off: bool,
}

impl Power {
    /// How many operations it was drawn for.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.0.lock().operations
    }

    /// Goes off instead of being drawn for the operation after `operations` more.
    pub fn off_after(&self, operations: u64) {
        let mut meter = self.0.lock();
        meter.off_at = Some(meter.operations + operations);
    }

    /// Goes off now.
    pub fn off(&self) {
        self.0.lock().is_off = true;
    }

    /// Whether it has gone off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.0.lock().is_off
    }

    /// Counts an operation that changes or syncs something.
    ///
    /// # Errors
    ///
    /// When the power is off, or goes off at this very operation.
    pub fn draw(&self) -> io::Result<()> {
        let mut meter = self.0.lock();
        meter.is_off |= meter.off_at.is_some_and(|at| meter.operations >= at);
        if meter.is_off {
            return Err(Errno::IO.into());
        }
        meter.operations += 1;
        Ok(())
    }
}
