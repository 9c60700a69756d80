//! How much one call may compute.

use nexus_kernel::{Error, Result};

/// What is left of the work one call may do.
pub(super) struct Work(u64);

/// What one call may do. A unit is about a third of a nanosecond, all of it a few seconds.
pub(super) const WORK_MAX: u64 = 8 << 30;

/// What one byte of text costs.
pub(super) mod cost {
    /// To be searched for an exact match, and copied.
    pub(in crate::edit) const EXACT: u64 = 1;
    /// To have its whitespace made uniform.
    pub(in crate::edit) const NORMAL: u64 = 32;
    /// To be compared with 64 bytes of a quote.
    pub(in crate::edit) const FUZZY: u64 = 8;
}

impl Work {
    pub(super) fn up_to(units: u64) -> Self {
        Self(units)
    }

    /// Takes off what `bytes` of text will cost.
    pub(super) fn spend(&mut self, bytes: usize, each: u64) -> Result<()> {
        let units = (bytes as u64).saturating_mul(each);
        self.0 = self.0.checked_sub(units).ok_or_else(|| {
            Error::limit(
                "the edits take too long together on a text of this size; send fewer at a time, \
                 and quote what is there exactly",
            )
        })?;
        Ok(())
    }
}
